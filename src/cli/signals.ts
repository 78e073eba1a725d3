/** Signals of the whole process, and what it does when nobody reads its output any more. */
import { BackplanError, EXIT } from '../errors.ts';

export type InterruptHandler = (signal: NodeJS.Signals) => void;

export interface Interruption {
  readonly signal: AbortSignal;
  /** See CommandContext.onInterrupt. */
  onInterrupt(handler: InterruptHandler): () => void;
}

/**
 * The first SIGINT, SIGTERM or SIGHUP cancels what runs (child processes are ended, what the run made is removed)
 * and says so; the second ends the process at once. SIGHUP counts, because a closed terminal must not leave a half
 * restored database behind.
 */
export function listenForSignals(say: (text: string) => void): Interruption {
  const controller = new AbortController();
  const handlers: InterruptHandler[] = [];
  const onSignal = (name: NodeJS.Signals) => {
    const handler = handlers.at(-1);
    if (handler !== undefined) {
      handler(name);
    } else if (controller.signal.aborted) {
      say(`${name} again: stopping at once; what was left behind is removed at the next start`);
      process.exit(EXIT.interrupted);
    } else {
      say(`${name}: cancelling, ending child processes and cleaning up; once more stops at once`);
      controller.abort(new BackplanError('CANCELLED', `cancelled by ${name}`));
    }
  };
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, onSignal);
  return {
    signal: controller.signal,
    onInterrupt: (handler) => {
      handlers.push(handler);
      return () => {
        const index = handlers.lastIndexOf(handler);
        if (index >= 0) handlers.splice(index, 1);
      };
    },
  };
}

/**
 * `backplan runs PLAN | head` closes the pipe early. That is no error, and a run that is under way must not die
 * of it: what cannot be written is dropped.
 */
export function tolerateClosedPipes(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE' && error.code !== 'EIO') throw error;
    });
  }
}
