/** What steps deferred to the end of the run: sandboxes to stop, folders to remove. */
import { toBackplanError } from '../errors.ts';
import { formatDuration } from '../units.ts';
import { after } from './timers.ts';

export interface Cleanups {
  add(cleanup: () => Promise<void>): void;
  /** Runs them, last in first out. Errors are told to `onError` and stop nothing; none may take longer than the limit. */
  run(limitMs: number, onError: (message: string) => void): Promise<void>;
}

export function makeCleanups(): Cleanups {
  const waiting: (() => Promise<void>)[] = [];
  let over = false;
  return {
    add: (cleanup) => {
      // A step that was left behind and comes back after the end must not leave its things.
      if (over) void attemptCleanup(cleanup, Number.POSITIVE_INFINITY).catch(() => {});
      else waiting.push(cleanup);
    },
    run: async (limitMs, onError) => {
      for (let cleanup = waiting.pop(); cleanup !== undefined; cleanup = waiting.pop()) {
        try {
          await attemptCleanup(cleanup, limitMs);
        } catch (error) {
          onError(`clean-up failed: ${toBackplanError(error).message}; the next start tries again`);
        }
      }
      over = true;
    },
  };
}

async function attemptCleanup(cleanup: () => Promise<void>, limitMs: number): Promise<void> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const callOff = Number.isFinite(limitMs)
    ? after(limitMs, () => reject(new Error(`not done after ${formatDuration(limitMs)}`)))
    : () => {};
  try {
    await Promise.race([(async () => await cleanup())(), late]);
  } finally {
    callOff();
  }
}
