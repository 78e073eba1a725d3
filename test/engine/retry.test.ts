import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { delayBefore, isRetryable } from '../../src/engine/retry.ts';
import { BackplanError, type ErrorCode } from '../../src/errors.ts';
import { runJob } from './harness.ts';

describe('delays', () => {
  const retry = { attempts: 10, backoff: 1000, maxDelay: 10_000 };

  it('double up to the limit', () => {
    const most = [2, 3, 4, 5, 6, 7].map((next) => delayBefore(next, retry, 0.999999));
    expect(most).toEqual([1000, 2000, 4000, 8000, 10_000, 10_000]);
    expect(delayBefore(2, retry, 0)).toBe(500);
  });

  it('stay between half and the whole, for any numbers', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 5000 }),
        fc.nat(1e6),
        fc.nat(1e7),
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        (next, backoff, maxDelay, random) => {
          const delay = delayBefore(next, { attempts: next, backoff, maxDelay }, random);
          expect(delay).toBeGreaterThanOrEqual(0);
          expect(delay).toBeLessThanOrEqual(maxDelay);
          if (backoff > 0) expect(delay).toBeGreaterThanOrEqual(Math.floor(Math.min(maxDelay, backoff) / 2));
        },
      ),
    );
  });
});

describe('retry', () => {
  it.each<[ErrorCode, boolean]>([
    ['CONNECTION_FAILED', true],
    ['DUMP_FAILED', true],
    ['TIMEOUT', true],
    ['LOCKED', true],
    ['INTERNAL', true],
    ['CHECKS_FAILED', false],
    ['CHECKS_INCONCLUSIVE', false],
    ['PROMOTE_REFUSED', false],
    ['CANCELLED', false],
    ['PLAN_INVALID', false],
    ['TOOL_MISSING', false],
  ])('%s: %j', (code, expected) => {
    expect(isRetryable(new BackplanError(code, 'x'))).toBe(expected);
  });

  it('believes an error that calls itself transient', () => {
    expect(isRetryable(new BackplanError('CHECKS_INCONCLUSIVE', 'x', { transient: true }))).toBe(true);
  });

  const failing = (times: number, code: ErrorCode) => {
    let calls = 0;
    return {
      calls: () => calls,
      run: async () => {
        calls += 1;
        if (calls <= times) throw new BackplanError(code, `failure ${calls}`);
        return { calls };
      },
    };
  };

  it('tries again until it works, and tells', async () => {
    const work = failing(2, 'CONNECTION_FAILED');
    const { record, events } = await runJob(
      { steps: { s: { run: work.run, retry: { attempts: 5, backoff: 10, maxDelay: 15 } } } },
      { random: () => 0 },
    );
    expect(record.steps[0]).toMatchObject({ status: 'succeeded', attempts: 3, outputs: { calls: 3 } });
    expect(record.steps[0]?.error).toBeUndefined();
    expect(events.filter((event) => event.type === 'step:retrying')).toMatchObject([
      { step: 's', attempt: 2, delayMs: 5, error: { message: 'failure 1' } },
      { step: 's', attempt: 3, delayMs: 8, error: { message: 'failure 2' } },
    ]);
  });

  it('gives up with the last error', async () => {
    const work = failing(9, 'CONNECTION_FAILED');
    const { record } = await runJob({
      steps: { s: { run: work.run, retry: { attempts: 3, backoff: 1, maxDelay: 1 } } },
    });
    expect(work.calls()).toBe(3);
    expect(record.steps[0]).toMatchObject({ status: 'failed', attempts: 3, error: { message: 'failure 3' } });
  });

  it('does not repeat what cannot get better', async () => {
    const work = failing(9, 'CHECKS_FAILED');
    const { record } = await runJob({
      steps: { s: { run: work.run, retry: { attempts: 3, backoff: 1, maxDelay: 1 } } },
    });
    expect(work.calls()).toBe(1);
    expect(record).toMatchObject({ exitCode: 3 });
  });

  it('gives each try its own copy of the settings', async () => {
    const seen: unknown[] = [];
    await runJob({
      steps: {
        s: {
          with: { list: [1] },
          retry: { attempts: 2, backoff: 1, maxDelay: 1 },
          run: async (params) => {
            (params.list as number[]).push(2);
            seen.push(params.list);
            throw new BackplanError('TOOL_FAILED', 'no');
          },
        },
      },
    });
    expect(seen).toEqual([
      [1, 2],
      [1, 2],
    ]);
  });

  it('stops waiting when the run is cancelled', async () => {
    const controller = new AbortController();
    const work = failing(9, 'CONNECTION_FAILED');
    const { record } = await runJob(
      { steps: { s: { run: work.run, retry: { attempts: 3, backoff: 3_600_000, maxDelay: 3_600_000 } } } },
      {
        signal: controller.signal,
        listeners: [(event) => event.type === 'step:retrying' && controller.abort()],
      },
    );
    expect(work.calls()).toBe(1);
    expect(record).toMatchObject({ status: 'cancelled', exitCode: 130 });
    expect(record.steps[0]).toMatchObject({ status: 'cancelled', attempts: 1 });
    expect(record.steps[0]?.error?.detail).toContain('failure 1');
  });
});
