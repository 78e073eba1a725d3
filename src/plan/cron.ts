/**
 * Cron expressions and time zones: whether they are valid, and when they fire. The only door to node-cron.
 *
 * The library reads the expression (fields, names, L, W and #) and matches days. Instants are computed here,
 * because it leaves out runs on the days when clocks change: a job with fixed times runs once, at the first valid
 * instant when its local time is skipped, at the first of the two when it comes twice; a job that repeats
 * (`*` or a step in minute or hour) runs at every real occurrence.
 */
import type { ParsedFields } from 'node-cron';
import { suggest } from '../suggest.ts';

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

/** What is wrong with the name of a time zone; undefined when it exists. Offsets are refused: they know no summer. */
export function timeZoneProblem(zone: string): { message: string; hint: string } | undefined {
  // The default needs no look into the time zone data, which takes some milliseconds to load.
  if (zone === 'UTC') return undefined;
  if (/^[A-Za-z]/.test(zone) && !/^(local|system)$/i.test(zone)) {
    try {
      new Intl.DateTimeFormat('en', { timeZone: zone });
      return undefined;
    } catch {
      // Not a zone: said below.
    }
  }
  const known = Intl.supportedValuesOf('timeZone');
  const near =
    suggest(zone, known) ?? known.find((each) => each.toLowerCase().endsWith(`/${zone.toLowerCase()}`));
  return {
    message: `unknown time zone "${zone}"${near === undefined ? '' : `, did you mean "${near}"?`}`,
    hint: 'Write an IANA name such as Europe/Berlin, America/New_York or UTC.',
  };
}

/** Days looked at before giving up: 29 February on a given weekday comes every 28 years at worst, 40 around 2100. */
const HORIZON_DAYS = 366 * 41;

/**
 * The next instants at which a valid expression fires, after `from`.
 * @param from exclusive
 * @param count how many; fewer come back when the expression never fires that often
 */
export async function nextFirings(
  expression: string,
  timezone: string,
  from: Date,
  count: number,
): Promise<Date[]> {
  const [{ createTask, parse }, { Temporal }] = await Promise.all([
    import('node-cron'),
    import('temporal-polyfill'),
  ]);
  const fields = parse(expression);
  const repeats = isInterval(expression);
  const hours = sorted(fields.hour);
  const minutes = sorted(fields.minute);
  const seconds = sorted(fields.second);
  // Matching a wall clock time as if it were UTC leaves the zone out of it.
  const matcher = createTask(expression, () => {}, { timezone: 'Etc/UTC' });
  const found: Date[] = [];
  try {
    // A skipped time may fire on the day after the one it belongs to; starting one day early finds it.
    let day = Temporal.Instant.fromEpochMilliseconds(from.getTime())
      .toZonedDateTimeISO(timezone)
      .toPlainDate()
      .subtract({ days: 1 });
    for (
      let looked = 0;
      looked < HORIZON_DAYS && found.length < count;
      looked++, day = day.add({ days: 1 })
    ) {
      if (!mayMatch(fields, day)) continue;
      const wall = Date.UTC(day.year, day.month - 1, day.day, hours[0], minutes[0], seconds[0]);
      if (!matcher.match(new Date(wall))) continue;
      for (const hour of hours) {
        // Whatever this hour brings, at the latest it fires when the hour is over.
        const over = day.toPlainDateTime({ hour, minute: 59, second: 59 });
        if (over.toZonedDateTime(timezone, { disambiguation: 'later' }).epochMilliseconds <= from.getTime())
          continue;
        const instants = minutes.flatMap((minute) =>
          seconds.flatMap((second) =>
            instantsOf(day.toPlainDateTime({ hour, minute, second }), timezone, repeats),
          ),
        );
        for (const instant of sorted(instants)) {
          const last = found.at(-1)?.getTime() ?? from.getTime();
          if (instant > last && found.length < count) found.push(new Date(instant));
        }
        if (found.length >= count) break;
      }
    }
  } finally {
    await matcher.destroy();
  }
  return found;
}

type PlainDateTime = import('temporal-polyfill').Temporal.PlainDateTime;

function instantsOf(local: PlainDateTime, timezone: string, repeats: boolean): number[] {
  const earlier = local.toZonedDateTime(timezone, { disambiguation: 'earlier' });
  const later = local.toZonedDateTime(timezone, { disambiguation: 'later' });
  if (earlier.epochMilliseconds === later.epochMilliseconds) return [earlier.epochMilliseconds];
  const skipped = !earlier.toPlainDateTime().equals(local);
  if (!skipped)
    return repeats ? [earlier.epochMilliseconds, later.epochMilliseconds] : [earlier.epochMilliseconds];
  // Of a gap `earlier` lies before it and `later` behind it; the change of the clocks between them is its end.
  if (repeats) return [];
  return [earlier.getTimeZoneTransition('next')?.epochMilliseconds ?? later.epochMilliseconds];
}

/** Fires many times a day: a wildcard or a step in minute or hour. */
function isInterval(expression: string): boolean {
  const fields = expression.trim().split(/\s+/);
  if (fields.length === 1) return /^@hourly$/i.test(expression.trim());
  const [minute = '', hour = ''] = fields.slice(-5);
  return /[*?/]/.test(minute) || /[*?/]/.test(hour);
}

/** A quick look at month and day before the library is asked. */
function mayMatch(fields: ParsedFields, day: { month: number; day: number }): boolean {
  return (
    fields.month.includes(day.month) &&
    (fields.dayOfMonth.includes(day.day) || fields.dayOfMonth.some((each) => typeof each === 'string'))
  );
}

function sorted(values: readonly number[]): number[] {
  return [...values].sort((a, b) => a - b);
}
