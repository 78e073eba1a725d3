import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cronProblems } from '../../src/plan/cron.ts';
import { loadTimetables } from '../../src/plan/timetable.ts';
import { timeZoneProblem } from '../../src/plan/zone.ts';

async function nextFirings(cron: string, timezone: string, from: Date, count: number): Promise<Date[]> {
  const timetable = (await loadTimetables())({ cron, overlap: 'skip' }, { timezone, key: 'p/j' });
  const found: Date[] = [];
  let at = timetable.next(from.getTime());
  for (; at !== undefined && found.length < count; at = timetable.next(at)) found.push(new Date(at));
  return found;
}

async function firings(cron: string, zone: string, from: string, count: number): Promise<string[]> {
  const found = await nextFirings(cron, zone, new Date(from), count);
  return found.map((date) => date.toISOString().replace(':00.000Z', 'Z'));
}

describe('cronProblems', () => {
  it.each([
    '0 2 * * *',
    '*/15 * * * *',
    '0 0 1-7,L * *',
    '30 3 * * SUN',
    '0 0 * JAN-MAR MON#2',
    '@daily',
    '0 0 2 * * *',
  ])('takes %s', async (cron) => {
    expect(await cronProblems(cron)).toEqual([]);
  });

  it.each([
    ['61 2 * * *', ['"61" is not possible as minute']],
    ['0 24 * * *', ['"24" is not possible as hour']],
    ['0 2 0 * *', ['"0" is not possible as day of month']],
    ['0 2 30 2 *', ['day 30 never comes in that month']],
    ['0 2 * 13 *', ['"13" is not possible as month']],
    ['0 2 * * 8', ['"8" is not possible as day of week']],
    ['60 0 2 * * *', ['"60" is not possible as second']],
    ['x 25 * * *', ['"x" is not possible as minute', '"25" is not possible as hour']],
    ['', ['a cron expression has 5 fields, this one has 0']],
    ['* * * *', ['a cron expression has 5 fields, this one has 4']],
    ['* * * * * * *', ['a cron expression has 5 fields, this one has 7']],
    ['@reboot', ['a cron expression has 5 fields, this one has 1']],
    ['; rm -rf / x y', ['"; rm -rf / x y" is no cron expression']],
  ])('refuses %j and names the field', async (cron, messages) => {
    const problems = await cronProblems(cron);
    expect(problems.map(({ message }) => message)).toEqual(messages);
    expect(problems.every(({ hint, severity }) => severity === 'error' && (hint ?? '').length > 10)).toBe(
      true,
    );
  });

  it('warns of days that must be two things at once', async () => {
    expect(await cronProblems('0 2 1 * MON')).toMatchObject([{ severity: 'warning' }]);
    expect(await cronProblems('0 2 ? * MON')).toEqual([]);
  });
});

describe('timeZoneProblem', () => {
  it.each(['UTC', 'Europe/Berlin', 'America/Argentina/Buenos_Aires', 'CET', 'Etc/GMT+2'])(
    'knows %s',
    (zone) => {
      expect(timeZoneProblem(zone)).toBeUndefined();
    },
  );

  it.each([
    ['Europe/Berlim', 'Europe/Berlin'],
    ['america/new-york', 'America/New_York'],
    ['Berlin', 'Europe/Berlin'],
  ])('%s: did you mean %s', (zone, meant) => {
    expect(timeZoneProblem(zone)?.message).toContain(`did you mean "${meant}"?`);
  });

  it.each(['+02:00', 'local', 'system', '', 'GMT+25', 'Mars/Olympus'])('refuses %j', (zone) => {
    expect(timeZoneProblem(zone)?.message).toContain('unknown time zone');
  });
});

describe('nextFirings', () => {
  it('is exclusive of its start and in order', async () => {
    expect(await firings('0 2 * * *', 'UTC', '2026-05-01T02:00:00Z', 3)).toEqual([
      '2026-05-02T02:00Z',
      '2026-05-03T02:00Z',
      '2026-05-04T02:00Z',
    ]);
  });

  it.each([
    ['30 2 * * *', 'Europe/Berlin', '2027-03-27T12:00:00Z', ['2027-03-28T01:00Z', '2027-03-29T00:30Z']],
    ['30 2 * * *', 'America/New_York', '2027-03-13T12:00:00Z', ['2027-03-14T07:00Z', '2027-03-15T06:30Z']],
    ['0 0 * * *', 'America/Havana', '2027-03-13T12:00:00Z', ['2027-03-14T05:00Z', '2027-03-15T04:00Z']],
    ['15,45 2 * * *', 'Europe/Berlin', '2027-03-27T12:00:00Z', ['2027-03-28T01:00Z', '2027-03-29T00:15Z']],
    ['0 12 * * *', 'Pacific/Apia', '2011-12-29T12:00:00Z', ['2011-12-29T22:00Z', '2011-12-30T10:00Z']],
  ])(
    'a fixed time that clocks skip fires once, right after the gap: %s in %s',
    async (cron, zone, from, expected) => {
      expect(await firings(cron, zone, from, 2)).toEqual(expected);
    },
  );

  it.each([
    ['30 2 * * *', 'Europe/Berlin', '2027-10-30T12:00:00Z', ['2027-10-31T00:30Z', '2027-11-01T01:30Z']],
    ['30 1 * * *', 'America/New_York', '2027-11-06T12:00:00Z', ['2027-11-07T05:30Z', '2027-11-08T06:30Z']],
    ['45 1 * * *', 'Australia/Lord_Howe', '2027-04-03T00:00:00Z', ['2027-04-03T14:45Z', '2027-04-04T15:15Z']],
  ])(
    'a fixed time that comes twice fires once, the first time: %s in %s',
    async (cron, zone, from, expected) => {
      expect(await firings(cron, zone, from, 2)).toEqual(expected);
    },
  );

  it('an interval fires at every real occurrence', async () => {
    expect(await firings('0 * * * *', 'Europe/Berlin', '2027-10-30T22:30:00Z', 5)).toEqual([
      '2027-10-30T23:00Z',
      '2027-10-31T00:00Z',
      '2027-10-31T01:00Z',
      '2027-10-31T02:00Z',
      '2027-10-31T03:00Z',
    ]);
    expect(await firings('0 * * * *', 'Europe/Berlin', '2027-03-27T23:30:00Z', 3)).toEqual([
      '2027-03-28T00:00Z',
      '2027-03-28T01:00Z',
      '2027-03-28T02:00Z',
    ]);
    const quarters = await firings('*/15 * * * *', 'America/New_York', '2027-11-07T04:55:00Z', 12);
    expect(quarters.at(0)).toBe('2027-11-07T05:00Z');
    expect(quarters.at(-1)).toBe('2027-11-07T07:45Z');
  });

  it('knows last days, weekdays and rare days', async () => {
    expect(await firings('0 3 L * *', 'UTC', '2027-01-31T04:00:00Z', 2)).toEqual([
      '2027-02-28T03:00Z',
      '2027-03-31T03:00Z',
    ]);
    expect(await firings('0 3 * * 5L', 'UTC', '2027-01-01T00:00:00Z', 1)).toEqual(['2027-01-29T03:00Z']);
    expect(await firings('0 3 29 2 *', 'UTC', '2097-01-01T00:00:00Z', 1)).toEqual(['2104-02-29T03:00Z']);
    expect(await firings('@weekly', 'UTC', '2027-01-01T00:00:00Z', 1)).toEqual(['2027-01-03T00:00Z']);
  });

  it('daily: every local day once, whatever the zone and the time of day', async () => {
    const zones = [
      'Europe/Berlin',
      'America/New_York',
      'Australia/Lord_Howe',
      'America/Sao_Paulo',
      'Asia/Kolkata',
      'Africa/Cairo',
    ];
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...zones),
        fc.integer({ min: 0, max: 23 }),
        fc.integer({ min: 0, max: 59 }),
        fc.date({ min: new Date('2015-01-01'), max: new Date('2030-01-01'), noInvalidDate: true }),
        async (zone, hour, minute, from) => {
          const found = await nextFirings(`${minute} ${hour} * * *`, zone, from, 10);
          const day = new Intl.DateTimeFormat('en-CA', { timeZone: zone, dateStyle: 'short' });
          expect(new Set(found.map((date) => day.format(date))).size).toBe(10);
          for (const [index, date] of found.entries()) {
            const before = found[index - 1] ?? from;
            expect(date.getTime()).toBeGreaterThan(before.getTime());
            if (index > 0) {
              const hours = (date.getTime() - before.getTime()) / 3_600_000;
              expect(hours).toBeGreaterThanOrEqual(22.9);
              expect(hours).toBeLessThanOrEqual(25.1);
            }
          }
        },
      ),
      { numRuns: 60 },
    );
  });
});
