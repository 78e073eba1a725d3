/** Names of tables, schemas and the like as a plan writes them; case is never folded. */
import { BackplanError } from '../errors.ts';
import { identifier } from './client.ts';

export interface ObjectName {
  readonly schema?: string;
  readonly name: string;
}

/**
 * `User`, `audit.Log`, `"odd.schema"."Odd ""Table"""` → its parts; outside quotes everything but a dot and a quote
 * is taken as it stands.
 * @throws INPUT_INVALID
 */
export function parseName(text: string): ObjectName {
  const parts: string[] = [];
  const pattern = /\s*(?:"((?:[^"]|"")+)"|([^".]+))\s*(\.|$)/y;
  let ended = false;
  while (!ended) {
    const match = pattern.exec(text);
    const part = match?.[1]?.replaceAll('""', '"') ?? match?.[2]?.trim();
    if (match === null || part === undefined || part === '' || part.includes('\0') || parts.length === 2) {
      throw new BackplanError('INPUT_INVALID', `${JSON.stringify(text)} is not a table name`, {
        hint: 'Write Table, schema.Table, or "odd.schema"."Odd Table" with double quotes around odd parts.',
      });
    }
    parts.push(part);
    ended = match[3] !== '.';
  }
  const [first = '', second] = parts;
  return second === undefined ? { name: first } : { schema: first, name: second };
}

/** For people: `public` is left out, quotes are always there. */
export function showName(name: ObjectName): string {
  return name.schema === undefined || name.schema === 'public'
    ? identifier(name.name)
    : `${identifier(name.schema)}.${identifier(name.name)}`;
}

/** `"a", "b"`. */
export function showColumns(columns: readonly string[]): string {
  return columns.map(identifier).join(', ');
}
