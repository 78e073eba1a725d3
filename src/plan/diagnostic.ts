/** What is wrong with a plan, said where it is wrong, like a compiler does. */
import { maskUrls } from '../secret.ts';
import type { Path, PlanSource, Span } from './source.ts';

export interface Diagnostic {
  readonly severity: 'error' | 'warning';
  readonly file: string;
  readonly line: number;
  readonly column: number;
  /** Keys from the top of the plan: `jobs.nightly.steps.dump.with.database`. Empty for the plan as a whole. */
  readonly path: string;
  readonly message: string;
  readonly hint?: string;
  /** How many characters to underline. */
  readonly length?: number;
  /** Stretches of the line that are secrets and are not shown. */
  readonly masked?: readonly { readonly column: number; readonly length: number }[];
}

export interface ReportOptions {
  readonly hint?: string | undefined;
  readonly severity?: 'error' | 'warning';
  /** Default: the value. */
  readonly at?: 'key' | 'value';
  /** Offsets inside a text value. */
  readonly inside?: { readonly start: number; readonly end: number };
  readonly span?: Span;
  /** The value is a secret: no message shows it. */
  readonly secret?: boolean;
}

/** Gathers diagnostics of one plan. */
export class Collector {
  readonly #source: PlanSource;
  readonly #found: Diagnostic[] = [];
  readonly #secrets: Span[] = [];

  constructor(source: PlanSource) {
    this.#source = source;
  }

  report(path: Path, message: string, options: ReportOptions = {}): void {
    const { at = 'value', severity = 'error', inside, hint, secret } = options;
    const span =
      options.span ??
      (inside !== undefined
        ? this.#source.insideSpan(path, inside.start, inside.end)
        : at === 'key'
          ? this.#source.keySpan(path)
          : this.#source.valueSpan(path));
    if (
      secret === true &&
      !this.#secrets.some(({ line, column }) => line === span.line && column === span.column)
    ) {
      this.#secrets.push(span);
    }
    this.#found.push({
      severity,
      file: this.#source.file,
      line: span.line,
      column: span.column,
      length: span.length,
      path: formatPath(path),
      message: maskUrls(message),
      ...(hint === undefined ? {} : { hint }),
    });
  }

  get hasErrors(): boolean {
    return this.#found.some(({ severity }) => severity === 'error');
  }

  hasErrorAt(path: Path): boolean {
    const wanted = formatPath(path);
    return this.#found.some(({ severity, path: where }) => severity === 'error' && where === wanted);
  }

  /** In the order of the file. What aliases repeat is told once. */
  list(): Diagnostic[] {
    const seen = new Set<string>();
    const errors = new Set(
      this.#found
        .filter(({ severity }) => severity === 'error')
        .map(({ line, column }) => `${line}:${column}`),
    );
    return this.#found
      .filter(({ severity, line, column, message }) => {
        // What is wrong must be changed anyway; a warning about it can wait.
        if (severity === 'warning' && errors.has(`${line}:${column}`)) return false;
        const key = `${line}:${column} ${message}`;
        return seen.has(key) ? false : seen.add(key);
      })
      .sort((a, b) => a.line - b.line || a.column - b.column)
      .map((diagnostic) => {
        const masked = this.#secrets
          .filter(({ line }) => line === diagnostic.line)
          .map(({ column, length }) => ({ column, length }));
        return masked.length === 0 ? diagnostic : { ...diagnostic, masked };
      });
  }
}

/** `['suites', 'basics', 0]` → `suites.basics[0]`. */
export function formatPath(path: Path): string {
  return path
    .map((key, index) => (typeof key === 'number' ? `[${key}]` : index === 0 ? key : `.${key}`))
    .join('');
}

const RED = '31';
const YELLOW = '33';
const BOLD = '1';
const CYAN = '36';

/**
 * One diagnostic as text: a line `file:line:column severity path: message`, the source line with a caret under
 * what is wrong, and the hint. Passwords in the source line are masked.
 * @param text the whole plan file
 */
export function formatDiagnostic(diagnostic: Diagnostic, text: string, color: boolean): string {
  const paint = (code: string, words: string) => (color ? `\u001b[${code}m${words}\u001b[0m` : words);
  const { file, line, column, severity, path, message, hint } = diagnostic;
  const tone = severity === 'error' ? RED : YELLOW;
  const head = [
    paint(BOLD, `${oneLine(file)}:${line}:${column}`),
    paint(tone, severity),
    oneLine(path === '' ? message : `${path}: ${message}`),
  ].join(' ');
  const excerpt = excerptOf(diagnostic, text);
  return [
    head,
    ...(excerpt === undefined
      ? []
      : [
          `  ${paint(CYAN, `${line} |`)} ${excerpt.line}`,
          `  ${paint(CYAN, `${' '.repeat(String(line).length)} |`)} ${excerpt.pad}${paint(tone, '^'.repeat(excerpt.length))}`,
        ]),
    ...(hint === undefined ? [] : [`  ${oneLine(hint)}`]),
  ].join('\n');
}

/** All diagnostics, and a last line that counts them. */
export function formatDiagnostics(diagnostics: readonly Diagnostic[], text: string, color: boolean): string {
  const count = (severity: Diagnostic['severity']) => {
    const number = diagnostics.filter((each) => each.severity === severity).length;
    return number === 0 ? [] : [`${number} ${severity}${number === 1 ? '' : 's'}`];
  };
  return [
    ...diagnostics.map((each) => formatDiagnostic(each, text, color)),
    [...count('error'), ...count('warning')].join(', '),
  ].join('\n\n');
}

const MAX_WIDTH = 120;

function excerptOf(
  { line, column, length = 1, masked = [] }: Diagnostic,
  text: string,
): { line: string; pad: string; length: number } | undefined {
  const full = lineOf(text, line);
  if (full.trim() === '') return undefined;
  let shown = full;
  let start = Math.min(column - 1, full.length);
  let end = Math.min(start + length, full.length);
  // From the right, so that the places on the left stay what they are.
  for (const secret of [...masked].sort((a, b) => b.column - a.column)) {
    ({ shown, start, end } = cover(shown, secret.column - 1, secret.column - 1 + secret.length, start, end));
  }
  ({ shown, start, end } = maskPasswords(shown, start, end));
  let lead = '';
  if (start > MAX_WIDTH - 40) {
    const cut = start - 40;
    lead = '… ';
    shown = shown.slice(cut);
    start -= cut;
    end -= cut;
  }
  if (shown.length > MAX_WIDTH) shown = `${shown.slice(0, MAX_WIDTH)} …`;
  return {
    line: lead + printable(shown),
    pad: ' '.repeat(lead.length) + [...shown.slice(0, start)].map(blank).join(''),
    length: Math.max(1, Math.min(end, MAX_WIDTH) - start),
  };
}

function lineOf(text: string, line: number): string {
  let from = 0;
  for (let count = 1; count < line; count++) {
    const next = text.indexOf('\n', from);
    if (next === -1) return '';
    from = next + 1;
  }
  const end = text.indexOf('\n', from);
  return text.slice(from, end === -1 ? text.length : end).replace(/\r$/, '');
}

const PASSWORD =
  /((?:[a-z][a-z0-9+.-]*:\/\/[^\s:/@'"]*:)|[?&](?:password|sslpassword)=)((?:(?!\$\{)[^\s@/'"&])+)(?=@|[&\s'"]|$)/gi;

/** Replaces passwords in urls by three stars and moves the caret along. */
function maskPasswords(
  line: string,
  start: number,
  end: number,
): { shown: string; start: number; end: number } {
  let result = { shown: line, start, end };
  for (const match of [...line.matchAll(PASSWORD)].reverse()) {
    const [all, lead = '', password = ''] = match;
    if (!/^[?&]/.test(lead) && line[match.index + all.length] !== '@') continue;
    const from = match.index + lead.length;
    result = cover(result.shown, from, from + password.length, result.start, result.end);
  }
  return result;
}

const STARS = '***';

/** Puts stars over a stretch of a line; the caret stays under what it was under. */
function cover(
  line: string,
  from: number,
  to: number,
  start: number,
  end: number,
): { shown: string; start: number; end: number } {
  const shift = STARS.length - (to - from);
  const move = (place: number, inside: number) =>
    place >= to ? place + shift : place > from ? inside : place;
  const first = move(start, from);
  return {
    shown: line.slice(0, from) + STARS + line.slice(to),
    start: first,
    end: Math.max(first + 1, move(end, from + STARS.length)),
  };
}

function oneLine(text: string): string {
  return printable(text.replace(/\s*\n\s*/g, ' '));
}

/** Control characters could rewrite the terminal. */
function printable(line: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
  return line.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g, '\ufffd');
}

/** As wide as the character: the caret must stand under the right one. */
function blank(char: string): string {
  if (char === '\t') return '\t';
  if (/\p{Mark}/u.test(char)) return '';
  return /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\p{Emoji_Presentation}/u.test(
    char,
  )
    ? '  '
    : ' ';
}
