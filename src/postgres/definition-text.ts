/**
 * Definitions as PostgreSQL writes them back, in a form that survives a dump: after one, `ARRAY['a'::varchar]::text[]`
 * reads `ARRAY[('a'::varchar)::text]`, though it is the same expression.
 */
import { createHash } from 'node:crypto';

const IDENTIFIER = '(?:"(?:[^"]|"")*"|[a-zA-Z_\\u0080-\\uffff][\\w$\\u0080-\\uffff]*)';
const LITERAL = "'(?:[^']|'')*'";
const TYPE = `(?:character varying|double precision|bit varying|(?:timestamp|time)(?:\\(\\d\\))? with(?:out)? time zone|${IDENTIFIER}(?:\\.${IDENTIFIER})?)`;

const CAST = new RegExp(`${LITERAL}|::${TYPE}(?:\\(\\d+(?:,\\s?-?\\d+)?\\))?(?:\\[\\d*\\])*`, 'g');
/** A value in parentheses that needs none. */
const ATOM = new RegExp(
  `\\(\\s*(${LITERAL}|${IDENTIFIER}(?:\\.${IDENTIFIER})*|[\\d.]+|ARRAY\\[(?:${LITERAL}|[^()'\\]])*\\])\\s*\\)`,
  'g',
);
const DOUBLED = new RegExp(`\\(\\s*\\(((?:${LITERAL}|[^()'])*)\\)\\s*\\)`, 'g');

/** Longer ones are kept as a hash: an inventory of a thousand tables stays small. */
const READABLE = 200;

/** Without casts, redundant parentheses and white space. Not SQL any more: only to be compared. */
function canonical(definition: string): string {
  let text = definition.replace(CAST, (found) => (found.startsWith("'") ? found : ''));
  for (let before = ''; before !== text; ) {
    before = text;
    text = text.replace(ATOM, ' $1 ').replace(DOUBLED, '($1)');
  }
  return text.replace(/\s+/g, '');
}

/** What the inventory keeps of an expression: itself where it is short, else a hash of its canonical form. */
export function shortenExpression(text: string): string {
  const plain = canonical(text);
  return plain.length <= READABLE ? text : digest(plain);
}

/** What the inventory keeps of a text that is told back as it was written. */
export function shortenText(text: string): string {
  return text.length <= READABLE ? text : digest(text);
}

/** Whether two kept expressions mean the same. */
export function sameExpression(a: string, b: string): boolean {
  return a === b || canonical(a) === canonical(b);
}

function digest(text: string): string {
  return `sha256:${createHash('sha256').update(text).digest('hex').slice(0, 32)}`;
}
