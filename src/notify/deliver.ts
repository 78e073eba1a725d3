/**
 * Gets messages to their notifiers: in order for each notifier, tried again with growing pauses, every try bounded in
 * time. Never throws and never holds anybody up for longer than they ask.
 */
import { delayBefore } from '../engine/retry.ts';
import { pause } from '../engine/timers.ts';
import type { NotifierDefinition } from '../plan/model.ts';
import type { Answer, Message, NotifierKind } from './notifier.ts';

/** What became of one message. */
export interface Delivery {
  readonly notifier: string;
  readonly kind: string;
  readonly delivered: boolean;
  /** What the other side said, or why it was not reached. */
  readonly said: string;
  readonly attempts: number;
  readonly durationMs: number;
}

export interface Deliverer {
  /** @param notifier with its environment resolved */
  send(notifier: NotifierDefinition, message: Message): Promise<Delivery>;
  /** Gives up on everything that is still under way. */
  stop(reason: Error): void;
}

export interface DelivererOptions {
  readonly kinds: ReadonlyMap<string, NotifierKind>;
  readonly baseDirectory: string;
  /** For the jitter of retries; a number in [0, 1). */
  readonly random?: () => number;
}

/** Messages of one notifier that wait; more than these are given up, the newest first. */
const QUEUE = 100;
/** Milliseconds for a kind to end once its time is up; then nobody waits for it. */
const GRACE_MS = 2000;

export function makeDeliverer({ kinds, baseDirectory, random = Math.random }: DelivererOptions): Deliverer {
  const stopper = new AbortController();
  const queues = new Map<string, { tail: Promise<unknown>; length: number }>();

  async function tryOnce(
    kind: NotifierKind,
    notifier: NotifierDefinition,
    message: Message,
  ): Promise<Answer> {
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(), notifier.timeout);
    const signal = AbortSignal.any([stopper.signal, late.signal]);
    try {
      return await Promise.race([
        kind.send(message, notifier.settings, { signal, baseDirectory }),
        outstaying(signal),
      ]);
    } catch (error) {
      // A kind promises not to throw; should it, the message is lost and the run is not.
      return { delivered: false, said: error instanceof Error ? error.message : String(error) };
    } finally {
      clearTimeout(timer);
    }
  }

  async function deliver(notifier: NotifierDefinition, message: Message): Promise<Delivery> {
    const started = performance.now();
    const kind = kinds.get(notifier.kind);
    const end = (attempts: number, { delivered, said }: Answer): Delivery => ({
      notifier: notifier.name,
      kind: notifier.kind,
      delivered,
      said,
      attempts,
      durationMs: Math.round(performance.now() - started),
    });
    if (kind === undefined) return end(0, { delivered: false, said: `there is no kind ${notifier.kind}` });
    for (let attempt = 1; ; attempt += 1) {
      if (stopper.signal.aborted) return end(attempt - 1, { delivered: false, said: reason(stopper.signal) });
      const answer = await tryOnce(kind, notifier, message);
      const last = attempt >= notifier.retry.attempts || answer.again !== true || stopper.signal.aborted;
      if (answer.delivered || last) return end(attempt, answer);
      try {
        await pause(
          Math.max(delayBefore(attempt + 1, notifier.retry, random()), answer.afterMs ?? 0),
          stopper.signal,
        );
      } catch {
        return end(attempt, answer);
      }
    }
  }

  return {
    send: async (notifier, message) => {
      const queue = queues.get(notifier.name) ?? { tail: Promise.resolve(), length: 0 };
      queues.set(notifier.name, queue);
      if (queue.length >= QUEUE) {
        const said = `${QUEUE} messages are waiting for it already`;
        return {
          notifier: notifier.name,
          kind: notifier.kind,
          delivered: false,
          said,
          attempts: 0,
          durationMs: 0,
        };
      }
      queue.length += 1;
      const result = queue.tail.then(() => deliver(notifier, message));
      queue.tail = result.finally(() => {
        queue.length -= 1;
      });
      return await result;
    },
    stop: (why) => stopper.abort(why),
  };
}

/** Resolves when a kind has not ended some time after its signal. */
function outstaying(signal: AbortSignal): Promise<Answer> {
  return new Promise((resolve) => {
    const late = () =>
      setTimeout(
        () => resolve({ delivered: false, said: 'no answer in time', again: true }),
        GRACE_MS,
      ).unref();
    if (signal.aborted) late();
    else signal.addEventListener('abort', late, { once: true });
  });
}

function reason({ reason: why }: AbortSignal): string {
  return why instanceof Error ? why.message : 'given up';
}
