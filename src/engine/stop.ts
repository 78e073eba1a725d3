/** The two ways a run is stopped from outside: somebody cancels it, or the job's time is up. */
import { setMaxListeners } from 'node:events';
import { BackplanError } from '../errors.ts';
import { formatDuration } from '../units.ts';
import { abortReason, after } from './timers.ts';

export interface Stop {
  stopped(): 'cancelled' | 'timedOut' | undefined;
  /** Why, for the run's record. */
  error(): BackplanError | undefined;
  /** The signal for a step, given which of the two it goes on through. All end when clean-up has taken too long. */
  signalFor(step: { readonly outlivesCancel: boolean; readonly outlivesTimeout: boolean }): AbortSignal;
  close(): void;
}

export interface StopOptions {
  readonly job: string;
  readonly signal: AbortSignal;
  /** Milliseconds for the whole job. */
  readonly timeoutMs?: number;
  /** Milliseconds for all clean-up steps together, from the moment the run is stopped. */
  readonly cleanupMs: number;
}

export function makeStop(options: StopOptions): Stop {
  const { job, signal, timeoutMs, cleanupMs } = options;
  const [cancel, timeout, cleanup] = [new AbortController(), new AbortController(), new AbortController()];
  const timers: (() => void)[] = [];
  const boundCleanup = () => {
    timers.push(
      after(cleanupMs, () =>
        cleanup.abort(
          new BackplanError(
            'TIMEOUT',
            `the run was stopped, and its clean-up took longer than ${formatDuration(cleanupMs)}`,
            {
              hint: 'What is left is removed at the next start.',
            },
          ),
        ),
      ),
    );
  };
  const onCancel = () => {
    const reason = abortReason(signal);
    // Whatever the reason is called, to the run it is a cancellation.
    cancel.abort(
      reason.code === 'CANCELLED'
        ? reason
        : new BackplanError('CANCELLED', reason.message, { cause: reason }),
    );
    boundCleanup();
  };
  signal.addEventListener('abort', onCancel, { once: true });
  if (timeoutMs !== undefined) {
    timers.push(
      after(timeoutMs, () => {
        timeout.abort(
          new BackplanError(
            'TIMEOUT',
            `job ${job} took longer than its limit of ${formatDuration(timeoutMs)}`,
            {
              hint: 'Raise the `timeout` of the job, or see in the durations of its steps where the time went.',
            },
          ),
        );
        boundCleanup();
      }),
    );
  }
  return {
    stopped: () => (cancel.signal.aborted ? 'cancelled' : timeout.signal.aborted ? 'timedOut' : undefined),
    error: () => {
      const source = [cancel, timeout].find((controller) => controller.signal.aborted);
      return source === undefined ? undefined : abortReason(source.signal);
    },
    signalFor: ({ outlivesCancel, outlivesTimeout }) => {
      const any = AbortSignal.any([
        cleanup.signal,
        ...(outlivesCancel ? [] : [cancel.signal]),
        ...(outlivesTimeout ? [] : [timeout.signal]),
      ]);
      setMaxListeners(0, any);
      return any;
    },
    close: () => {
      signal.removeEventListener('abort', onCancel);
      for (const callOff of timers) callOff();
    },
  };
}
