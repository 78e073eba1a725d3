/** Windows in which no run of a schedule starts: `08:00-18:00`, `MON-FRI 08:00-18:00`, `SAT,SUN 22:00-02:00`. */
import type { Zone } from './zone.ts';

export interface Blackouts {
  /** When the windows that an instant lies in are over; undefined outside of all. */
  until(instant: number, zone: Zone): number | undefined;
}

const DAYS = ['SUN', 'MON', 'TUE', 'WED', 'THU', 'FRI', 'SAT'];
const DAY_PATTERN = '(?:SUN|MON|TUE|WED|THU|FRI|SAT)';
const TIME_PATTERN = '(?:[01]\\d|2[0-3]):[0-5]\\d';

/** In the schema of a plan. The end may be 24:00; one that is not after the start is on the next day. */
export const BLACKOUT_PATTERN = `^(?:${DAY_PATTERN}(?:-${DAY_PATTERN})?(?:,${DAY_PATTERN}(?:-${DAY_PATTERN})?)* )?${TIME_PATTERN}-(?:${TIME_PATTERN}|24:00)$`;

const MINUTE = 60_000;
const DAY = 86_400_000;

interface Window {
  /** Weekdays on which it begins; 0 is Sunday. */
  readonly days: ReadonlySet<number>;
  /** Milliseconds after midnight of that day; the end may be beyond the day. */
  readonly start: number;
  readonly end: number;
}

/** @param texts valid by BLACKOUT_PATTERN */
export function parseBlackouts(texts: readonly string[]): Blackouts {
  const windows = texts.map(parse);
  if (windows.length === 0) return { until: () => undefined };
  /** Wall clock time → when the window that it lies in ends, by the wall clock. */
  const wallEnd = (wall: number) => {
    const today = Math.floor(wall / DAY) * DAY;
    for (const day of [today, today - DAY]) {
      for (const { days, start, end } of windows) {
        if (days.has(new Date(day).getUTCDay()) && wall >= day + start && wall < day + end) return day + end;
      }
    }
    return undefined;
  };
  return {
    until: (instant, zone) => {
      let now = instant;
      // Windows may follow each other without a break; a plan that blacks out everything is given up after a year.
      while (now < instant + 366 * DAY) {
        const offset = zone.offsetAt(now);
        const end = wallEnd(now + offset);
        if (end === undefined) return now === instant ? undefined : now;
        // When clocks change inside the window, it is looked at again from there.
        const change = zone.changeAfter(now)?.at ?? Number.POSITIVE_INFINITY;
        now = Math.min(end - offset, change);
      }
      return now;
    },
  };
}

function parse(text: string): Window {
  const [times = '', days] = text.split(' ').reverse();
  const [start = 0, end = 0] = times.split('-').map(minutes);
  return { days: parseDays(days), start, end: end > start ? end : end + DAY };
}

function parseDays(text: string | undefined): Set<number> {
  if (text === undefined) return new Set(DAYS.keys());
  const found = new Set<number>();
  for (const range of text.split(',')) {
    const [first = '', last = first] = range.split('-');
    for (let day = DAYS.indexOf(first); ; day = (day + 1) % 7) {
      found.add(day);
      if (day === DAYS.indexOf(last)) break;
    }
  }
  return found;
}

function minutes(time: string): number {
  const [hours = 0, rest = 0] = time.split(':').map(Number);
  return (hours * 60 + rest) * MINUTE;
}
