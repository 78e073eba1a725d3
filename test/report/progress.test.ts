import { describe, expect, it } from 'vitest';
import { formatAmount, formatOutputs, shorten } from '../../src/report/format.ts';
import { trackProgress } from '../../src/report/progress.ts';

const AT = '2026-11-24T02:00:00.000Z';

function tracked() {
  let time = 0;
  const tracker = trackProgress(() => time);
  return {
    tracker,
    wait: (milliseconds: number) => {
      time += milliseconds;
    },
    start: (attempt = 1) => tracker.on({ type: 'step:started', at: AT, step: 's', uses: 'k', attempt }),
    progress: (done: number, rest: { total?: number; note?: string; unit?: 'bytes' | 'rows' } = {}) =>
      tracker.on({ type: 'step:progress', at: AT, step: 's', progress: { unit: 'bytes', ...rest, done } }),
    text: () => tracker.running().map((step) => tracker.describe(step)),
  };
}

describe('progress', () => {
  it('shows amount, share, current speed, elapsed time and note', () => {
    const { start, progress, wait, text } = tracked();
    start();
    wait(1000);
    expect(text()).toEqual(['1.0s']);
    for (let second = 0; second <= 20; second += 1) {
      progress(second * 10e6, { total: 400e6, note: 'table Order' });
      wait(1000);
    }
    expect(text()).toEqual(['200 MB of 400 MB (50%), 8.6 MB/s, 22s, table Order']);
  });

  it('lets a stall be seen', () => {
    const { start, progress, wait, text } = tracked();
    start();
    progress(0);
    wait(1000);
    progress(100e6);
    wait(99_000);
    expect(text()).toEqual(['100 MB, 1.0 MB/s, 1m 40s']);
  });

  it('begins anew with another phase of the step', () => {
    const { start, progress, wait, text } = tracked();
    start();
    progress(500e6);
    wait(1000);
    progress(0, { unit: 'rows' });
    wait(2000);
    progress(3000, { unit: 'rows', total: 2000 });
    expect(text()).toEqual(['3,000 rows, 1,500 rows/s, 3.0s']);
  });

  it('counts down to the next try', () => {
    const { tracker, start, wait, text } = tracked();
    start();
    wait(500);
    const error = { code: 'TIMEOUT', message: 'x' } as const;
    tracker.on({ type: 'step:retrying', at: AT, step: 's', attempt: 2, delayMs: 4000, error });
    wait(1000);
    expect(text()).toEqual(['waits 3.0s before it tries again, 1.5s']);
    start(2);
    expect(text()).toEqual(['try 2, 1.5s']);
    tracker.on({
      type: 'step:finished',
      at: AT,
      step: { name: 's', uses: 'k', status: 'succeeded', attempts: 2 },
    });
    expect(text()).toEqual([]);
  });
});

describe('words', () => {
  it.each([
    [{ done: 5, unit: 'checks', total: 15 } as const, '5 of 15 checks (33%)'],
    [{ done: 15, unit: 'checks', total: 15 } as const, '15 of 15 checks (100%)'],
    [{ done: 16, unit: 'checks', total: 15 } as const, '16 checks'],
    [{ done: 5, unit: 'files', total: 0 } as const, '5 files'],
    [{ done: 1_234_567, unit: 'rows' } as const, '1,234,567 rows'],
  ])('%j is %s', (progress, text) => {
    expect(formatAmount(progress)).toBe(text);
  });

  it('picks the outputs that tell most', () => {
    expect(formatOutputs({ removed: ['a', 'b'], kept: 3, bytesFreed: 5e6, path: '/x', warnings: [] })).toBe(
      '3 kept, 2 removed, 5.0 MB freed',
    );
    expect(formatOutputs({ summary: '15/15 checks passed', verdict: 'verified' })).toBe(
      '15/15 checks passed',
    );
    expect(formatOutputs({ backup: null, database: '' })).toBe('');
    expect(formatOutputs(undefined)).toBe('');
  });

  it('shortens by characters, not by halves of them', () => {
    expect(shorten('😀😀😀😀', 3)).toBe('😀😀…');
    expect(shorten('a\nb\u001b[2Jc', 10)).toBe('a bc');
    expect(shorten('abc', 0)).toBe('…');
  });
});
