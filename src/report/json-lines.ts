/** For programs: every event as one line of JSON, and as the last line the record of the run. */
import type { Writable } from 'node:stream';
import type { Reporter } from './reporter.ts';

export interface JsonLinesOptions {
  readonly stream: Writable;
}

/** Progress lines are thinned out to this many milliseconds per step. */
const PROGRESS_MS = 1000;

/**
 * The last line is the run record alone (`schemas/run.schema.json`), in the place of the `run:finished` event:
 * `… | tail -n 1 | jq .status`. Lines before it are events and have a `type`.
 */
export function makeJsonLinesReporter({ stream }: JsonLinesOptions): Reporter {
  let broken = false;
  const progressAt = new Map<string, number>();
  // Whoever reads may go away (`| head`); the run does not end because of that.
  stream.on('error', () => {
    broken = true;
  });
  const write = (value: unknown) => {
    if (!broken) stream.write(`${JSON.stringify(value)}\n`);
  };
  return {
    name: 'json-lines',
    on: (event) => {
      if (event.type === 'step:progress') {
        const now = performance.now();
        if (now - (progressAt.get(event.step) ?? Number.NEGATIVE_INFINITY) < PROGRESS_MS) return;
        progressAt.set(event.step, now);
      }
      write(event.type === 'run:finished' ? event.run : event);
    },
    close: () =>
      new Promise((resolve) => {
        if (broken || stream.writableLength === 0) return resolve();
        stream.once('close', resolve);
        stream.once('error', () => resolve());
        stream.write('', () => resolve());
      }),
  };
}
