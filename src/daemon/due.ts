/** Which firings of a schedule are due, which are made up for, and which are lost. Pure; instants are milliseconds. */
import type { Timetable } from '../plan/timetable.ts';

/** A firing that is no later than this still counts as in time: a busy moment, a restart of the daemon. */
export const LATE_MS = 60_000;

/** Of a long absence, so many firings are counted; a person wants to know "many". */
const COUNTED = 10_000;

export interface DueQuestion {
  readonly timetable: Pick<Timetable, 'next' | 'newest' | 'dueAt'>;
  /** Firings up to this instant are dealt with. */
  readonly handledUntil: number;
  readonly now: number;
  /** How old a missed firing may be to be made up for; 0: none is. */
  readonly catchUpMs: number;
  /**
   * The daemon was down or the machine asleep until now: then one run makes up for all that was missed. Otherwise
   * every firing that is still in time runs.
   */
  readonly absent: boolean;
}

export interface DueFiring {
  readonly instant: number;
  readonly dueAt: number;
  /** It comes too late to be called in time. */
  readonly caughtUp: boolean;
}

export interface DueAnswer {
  readonly fire: readonly DueFiring[];
  /** `count` stops at ten thousand. */
  readonly missed?: { readonly oldest: number; readonly newest: number; readonly count: number };
  readonly handledUntil: number;
  /** The first firing that is not due yet. */
  readonly next?: { readonly instant: number; readonly dueAt: number };
}

/** What is to be done about a schedule now. */
export function findDue({ timetable, handledUntil, now, catchUpMs, absent }: DueQuestion): DueAnswer {
  const { passed, next } = firingsUntil(timetable, handledUntil, now);
  const upcoming = next === undefined ? {} : { next: { instant: next, dueAt: timetable.dueAt(next) } };
  const newest = passed.at(-1);
  if (newest === undefined) return { fire: [], handledUntil, ...upcoming };
  const lateness = (instant: number) => now - timetable.dueAt(instant);
  const inTime = passed.filter((instant) => lateness(instant) <= LATE_MS);
  const chosen = absent ? inTime.slice(-1) : inTime;
  // What is made up for is the newest, once.
  if (chosen.length === 0 && lateness(newest) <= catchUpMs) chosen.push(newest);
  const lost = passed.filter((instant) => !chosen.includes(instant));
  const [oldest] = lost;
  return {
    fire: chosen.map((instant) => ({
      instant,
      dueAt: timetable.dueAt(instant),
      caughtUp: lateness(instant) > LATE_MS,
    })),
    ...(oldest === undefined
      ? {}
      : { missed: { oldest, newest: lost.at(-1) ?? oldest, count: lost.length } }),
    handledUntil: newest,
    ...upcoming,
  };
}

/** Firings that are due by now, the oldest first, and the one after them. */
function firingsUntil(
  timetable: DueQuestion['timetable'],
  after: number,
  now: number,
): { passed: number[]; next: number | undefined } {
  const isDue = (instant: number) => instant <= now && timetable.dueAt(instant) <= now;
  const passed: number[] = [];
  let at = timetable.next(after);
  for (; at !== undefined && isDue(at); at = timetable.next(at)) {
    if (passed.length < COUNTED) {
      passed.push(at);
      continue;
    }
    // A schedule of seconds after months: from here straight to its end.
    let newest = timetable.newest(at, now) ?? at;
    while (newest > at && !isDue(newest)) newest = timetable.newest(at, newest - 1) ?? at;
    passed.push(newest);
    return { passed, next: timetable.next(newest) };
  }
  return { passed, next: at };
}

/** The "timetable" of a job that runs after another: the instants at which that one succeeded. */
export function timetableOf(instants: readonly number[]): DueQuestion['timetable'] {
  const sorted = [...instants].sort((a, b) => a - b);
  return {
    next: (after) => sorted.find((instant) => instant > after),
    newest: (after, until) => sorted.findLast((instant) => instant > after && instant <= until),
    dueAt: (instant) => instant,
  };
}
