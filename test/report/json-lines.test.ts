import { describe, expect, it } from 'vitest';
import { makeJsonLinesReporter } from '../../src/report/json-lines.ts';
import { runSchema } from '../../src/runs/record-schema.ts';
import { compileSchema } from '../../src/validator.ts';
import { events, record } from './events.ts';
import { brokenPipe, capture } from './streams.ts';

describe('JSON lines', () => {
  it('are one event a line, and the run record alone at the end', async () => {
    const stream = capture();
    const reporter = makeJsonLinesReporter({ stream });
    for (const event of events()) reporter.on(event);
    await reporter.close?.();
    expect(stream.text().endsWith('\n')).toBe(true);
    const lines = stream
      .text()
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines.map(({ type }) => type)).toEqual([
      'run:started',
      'step:started',
      'step:retrying',
      'step:started',
      'step:progress',
      'step:log',
      'step:log',
      'step:finished',
      'step:started',
      'step:finished',
      'step:started',
      'step:finished',
      'step:started',
      'step:finished',
      'step:finished',
      'run:log',
      undefined,
    ]);
    expect(lines.at(-1)).toEqual(JSON.parse(JSON.stringify(record)));
  });

  it('end with what the schema promises', async () => {
    const check = await compileSchema(runSchema);
    const copy = () => JSON.parse(JSON.stringify(record));
    expect(check(copy())).toEqual([]);
    expect(check({ ...copy(), status: 'perhaps' })).toHaveLength(1);
    expect(check({ ...copy(), extra: 1 })).toHaveLength(1);
    expect(check({ ...copy(), exitCode: 7 })).toHaveLength(1);
  });

  it('survive a reader that goes away', async () => {
    const reporter = makeJsonLinesReporter({ stream: brokenPipe() });
    for (const event of events()) {
      reporter.on(event);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await reporter.close?.();
  });
});
