/** Checks as lines of a plan file. */
import { commentText, flowText, scalarText } from '../plan/write.ts';
import { generators } from './generators/index.ts';
import type { Suggestion } from './subject.ts';

/** Characters of a line that is still easy to read. */
const WIDTH = 118;

/** One check as an entry of a suite, with the comment above it. Ends with a line break. */
export function renderCheck(suggestion: Suggestion, indent: string): string {
  const { kind, params, severity, note } = suggestion;
  const comment = note === undefined ? '' : `${commentText(note, indent)}\n`;
  if (Array.isArray(params)) {
    const items = params.map((item) => `${indent}    - ${flowText(item)}\n`).join('');
    return `${comment}${indent}- ${kind}:\n${items}`;
  }
  const settings = { ...(params as object), ...(severity === undefined ? {} : { severity }) };
  return `${comment}${entryLines(`${indent}- ${kind}`, settings, `${indent}    `)}`;
}

/** `key: value` on one line where it fits, else each of its parts on a line of its own. */
function entryLines(start: string, value: unknown, indent: string): string {
  const line = `${start}: ${flowText(value)}`;
  if (line.length <= WIDTH || typeof value !== 'object' || value === null) return `${line}\n`;
  if (Array.isArray(value))
    return `${start}:\n${value.map((each) => `${indent}- ${flowText(each)}\n`).join('')}`;
  const entries = Object.entries(value).map(([key, each]) =>
    entryLines(`${indent}${scalarText(key)}`, each, `${indent}  `),
  );
  return `${start}:\n${entries.join('')}`;
}

/** A whole suite, grouped by kind, each group under its comment. */
export function renderSuite(suggestions: readonly Suggestion[], indent: string): string {
  return generators
    .flatMap(({ kind, heading }) => {
      const own = suggestions.filter((each) => each.kind === kind);
      const [first] = own;
      if (first === undefined) return [];
      const entries = Array.isArray(first.params)
        ? [{ ...first, params: own.flatMap(({ params }) => params) }]
        : own;
      return [
        `${commentText(heading, indent)}\n${entries.map((entry) => renderCheck(entry, indent)).join('')}`,
      ];
    })
    .join('\n');
}
