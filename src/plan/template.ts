/**
 * What may stand inside a text value of a plan:
 *
 * - `${NAME}`, `${NAME:-default}` and `${file:/path}`: the environment, replaced when a run starts;
 * - `${{ … }}`: an expression, evaluated just before its step runs;
 * - `$${` for the two characters themselves.
 *
 * This file only takes texts apart; `resolve.ts` and `expressions.ts` give the parts their values.
 */

export type Part =
  | { readonly kind: 'text'; readonly text: string }
  | {
      readonly kind: 'variable';
      readonly name: string;
      /** Used when the variable is not set or empty. */
      readonly fallback?: readonly Part[];
      readonly start: number;
      readonly end: number;
    }
  | { readonly kind: 'file'; readonly path: readonly Part[]; readonly start: number; readonly end: number }
  | {
      readonly kind: 'expression';
      /** What stands between `${{` and `}}`. */
      readonly source: string;
      /** Offset of `source` in the text. */
      readonly sourceStart: number;
      readonly start: number;
      readonly end: number;
    };

export interface TemplateProblem {
  readonly start: number;
  readonly end: number;
  readonly message: string;
  readonly hint: string;
}

export interface Template {
  readonly parts: readonly Part[];
  readonly problems: readonly TemplateProblem[];
}

const NAME = /[A-Za-z_][A-Za-z0-9_]*/y;
/** Bounds for texts that were never meant as templates. */
const MAX_PROBLEMS = 10;
const MAX_DEPTH = 8;
const ESCAPE_HINT = 'For the characters themselves write $${.';

/** Takes a text apart. Never throws: what cannot be understood is in `problems` and stays text. */
export function parseTemplate(text: string): Template {
  if (!text.includes('${')) return { parts: text === '' ? [] : [{ kind: 'text', text }], problems: [] };
  const problems: TemplateProblem[] = [];
  const { parts } = parseParts(text, 0, 0, problems);
  return { parts, problems };
}

function parseParts(
  text: string,
  from: number,
  depth: number,
  problems: TemplateProblem[],
): { parts: Part[]; end: number; closed: boolean } {
  const parts: Part[] = [];
  const add = (piece: string) => {
    const last = parts.at(-1);
    if (last?.kind === 'text') parts[parts.length - 1] = { kind: 'text', text: last.text + piece };
    else if (piece !== '') parts.push({ kind: 'text', text: piece });
  };
  let at = from;
  while (at < text.length) {
    if (depth > 0 && text[at] === '}') return { parts, end: at, closed: true };
    if (problems.length >= MAX_PROBLEMS) {
      add(text.slice(at));
      return { parts, end: text.length, closed: false };
    }
    if (text.startsWith('$${', at)) {
      const escaped = text.startsWith('$${{', at) ? '${{' : '${';
      add(escaped);
      at += escaped.length + 1;
    } else if (text.startsWith('${', at)) {
      const special = text.startsWith('${{', at)
        ? parseExpression(text, at, problems)
        : parseVariable(text, at, depth, problems);
      if (special === undefined) {
        add('${');
        at += 2;
      } else {
        parts.push(special);
        at = special.end;
      }
    } else {
      const stop = depth > 0 ? /[$}]/g : /\$/g;
      stop.lastIndex = at + 1;
      const end = stop.exec(text)?.index ?? text.length;
      add(text.slice(at, end));
      at = end;
    }
  }
  return { parts, end: at, closed: false };
}

function parseExpression(
  text: string,
  start: number,
  problems: TemplateProblem[],
): (Part & { kind: 'expression' }) | undefined {
  const from = start + 3;
  const end = expressionEnd(text, from);
  if (end === -1) {
    problems.push({
      start,
      end: start + 3,
      message: 'the expression is never closed',
      hint: 'Every ${{ needs a }}. For the characters themselves write $${{.',
    });
    return undefined;
  }
  const raw = text.slice(from, end);
  const lead = raw.length - raw.trimStart().length;
  return { kind: 'expression', source: raw.trim(), sourceStart: from + lead, start, end: end + 2 };
}

/** Where `}}` closes an expression: not inside quotes, not while a map literal is open; -1 when nowhere. */
function expressionEnd(text: string, from: number): number {
  let depth = 0;
  for (let at = from; at < text.length; at++) {
    const char = text[at] ?? '';
    if (char === '"' || char === "'") {
      const end = stringEnd(text, at);
      // An open quote: let the expression end at the next }} so that the parser can point at the quote.
      if (end === -1) return text.indexOf('}}', from);
      at = end - 1;
    } else if (char === '{') depth++;
    else if (char === '}' && depth > 0) depth--;
    else if (char === '}' && text[at + 1] === '}') return at;
  }
  return text.indexOf('}}', from);
}

/** The offset after a string of the expression language: '…', "…", '''…''', with r for raw. */
function stringEnd(text: string, start: number): number {
  const quote = text[start] ?? '';
  const delimiter = text.startsWith(quote.repeat(3), start) ? quote.repeat(3) : quote;
  const raw = /(?:^|[^A-Za-z0-9_])(?:[rR]|[bB][rR]|[rR][bB])$/.test(
    text.slice(Math.max(0, start - 3), start),
  );
  for (let at = start + delimiter.length; at < text.length; at++) {
    if (text.startsWith(delimiter, at)) return at + delimiter.length;
    if (text[at] === '\\' && !raw) at++;
  }
  return -1;
}

function parseVariable(
  text: string,
  start: number,
  depth: number,
  problems: TemplateProblem[],
): Exclude<Part, { kind: 'text' | 'expression' }> | undefined {
  const fail = (end: number, message: string, hint: string): undefined => {
    problems.push({ start, end, message, hint });
  };
  const close = text.indexOf('}', start);
  if (close === -1) return fail(start + 2, '"${" is never closed', `Write \${NAME}. ${ESCAPE_HINT}`);
  if (depth >= MAX_DEPTH) return fail(start + 2, 'defaults are nested too deeply', 'Use fewer variables.');
  NAME.lastIndex = start + 2;
  const name = NAME.exec(text)?.[0];
  const after = start + 2 + (name?.length ?? 0);
  if (name !== undefined && text[after] === '}') return { kind: 'variable', name, start, end: after + 1 };
  if (name !== undefined && text.startsWith(':-', after)) {
    const inner = parseParts(text, after + 2, depth + 1, problems);
    if (!inner.closed)
      return fail(start + 2, '"${" is never closed', `Write \${NAME:-default}. ${ESCAPE_HINT}`);
    return { kind: 'variable', name, fallback: inner.parts, start, end: inner.end + 1 };
  }
  if (name === 'file' && text[after] === ':') {
    const inner = parseParts(text, after + 1, depth + 1, problems);
    if (!inner.closed) return fail(start + 2, '"${" is never closed', `Write \${file:/path}. ${ESCAPE_HINT}`);
    return { kind: 'file', path: inner.parts, start, end: inner.end + 1 };
  }
  return fail(
    close + 1,
    `"${text.slice(start, Math.min(close + 1, start + 40))}" names no environment variable`,
    `Write \${NAME}, \${NAME:-default} or \${file:/path}. ${ESCAPE_HINT}`,
  );
}

/** True when a text holds anything that gets its value later. */
export function isTemplate(value: unknown): boolean {
  return (
    typeof value === 'string' &&
    value.includes('${') &&
    parseTemplate(value).parts.some((part) => part.kind !== 'text')
  );
}

/** True when a value is, or holds anywhere, an expression. */
export function hasExpression(value: unknown): boolean {
  if (typeof value === 'string') {
    return value.includes('${{') && parseTemplate(value).parts.some((part) => part.kind === 'expression');
  }
  if (Array.isArray(value)) return value.some(hasExpression);
  return value !== null && typeof value === 'object' && Object.values(value).some(hasExpression);
}

/** The expression of an `if`, with or without `${{ }}` around it; undefined when it is not exactly one. */
export function conditionSource(condition: string): { source: string; start: number } | undefined {
  const { parts, problems } = parseTemplate(condition);
  const [first] = parts;
  if (problems.length > 0) return undefined;
  if (parts.length === 1 && first?.kind === 'expression')
    return { source: first.source, start: first.sourceStart };
  if (parts.length === 1 && first?.kind === 'text' && !condition.includes('${')) {
    return { source: condition.trim(), start: condition.length - condition.trimStart().length };
  }
  // Spaces around the one expression do no harm.
  const spoken = parts.filter((part) => part.kind !== 'text' || part.text.trim() !== '');
  const [only] = spoken;
  return spoken.length === 1 && only?.kind === 'expression'
    ? { source: only.source, start: only.sourceStart }
    : undefined;
}

/**
 * Parts whose variables were replaced by text → a text that `parseTemplate` reads back as the same text and the
 * same expressions, whatever the variables held: a value from outside never becomes an expression.
 */
export function formatTemplate(parts: readonly (Part & { kind: 'text' | 'expression' })[]): string {
  let result = '';
  let text = '';
  const flush = (beforeExpression: boolean) => {
    let escaped = text.replaceAll('${', () => '$${');
    if (beforeExpression) {
      // A dollar before ${{ would read as the escape.
      escaped = escaped.replace(/\$+$/, (dollars) => `\${{ "${dollars}" }}`);
    }
    result += escaped;
    text = '';
  };
  for (const part of parts) {
    if (part.kind === 'text') text += part.text;
    else {
      flush(true);
      result += `\${{ ${part.source} }}`;
    }
  }
  flush(false);
  return result;
}
