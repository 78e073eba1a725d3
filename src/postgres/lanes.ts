/**
 * Lanes, version 1: one exact sum of hashes per column, which says whether a column's content is the same in two
 * databases and, when it is not, which column differs.
 *
 *   lane(c)  = sum of H(c, seed) over all rows; NULL adds nothing
 *   seed     = an integer primary key itself; else H chained over the key's columns from 0; 0 without a key
 *   lane("") = without a key: sum of H(text of the whole row), which sees cells that swapped rows
 *   H        = integers:   hashint8extended(c::int8, seed)
 *              timestamps: timestamp_hash_extended(c at UTC, seed)
 *              all else:   hashtextextended(c::text COLLATE "C", seed)
 *
 * Text and not the native hash of a type: enums hash by OID, numeric, jsonb and interval by equality (1.0 = 1.00), and
 * floats changed their hash between majors. Sums and not XOR: equal rows would cancel out. Finds damage, not forgery.
 * The settings of `snapshot.ts` must be in force.
 */
import { identifier } from './client.ts';
import type { Column } from './columns.ts';

export const LANE_VERSION = 1;

/** The name of the lane of whole rows; no column can be called so. */
export const ROW_LANE = '';

export interface LaneQuery {
  readonly sql: string;
  /** Lane names in the order of the result columns `l0`, `l1`, … after `rows`. */
  readonly names: readonly string[];
}

/**
 * The query that yields `rows` and one column per lane.
 * @param from qualified and quoted, with ONLY where it belongs
 * @param seed names of the seed columns, in key order
 */
export function laneQuery(from: string, columns: readonly Column[], seed: readonly string[]): LaneQuery {
  const stored = columns.filter(hasLane);
  const keys = seed
    .map((name) => stored.find((column) => column.name === name))
    .filter((column) => column !== undefined);
  const [first] = keys;
  const names = stored.map((column) => column.name);
  if (keys.length === 1 && first !== undefined && isInteger(first)) {
    const lanes = stored.map((column) => hash(column, value('t', column), integer(value('t', first))));
    return { sql: select(lanes, `${from} AS t`), names };
  }
  if (keys.length > 0) {
    // OFFSET 0 keeps the planner from merging the sub-select, which would compute the seed once per lane.
    const chained = keys.reduce((sofar, column) => hash(column, value('t', column), sofar), '0');
    const inner = [
      ...stored.map((column, index) => `${value('t', column)} AS c${index}`),
      `${chained} AS seed`,
    ];
    const lanes = stored.map((column, index) => hash(column, `q.c${index}`, 'q.seed'));
    return { sql: select(lanes, `(SELECT ${inner.join(', ')} FROM ${from} AS t OFFSET 0) AS q`), names };
  }
  const lanes = stored.map((column) => hash(column, value('t', column), '0'));
  if (stored.length === 0) return { sql: select(lanes, `${from} AS t`), names };
  // By name, so that the order of columns, which may differ, does not matter.
  const texts = [...stored]
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map((column) => text(column, value('t', column)));
  const row = `pg_catalog.hashtextextended(ROW(${texts.join(', ')})::pg_catalog.text COLLATE pg_catalog."C", 0)`;
  return { sql: select([...lanes, row], `${from} AS t`), names: [...names, ROW_LANE] };
}

/** Virtual generated columns hold nothing; stored ones are included, which proves that they were computed alike. */
export function hasLane(column: Column): boolean {
  return column.generated !== 'v';
}

function select(lanes: readonly string[], from: string): string {
  const sums = lanes.map(
    (lane, index) => `, coalesce(pg_catalog.sum(${lane}), 0)::pg_catalog.text AS l${index}`,
  );
  return `SELECT pg_catalog.count(*)::pg_catalog.text AS rows${sums.join('')} FROM ${from}`;
}

function value(alias: string, column: Column): string {
  return `${alias}.${identifier(column.name)}`;
}

function builtin(column: Column): string | undefined {
  return column.base.schema === 'pg_catalog' ? column.base.name : undefined;
}

function isInteger(column: Column): boolean {
  return ['int2', 'int4', 'int8'].includes(builtin(column) ?? '');
}

function integer(sql: string): string {
  return `${sql}::pg_catalog.int8`;
}

function hash(column: Column, sql: string, seed: string): string {
  if (isInteger(column)) return `pg_catalog.hashint8extended(${integer(sql)}, ${seed})`;
  switch (builtin(column)) {
    case 'timestamp':
      return `pg_catalog.timestamp_hash_extended(${sql}, ${seed})`;
    case 'timestamptz':
      return `pg_catalog.timestamp_hash_extended(pg_catalog.timezone('UTC', ${sql}), ${seed})`;
    default:
      return `pg_catalog.hashtextextended(${text(column, sql)} COLLATE pg_catalog."C", ${seed})`;
  }
}

/** The value as text, the same on every server that holds it. */
function text(column: Column, sql: string): string {
  switch (builtin(column)) {
    case 'money':
      return `${sql}::pg_catalog.numeric::pg_catalog.text`;
    case 'bytea':
      // Hexadecimal doubles the size and may not exceed 1 GB.
      return `CASE WHEN pg_catalog.octet_length(${sql}) < 100000000 THEN pg_catalog.encode(${sql}, 'hex') ELSE pg_catalog.encode(pg_catalog.sha256(${sql}), 'hex') END`;
    default:
      return `${sql}::pg_catalog.text`;
  }
}
