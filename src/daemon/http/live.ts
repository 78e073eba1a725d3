/** Server-sent events. Source: https://html.spec.whatwg.org/multipage/server-sent-events.html */
import type { Context } from 'hono';
import { streamSSE } from 'hono/streaming';
import { BackplanError } from '../../errors.ts';
import { type DaemonEvent, withoutDefinitions } from '../events.ts';
import type { DaemonView } from '../view.ts';

/** Each listener costs a connection and what it has not read yet. */
const LISTENERS = 50;
const WAITING = 1000;

/** A line now and then keeps proxies from closing what is silent. Milliseconds. */
const HEARTBEAT = 15_000;

interface Message {
  readonly event: string;
  readonly data: unknown;
  readonly last?: boolean;
}

export interface LiveEvents {
  /** All events of the daemon. @throws LOCKED when too many listen */
  all(context: Context): Response;
  /** Those of one run. @throws RUN_NOT_FOUND, LOCKED when too many listen */
  ofRun(context: Context, run: string): Response;
  /** Ends all streams. */
  close(): void;
}

export function liveEvents(daemon: DaemonView): LiveEvents {
  const open = new Set<() => void>();

  const serve = (
    context: Context,
    first: readonly Message[],
    select: (event: DaemonEvent) => Message | undefined,
  ): Response => {
    if (open.size >= LISTENERS) {
      throw new BackplanError('CANCELLED', `${LISTENERS} clients listen already`, {
        hint: 'Close one of them, or ask for the run from time to time.',
      });
    }
    const queue: Message[] = [...first];
    let wake = () => {};
    let over = false;
    const push = (message: Message) => {
      // One who does not read must not fill the memory: it is sent away and may come back.
      if (queue.length >= WAITING) over = true;
      else queue.push(message);
      wake();
    };
    const remove = daemon.onEvent((event) => {
      const message = select(event);
      if (message !== undefined) push(message);
    });
    const end = () => {
      over = true;
      wake();
    };
    open.add(end);
    return streamSSE(context, async (stream) => {
      stream.onAbort(end);
      try {
        while (!over) {
          const message = queue.shift();
          if (message === undefined) {
            const waited = await new Promise<boolean>((resolve) => {
              const timer = setTimeout(() => resolve(true), HEARTBEAT);
              wake = () => {
                clearTimeout(timer);
                resolve(false);
              };
              if (over || queue.length > 0) wake();
            });
            if (waited) await stream.write(': still here\n\n');
            continue;
          }
          await stream.writeSSE({ event: message.event, data: JSON.stringify(message.data) });
          if (message.last === true) break;
        }
      } finally {
        remove();
        open.delete(end);
      }
    });
  };

  return {
    all: (context) => serve(context, [], (event) => ({ event: event.type, data: withoutDefinitions(event) })),
    ofRun: (context, reference) => {
      const record = daemon.journal.getRun(reference);
      const last = record.status !== 'running';
      return serve(context, [{ event: 'run', data: record, last }], (event) =>
        event.type === 'runEvent' && event.runId === record.id
          ? { event: event.event.type, data: event.event, last: event.event.type === 'run:finished' }
          : undefined,
      );
    },
    close: () => {
      for (const end of [...open]) end();
    },
  };
}
