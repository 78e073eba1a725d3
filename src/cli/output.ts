/** Where a command's words go: results to stdout, remarks to stderr, one JSON document instead of text on demand. */
import { styleText } from 'node:util';
import type { BackplanError, ErrorRecord } from '../errors.ts';
import { maskUrls } from '../secret.ts';

export type Style = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan';

export interface Paint {
  readonly enabled: boolean;
  (style: Style | readonly Style[], text: string): string;
}

export interface Output {
  readonly json: boolean;
  readonly quiet: boolean;
  /** Colours of stdout. */
  readonly paint: Paint;
  /** Colours of stderr. */
  readonly paintError: Paint;
  /** Lines on stdout; nothing with `--output json`. */
  print(text?: string): void;
  /** The one JSON document on stdout; nothing without `--output json`. */
  document(value: unknown): void;
  /** A remark on stderr; silent with `--quiet`. */
  note(text: string): void;
  /** A warning on stderr, always. */
  warn(text: string): void;
}

interface ColorSource {
  readonly isTTY?: boolean;
}

/**
 * Whether a stream gets colours: `--no-color` wins, then FORCE_COLOR, then NO_COLOR (https://no-color.org), then
 * whether it is a terminal that knows colours.
 */
export function wantsColor(stream: ColorSource, noColor: boolean, env: NodeJS.ProcessEnv): boolean {
  if (noColor) return false;
  if (env.FORCE_COLOR !== undefined) return env.FORCE_COLOR !== '0' && env.FORCE_COLOR !== 'false';
  if (env.NO_COLOR !== undefined && env.NO_COLOR !== '') return false;
  return stream.isTTY === true && env.TERM !== 'dumb';
}

export function makePaint(enabled: boolean): Paint {
  const paint = (style: Style | readonly Style[], text: string) =>
    enabled
      ? styleText(typeof style === 'string' ? style : [...style], text, { validateStream: false })
      : text;
  return Object.assign(paint, { enabled });
}

export interface OutputOptions {
  readonly json: boolean;
  readonly quiet: boolean;
  readonly noColor: boolean;
}

export function makeOutput(options: OutputOptions): Output {
  const { json, quiet, noColor } = options;
  const paintError = makePaint(wantsColor(process.stderr, noColor, process.env));
  const note = (text: string) => process.stderr.write(`${text}\n`);
  return {
    json,
    quiet,
    paint: makePaint(wantsColor(process.stdout, noColor, process.env)),
    paintError,
    print: (text = '') => {
      if (!json) process.stdout.write(`${text}\n`);
    },
    document: (value) => {
      if (json) process.stdout.write(`${JSON.stringify(value, undefined, 2)}\n`);
    },
    note: (text) => {
      if (!quiet) note(text);
    },
    warn: (text) => note(`${paintError('yellow', 'warning:')} ${text}`),
  };
}

/**
 * The last words of a command that failed: `error CODE: message`, the hint and the evidence on stderr; with
 * `--output json` one line of JSON on stdout instead, so that who reads stdout finds a result or the reason for none.
 */
export function reportError(error: BackplanError, options: OutputOptions): void {
  const record = maskRecord(error.toRecord());
  if (options.json) {
    process.stdout.write(`${JSON.stringify({ error: record })}\n`);
    return;
  }
  const paint = makePaint(wantsColor(process.stderr, options.noColor, process.env));
  process.stderr.write(`${formatError(record, paint)}\n`);
  if (process.env.BACKPLAN_DEBUG !== undefined && process.env.BACKPLAN_DEBUG !== '') {
    process.stderr.write(`${maskUrls(stackOf(error))}\n`);
  }
}

/** Also used for the errors of runs and steps that listings show. */
export function formatError(record: ErrorRecord, paint: Paint): string {
  // A plan's diagnostics are made to be read from the margin; other evidence is set off.
  const flush = record.code === 'PLAN_INVALID';
  return [
    `${paint(['bold', 'red'], `error ${record.code}:`)} ${record.message}`,
    ...(flush && record.detail !== undefined ? ['', record.detail, ''] : []),
    ...(record.hint === undefined ? [] : [`${paint('cyan', '  hint:')} ${record.hint}`]),
    ...(!flush && record.detail !== undefined && record.detail !== ''
      ? [paint('dim', indent(record.detail, '  | '))]
      : []),
  ].join('\n');
}

export function indent(text: string, margin: string): string {
  return text
    .trimEnd()
    .split('\n')
    .map((line) => margin + line)
    .join('\n');
}

function maskRecord(record: ErrorRecord): ErrorRecord {
  return {
    code: record.code,
    message: maskUrls(record.message),
    ...(record.hint === undefined ? {} : { hint: maskUrls(record.hint) }),
    ...(record.detail === undefined ? {} : { detail: maskUrls(record.detail) }),
  };
}

function stackOf(error: Error): string {
  const cause = error.cause instanceof Error ? `\ncaused by ${stackOf(error.cause)}` : '';
  return `${error.stack ?? error.message}${cause}`;
}
