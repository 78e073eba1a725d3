/** Tables and foreign keys as recovery of rows needs them. Source: https://www.postgresql.org/docs/current/catalogs.html */

import { type Client, identifier } from '../postgres/client.ts';
import { type Column, loadColumns } from '../postgres/columns.ts';
import { REFERENCED_COLUMNS, REFERRING_COLUMNS } from '../postgres/reference-columns.ts';
import { loadUniqueIndexes, type UniqueIndex } from '../postgres/unique-indexes.ts';

export interface RecoveryTable {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  /** Quoted and qualified. */
  readonly sql: string;
  /** `pg_class.relkind`: r or p. */
  readonly kind: string;
  readonly columns: readonly Column[];
  /** What tells its rows apart: the primary key, else a unique key of columns that are never NULL. */
  readonly key: readonly string[] | undefined;
  /** False for a deferrable key, which cannot settle conflicts. */
  readonly immediate: boolean;
  /** Other unique keys, without partial ones and expressions. */
  readonly otherKeys: readonly UniqueIndex[];
}

export interface RecoveryReference {
  readonly name: string;
  readonly child: number;
  readonly parent: number;
  readonly columns: readonly string[];
  readonly parentColumns: readonly string[];
  /** `pg_constraint.confdeltype`: c cascade, n set null, d set default, a no action, r restrict. */
  readonly onDelete: string;
  readonly deferrable: boolean;
}

export interface Tables {
  readonly byOid: ReadonlyMap<number, RecoveryTable>;
  readonly references: readonly RecoveryReference[];
}

const REFERENCES = `
SELECT con.conname AS name, con.conrelid AS child, con.confrelid AS parent, con.confdeltype AS "onDelete",
  con.condeferrable AS deferrable,
  ${REFERRING_COLUMNS} AS columns,
  ${REFERENCED_COLUMNS} AS "parentColumns"
FROM pg_catalog.pg_constraint con
WHERE con.contype = 'f' AND con.conparentid = 0
ORDER BY con.oid`;

/**
 * The table itself, all that it refers to, and all that would be deleted or changed along with its rows, transitively.
 * @param children also follow ON DELETE CASCADE, SET NULL and SET DEFAULT downwards
 */
export async function loadFamily(client: Client, start: number, children: boolean): Promise<Tables> {
  const all = await client.query<RecoveryReference & Record<string, unknown>>(REFERENCES);
  const family = new Set([start]);
  for (const oid of family) {
    for (const each of all) {
      if (each.child === oid) family.add(each.parent);
      if (children && each.parent === oid && /[cnd]/.test(each.onDelete)) family.add(each.child);
    }
  }
  return {
    byOid: await loadTables(client, [...family]),
    references: all.filter(({ child, parent }) => family.has(child) && family.has(parent)),
  };
}

async function loadTables(client: Client, oids: readonly number[]): Promise<Map<number, RecoveryTable>> {
  const rows = await client.query<{ oid: number; schema: string; name: string; kind: string }>(
    `SELECT c.oid, n.nspname AS schema, c.relname AS name, c.relkind AS kind
     FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE c.oid = ANY ($1::pg_catalog.oid[])`,
    [oids],
  );
  const columns = await loadColumns(client, oids);
  const tables = new Map<number, RecoveryTable>();
  for (const row of rows) {
    const own = columns.get(row.oid) ?? [];
    const never = new Set(own.filter(({ notNull }) => notNull).map(({ name }) => name));
    const unique = (await loadUniqueIndexes(client, row.oid)).filter(
      ({ predicate, expressions, valid }) => valid && predicate === undefined && !expressions,
    );
    const key =
      unique.find(({ primary }) => primary) ??
      unique.find((each) => each.immediate && each.columns.every((column) => never.has(column)));
    tables.set(row.oid, {
      ...row,
      sql: `${identifier(row.schema)}.${identifier(row.name)}`,
      columns: own,
      key: key?.columns,
      immediate: key?.immediate ?? false,
      otherKeys: unique.filter((each) => each !== key),
    });
  }
  return tables;
}

/** Names of the tables and of their partitions, for a restore of these only. */
export async function namesWithPartitions(client: Client, tables: Tables): Promise<string[]> {
  const rows = await client.query<{ schema: string; name: string }>(
    `SELECT DISTINCT n.nspname AS schema, c.relname AS name
     FROM pg_catalog.unnest($1::pg_catalog.oid[]) AS wanted(oid)
     CROSS JOIN LATERAL (SELECT wanted.oid AS relid UNION SELECT relid::pg_catalog.oid FROM pg_catalog.pg_partition_tree(wanted.oid::pg_catalog.regclass)) AS tree
     JOIN pg_catalog.pg_class c ON c.oid = tree.relid
     JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace ORDER BY 1, 2`,
    [[...tables.byOid.keys()]],
  );
  return rows.map(({ schema, name }) => `${identifier(schema)}.${identifier(name)}`);
}
