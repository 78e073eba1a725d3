/** Comparing names of types as people write them with those that `format_type()` gives. Pure. */
import { parseName } from './names.ts';

const ALIASES: Readonly<Record<string, string>> = {
  int: 'integer',
  int4: 'integer',
  int2: 'smallint',
  int8: 'bigint',
  float4: 'real',
  float8: 'double precision',
  float: 'double precision',
  decimal: 'numeric',
  bool: 'boolean',
  varchar: 'character varying',
  char: 'character',
  bpchar: 'character',
  varbit: 'bit varying',
  timestamp: 'timestamp without time zone',
  timestamptz: 'timestamp with time zone',
  time: 'time without time zone',
  timetz: 'time with time zone',
};

interface TypeName {
  readonly schema?: string;
  readonly name: string;
  readonly modifier: string;
  readonly array: boolean;
}

/**
 * `varchar(20)` is `character varying(20)`, `timestamptz(3)[]` is `timestamp(3) with time zone[]`; a type written
 * without its schema fits one of that name in any schema. Case matters for types of the user's own.
 * @throws INPUT_INVALID when `wanted` is no name
 */
export function sameType(wanted: string, actual: string): boolean {
  const [left, right] = [parseType(wanted), parseType(actual)];
  return (
    left.name === right.name &&
    left.modifier === right.modifier &&
    left.array === right.array &&
    (left.schema === undefined || left.schema === (right.schema ?? 'pg_catalog'))
  );
}

function parseType(text: string): TypeName {
  const array = /(\s*\[\d*\])+$/.test(text);
  const scalar = text.replace(/(\s*\[\d*\])+$/, '').trim();
  const match = /^((?:"(?:[^"]|"")*"|[^"(])*)\(([^)]*)\)(.*)$/s.exec(scalar);
  const modifier = (match?.[2] ?? '').replaceAll(/\s+/g, '');
  const plain = (match === null ? scalar : `${match[1]} ${match[3]}`).replaceAll(/\s+/g, ' ').trim();
  const folded = plain.toLowerCase().replace(/^pg_catalog\./, '');
  const known = Object.hasOwn(ALIASES, folded)
    ? ALIASES[folded]
    : /^[a-z][a-z0-9 ]*$/.test(folded) && (Object.values(ALIASES).includes(folded) || BUILT_IN.has(folded))
      ? folded
      : undefined;
  if (known !== undefined) {
    // char alone is one character; numeric(6) is numeric(6,0).
    if (known === 'character' && modifier === '' && folded !== 'bpchar')
      return { name: known, modifier: '1', array };
    if (known === 'numeric' && /^-?\d+$/.test(modifier))
      return { name: known, modifier: `${modifier},0`, array };
    return { name: known, modifier, array };
  }
  return { ...parseName(scalar === '"char"' ? '"""char"""' : plain), modifier, array };
}

/** Types of pg_catalog that people write in any case. */
const BUILT_IN = new Set([
  'text',
  'uuid',
  'json',
  'jsonb',
  'bytea',
  'date',
  'interval',
  'bit',
  'money',
  'xml',
  'inet',
  'cidr',
  'macaddr',
  'tsvector',
  'tsquery',
  'oid',
  'name',
  'point',
  'void',
  'trigger',
]);
