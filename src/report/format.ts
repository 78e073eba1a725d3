/** Words and figures that the console shows. Pure. */
import { stripVTControlCharacters, styleText } from 'node:util';
import type { CheckResult } from '../checks/check-kind.ts';
import type { ProveReport } from '../prove/report-schema.ts';
import type { Outputs, Progress, StepRecord, StepStatus } from '../runs/record.ts';
import { formatBytes, formatRate } from '../units.ts';

export type Style = Parameters<typeof styleText>[0];
export type Paint = (style: Style, text: string) => string;

export function makePaint(color: boolean): Paint {
  return color ? (style, text) => styleText(style, text, { validateStream: false }) : (_style, text) => text;
}

/** Names and messages come from databases and tools: what would move the cursor is taken out, lines are kept. */
export function clean(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is removed
  return stripVTControlCharacters(text).replace(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/g, ' ');
}

/** On one line, at most `width` characters. */
export function shorten(text: string, width: number): string {
  const line = clean(text).replaceAll('\n', ' ');
  const characters = [...line];
  return characters.length <= width ? line : `${characters.slice(0, Math.max(0, width - 1)).join('')}…`;
}

export interface Mark {
  readonly symbol: string;
  readonly word: string;
  readonly style: Style;
}

export function markOf(step: Pick<StepRecord, 'status' | 'tolerated'>, unicode: boolean): Mark {
  if (step.status === 'failed' && step.tolerated === true) {
    return { symbol: unicode ? '!' : '!', word: 'failed, tolerated', style: 'yellow' };
  }
  const [fancy, plain, style] = MARKS[step.status];
  return { symbol: unicode ? fancy : plain, word: step.status, style };
}

const MARKS: Readonly<Record<StepStatus, readonly [string, string, Style]>> = {
  pending: ['·', '.', 'dim'],
  running: ['●', '*', 'cyan'],
  succeeded: ['✓', '+', 'green'],
  failed: ['✗', 'x', 'red'],
  skipped: ['–', '-', 'dim'],
  cancelled: ['■', '#', 'yellow'],
  interrupted: ['■', '#', 'yellow'],
};

/** `98 MB of 180 MB (54%)`; a total that was exceeded was a wrong estimate and is left out. */
export function formatAmount({ done, total, unit }: Progress): string {
  const amount = (value: number) => (unit === 'bytes' ? formatBytes(value) : formatCount(value));
  const suffix = unit === 'bytes' ? '' : ` ${unit}`;
  if (total === undefined || total <= 0 || done > total) return `${amount(done)}${suffix}`;
  return `${amount(done)} of ${amount(total)}${suffix} (${Math.floor((done * 100) / total)}%)`;
}

/** Per second, over the given stretch. */
export function formatSpeed(unit: Progress['unit'], amount: number, milliseconds: number): string {
  if (unit === 'bytes') return formatRate(amount, milliseconds);
  const perSecond = (amount * 1000) / milliseconds;
  return `${perSecond >= 10 ? formatCount(Math.round(perSecond)) : perSecond.toFixed(1)} ${unit}/s`;
}

/** 1234567 → `1,234,567`. */
export function formatCount(value: number): string {
  return value.toLocaleString('en-US', { maximumFractionDigits: 1 });
}

/** What a person wants to know of a step first. */
const TELLING = [
  'summary',
  'backup',
  'database',
  'previous',
  'bytes',
  'rows',
  'tables',
  'kept',
  'removed',
  'bytesFreed',
  'dropped',
  'rebuilt',
  'files',
  'entries',
  'warnings',
  'serverVersion',
  'value',
  'exitCode',
];

/** `backup local:crm-…, 166 MB, 12,345 rows`: the main outputs, at most four. */
export function formatOutputs(outputs: Outputs | undefined): string {
  return TELLING.flatMap((key) => {
    const text = formatOutput(key, outputs?.[key]);
    return text === undefined ? [] : [text];
  })
    .slice(0, 4)
    .join(', ');
}

function formatOutput(key: string, value: unknown): string | undefined {
  if (value === null || value === undefined || value === '') return undefined;
  if (Array.isArray(value))
    return value.length === 0 && key === 'warnings' ? undefined : `${value.length} ${key}`;
  if (typeof value === 'number') {
    if (key === 'bytes') return formatBytes(value);
    if (key === 'bytesFreed') return `${formatBytes(value)} freed`;
    return key === 'exitCode' || key === 'value' ? `${key} ${value}` : `${formatCount(value)} ${key}`;
  }
  if (typeof value === 'string') return key === 'summary' ? clean(value) : `${key} ${shorten(value, 80)}`;
  return typeof value === 'boolean' ? `${key} ${value}` : undefined;
}

/** The report of a suite of checks, recognised by its shape. */
export interface CheckReport {
  readonly summary?: string;
  readonly results: readonly CheckResult[];
}

export function asCheckReport(report: unknown): CheckReport | undefined {
  const results = (report as { results?: unknown } | null | undefined)?.results;
  return Array.isArray(results) &&
    results.every((each) => typeof each?.name === 'string' && typeof each?.status === 'string')
    ? (report as CheckReport)
    : undefined;
}

const CHECK_STYLES: Readonly<Record<string, Style>> = {
  failed: 'red',
  errored: 'red',
  warned: 'yellow',
  vacuous: 'yellow',
};

/** Lines for the checks that did not pass, with samples of what offends. */
export function formatChecks(report: CheckReport, paint: Paint): string[] {
  return report.results
    .filter(({ status }) => status !== 'passed')
    .flatMap((result) => [
      `${paint(CHECK_STYLES[result.status] ?? 'dim', result.status)} ${clean(result.name)}: ${clean(result.error ?? result.message)}`,
      ...(result.samples ?? []).map((sample) => `    ${shorten(JSON.stringify(sample), 200)}`),
      ...moreThanShown(result),
      ...(result.hint === undefined || result.status === 'skipped'
        ? []
        : [`    ${paint('cyan', 'hint:')} ${clean(result.hint)}`]),
    ]);
}

function moreThanShown({ count, samples }: CheckResult): string[] {
  const rest = (count ?? 0) - (samples?.length ?? 0);
  return samples !== undefined && samples.length > 0 && rest > 0
    ? [`    … and ${formatCount(rest)} more`]
    : [];
}

/** The report of a proof of checks, recognised by its kind. */
export function asProveReport(report: unknown): ProveReport | undefined {
  return (report as { kind?: unknown } | null | undefined)?.kind === 'prove'
    ? (report as ProveReport)
    : undefined;
}

const PROOFS: Readonly<Record<string, readonly [string, Style]>> = {
  proved: ['proved', 'green'],
  stayedGreen: ['not proved, stayed green', 'red'],
  noMutation: ['no mutation known', 'yellow'],
  notTried: ['not tried', 'yellow'],
};

/** A line for every check: what was broken when it went red, or why that is not known of it. */
export function formatProofs(report: ProveReport, paint: Paint): string[] {
  return report.results.map(({ outcome, name, damage, message, tried }) => {
    const [word, style] = PROOFS[outcome] ?? [outcome, 'dim'];
    const more = outcome === 'stayedGreen' && tried > 1 ? `${tried} damages, the last: ` : '';
    const said = outcome === 'proved' ? '' : damage === undefined ? message : `: ${message}`;
    return `${paint(style, word)} ${clean(name)}: ${more}${shorten(damage ?? '', 120)}${shorten(said, 200)}`;
  });
}
