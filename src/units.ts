/** Text ⇄ numbers: durations in milliseconds, sizes in bytes, times as instants. */
import { BackplanError } from './errors.ts';

const MILLISECONDS: Record<string, number> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};

/** `1h30m` → 5400000. A day is 24 hours here; calendar days belong to schedules. @throws INPUT_INVALID */
export function parseDuration(text: string): number {
  if (!/^(\d+(\.\d+)?(ms|s|m|h|d|w))+$/.test(text)) {
    throw new BackplanError('INPUT_INVALID', `"${text}" is not a duration`, {
      hint: 'Write a number and a unit: 30s, 5m, 12h, 30d, 2w, or a sum such as 1h30m.',
    });
  }
  let total = 0;
  for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d|w)/g)) {
    total += Number(amount) * (MILLISECONDS[unit ?? ''] ?? 0);
  }
  return Math.round(total);
}

/** 5400000 → `1h 30m`; at most two units, so that a column of them can be read at a glance. */
export function formatDuration(milliseconds: number): string {
  if (milliseconds < 1000) return `${Math.round(milliseconds)}ms`;
  if (milliseconds < 10_000) return `${(milliseconds / 1000).toFixed(1)}s`;
  let rest = Math.round(milliseconds / 1000);
  const parts: string[] = [];
  for (const [unit, seconds] of [
    ['d', 86_400],
    ['h', 3600],
    ['m', 60],
    ['s', 1],
  ] as const) {
    const amount = Math.floor(rest / seconds);
    rest -= amount * seconds;
    if (amount > 0) parts.push(`${amount}${unit}`);
    if (parts.length === 2) break;
  }
  return parts.join(' ') || '0s';
}

const BYTES: Record<string, number> = {
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KiB: 1024,
  MiB: 1024 ** 2,
  GiB: 1024 ** 3,
  TiB: 1024 ** 4,
};

/** `500MB` → 500000000, `2GiB` → 2147483648. @throws INPUT_INVALID */
export function parseSize(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s?((?:[KMGT]i?)?B)$/.exec(text);
  const factor = match?.[2] === undefined ? undefined : BYTES[match[2]];
  if (match?.[1] === undefined || factor === undefined) {
    throw new BackplanError('INPUT_INVALID', `"${text}" is not a size`, {
      hint: 'Write a number and a unit: 500MB, 2GB, 2GiB.',
    });
  }
  return Math.round(Number(match[1]) * factor);
}

/** 187000000 → `187 MB` (decimal units, as disks and object stores count). */
export function formatBytes(bytes: number): string {
  let value = bytes;
  for (const unit of ['B', 'kB', 'MB', 'GB'] as const) {
    if (Math.abs(value) < 1000)
      return `${unit === 'B' || value >= 100 ? Math.round(value) : value.toFixed(1)} ${unit}`;
    value /= 1000;
  }
  return `${value.toFixed(2)} TB`;
}

/** Bytes and elapsed milliseconds → `412 MB/s`. */
export function formatRate(bytes: number, milliseconds: number): string {
  return `${formatBytes(milliseconds > 0 ? (bytes * 1000) / milliseconds : 0)}/s`;
}

/**
 * A time as people type it → an instant. ISO 8601; a time without an offset is read in `timezone`
 * (a skipped local time means the instant after the gap, a repeated one its first occurrence).
 * @throws INPUT_INVALID
 */
export async function parseTimestamp(text: string, timezone: string): Promise<Date> {
  const { Temporal } = await import('temporal-polyfill');
  const normal = text.trim().replace(/^(\d{4}-\d{2}-\d{2}) (?=\d)/, '$1T');
  try {
    if (/(Z|[+-]\d{2}(:?\d{2})?)$/i.test(normal.slice(10))) {
      return new Date(Temporal.Instant.from(normal).epochMilliseconds);
    }
    const local = Temporal.PlainDateTime.from(normal);
    return new Date(local.toZonedDateTime(timezone, { disambiguation: 'compatible' }).epochMilliseconds);
  } catch (cause) {
    throw new BackplanError('INPUT_INVALID', `"${text}" is not a time`, {
      cause,
      hint: `Write ISO 8601, for example 2026-05-04T03:10:00+02:00; without an offset it is read in ${timezone}.`,
    });
  }
}

/** An age in words for listings: `3m`, `5h`, `12d`. */
export function formatAge(from: Date, now: Date): string {
  const milliseconds = now.getTime() - from.getTime();
  if (milliseconds < 0) return 'in the future';
  const [unit, size] = (
    [
      ['d', MILLISECONDS.d],
      ['h', MILLISECONDS.h],
      ['m', MILLISECONDS.m],
    ] as const
  ).find(([, each]) => milliseconds >= (each ?? 0)) ?? ['s', 1000];
  return `${Math.floor(milliseconds / (size ?? 1000))}${unit}`;
}

/** `2026-11-24T05:23:58Z`: UTC, to the second. */
export function formatInstant(date: Date): string {
  return date.toISOString().replace(/\.\d{3}Z$/, 'Z');
}

/** `20261124T052358Z`: for names of files, folders and databases; sorts by time. */
export function compactInstant(date: Date): string {
  return formatInstant(date).replace(/[-:]/g, '');
}
