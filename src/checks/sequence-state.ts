/**
 * Sequences with the columns that draw from them and how far ahead of those they are. A column draws from a sequence
 * that it owns (serial, identity) or that its default calls.
 */

import { identifier } from '../postgres/client.ts';
import { notMember, USER_SCHEMA } from '../postgres/user-objects.ts';
import { findObjects } from './catalog-check.ts';
import type { CheckClient } from './check-kind.ts';
import { showName } from './names.ts';

export interface Sequence extends Record<string, unknown> {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  readonly type: string;
  /** Whole numbers as text: they may not fit a JavaScript number. */
  readonly increment: string;
  readonly min: string;
  readonly max: string;
  readonly cycle: boolean;
  readonly unlogged: boolean;
  readonly columns: readonly Drawer[];
}

/** A column that draws from a sequence. */
export interface Drawer {
  readonly schema: string;
  readonly table: string;
  readonly column: string;
  /** Owned (serial or identity), not merely its default. */
  readonly owned: boolean;
  readonly type: string;
  /** Numbers straight from the sequence; false for a default that makes something else of them. */
  readonly plain: boolean;
}

// Source: https://www.postgresql.org/docs/current/catalog-pg-depend.html (a: serial, i: identity; a default depends on what it calls)
// Drawn together once for all sequences: looked up for each, a database of many defaults takes quadratic time.
const SEQUENCES = `
SELECT c.oid, n.nspname::pg_catalog.text AS schema, c.relname::pg_catalog.text AS name,
  pg_catalog.format_type(s.seqtypid, NULL) AS type, s.seqincrement::pg_catalog.text AS increment,
  s.seqmin::pg_catalog.text AS min, s.seqmax::pg_catalog.text AS max, s.seqcycle AS cycle,
  c.relpersistence = 'u' AS unlogged, coalesce(drawers.columns, '[]') AS columns
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_sequence s ON s.seqrelid = c.oid
LEFT JOIN (
  SELECT d.sequence, pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object('schema', d.schema, 'table', d.relname,
    'column', d.attname, 'owned', d.owned, 'type', d.type, 'plain', d.plain) ORDER BY d.owned DESC, d.schema, d.relname, d.attname) AS columns
  FROM (
    SELECT l.sequence, tn.nspname AS schema, t.relname, a.attname, pg_catalog.bool_or(l.owned) AS owned,
      pg_catalog.format_type(a.atttypid, NULL) AS type,
      pg_catalog.bool_and(ty.typcategory = 'N' AND (ad.adbin IS NULL
        OR pg_catalog.pg_get_expr(ad.adbin, ad.adrelid) ~ '^\\(?nextval\\(''.*''::regclass\\)\\)?(::[a-z0-9]+)?$')) AS plain
    FROM (
      SELECT o.objid AS sequence, o.refobjid AS relation, o.refobjsubid AS attnum, true AS owned
      FROM pg_catalog.pg_depend o JOIN pg_catalog.pg_sequence q ON q.seqrelid = o.objid
      WHERE o.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND o.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
        AND o.refobjsubid > 0 AND o.deptype IN ('a', 'i')
      UNION ALL
      SELECT q.seqrelid, e.adrelid, e.adnum, false
      FROM pg_catalog.pg_attrdef e
      JOIN pg_catalog.pg_depend o ON o.objid = e.oid AND o.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass
        AND o.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
      JOIN pg_catalog.pg_sequence q ON q.seqrelid = o.refobjid
    ) AS l
    JOIN pg_catalog.pg_class t ON t.oid = l.relation AND t.relkind IN ('r', 'p') AND NOT t.relispartition
    JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace
    JOIN pg_catalog.pg_attribute a ON a.attrelid = l.relation AND a.attnum = l.attnum AND NOT a.attisdropped
    JOIN pg_catalog.pg_type ty ON ty.oid = a.atttypid
    LEFT JOIN pg_catalog.pg_attrdef ad ON ad.adrelid = a.attrelid AND ad.adnum = a.attnum AND a.attidentity = ''
    GROUP BY l.sequence, tn.nspname, t.relname, a.attname, a.atttypid
  ) AS d
  GROUP BY d.sequence
) AS drawers ON drawers.sequence = c.oid
WHERE c.relkind = 'S' AND c.relpersistence <> 't' AND ${USER_SCHEMA} AND ${notMember('pg_class', 'c.oid')}`;

/** The sequences of these names. @throws INPUT_INVALID as findObjects does */
export async function findSequences(
  client: CheckClient,
  names: readonly string[],
): ReturnType<typeof findObjects<Sequence>> {
  return await hashed(client, () =>
    findObjects<Sequence>(client, { what: 'sequence', sql: SEQUENCES }, names),
  );
}

/**
 * Without nested loops: a catalog that was just filled has no statistics, the planner takes its tables for empty and
 * would compare each sequence with each default.
 */
async function hashed<T>(client: CheckClient, work: () => Promise<T>): Promise<T> {
  await client.query('SET LOCAL enable_nestloop = off');
  const result = await work();
  await client.query('SET LOCAL enable_nestloop TO DEFAULT');
  return result;
}

/** All sequences of the database that are the user's own. */
export async function allSequences(client: CheckClient): Promise<Sequence[]> {
  // Unlogged ones cannot be read on a standby.
  return await hashed(client, () =>
    client.query<Sequence>(
      `SELECT * FROM (${SEQUENCES}) AS all_sequences WHERE NOT (unlogged AND pg_catalog.pg_is_in_recovery()) ORDER BY schema, name`,
    ),
  );
}

export interface Position {
  /** What nextval() will give. */
  readonly next: bigint;
  /** The value farthest along in each plain column, in the order of `columns`; undefined where all are empty. */
  readonly used: readonly { readonly column: Drawer; readonly value: bigint }[];
  /** What share of its values is still to come, 0 to 1; the narrowest column decides. */
  readonly headroom: number;
}

/** @throws QUERY_FAILED (42501) when the role may not read a sequence or a column */
export async function sequencePositions(
  client: CheckClient,
  sequences: readonly Sequence[],
): Promise<Map<number, Position>> {
  const positions = new Map<number, Position>();
  // Planning takes more than twice as long for twice as many.
  for (let start = 0; start < sequences.length; start += 50) {
    const chunk = sequences.slice(start, start + 50);
    const rows = await client.query<{
      number: number;
      last: string;
      called: boolean;
      used: (string | null)[];
    }>(chunk.map(positionQuery).join('\nUNION ALL\n'));
    for (const row of rows) {
      const sequence = chunk[row.number];
      if (sequence !== undefined) positions.set(sequence.oid, toPosition(sequence, row));
    }
  }
  return positions;
}

function positionQuery(sequence: Sequence, number: number): string {
  const extreme = BigInt(sequence.increment) < 0n ? 'min' : 'max';
  const used = sequence.columns.map((column) =>
    column.plain
      ? `(SELECT pg_catalog.trunc(pg_catalog.${extreme}(${identifier(column.column)})::pg_catalog.numeric)::pg_catalog.text FROM ${identifier(column.schema)}.${identifier(column.table)})`
      : 'NULL',
  );
  return `SELECT ${number} AS number, last_value::pg_catalog.text AS last, is_called AS called, ARRAY[${used.join(', ')}]::pg_catalog.text[] AS used FROM ${identifier(sequence.schema)}.${identifier(sequence.name)}`;
}

function toPosition(
  sequence: Sequence,
  row: { last: string; called: boolean; used: (string | null)[] },
): Position {
  const increment = BigInt(sequence.increment);
  const next = row.called ? BigInt(row.last) + increment : BigInt(row.last);
  const used = sequence.columns.flatMap((column, index) => {
    const value = row.used[index];
    return value === null || value === undefined || !/^-?\d+$/.test(value)
      ? []
      : [{ column, value: BigInt(value) }];
  });
  const [from, to] =
    increment > 0n
      ? [BigInt(sequence.min), smallest([BigInt(sequence.max), ...sequence.columns.flatMap(largestOf)])]
      : [-BigInt(sequence.max), -BigInt(sequence.min)];
  const at = increment > 0n ? next : -next;
  const headroom = at > to ? 0 : Number(((to - at + 1n) * 1_000_000n) / (to - from + 1n)) / 1_000_000;
  return { next, used, headroom: Math.min(1, Math.max(0, headroom)) };
}

const LARGEST: Readonly<Record<string, bigint>> = {
  smallint: 32_767n,
  integer: 2_147_483_647n,
  bigint: 9_223_372_036_854_775_807n,
};

function largestOf(column: Drawer): bigint[] {
  const largest = column.plain ? LARGEST[column.type] : undefined;
  return largest === undefined ? [] : [largest];
}

function smallest(values: readonly bigint[]): bigint {
  const [least = 0n] = [...values].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
  return least;
}

export interface SequenceTrouble {
  readonly message: string;
  readonly hint: string;
  /** The statement that puts it ahead of its columns; a sequence that is used up has none. */
  readonly setsForward?: string;
}

/** Why the next value will collide or fail, with the statement that mends it; undefined when all is well. */
export function sequenceTrouble(sequence: Sequence, position: Position): SequenceTrouble | undefined {
  const increment = BigInt(sequence.increment);
  const sql = `${identifier(sequence.schema)}.${identifier(sequence.name)}`;
  const behind = position.used.filter(({ value }) =>
    increment > 0n ? position.next <= value : position.next >= value,
  );
  const [first] = behind;
  if (first !== undefined) {
    const worst = behind.reduce(
      (far, { value }) => ((increment > 0n ? value > far : value < far) ? value : far),
      first.value,
    );
    const setsForward = `SELECT pg_catalog.setval('${sql.replaceAll("'", "''")}', ${worst + increment}, false)`;
    return {
      message: `sequence ${showName(sequence)} gives ${position.next} next, ${columnName(first.column)} already holds ${first.value}`,
      hint: `${setsForward};`,
      setsForward,
    };
  }
  if (position.headroom === 0 && !sequence.cycle) {
    return {
      message: `sequence ${showName(sequence)} is used up: ${position.next} does not fit`,
      hint: `Widen the column and the sequence: ALTER SEQUENCE ${sql} AS bigint NO MAXVALUE;`,
    };
  }
  return undefined;
}

/** `"User"."id"`. */
export function columnName(column: Drawer): string {
  return `${showName({ schema: column.schema, name: column.table })}.${identifier(column.column)}`;
}
