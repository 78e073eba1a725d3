/**
 * What a database should have: keys and references that a suite checks, and everything that a whole copy of it has
 * (a restored backup), with the exact definitions.
 */

import type { CheckDefinition } from '../plan/model.ts';
import { identifier } from '../postgres/client.ts';
import type { Queryable } from '../postgres/columns.ts';
import { REFERENCED_COLUMNS, REFERRING_COLUMNS } from '../postgres/reference-columns.ts';
import { USER_SCHEMA } from '../postgres/user-objects.ts';
import { isRecord } from '../schema-walk.ts';

interface WantedKey {
  /** As a plan writes it. */
  readonly table: string;
  readonly columns: readonly string[];
  readonly name?: string;
  /** `UNIQUE (…)`, of the copy. */
  readonly constraint?: string;
  /** `CREATE UNIQUE INDEX …`, of the copy. */
  readonly index?: string;
  readonly primary?: boolean;
}

export interface WantedReference {
  readonly table: string;
  readonly columns: readonly string[];
  readonly parent: string;
  readonly parentColumns: readonly string[];
  readonly name?: string;
  /** `FOREIGN KEY (…) REFERENCES …`, of the copy. */
  readonly definition?: string;
}

interface WantedIndex {
  readonly table: string;
  readonly schema: string;
  readonly name: string;
  /** `CREATE INDEX …`; of exclusion constraints `ALTER TABLE … ADD CONSTRAINT …`. */
  readonly definition: string;
  /** Can be made without blocking writers. */
  readonly concurrently: boolean;
}

export interface Wanted {
  readonly keys: readonly WantedKey[];
  readonly references: readonly WantedReference[];
  readonly indexes: readonly WantedIndex[];
}

/** What the checks of suites say must be there. */
export function wantedBySuite(definitions: readonly CheckDefinition[]): Wanted {
  const keys: WantedKey[] = [];
  const references: WantedReference[] = [];
  for (const { kind, with: params } of definitions) {
    if (!isRecord(params) || typeof params.table !== 'string' || params.exists === false) continue;
    const columns = texts(params.columns);
    const name = typeof params.name === 'string' ? { name: params.name } : {};
    if (columns === undefined) continue;
    if (kind === 'unique') keys.push({ table: params.table, columns, ...name });
    if (kind === 'primaryKey') keys.push({ table: params.table, columns, ...name, primary: true });
    if (kind === 'foreignKey' && isRecord(params.references)) {
      const parentColumns = texts(params.references.columns);
      if (typeof params.references.table !== 'string' || parentColumns === undefined) continue;
      references.push({
        table: params.table,
        columns,
        parent: params.references.table,
        parentColumns,
        ...name,
      });
    }
  }
  return { keys, references, indexes: [] };
}

function texts(value: unknown): string[] | undefined {
  return Array.isArray(value) && value.every((each) => typeof each === 'string') ? value : undefined;
}

const INDEXES = `
SELECT n.nspname AS schema, t.relname AS "table", t.relkind AS table_kind, c.relname AS name, i.indisunique AS unique,
  i.indisprimary AS primary, i.indpred IS NOT NULL OR i.indexprs IS NOT NULL AS partial,
  ARRAY(SELECT a.attname::text
    FROM pg_catalog.unnest(i.indkey::pg_catalog.int2[]) WITH ORDINALITY AS k(attnum, position)
    JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
    WHERE k.position <= i.indnkeyatts ORDER BY k.position) AS columns,
  pg_catalog.pg_get_constraintdef(con.oid) AS constraint, con.conname AS constraint_name,
  pg_catalog.replace(pg_catalog.pg_get_indexdef(i.indexrelid), ' ON ONLY ', ' ON ') AS definition
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid AND NOT c.relispartition
JOIN pg_catalog.pg_class t ON t.oid = i.indrelid
JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace
LEFT JOIN pg_catalog.pg_constraint con
  ON con.conindid = i.indexrelid AND con.conrelid = i.indrelid AND con.contype IN ('p', 'u', 'x')
WHERE ${USER_SCHEMA} AND i.indisvalid
ORDER BY i.indexrelid`;

const REFERENCES = `
SELECT n.nspname AS schema, t.relname AS "table", con.conname AS name, pn.nspname AS parent_schema, p.relname AS parent,
  pg_catalog.pg_get_constraintdef(con.oid) AS definition,
  ${REFERRING_COLUMNS} AS columns,
  ${REFERENCED_COLUMNS} AS parent_columns
FROM pg_catalog.pg_constraint con
JOIN pg_catalog.pg_class t ON t.oid = con.conrelid
JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace
JOIN pg_catalog.pg_class p ON p.oid = con.confrelid
JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace
WHERE con.contype = 'f' AND con.conparentid = 0 AND ${USER_SCHEMA}
ORDER BY con.oid`;

/** What a whole copy of the database has. @param client search_path is empty, so that definitions are qualified */
export async function wantedByCopy(client: Queryable): Promise<Wanted> {
  const indexes = await client.query<{
    schema: string;
    table: string;
    table_kind: string;
    name: string;
    unique: boolean;
    primary: boolean;
    partial: boolean;
    columns: string[];
    constraint: string | null;
    constraint_name: string | null;
    definition: string;
  }>(INDEXES);
  const references = await client.query<{
    schema: string;
    table: string;
    name: string;
    parent_schema: string;
    parent: string;
    definition: string;
    columns: string[];
    parent_columns: string[];
  }>(REFERENCES);
  const named = (schema: string, name: string) => `${identifier(schema)}.${identifier(name)}`;
  const isKey = (row: { unique: boolean; partial: boolean }) => row.unique && !row.partial;
  return {
    keys: indexes.filter(isKey).map((row) => ({
      table: named(row.schema, row.table),
      columns: row.columns,
      name: row.name,
      primary: row.primary,
      ...(row.constraint === null ? { index: row.definition } : { constraint: row.constraint }),
    })),
    references: references.map((row) => ({
      table: named(row.schema, row.table),
      columns: row.columns,
      parent: named(row.parent_schema, row.parent),
      parentColumns: row.parent_columns,
      name: row.name,
      definition: row.definition.replace(/ NOT VALID$/, ''),
    })),
    indexes: indexes
      .filter((row) => !isKey(row))
      .map((row) => ({
        table: named(row.schema, row.table),
        schema: row.schema,
        name: row.name,
        definition:
          row.constraint === null
            ? row.definition
            : `ALTER TABLE ${named(row.schema, row.table)} ADD CONSTRAINT ${identifier(row.constraint_name ?? row.name)} ${row.constraint}`,
        concurrently: row.constraint === null && row.table_kind !== 'p',
      })),
  };
}

/** Everything that either wants; where both want the same, the copy's definition counts. */
export function joinWanted(suite: Wanted, copy: Wanted): Wanted {
  return {
    keys: [...copy.keys, ...suite.keys],
    references: [...copy.references, ...suite.references],
    indexes: copy.indexes,
  };
}
