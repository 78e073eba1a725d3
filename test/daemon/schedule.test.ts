/** When schedules fire, on a simulated clock: against croner, against rules written out by hand, over downtimes. */
import { Cron } from 'croner';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { findDue, LATE_MS, timetableOf } from '../../src/daemon/due.ts';
import type { Schedule } from '../../src/plan/model.ts';
import { loadTimetables, type Timetable } from '../../src/plan/timetable.ts';
import { thorough } from '../helpers/rounds.ts';

const make = await loadTimetables();
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

function timetable(schedule: Partial<Schedule>, timezone = 'UTC', key = 'crm/nightly'): Timetable {
  return make({ overlap: 'skip', ...schedule }, { timezone, key });
}

function between(table: Pick<Timetable, 'next'>, after: number, until: number): number[] {
  const found: number[] = [];
  for (let at = table.next(after); at !== undefined && at <= until; at = table.next(at)) found.push(at);
  return found;
}

const iso = (instants: readonly number[]) => instants.map((each) => new Date(each).toISOString());

const EXPRESSIONS = [
  '0 2 * * *',
  '30 2 * * *',
  '15,45 2 * * *',
  '0 0 * * *',
  '30 0,12 * * MON-FRI',
  '@daily',
  '@weekly',
  '@monthly',
  '0 3 1 * *',
  '59 23 L * *',
  '30 1 * * SUN',
  '0 1-3 * * *',
  '0 4 * JAN,JUL *',
  '30 2 29 2 *',
  '0 12 * * 5L',
  '20 1 1,15 * *',
  '@hourly',
  '*/15 * * * *',
  '0 */6 * * *',
  '5 0-22/2 * * *',
  '30 15 2 * * *',
  '0,30 30 1,2 * * *',
  '10 */20 1-4 * * *',
  '0 0 1 1 *',
];

const ZONES = [
  'Europe/Berlin',
  'America/New_York',
  'Australia/Lord_Howe',
  'America/Santiago',
  'UTC',
  'Asia/Kolkata',
  'America/Havana',
  'Africa/Casablanca',
  'Asia/Beirut',
  'Pacific/Chatham',
  'Europe/London',
  'America/Sao_Paulo',
  'Africa/Cairo',
  'Atlantic/Azores',
  'Asia/Gaza',
  'Pacific/Apia',
  'America/St_Johns',
  'Antarctica/Troll',
];

/** Every n-th of all pairs, so that a few already mix expressions and zones. */
function pairs(count: number): [string, string][] {
  const all = EXPRESSIONS.flatMap((cron) => ZONES.map((zone): [string, string] => [cron, zone]));
  const step = 43;
  return Array.from({ length: count }, (_, index) => all[(index * step) % all.length] ?? all[0] ?? ['', '']);
}

describe('against croner', () => {
  const [count, years] = thorough ? [200, 10] : [20, 2];
  it.each(pairs(count))(`%s in %s, ${years} years`, (cron, zone) => {
    const start = Date.UTC(2024, 0, 1);
    const end = Date.UTC(2024 + years, 0, 1);
    const reference = new Cron(cron, {
      timezone: zone,
      fixedTimeRule: 'no-wildcard',
      domAndDow: true,
      paused: true,
    });
    const ours = timetable({ cron }, zone);
    let at = start;
    let compared = 0;
    // Frequent ones are compared on the days around each change of clocks, and on some others.
    const isFrequent = between(ours, start, start + 10 * DAY).length > 100;
    for (;;) {
      const expected = reference.nextRun(new Date(at))?.getTime();
      const found = ours.next(at);
      if (found !== expected) {
        expect.fail(
          `after ${new Date(at).toISOString()}: ${found === undefined ? 'never' : new Date(found).toISOString()}, ` +
            `croner says ${expected === undefined ? 'never' : new Date(expected).toISOString()}`,
        );
      }
      if (found === undefined || found > end) break;
      compared += 1;
      at = isFrequent && !nearChange(zone, found) ? found + 5 * HOUR : found;
    }
    expect(compared).toBeGreaterThan(0);
  });
});

function nearChange(zone: string, instant: number): boolean {
  return offset(zone, instant - 3 * HOUR) !== offset(zone, instant + 6 * HOUR);
}

const formats = new Map<string, Intl.DateTimeFormat>();
function offset(zone: string, instant: number): string | undefined {
  let format = formats.get(zone);
  if (format === undefined) {
    format = new Intl.DateTimeFormat('en', { timeZone: zone, timeZoneName: 'longOffset' });
    formats.set(zone, format);
  }
  return format.formatToParts(instant).find(({ type }) => type === 'timeZoneName')?.value;
}

/** The n-th Sunday of a month (1: the first on or after `day`), at a time in UTC on that date or around it. */
function sunday(year: number, month: number, day: number): number {
  const first = Date.UTC(year, month - 1, day);
  return first + ((7 - new Date(first).getUTCDay()) % 7) * DAY;
}

interface Change {
  readonly at: number;
  /** Local times that are skipped or come twice, in minutes after local midnight, and the offsets in minutes. */
  readonly from: number;
  readonly to: number;
  readonly before: number;
  readonly after: number;
}

/** By the rules in force, written out by hand: when clocks change, and which local times are concerned. */
const RULES: Readonly<Record<string, (year: number) => { readonly gap: Change; readonly fold: Change }>> = {
  'Europe/Berlin': (year) => ({
    gap: { at: sunday(year, 3, 25) + HOUR, from: 120, to: 180, before: 60, after: 120 },
    fold: { at: sunday(year, 10, 25) + HOUR, from: 120, to: 180, before: 120, after: 60 },
  }),
  'America/New_York': (year) => ({
    gap: { at: sunday(year, 3, 8) + 7 * HOUR, from: 120, to: 180, before: -300, after: -240 },
    fold: { at: sunday(year, 11, 1) + 6 * HOUR, from: 60, to: 120, before: -240, after: -300 },
  }),
  'Australia/Lord_Howe': (year) => ({
    gap: { at: sunday(year, 10, 1) - 8.5 * HOUR, from: 120, to: 150, before: 630, after: 660 },
    fold: { at: sunday(year, 4, 1) - 9 * HOUR, from: 90, to: 120, before: 660, after: 630 },
  }),
  'America/Santiago': (year) => ({
    gap: { at: sunday(year, 9, 2) + 4 * HOUR, from: 0, to: 60, before: -240, after: -180 },
    fold: { at: sunday(year, 4, 2) + 3 * HOUR, from: 1380, to: 1440, before: -180, after: -240 },
  }),
};

const YEARS = [2024, 2025, 2026, 2027, 2028, 2029, 2030];
const CHANGES = Object.entries(RULES).flatMap(([zone, rule]) =>
  YEARS.map((year): [string, number, ReturnType<typeof rule>] => [zone, year, rule(year)]),
);

const at = (minutes: number) => `${minutes % 60} ${Math.floor(minutes / 60) % 24} * * *`;

describe('every change of clocks from 2024 to 2030', () => {
  it.each(CHANGES)('%s %i: a time that is skipped', (zone, _year, { gap }) => {
    const inside = (gap.from + gap.to) / 2;
    const [start, end] = [gap.at - 12 * HOUR, gap.at + 12 * HOUR];
    const fired = (schedule: Partial<Schedule>) => iso(between(timetable(schedule, zone), start, end));
    expect(fired({ cron: at(inside) })).toEqual(iso([gap.at]));
    expect(fired({ cron: at(gap.from) })).toEqual(iso([gap.at]));
    // Its end is no skipped time; it does not fire twice for both.
    expect(fired({ cron: at(gap.to) })).toEqual(iso([gap.at]));
    expect(fired({ cron: at(inside), dst: { gap: 'skip' } })).toEqual([]);
    expect(fired({ cron: '*/15 * * * *' })).toHaveLength(96);
    expect(fired({ cron: '*/15 * * * *', dst: { gap: 'runAfter' } })).toHaveLength(96);
    // A day later all is as ever.
    const [next] = between(timetable({ cron: at(inside) }, zone), gap.at, gap.at + 30 * HOUR);
    expect(next).toBe(gap.at + (inside - gap.from) * MINUTE + DAY - (gap.to - gap.from) * MINUTE);
  });

  it.each(CHANGES)('%s %i: a time that comes twice', (zone, _year, { fold }) => {
    const length = (fold.to - fold.from) * MINUTE;
    const inside = (fold.from + fold.to) / 2;
    const first = fold.at - length / 2;
    const [start, end] = [fold.at - 12 * HOUR, fold.at + 12 * HOUR];
    const fired = (schedule: Partial<Schedule>) => iso(between(timetable(schedule, zone), start, end));
    expect(fired({ cron: at(inside) })).toEqual(iso([first]));
    expect(fired({ cron: at(fold.from) })).toEqual(iso([fold.at - length]));
    expect(fired({ cron: at(inside), dst: { fold: 'last' } })).toEqual(iso([first + length]));
    expect(fired({ cron: at(inside), dst: { fold: 'both' } })).toEqual(iso([first, first + length]));
    expect(fired({ cron: '*/15 * * * *' })).toEqual(
      iso(Array.from({ length: 96 }, (_, index) => start + (index + 1) * 15 * MINUTE)),
    );
    expect(fired({ cron: '*/15 * * * *', dst: { fold: 'first' } })).toHaveLength(96 - length / (15 * MINUTE));
  });
});

describe('every', () => {
  it('keeps its distance whatever clocks do, and is the same for whoever counts', () => {
    const table = timetable({ every: '6h' }, 'Europe/Berlin');
    expect(iso(between(table, Date.UTC(2027, 2, 27, 23), Date.UTC(2027, 2, 29)))).toEqual([
      '2027-03-28T00:00:00.000Z',
      '2027-03-28T06:00:00.000Z',
      '2027-03-28T12:00:00.000Z',
      '2027-03-28T18:00:00.000Z',
      '2027-03-29T00:00:00.000Z',
    ]);
    expect(table.next(Date.UTC(2027, 0, 1) + 1234)).toBe(Date.UTC(2027, 0, 1, 6));
  });
});

describe('blackout windows', () => {
  it('leave out what falls inside, by local time and weekday', () => {
    const table = timetable(
      { cron: '0 */3 * * *', notDuring: ['MON-FRI 08:00-18:00', 'SAT 22:00-02:00'] },
      'Europe/Berlin',
    );
    // Friday the 26th to Sunday the 28th, when clocks change.
    const hours = between(table, Date.UTC(2027, 2, 25, 23), Date.UTC(2027, 2, 28, 12)).map((each) =>
      new Intl.DateTimeFormat('en-GB', {
        timeZone: 'Europe/Berlin',
        weekday: 'short',
        hour: '2-digit',
      }).format(each),
    );
    expect(hours).toEqual([
      ...['Fri, 03', 'Fri, 06', 'Fri, 18', 'Fri, 21'],
      ...['Sat, 00', 'Sat, 03', 'Sat, 06', 'Sat, 09', 'Sat, 12', 'Sat, 15', 'Sat, 18', 'Sat, 21'],
      ...['Sun, 03', 'Sun, 06', 'Sun, 09', 'Sun, 12'],
    ]);
  });

  it('say when they end, also when one follows another or clocks change inside', () => {
    const table = timetable({ after: 'x', notDuring: ['22:00-24:00', '00:00-05:00'] }, 'Europe/Berlin');
    const until = (instant: number) => {
      const end = table.blackedOutUntil(instant);
      return end === undefined ? undefined : new Date(end).toISOString();
    };
    expect(until(Date.UTC(2027, 0, 10, 12))).toBeUndefined();
    expect(until(Date.UTC(2027, 0, 10, 22))).toBe('2027-01-11T04:00:00.000Z');
    expect(until(Date.UTC(2027, 2, 27, 22))).toBe('2027-03-28T03:00:00.000Z');
    expect(until(Date.UTC(2027, 9, 30, 22))).toBe('2027-10-31T04:00:00.000Z');
    expect(until(Date.UTC(2027, 0, 11, 4))).toBeUndefined();
  });
});

describe('jitter', () => {
  it('is the same for one firing whoever asks, and spreads jobs', () => {
    const firing = Date.UTC(2027, 0, 1, 2);
    const dues = Array.from({ length: 200 }, (_, index) =>
      timetable({ cron: '0 2 * * *', jitter: '10m' }, 'UTC', `crm/job${index}`).dueAt(firing),
    );
    expect(dues).toEqual(
      Array.from({ length: 200 }, (_, index) =>
        timetable({ cron: '0 2 * * *', jitter: '10m' }, 'UTC', `crm/job${index}`).dueAt(firing),
      ),
    );
    for (const due of dues) {
      expect(due).toBeGreaterThanOrEqual(firing);
      expect(due).toBeLessThan(firing + 10 * MINUTE);
    }
    for (let minute = 0; minute < 10; minute += 1) {
      const inMinute = dues.filter((due) => Math.floor((due - firing) / MINUTE) === minute).length;
      expect(inMinute).toBeGreaterThan(5);
    }
  });

  it('never changes the order of firings', () => {
    const table = timetable({ cron: '* * * * *', jitter: '1h' });
    const dues = between(table, 0, 3 * HOUR).map((each) => table.dueAt(each));
    expect([...dues].sort((a, b) => a - b)).toEqual(dues);
  });
});

describe('after a downtime', () => {
  const daily = timetable({ cron: '0 2 * * *' }, 'Europe/Berlin');
  const handledUntil = Date.UTC(2027, 0, 10, 1);

  it.each([
    ['30 seconds late, without catchUp', DAY + 30_000, 0, 1, 0],
    ['5 minutes late, without catchUp', DAY + 5 * MINUTE, 0, 0, 1],
    ['5 minutes late, within catchUp', DAY + 5 * MINUTE, 12 * HOUR, 1, 0],
    ['13 hours late, catchUp 12h', DAY + 13 * HOUR, 12 * HOUR, 0, 1],
    ['three days: the newest once', 3 * DAY + HOUR, 12 * HOUR, 1, 2],
    ['three months: the newest once', 90 * DAY + HOUR, 12 * HOUR, 1, 89],
    ['three months, too late for the newest', 90 * DAY + 20 * HOUR, 12 * HOUR, 0, 90],
    ['nothing was missed', 5 * HOUR, 12 * HOUR, 0, 0],
  ])('%s', (_name, downtime, catchUpMs, fired, missed) => {
    const now = handledUntil + downtime;
    const answer = findDue({ timetable: daily, handledUntil, now, catchUpMs, absent: true });
    expect(answer.fire).toHaveLength(fired);
    expect(answer.missed?.count ?? 0).toBe(missed);
    if (fired === 1) expect(answer.fire[0]?.caughtUp).toBe(downtime % DAY > LATE_MS);
    expect(answer.next?.instant).toBeGreaterThan(now);
  });

  it('a schedule of seconds over months is no work and no storm', () => {
    const table = timetable({ cron: '*/5 * * * * *' });
    const started = performance.now();
    const answer = findDue({
      timetable: table,
      handledUntil: Date.UTC(2027, 0, 1),
      now: Date.UTC(2027, 5, 1, 0, 0, 2),
      catchUpMs: HOUR,
      absent: true,
    });
    expect(iso(answer.fire.map(({ instant }) => instant))).toEqual(['2027-06-01T00:00:00.000Z']);
    expect(answer.missed?.count).toBe(10_000);
    expect(performance.now() - started).toBeLessThan(2000);
  });

  it('a job that comes after another makes up for its newest success', () => {
    const ends = [Date.UTC(2027, 0, 11, 3), Date.UTC(2027, 0, 12, 3)];
    const answer = findDue({
      timetable: timetableOf(ends),
      handledUntil,
      now: Date.UTC(2027, 0, 12, 4),
      catchUpMs: 2 * HOUR,
      absent: true,
    });
    expect(answer.fire.map(({ instant }) => instant)).toEqual([ends[1]]);
    expect(answer.missed).toEqual({ oldest: ends[0], newest: ends[0], count: 1 });
  });

  it('whatever happens, each firing is run or told to be missed, exactly once', () => {
    const schedules = fc.constantFrom<Partial<Schedule>>(
      { cron: '0 2 * * *' },
      { cron: '*/20 * * * *', jitter: '7m' },
      { cron: '15,45 1-3 * * *', jitter: '5m' },
      { every: '90m' },
      { cron: '0 * * * *', notDuring: ['08:00-18:00'] },
    );
    const gaps = fc.array(
      fc.oneof(fc.integer({ min: 1000, max: 90_000 }), fc.integer({ min: HOUR, max: 5 * DAY })),
      {
        minLength: 3,
        maxLength: 25,
      },
    );
    fc.assert(
      fc.property(schedules, gaps, fc.integer({ min: 0, max: DAY }), (schedule, sleeps, catchUpMs) => {
        const table = timetable(schedule, 'America/New_York');
        const start = Date.UTC(2027, 2, 12, 5);
        let [now, handled] = [start, start];
        const ran: number[] = [];
        let lost = 0;
        for (const sleep of sleeps) {
          now += sleep;
          const answer = findDue({
            timetable: table,
            handledUntil: handled,
            now,
            catchUpMs,
            absent: sleep > LATE_MS,
          });
          for (const { instant, dueAt, caughtUp } of answer.fire) {
            expect(dueAt).toBeLessThanOrEqual(now);
            expect(now - dueAt <= (caughtUp ? catchUpMs : LATE_MS)).toBe(true);
            ran.push(instant);
          }
          if (sleep > LATE_MS) expect(answer.fire.length).toBeLessThanOrEqual(1);
          lost += answer.missed?.count ?? 0;
          handled = answer.handledUntil;
        }
        const due = between(table, start, now).filter((instant) => table.dueAt(instant) <= now);
        expect(new Set(ran).size).toBe(ran.length);
        expect(ran.length + lost).toBe(due.length);
      }),
      { numRuns: thorough ? 1000 : 100 },
    );
  });
});
