/**
 * Cron expressions: whether they are valid, and which wall clock times they name. The library node-cron reads them
 * (fields, names, L, W and #); from wall clock times to instants it is `timetable.ts`, because the library leaves
 * out runs on the days when clocks change.
 */
import type { ParsedFields } from 'node-cron';

export interface CronProblem {
  readonly message: string;
  readonly hint?: string;
  readonly severity: 'error' | 'warning';
}

const FIELDS: Readonly<Record<string, { readonly name: string; readonly range: string }>> = {
  second: { name: 'second', range: '0-59' },
  minute: { name: 'minute', range: '0-59' },
  hour: { name: 'hour', range: '0-23' },
  dayOfMonth: { name: 'day of month', range: '1-31 or L' },
  month: { name: 'month', range: '1-12 or JAN-DEC' },
  dayOfWeek: { name: 'day of week', range: '0-7 (0 and 7 are Sunday) or SUN-SAT' },
};

const ORDER =
  'The five fields are minute, hour, day of month, month, day of week: "0 2 * * *" is every day at 2:00.';

/** What is wrong with a cron expression, field by field; empty when it is fine. */
export async function cronProblems(expression: string): Promise<CronProblem[]> {
  const { validateDetailed } = await import('node-cron');
  const { valid, errors } = validateDetailed(expression);
  if (valid) return lint(expression);
  return errors.map(({ field, value, message }) => {
    const known = FIELDS[field];
    if (known === undefined) {
      const count = expression.trim() === '' ? 0 : expression.trim().split(/\s+/).length;
      return /fields/.test(message) || count < 5 || count > 6
        ? { message: `a cron expression has 5 fields, this one has ${count}`, hint: ORDER, severity: 'error' }
        : { message: `"${expression}" is no cron expression`, hint: ORDER, severity: 'error' };
    }
    return /impossible/.test(message)
      ? { message: `day ${value} never comes in that month`, hint: ORDER, severity: 'error' }
      : {
          message: `"${value}" is not possible as ${known.name}`,
          hint: `The ${known.name} is ${known.range}; lists 1,15, ranges 1-5 and steps */2 work too.`,
          severity: 'error',
        };
  });
}

function lint(expression: string): CronProblem[] {
  const fields = expression.trim().split(/\s+/);
  const [dayOfMonth, , dayOfWeek] = fields.slice(-3);
  const open = /^[*?]$/;
  if (fields.length >= 5 && dayOfMonth !== undefined && dayOfWeek !== undefined) {
    if (!open.test(dayOfMonth) && !open.test(dayOfWeek)) {
      return [
        {
          message: 'day of month and day of week are both restricted: it fires only on days that are both',
          hint: 'crontab would fire on days that are either. Use two jobs if that is meant.',
          severity: 'warning',
        },
      ];
    }
  }
  return [];
}

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/**
 * A valid expression. Wall clock times are numbers as if they were UTC: `Date.UTC(2027, 2, 28, 2, 30)` is half past
 * two on the 28th of March, wherever that is, and whether or not clocks show it there.
 */
export interface Cron {
  /** Fires many times a day: a wildcard or a step in second, minute or hour. */
  readonly repeats: boolean;
  /** The first wall clock time at or after `from` and before `to`. */
  nextWall(from: number, to: number): number | undefined;
}

/** Loads node-cron; expressions are then read without waiting. The function throws for one that is not valid. */
export async function loadCron(): Promise<(expression: string) => Cron> {
  const { createTask, parse } = await import('node-cron');
  return (expression) => {
    const fields = parse(expression);
    const timeFrom = timesOfDay(fields);
    const isDay = dayMatcher(fields, () => {
      // In UTC, so that no zone gets in between. The library is asked at a time of day that fits.
      const task = createTask(expression, () => {}, { timezone: 'Etc/UTC' });
      void task.destroy();
      const time = timeFrom(0) ?? 0;
      return (day) => task.match(new Date(day + time));
    });
    return {
      repeats: isInterval(expression),
      nextWall: (from, to) => {
        let day = Math.floor(from / DAY) * DAY;
        for (let time = from - day; day + time < to; day += DAY, time = 0) {
          const hit = isDay(day) ? timeFrom(time) : undefined;
          if (hit !== undefined) return day + hit < to ? day + hit : undefined;
        }
        return undefined;
      },
    };
  };
}

/** The first time of a day at or after another, in milliseconds since its midnight. */
function timesOfDay(fields: ParsedFields): (from: number) => number | undefined {
  const [hours, minutes, seconds] = [sorted(fields.hour), sorted(fields.minute), sorted(fields.second)];
  const [firstMinute = 0, firstSecond = 0] = [minutes[0], seconds[0]];
  return (from) => {
    const [hour, minute] = [Math.floor(from / HOUR), Math.floor((from % HOUR) / MINUTE)];
    const second = Math.ceil((from % MINUTE) / SECOND);
    for (const h of hours) {
      if (h < hour) continue;
      if (h > hour) return h * HOUR + firstMinute * MINUTE + firstSecond * SECOND;
      for (const m of minutes) {
        if (m < minute) continue;
        const s = m > minute ? firstSecond : seconds.find((each) => each >= second);
        if (s !== undefined) return h * HOUR + m * MINUTE + s * SECOND;
      }
    }
    return undefined;
  };
}

/** @param library the library's own eye for days, for last days (L), weekdays (W) and n-th ones (#) */
function dayMatcher(fields: ParsedFields, library: () => (day: number) => boolean): (day: number) => boolean {
  const isPlain = [...fields.dayOfMonth, ...fields.dayOfWeek].every((each) => typeof each === 'number');
  const months = new Set(fields.month);
  const days = new Set(fields.dayOfMonth);
  const weekdays = new Set(fields.dayOfWeek);
  const special = isPlain ? undefined : library();
  return (day) => {
    const date = new Date(day);
    if (!months.has(date.getUTCMonth() + 1)) return false;
    return special?.(day) ?? (days.has(date.getUTCDate()) && weekdays.has(date.getUTCDay()));
  };
}

/** Fires many times a day: a wildcard or a step in second, minute or hour. */
function isInterval(expression: string): boolean {
  const fields = expression.trim().split(/\s+/);
  if (fields.length === 1) return /^@hourly$/i.test(expression.trim());
  return fields.slice(0, -3).some((field) => /[*?/]/.test(field));
}

function sorted(values: readonly number[]): number[] {
  return [...values].sort((a, b) => a - b);
}
