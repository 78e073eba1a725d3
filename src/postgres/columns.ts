/** Columns of tables with what is needed to compare and to hash them: base type, equality operator, collation. */
import { identifier } from './client.ts';

/** Whatever can run a query: a driver client, or the narrower one that checks get. */
export interface Queryable {
  query<Row extends Record<string, unknown> = Record<string, unknown>>(
    sql: string,
    values?: readonly unknown[],
  ): Promise<Row[]>;
}

export interface Column {
  readonly name: string;
  /** `attnum`. */
  readonly number: number;
  /** As `format_type()` writes it, with schema where it is not in pg_catalog. */
  readonly type: string;
  /** The type under all domains. */
  readonly base: BaseType;
  /** Quoted and qualified, where the column has a collation. */
  readonly collation?: string;
  readonly notNull: boolean;
  /** `s` stored, `v` virtual, '' not generated. */
  readonly generated: string;
}

export interface BaseType {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  /** `pg_type.typtype`: b base, e enum, c composite, r range, m multirange. */
  readonly kind: string;
  /** `pg_type.typcategory`: N number, S string, A array, … */
  readonly category: string;
}

interface ColumnRow extends Record<string, unknown> {
  relation: number;
  name: string;
  number: number;
  type: string;
  not_null: boolean;
  generated: string;
  collation_schema: string | null;
  collation_name: string | null;
  base_oid: number;
  base_schema: string;
  base_name: string;
  base_kind: string;
  base_category: string;
}

// Source: https://www.postgresql.org/docs/current/catalog-pg-attribute.html and …/catalog-pg-type.html
const COLUMNS = `
WITH RECURSIVE base AS (
  SELECT t.oid AS start, t.oid, t.typname, t.typnamespace, t.typtype, t.typcategory, t.typbasetype
  FROM pg_catalog.pg_type t
  WHERE t.oid IN (SELECT atttypid FROM pg_catalog.pg_attribute WHERE attrelid = ANY ($1::oid[]) AND attnum > 0)
  UNION ALL
  SELECT base.start, t.oid, t.typname, t.typnamespace, t.typtype, t.typcategory, t.typbasetype
  FROM base JOIN pg_catalog.pg_type t ON t.oid = base.typbasetype
  WHERE base.typtype = 'd'
)
SELECT a.attrelid AS relation, a.attname AS name, a.attnum AS number,
  pg_catalog.format_type(a.atttypid, a.atttypmod) AS type,
  a.attnotnull AS not_null, a.attgenerated AS generated,
  cn.nspname AS collation_schema, co.collname AS collation_name,
  base.oid AS base_oid, bn.nspname AS base_schema, base.typname AS base_name,
  base.typtype AS base_kind, base.typcategory AS base_category
FROM pg_catalog.pg_attribute a
JOIN base ON base.start = a.atttypid AND base.typtype <> 'd'
JOIN pg_catalog.pg_namespace bn ON bn.oid = base.typnamespace
LEFT JOIN pg_catalog.pg_collation co ON co.oid = a.attcollation
LEFT JOIN pg_catalog.pg_namespace cn ON cn.oid = co.collnamespace
WHERE a.attrelid = ANY ($1::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attrelid, a.attnum`;

/** Live columns of the tables with these oids, in table order. */
export async function loadColumns(
  client: Queryable,
  tables: readonly number[],
): Promise<Map<number, Column[]>> {
  const columns = new Map<number, Column[]>(tables.map((oid) => [oid, []]));
  if (tables.length === 0) return columns;
  for (const row of await client.query<ColumnRow>(COLUMNS, [tables])) {
    columns.get(row.relation)?.push({
      name: row.name,
      number: row.number,
      type: row.type,
      base: {
        oid: row.base_oid,
        schema: row.base_schema,
        name: row.base_name,
        kind: row.base_kind,
        category: row.base_category,
      },
      ...(row.collation_schema === null || row.collation_name === null
        ? {}
        : { collation: `${identifier(row.collation_schema)}.${identifier(row.collation_name)}` }),
      notNull: row.not_null,
      generated: row.generated,
    });
  }
  return columns;
}

// Source: https://www.postgresql.org/docs/current/catalog-pg-opclass.html (a btree class's strategy 3 is equality)
const EQUALITY = `
SELECT oc.opcintype AS type, n.nspname AS schema, o.oprname AS name
FROM pg_catalog.pg_opclass oc
JOIN pg_catalog.pg_am am ON am.oid = oc.opcmethod AND am.amname = 'btree'
JOIN pg_catalog.pg_amop ao ON ao.amopfamily = oc.opcfamily
  AND ao.amoplefttype = oc.opcintype AND ao.amoprighttype = oc.opcintype AND ao.amopstrategy = 3
JOIN pg_catalog.pg_operator o ON o.oid = ao.amopopr
JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace
WHERE oc.opcdefault AND oc.opcintype = ANY ($1::oid[])`;

/**
 * The equality operator of each type, qualified: with an empty search_path a bare `=` between two citext values
 * would silently mean the case-sensitive one of text.
 */
export async function equalityOperators(
  client: Queryable,
  types: readonly number[],
): Promise<(type: number) => string> {
  const rows = await client.query<{ type: number; schema: string; name: string }>(EQUALITY, [types]);
  const operators = new Map(
    rows.map((row) => [row.type, `OPERATOR(${identifier(row.schema)}.${row.name})`] as const),
  );
  return (type) => operators.get(type) ?? 'OPERATOR(pg_catalog.=)';
}
