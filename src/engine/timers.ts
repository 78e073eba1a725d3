/** Waiting that can be given up, and time limits of any length. */
import { BackplanError } from '../errors.ts';

/** setTimeout fires at once for anything longer (24.8 days), so long waits are cut into pieces. */
const LONGEST_MS = 2 ** 31 - 1;

/** Calls `action` after `milliseconds`, however many. Returns the way to call it off. */
export function after(milliseconds: number, action: () => void): () => void {
  let timer: NodeJS.Timeout;
  const arm = (rest: number) => {
    timer = setTimeout(
      () => (rest > LONGEST_MS ? arm(rest - LONGEST_MS) : action()),
      Math.min(rest, LONGEST_MS),
    );
  };
  arm(milliseconds);
  return () => clearTimeout(timer);
}

/** Resolves after the time; rejects with the signal's reason as soon as it is aborted. */
export function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(abortReason(signal));
    const onAbort = () => {
      callOff();
      reject(abortReason(signal));
    };
    const callOff = after(milliseconds, () => {
      signal.removeEventListener('abort', onAbort);
      resolve();
    });
    signal.addEventListener('abort', onAbort, { once: true });
  });
}

/** Why a signal was aborted; whoever aborts gives a BackplanError, anything else is a plain cancellation. */
export function abortReason(signal: AbortSignal): BackplanError {
  return signal.reason instanceof BackplanError
    ? signal.reason
    : new BackplanError('CANCELLED', 'cancelled', { cause: signal.reason });
}
