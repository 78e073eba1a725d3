import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BackplanError } from '../src/errors.ts';
import {
  formatAge,
  formatBytes,
  formatDuration,
  formatRate,
  parseDuration,
  parseSize,
  parseTimestamp,
} from '../src/units.ts';

describe('durations', () => {
  it.each([
    ['30s', 30_000],
    ['5m', 300_000],
    ['12h', 43_200_000],
    ['30d', 2_592_000_000],
    ['1h30m', 5_400_000],
    ['250ms', 250],
    ['1.5h', 5_400_000],
    ['2w', 1_209_600_000],
  ])('%s', (text, milliseconds) => {
    expect(parseDuration(text)).toBe(milliseconds);
  });

  it.each(['', '5', 'm', '5 m', '-5m', '5M', 'five', '1h-2m'])('refuses %j', (text) => {
    expect(() => parseDuration(text)).toThrow(BackplanError);
  });

  it('reads back whole seconds that it wrote', () => {
    fc.assert(
      fc.property(fc.integer({ min: 10, max: 86_399 }), (seconds) => {
        const text = formatDuration(seconds * 1000).replaceAll(' ', '');
        // At most two units are shown, so the text may be short by less than the smaller one.
        expect(Math.abs(parseDuration(text) - seconds * 1000)).toBeLessThan(60_000);
      }),
    );
  });
});

describe('sizes', () => {
  it.each([
    ['500MB', 500e6],
    ['2GiB', 2 * 1024 ** 3],
    ['10 kB'.replace('k', 'K'), 10e3],
    ['7B', 7],
  ])('%s', (text, bytes) => expect(parseSize(text)).toBe(bytes));
  it.each(['', '5', 'MB', '5mb', '5 XB'])('refuses %j', (text) =>
    expect(() => parseSize(text)).toThrow(BackplanError),
  );
  it('formats', () => {
    expect([0, 999, 1000, 187e6, 1.5e9, 3e12].map(formatBytes)).toEqual([
      '0 B',
      '999 B',
      '1.0 kB',
      '187 MB',
      '1.5 GB',
      '3.00 TB',
    ]);
    expect(formatRate(2e6, 2000)).toBe('1.0 MB/s');
  });
});

describe('times', () => {
  it.each([
    ['2026-05-04T03:10:00Z', 'Europe/Berlin', '2026-05-04T03:10:00.000Z'],
    ['2026-05-04T03:10:00+02:00', 'Asia/Tokyo', '2026-05-04T01:10:00.000Z'],
    ['2026-05-04 03:10', 'Europe/Berlin', '2026-05-04T01:10:00.000Z'],
    ['2026-05-04T03:10', 'Asia/Tokyo', '2026-05-03T18:10:00.000Z'],
    ['2026-05-04', 'UTC', '2026-05-04T00:00:00.000Z'],
    // skipped local time: the instant after the gap
    ['2027-03-28T02:30', 'Europe/Berlin', '2027-03-28T01:30:00.000Z'],
    // repeated local time: its first occurrence
    ['2027-10-31T02:30', 'Europe/Berlin', '2027-10-31T00:30:00.000Z'],
  ])('%s in %s', async (text, zone, expected) => {
    expect((await parseTimestamp(text, zone)).toISOString()).toBe(expected);
  });
  it('refuses what is not a time', async () => {
    await expect(parseTimestamp('yesterday', 'UTC')).rejects.toMatchObject({ code: 'INPUT_INVALID' });
  });
  it('tells ages', () => {
    const now = new Date('2026-11-24T12:00:00Z');
    expect(
      ['2026-11-24T11:59:30Z', '2026-11-24T11:00:00Z', '2026-11-14T12:00:00Z', '2026-11-25T00:00:00Z'].map(
        (at) => formatAge(new Date(at), now),
      ),
    ).toEqual(['30s', '1h', '10d', 'in the future']);
  });
});
