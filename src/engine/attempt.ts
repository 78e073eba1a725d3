/** One try of one step: time limit, abort, and an end even when the step does not obey. */
import { setMaxListeners } from 'node:events';
import { BackplanError, toBackplanError } from '../errors.ts';
import { formatDuration } from '../units.ts';
import { abortReason, after } from './timers.ts';

export interface AttemptOptions {
  readonly step: string;
  /** Cancellation and time limits from outside. */
  readonly signal: AbortSignal;
  /** Milliseconds for this try. */
  readonly timeoutMs?: number;
  /** How long a step may take to stop once it is told to; then it is left behind. */
  readonly graceMs: number;
  /** Called when a step was left behind, with the promise of its end. */
  readonly onAbandoned: (end: Promise<unknown>) => void;
}

/**
 * Runs `work`. What it returns counts even when the signal came while it finished: the work is done then.
 * @throws the reason of the abort (TIMEOUT, CANCELLED) when it was aborted, otherwise what the work threw
 */
export async function attempt<T>(
  work: (signal: AbortSignal) => Promise<T>,
  options: AttemptOptions,
): Promise<T> {
  const limit = new AbortController();
  const signal = AbortSignal.any([options.signal, limit.signal]);
  // Each child process and connection of a step listens; many are no leak.
  setMaxListeners(0, signal);
  if (signal.aborted) throw abortReason(signal);
  const { timeoutMs } = options;
  const callOff =
    timeoutMs === undefined
      ? () => {}
      : after(timeoutMs, () => limit.abort(timeoutError(options.step, timeoutMs)));
  const end = (async () => await work(signal))();
  const giveUp = abandonment(signal, options.graceMs);
  try {
    const outcome = await Promise.race([end, giveUp.promise]);
    if (outcome !== ABANDONED) return outcome;
  } catch (error) {
    if (signal.aborted) throw withEvidence(abortReason(signal), error);
    // Nobody cancelled: something else must not pass for a cancellation by a person.
    const failure = toBackplanError(error);
    throw failure.code === 'CANCELLED'
      ? new BackplanError('STEP_FAILED', failure.message, { cause: error, detail: failure.detail })
      : failure;
  } finally {
    callOff();
    giveUp.callOff();
  }
  end.catch(() => {});
  options.onAbandoned(end.catch(() => {}));
  throw leftBehind(abortReason(signal), options.graceMs);
}

const ABANDONED = Symbol('abandoned');

function abandonment(signal: AbortSignal, graceMs: number) {
  const { promise, resolve } = Promise.withResolvers<typeof ABANDONED>();
  let stopWaiting = () => {};
  const onAbort = () => {
    stopWaiting = after(graceMs, () => resolve(ABANDONED));
  };
  signal.addEventListener('abort', onAbort, { once: true });
  return {
    promise,
    callOff: () => {
      signal.removeEventListener('abort', onAbort);
      stopWaiting();
    },
  };
}

function timeoutError(step: string, timeoutMs: number): BackplanError {
  return new BackplanError(
    'TIMEOUT',
    `step ${step} took longer than its limit of ${formatDuration(timeoutMs)}`,
    {
      hint: 'Raise the `timeout` of the step, or find out what it waited for: its log and stderr say how far it came.',
    },
  );
}

/** What the step threw when it was ended may say what it was doing. */
function withEvidence(reason: BackplanError, error: unknown): BackplanError {
  if (error === reason) return reason;
  const { code, message, detail } = toBackplanError(error);
  if (code === reason.code && message === reason.message) return reason;
  return new BackplanError(reason.code, reason.message, {
    hint: reason.hint,
    detail: [reason.detail, message, detail].filter((line) => line !== undefined && line !== '').join('\n'),
    cause: error,
  });
}

function leftBehind(reason: BackplanError, graceMs: number): BackplanError {
  return new BackplanError(
    reason.code,
    `${reason.message}; it did not stop within ${formatDuration(graceMs)} and was left behind`,
    {
      hint: 'Its locks are kept until it has really ended. What it made is removed at the next start.',
      detail: reason.detail,
      cause: reason,
    },
  );
}
