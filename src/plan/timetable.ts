/**
 * When a schedule fires: wall clock times → instants, on days when clocks change too. Pure; instants are numbers,
 * milliseconds since 1970 in UTC.
 *
 * - A schedule with fixed times (no `*` and no step in second, minute and hour) fires once a day: a time that clocks
 *   skip fires at the first instant after the gap, one that comes twice fires the first time.
 * - One that repeats fires at every real occurrence: nothing in a gap, both times round when an hour comes twice.
 * - `dst` of the schedule says otherwise.
 */
import { createHash } from 'node:crypto';
import { parseDuration } from '../units.ts';
import { type Blackouts, parseBlackouts } from './blackout.ts';
import { type Cron, loadCron } from './cron.ts';
import type { Schedule } from './model.ts';
import { loadZones, type Zone } from './zone.ts';

export interface Timetable {
  /** The first firing later than an instant; undefined when there is none in the next forty years. */
  next(after: number): number | undefined;
  /** The last firing at or before `until` and later than `after`. */
  newest(after: number, until: number): number | undefined;
  /** When a firing is due: its instant and its own share of the jitter, always the same for the same firing. */
  dueAt(firing: number): number;
  /** When the blackout window that an instant lies in ends; undefined outside of all. */
  blackedOutUntil(instant: number): number | undefined;
}

export interface TimetableOptions {
  /** For a schedule that names no zone itself. */
  readonly timezone: string;
  /** Tells the jitter of one job from that of others: see `jobKey`. */
  readonly key: string;
}

/** One job among those of all plans. Their names hold no slash. */
export function jobKey(plan: string, job: string): string {
  return `${plan}/${job}`;
}

/** The firings later than an instant, as many as are asked for. */
export function* firingsAfter(timetable: Timetable, after: number): Generator<number, void, undefined> {
  for (let at = timetable.next(after); at !== undefined; at = timetable.next(at)) yield at;
}

export type MakeTimetable = (schedule: Schedule, options: TimetableOptions) => Timetable;

/** 29 February on a given weekday comes every 28 years at worst, 40 around 2100. */
const HORIZON = 41 * 366 * 86_400_000;
const DAY = 86_400_000;

/**
 * Loads what timetables need; they are then made without waiting. Schedules must be valid. One with `after` has no
 * firings of its own.
 */
export async function loadTimetables(): Promise<MakeTimetable> {
  const [readCron, zoneOf] = await Promise.all([loadCron(), loadZones()]);
  return (schedule, { timezone, key }) => {
    const zone = zoneOf(schedule.timezone ?? timezone);
    const blackouts = parseBlackouts(schedule.notDuring ?? []);
    const raw =
      schedule.cron === undefined
        ? everyPeriod(schedule.every)
        : nextOf(readCron(schedule.cron), zone, schedule.dst);
    const jitter = schedule.jitter === undefined ? 0 : parseDuration(schedule.jitter);
    return makeTimetable(raw, { zone, blackouts, jitter, key });
  };
}

interface Parts {
  readonly zone: Zone;
  readonly blackouts: Blackouts;
  readonly jitter: number;
  readonly key: string;
}

function makeTimetable(
  raw: (after: number) => number | undefined,
  { zone, blackouts, jitter, key }: Parts,
): Timetable {
  const blackedOutUntil = (instant: number) => blackouts.until(instant, zone);
  const next = (after: number) => {
    let from = after;
    for (;;) {
      const firing = raw(from);
      if (firing === undefined || firing > after + HORIZON) return undefined;
      const until = blackedOutUntil(firing);
      if (until === undefined) return firing;
      from = until - 1;
    }
  };
  return {
    next,
    blackedOutUntil,
    newest: (after, until) => {
      // Forward from ever earlier starts: the newest is usually near, and there is no way backward.
      for (let span = 60_000; ; span *= 8) {
        const start = Math.max(after, until - span);
        let found: number | undefined;
        for (let at = next(start); at !== undefined && at <= until; at = next(at)) found = at;
        if (found !== undefined || start === after) return found;
      }
    },
    dueAt: (firing) => {
      if (jitter === 0) return firing;
      // Never as late as the next firing, so that firings keep their order.
      const room = Math.min(jitter, (next(firing) ?? Number.POSITIVE_INFINITY) - firing);
      return firing + Math.floor(share(`${key}@${new Date(firing).toISOString()}`) * room);
    },
  };
}

/** Text → a number in [0, 1), spread evenly. */
function share(text: string): number {
  return createHash('sha256').update(text).digest().readUInt32BE(0) / 2 ** 32;
}

/** Counted from 1970-01-01T00:00Z, so that firings stay where they are whenever the daemon is started. */
function everyPeriod(every: string | undefined): (after: number) => number | undefined {
  if (every === undefined) return () => undefined;
  const period = parseDuration(every);
  return (after) => (Math.floor(after / period) + 1) * period;
}

function nextOf(cron: Cron, zone: Zone, dst: Schedule['dst']): (after: number) => number | undefined {
  const gap = dst?.gap ?? (cron.repeats ? 'skip' : 'runAfter');
  const fold = dst?.fold ?? (cron.repeats ? 'both' : 'first');
  return (after) => {
    // What happens after a change of clocks depends on the change, so the search begins well before it could matter.
    let from = after - 2 * DAY;
    let offset = zone.offsetAt(from);
    while (from < after + HORIZON) {
      const change = zone.changeAfter(from);
      const end = Math.min(change?.at ?? Number.POSITIVE_INFINITY, after + HORIZON);
      const repeated = change === undefined ? 0 : Math.max(0, change.before - change.after);
      const start = Math.max(from, after + 1);
      const wall = cron.nextWall(start + offset, end - (fold === 'last' ? repeated : 0) + offset);
      if (wall !== undefined) return wall - offset;
      if (change === undefined) return undefined;
      const isSkipped =
        gap === 'runAfter' &&
        cron.nextWall(change.at + change.before, change.at + change.after) !== undefined;
      if (isSkipped && change.at > after) return change.at;
      offset = change.after;
      from = fold === 'first' ? change.at + repeated : change.at;
    }
    return undefined;
  };
}
