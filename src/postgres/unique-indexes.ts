/** Unique indexes of a table, matched by their key columns and not by their names. */
import type { Queryable } from './columns.ts';

export interface UniqueIndex {
  readonly oid: number;
  readonly name: string;
  readonly schema: string;
  /** Key columns in index order; expressions are left out (then `expressions` is true). INCLUDE columns are not keys. */
  readonly columns: readonly string[];
  readonly valid: boolean;
  /** `WHERE …`, for a partial index. */
  readonly predicate?: string;
  readonly expressions: boolean;
  /** False for a deferrable constraint, which can be violated until commit. */
  readonly immediate: boolean;
  readonly primary: boolean;
  readonly nullsNotDistinct: boolean;
  readonly partitioned: boolean;
  /** The constraint that owns it, where one does. Prisma's `@@unique` makes an index without one. */
  readonly constraint?: { readonly oid: number; readonly name: string; readonly definition: string };
  /** As `pg_get_indexdef()` writes it. */
  readonly definition: string;
}

interface Row extends Record<string, unknown> {
  table: number;
  oid: number;
  name: string;
  schema: string;
  columns: string[];
  valid: boolean;
  predicate: string | null;
  expressions: boolean;
  immediate: boolean;
  primary: boolean;
  nulls_not_distinct: boolean | null;
  partitioned: boolean;
  constraint_oid: number | null;
  constraint_name: string | null;
  constraint_definition: string | null;
  definition: string;
}

// Matched on pg_index, not on pg_constraint. to_jsonb reads columns that older servers do not have as null.
// Source: https://www.postgresql.org/docs/current/catalog-pg-index.html
const UNIQUE_INDEXES = `
SELECT i.indrelid AS table, i.indexrelid AS oid, c.relname AS name, n.nspname AS schema,
  ARRAY(
    SELECT a.attname::text
    FROM pg_catalog.unnest(i.indkey::pg_catalog.int2[]) WITH ORDINALITY AS k(attnum, position)
    JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
    WHERE k.position <= i.indnkeyatts AND k.attnum > 0
    ORDER BY k.position
  ) AS columns,
  i.indisvalid AND i.indisready AND i.indislive AS valid,
  pg_catalog.pg_get_expr(i.indpred, i.indrelid) AS predicate,
  i.indexprs IS NOT NULL AS expressions,
  i.indimmediate AS immediate, i.indisprimary AS primary,
  (pg_catalog.to_jsonb(i) ->> 'indnullsnotdistinct')::pg_catalog.bool AS nulls_not_distinct,
  c.relkind = 'I' AS partitioned,
  con.oid AS constraint_oid, con.conname AS constraint_name,
  pg_catalog.pg_get_constraintdef(con.oid) AS constraint_definition,
  pg_catalog.pg_get_indexdef(i.indexrelid) AS definition
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_constraint con
  ON con.conindid = i.indexrelid AND con.conrelid = i.indrelid AND con.contype IN ('p', 'u')
WHERE i.indrelid = ANY ($1::pg_catalog.oid[]) AND i.indisunique
ORDER BY c.relname`;

export async function loadUniqueIndexes(client: Queryable, table: number): Promise<UniqueIndex[]> {
  return (await loadAllUniqueIndexes(client, [table])).get(table) ?? [];
}

/** The same for several tables with one query. */
export async function loadAllUniqueIndexes(
  client: Queryable,
  tables: readonly number[],
): Promise<Map<number, UniqueIndex[]>> {
  const indexes = new Map<number, UniqueIndex[]>(tables.map((oid) => [oid, []]));
  for (const row of await client.query<Row>(UNIQUE_INDEXES, [tables])) {
    indexes.get(row.table)?.push(toUniqueIndex(row));
  }
  return indexes;
}

function toUniqueIndex(row: Row): UniqueIndex {
  return {
    oid: row.oid,
    name: row.name,
    schema: row.schema,
    columns: row.columns,
    valid: row.valid,
    ...(row.predicate === null ? {} : { predicate: row.predicate }),
    expressions: row.expressions,
    immediate: row.immediate,
    primary: row.primary,
    nullsNotDistinct: row.nulls_not_distinct ?? false,
    partitioned: row.partitioned,
    ...(row.constraint_oid === null || row.constraint_name === null
      ? {}
      : {
          constraint: {
            oid: row.constraint_oid,
            name: row.constraint_name,
            definition: row.constraint_definition ?? '',
          },
        }),
    definition: row.definition,
  };
}

/** The same columns in any order. */
export function sameSet(left: readonly string[], right: readonly string[]): boolean {
  return left.length === right.length && isSubset(left, right) && isSubset(right, left);
}

export function isSubset(part: readonly string[], whole: readonly string[]): boolean {
  return part.every((each) => whole.includes(each));
}
