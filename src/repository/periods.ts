/** Calendar periods of an instant in a time zone, as names that sort: `2026-11-24`, `2026-W48`, `2026-11`, `2026`. */

export type Period = 'day' | 'week' | 'month' | 'year';

/**
 * A function that names the period which holds an instant. Weeks are ISO 8601 weeks: they start on Monday and belong
 * to the year of their Thursday.
 * @param timezone an IANA zone; a period begins at its local midnight, whatever DST does to the length of a day
 */
export function periodNames(timezone: string): (period: Period, instant: Date) => string {
  const format = new Intl.DateTimeFormat('en-u-ca-iso8601-nu-latn', {
    timeZone: timezone,
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
  });
  return (period, instant) => {
    const parts = Object.fromEntries(format.formatToParts(instant).map(({ type, value }) => [type, value]));
    const [year, month, day] = [Number(parts.year), Number(parts.month), Number(parts.day)];
    switch (period) {
      case 'day':
        return `${pad(year, 4)}-${pad(month, 2)}-${pad(day, 2)}`;
      case 'week':
        return isoWeek(year, month, day);
      case 'month':
        return `${pad(year, 4)}-${pad(month, 2)}`;
      case 'year':
        return pad(year, 4);
    }
  };
}

function isoWeek(year: number, month: number, day: number): string {
  const date = new Date(Date.UTC(year, month - 1, day));
  const weekday = (date.getUTCDay() + 6) % 7;
  // The Thursday of the same week decides the year.
  const thursday = new Date(date.getTime() + (3 - weekday) * 86_400_000);
  const start = Date.UTC(thursday.getUTCFullYear(), 0, 1);
  const week = Math.floor((thursday.getTime() - start) / (7 * 86_400_000)) + 1;
  return `${pad(thursday.getUTCFullYear(), 4)}-W${pad(week, 2)}`;
}

function pad(number: number, width: number): string {
  return String(number).padStart(width, '0');
}
