/** Indexes, keys, references and constraints of the tables of a live database. */
import type { Client } from '../../postgres/client.ts';
import type { ObjectName } from '../../postgres/object-name.ts';
import { REFERENCED_COLUMNS, REFERRING_COLUMNS } from '../../postgres/reference-columns.ts';
import { notMember, USER_SCHEMA } from '../../postgres/user-objects.ts';
import { type LiveTable, onTables } from './table.ts';
import { valuesOf } from './values.ts';

export interface LiveIndex {
  readonly table: LiveTable;
  readonly name: string;
  readonly columns: readonly string[];
  /** What it is on, in order, expressions as PostgreSQL writes them. */
  readonly keys: readonly string[];
  /** Columns that it only carries along. */
  readonly included: readonly string[];
  readonly method: string;
  /** The condition of a partial index. */
  readonly predicate: string | null;
  readonly unique: boolean;
  readonly primary: boolean;
  /** A predicate or expressions: it guards less than its columns say. */
  readonly partial: boolean;
  readonly valid: boolean;
}

export interface LiveForeignKey {
  readonly table: LiveTable;
  readonly name: string;
  readonly columns: readonly string[];
  readonly parent: ObjectName;
  readonly parentColumns: readonly string[];
  /** This role may read the rows of both tables. */
  readonly readable: boolean;
  /** Why the check of it fails already, for example `NOT VALID`. */
  readonly trouble?: string;
}

/** A column that holds only some values, by a CHECK constraint. */
export interface LiveValues {
  readonly table: LiveTable;
  readonly column: string;
  readonly values: readonly string[];
  readonly notNull: boolean;
}

/** A CHECK or exclusion constraint. */
export interface LiveConstraint {
  readonly table: LiveTable;
  readonly name: string;
  readonly validated: boolean;
}

export interface LiveDomainConstraint {
  readonly domain: Required<ObjectName>;
  readonly name: string;
  readonly validated: boolean;
}

export interface LiveKeys {
  readonly indexes: readonly LiveIndex[];
  readonly foreignKeys: readonly LiveForeignKey[];
  readonly values: readonly LiveValues[];
  readonly constraints: readonly LiveConstraint[];
  readonly domainConstraints: readonly LiveDomainConstraint[];
}

const INDEXES = `
SELECT i.indrelid AS table_oid, c.relname AS name, i.indisunique AS unique, i.indisprimary AS primary,
  i.indpred IS NOT NULL OR i.indexprs IS NOT NULL AS partial,
  i.indisvalid AND i.indisready AND i.indislive AS valid,
  am.amname::pg_catalog.text AS method, pg_catalog.pg_get_expr(i.indpred, i.indrelid) AS predicate,
  ARRAY(SELECT a.attname::text
    FROM pg_catalog.unnest(i.indkey::pg_catalog.int2[]) WITH ORDINALITY AS k(attnum, position)
    JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
    WHERE k.position <= i.indnkeyatts ORDER BY k.position) AS columns,
  ARRAY(SELECT coalesce(a.attname::text, pg_catalog.pg_get_indexdef(i.indexrelid, k.position::int, true))
    FROM pg_catalog.unnest(i.indkey::pg_catalog.int2[]) WITH ORDINALITY AS k(attnum, position)
    LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
    WHERE k.position <= i.indnkeyatts ORDER BY k.position) AS keys,
  ARRAY(SELECT a.attname::text
    FROM pg_catalog.unnest(i.indkey::pg_catalog.int2[]) WITH ORDINALITY AS k(attnum, position)
    JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
    WHERE k.position > i.indnkeyatts ORDER BY k.position) AS included
FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
JOIN pg_catalog.pg_am am ON am.oid = c.relam
WHERE i.indrelid = ANY ($1::pg_catalog.oid[])
ORDER BY pg_catalog.array_position($1::pg_catalog.oid[], i.indrelid), NOT i.indisprimary, c.relname`;

const FOREIGN_KEYS = `
SELECT con.conrelid AS table_oid, con.conname AS name, pn.nspname AS parent_schema, p.relname AS parent_name, p.oid AS parent_oid,
  ${REFERRING_COLUMNS} AS columns,
  ${REFERENCED_COLUMNS} AS parent_columns,
  CASE WHEN NOT coalesce((pg_catalog.to_jsonb(con) ->> 'conenforced')::pg_catalog.bool, true) THEN 'NOT ENFORCED'
    WHEN EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE t.tgconstraint = con.oid AND t.tgenabled NOT IN ('O', 'A'))
      THEN 'not enforced, its triggers are disabled'
    WHEN NOT con.convalidated THEN 'NOT VALID' END AS trouble
FROM pg_catalog.pg_constraint con
JOIN pg_catalog.pg_class p ON p.oid = con.confrelid
JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace
WHERE con.contype = 'f' AND con.conrelid = ANY ($1::pg_catalog.oid[])
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint up WHERE up.oid = con.conparentid AND up.conrelid = con.conrelid)
ORDER BY pg_catalog.array_position($1::pg_catalog.oid[], con.conrelid), con.conname`;

const CHECKS = `
SELECT con.conrelid AS table_oid, a.attname AS column, pg_catalog.pg_get_expr(con.conbin, con.conrelid) AS expression
FROM pg_catalog.pg_constraint con
JOIN pg_catalog.pg_attribute a ON a.attrelid = con.conrelid AND a.attnum = con.conkey[1]
WHERE con.contype = 'c' AND con.convalidated AND pg_catalog.cardinality(con.conkey) = 1
  AND con.conrelid = ANY ($1::pg_catalog.oid[])
ORDER BY con.conname`;

const CONSTRAINTS = `
SELECT con.conrelid AS table_oid, con.conname AS name, con.convalidated AS validated
FROM pg_catalog.pg_constraint con
WHERE con.contype IN ('c', 'x') AND con.conrelid = ANY ($1::pg_catalog.oid[])
ORDER BY pg_catalog.array_position($1::pg_catalog.oid[], con.conrelid), con.conname`;

const DOMAIN_CONSTRAINTS = `
SELECT n.nspname AS schema, t.typname AS domain, con.conname AS name, con.convalidated AS validated
FROM pg_catalog.pg_constraint con
JOIN pg_catalog.pg_type t ON t.oid = con.contypid JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
WHERE con.contype = 'c' AND ${USER_SCHEMA} AND ${notMember('pg_type', 't.oid')}
ORDER BY n.nspname <> 'public', n.nspname, t.typname, con.conname`;

interface ForeignKeyRow extends Record<string, unknown> {
  table_oid: number;
  name: string;
  columns: string[];
  parent_oid: number;
  parent_schema: string;
  parent_name: string;
  parent_columns: string[];
  trouble: string | null;
}

/**
 * @param tables whose keys are wanted
 * @param all these and the partitions; a reference may lead out of them
 */
export async function loadKeys(
  client: Client,
  tables: readonly LiveTable[],
  all: readonly LiveTable[],
  wanted: (schema: string) => boolean,
): Promise<LiveKeys> {
  const oids = tables.map(({ oid }) => oid);
  const byOid = new Map(all.map((table) => [table.oid, table]));
  const on = onTables(byOid);
  type IndexRow = Omit<LiveIndex, 'table'> & { table_oid: number } & Record<string, unknown>;
  const indexes = on(await client.query<IndexRow>(INDEXES, [oids])).map(
    ({ table, row: { table_oid: _, ...index } }) => ({ ...index, table }) as LiveIndex,
  );
  const foreignKeys = on(await client.query<ForeignKeyRow>(FOREIGN_KEYS, [oids])).map(
    ({ table, row }): LiveForeignKey => ({
      table,
      name: row.name,
      columns: row.columns,
      parent: { schema: row.parent_schema, name: row.parent_name },
      parentColumns: row.parent_columns,
      readable: table.readable && byOid.get(row.parent_oid)?.readable !== false,
      ...(row.trouble === null ? {} : { trouble: row.trouble }),
    }),
  );
  const values = on(
    await client.query<{ table_oid: number; column: string; expression: string }>(CHECKS, [oids]),
  ).flatMap(({ table, row }): LiveValues[] => {
    const listed = valuesOf(row.expression, row.column);
    const column = table.columns.get(row.column);
    return listed === undefined || column === undefined
      ? []
      : [{ table, column: row.column, values: listed, notNull: column.notNull }];
  });
  const constraints = on(
    await client.query<{ table_oid: number; name: string; validated: boolean }>(CONSTRAINTS, [oids]),
  ).map(({ table, row: { name, validated } }) => ({ table, name, validated }));
  const domains = await client.query<{ schema: string; domain: string; name: string; validated: boolean }>(
    DOMAIN_CONSTRAINTS,
  );
  return {
    indexes,
    foreignKeys,
    values,
    constraints,
    domainConstraints: domains
      .filter(({ schema }) => wanted(schema))
      .map(({ schema, domain, name, validated }) => ({ domain: { schema, name: domain }, name, validated })),
  };
}
