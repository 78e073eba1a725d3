import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Period, periodNames } from '../../src/repository/periods.ts';

const PERIODS: readonly Period[] = ['day', 'week', 'month', 'year'];

test.each([
  // Source: ISO 8601 weeks at the turns of years.
  ['2020-12-31T12:00:00Z', 'UTC', '2020-W53'],
  ['2021-01-03T12:00:00Z', 'UTC', '2020-W53'],
  ['2021-01-04T12:00:00Z', 'UTC', '2021-W01'],
  ['2024-12-29T12:00:00Z', 'UTC', '2024-W52'],
  ['2024-12-30T12:00:00Z', 'UTC', '2025-W01'],
  ['2026-01-01T12:00:00Z', 'UTC', '2026-W01'],
  ['2026-11-24T12:00:00Z', 'UTC', '2026-W48'],
  ['2027-01-03T23:30:00Z', 'UTC', '2026-W53'],
  ['2027-01-03T23:30:00Z', 'Europe/Berlin', '2027-W01'],
])('%s in %s is in week %s', (instant, zone, week) => {
  expect(periodNames(zone)('week', new Date(instant))).toBe(week);
});

test.each([
  ['2026-11-24T23:30:00Z', 'UTC', '2026-11-24', '2026-11', '2026'],
  ['2026-11-24T23:30:00Z', 'Europe/Berlin', '2026-11-25', '2026-11', '2026'],
  ['2026-12-31T23:30:00Z', 'Asia/Tokyo', '2027-01-01', '2027-01', '2027'],
  ['2027-01-01T03:00:00Z', 'America/New_York', '2026-12-31', '2026-12', '2026'],
  ['2026-04-04T14:45:00Z', 'Australia/Lord_Howe', '2026-04-05', '2026-04', '2026'],
  ['2026-11-24T00:00:00Z', 'Pacific/Kiritimati', '2026-11-24', '2026-11', '2026'],
  ['0099-06-01T00:00:00Z', 'UTC', '0099-06-01', '0099-06', '0099'],
])('%s in %s is %s', (instant, zone, day, month, year) => {
  const name = periodNames(zone);
  expect(name('day', new Date(instant))).toBe(day);
  expect(name('month', new Date(instant))).toBe(month);
  expect(name('year', new Date(instant))).toBe(year);
});

describe('days of 23 and 25 hours are days', () => {
  test.each([
    ['Europe/Berlin', '2027-03-27T23:00:00Z', 23],
    ['Europe/Berlin', '2026-10-24T22:00:00Z', 25],
    ['America/New_York', '2027-03-14T05:00:00Z', 23],
    ['Australia/Lord_Howe', '2026-10-03T13:30:00Z', 23.5],
    ['Europe/Dublin', '2026-10-24T23:00:00Z', 25],
  ])('%s from %s has %d hours', (zone, midnight, hours) => {
    const name = periodNames(zone);
    const start = Date.parse(midnight);
    const end = start + hours * 3_600_000;
    const day = name('day', new Date(start));
    expect(name('day', new Date(start - 1))).not.toBe(day);
    expect(name('day', new Date(end - 1))).toBe(day);
    expect(name('day', new Date(end))).not.toBe(day);
  });
});

test('names sort by time, and a day lies in one week, month and year', () => {
  const zones = fc.constantFrom(
    'UTC',
    'Europe/Berlin',
    'America/New_York',
    'Asia/Kolkata',
    'Australia/Lord_Howe',
    'Pacific/Apia',
  );
  const instants = fc.date({
    min: new Date('1990-01-01T00:00:00Z'),
    max: new Date('2060-01-01T00:00:00Z'),
    noInvalidDate: true,
  });
  fc.assert(
    fc.property(zones, instants, fc.integer({ min: 0, max: 400 * 86_400_000 }), (zone, from, later) => {
      const name = periodNames(zone);
      const to = new Date(from.getTime() + later);
      for (const period of PERIODS) expect(name(period, from) <= name(period, to)).toBe(true);
      if (name('day', from) !== name('day', to)) return;
      for (const period of PERIODS) expect(name(period, from)).toBe(name(period, to));
    }),
  );
});
