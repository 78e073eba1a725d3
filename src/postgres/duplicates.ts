/** Groups of rows that a unique index on some columns would not allow. */
import { identifier } from './client.ts';
import type { Queryable } from './columns.ts';

export interface DuplicateGroup {
  /** Column → value as text. */
  readonly key: Readonly<Record<string, string | null>>;
  readonly rows: number;
}

export interface Duplicates {
  readonly groups: number;
  /** Rows in all groups. */
  readonly rows: number;
  /** The largest groups first. */
  readonly top: readonly DuplicateGroup[];
}

/**
 * Scans `from` (a qualified, quoted table, possibly with ONLY). Rows with a NULL in a key column are no duplicates
 * unless `nullsNotDistinct`.
 */
export async function findDuplicates(
  client: Queryable,
  from: string,
  columns: readonly string[],
  options: { readonly limit: number; readonly nullsNotDistinct: boolean },
): Promise<Duplicates> {
  const keys = columns.map(identifier);
  const where = options.nullsNotDistinct
    ? ''
    : `WHERE ${keys.map((key) => `${key} IS NOT NULL`).join(' AND ')}`;
  const aliases = keys.map((_key, index) => `k${index}`);
  const rows = await client.query<Record<string, string | null>>(
    `SELECT ${aliases.map((alias) => `${alias}::pg_catalog.text AS ${alias}`).join(', ')},
       n AS rows, pg_catalog.count(*) OVER () AS groups, pg_catalog.sum(n) OVER () AS total
     FROM (
       SELECT ${keys.map((key, index) => `${key} AS k${index}`).join(', ')}, pg_catalog.count(*) AS n
       FROM ${from} ${where}
       GROUP BY ${keys.join(', ')} HAVING pg_catalog.count(*) > 1
     ) AS duplicates
     ORDER BY n DESC, ${aliases.join(', ')}
     LIMIT ${Math.max(1, options.limit)}`,
  );
  return {
    groups: Number(rows[0]?.groups ?? 0),
    rows: Number(rows[0]?.total ?? 0),
    top: rows.map((row) => ({
      key: Object.fromEntries(columns.map((column, index) => [column, row[`k${index}`] ?? null])),
      rows: Number(row.rows),
    })),
  };
}
