/** Which tables and sequences hold the data that a dump carries. */
import type { Manifest } from '../repository/manifest.ts';
import { identifier } from './client.ts';
import type { Queryable } from './columns.ts';
import { type ObjectName, parseName } from './object-name.ts';
import { notMember, USER_SCHEMA } from './user-objects.ts';

export type Selection = Manifest['selection'];

/** A table to count: an ordinary one, or the root of a partition tree, which stands for its partitions. */
export interface DataTable {
  readonly oid: number;
  readonly schema: string;
  readonly table: string;
  /** What to write after FROM. */
  readonly from: string;
  /** Columns of the primary key in key order. */
  readonly key: readonly string[];
  readonly unlogged: boolean;
}

export interface DataSequence {
  readonly schema: string;
  readonly name: string;
  readonly sql: string;
  readonly increment: string;
}

interface TableRow extends Record<string, unknown> {
  oid: number;
  schema: string;
  name: string;
  kind: string;
  unlogged: boolean;
  /** The table itself and every table above it in its partition tree, nearest first. */
  lineage: string[];
  key: string[];
}

// Members of extensions are left out: the extension itself brings their rows.
const TABLES = `
WITH RECURSIVE lineage AS (
  SELECT c.oid, c.oid AS ancestor, 0 AS depth, c.relispartition AS has_parent
  FROM pg_catalog.pg_class c WHERE c.relkind IN ('r', 'p', 'f')
  UNION ALL
  SELECT l.oid, i.inhparent, l.depth + 1, p.relispartition
  FROM lineage l
  JOIN pg_catalog.pg_inherits i ON i.inhrelid = l.ancestor
  JOIN pg_catalog.pg_class p ON p.oid = i.inhparent
  WHERE l.has_parent
), lineages AS (
  SELECT oid, pg_catalog.array_agg(ancestor ORDER BY depth)::pg_catalog.int8[]::pg_catalog.text[] AS lineage
  FROM lineage GROUP BY oid
)
SELECT c.oid, n.nspname AS schema, c.relname AS name, c.relkind AS kind, c.relpersistence = 'u' AS unlogged,
  lineages.lineage,
  ARRAY(
    SELECT a.attname::text
    FROM pg_catalog.pg_index i
    CROSS JOIN pg_catalog.unnest(i.indkey::pg_catalog.int2[]) WITH ORDINALITY AS k(attnum, position)
    JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
    WHERE i.indrelid = c.oid AND i.indisprimary AND k.position <= i.indnkeyatts
    ORDER BY k.position
  ) AS key
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN lineages ON lineages.oid = c.oid
WHERE c.relkind IN ('r', 'p', 'f') AND c.relpersistence <> 't' AND ${USER_SCHEMA} AND ${notMember('pg_class', 'c.oid')}
  AND NOT (c.relpersistence = 'u' AND pg_catalog.pg_is_in_recovery())
ORDER BY n.nspname, c.relname`;

/**
 * Tables whose rows a dump with this selection carries. A partition is decided by its own name or that of any table
 * above it; where all partitions belong, their root stands for them, otherwise each one for itself. Foreign tables
 * are never read: a dump has no rows of them. On a standby, unlogged tables cannot be read.
 */
export async function listDataTables(client: Queryable, selection: Selection = {}): Promise<DataTable[]> {
  if (selection.only === 'schema') return [];
  const rows = await client.query<TableRow>(TABLES);
  const byOid = new Map(rows.map((row) => [String(row.oid), row]));
  const matches = selector(rows, selection);
  const selected = (row: TableRow) =>
    matches(row.lineage.map((oid) => byOid.get(oid)).filter((each) => each !== undefined));
  const leaves = rows.filter((row) => row.kind !== 'p');
  const tables: TableRow[] = leaves.filter(
    (row) => row.kind === 'r' && row.lineage.length === 1 && selected(row),
  );
  for (const root of rows.filter((row) => row.kind === 'p' && row.lineage.length === 1)) {
    const parts = leaves.filter((row) => row.lineage.at(-1) === String(root.oid));
    const wanted = parts.filter((row) => row.kind === 'r' && selected(row));
    // A root without partitions is an empty table of its own.
    if (wanted.length === parts.length && (parts.length > 0 || selected(root))) tables.push(root);
    else tables.push(...wanted);
  }
  return tables.sort((a, b) => compare(a.schema, b.schema) || compare(a.name, b.name)).map(toDataTable);
}

/** Sequences that a dump with this selection carries: those of selected tables, and those of no table. */
export async function listSequences(client: Queryable, selection: Selection = {}): Promise<DataSequence[]> {
  if (selection.only === 'schema') return [];
  const rows = await client.query<{
    schema: string;
    name: string;
    increment: string;
    table: string | null;
    table_schema: string | null;
  }>(
    `SELECT n.nspname AS schema, c.relname AS name, s.seqincrement::pg_catalog.text AS increment,
       t.relname AS table, tn.nspname AS table_schema
     FROM pg_catalog.pg_class c
     JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     JOIN pg_catalog.pg_sequence s ON s.seqrelid = c.oid
     LEFT JOIN pg_catalog.pg_depend o ON o.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND o.objid = c.oid
       AND o.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND o.refobjsubid > 0 AND o.deptype IN ('a', 'i')
     LEFT JOIN pg_catalog.pg_class t ON t.oid = o.refobjid
     LEFT JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace
     WHERE c.relkind = 'S' AND c.relpersistence <> 't' AND ${USER_SCHEMA} AND ${notMember('pg_class', 'c.oid')}
       AND NOT (c.relpersistence = 'u' AND pg_catalog.pg_is_in_recovery())
     ORDER BY n.nspname, c.relname`,
  );
  const names = rows.flatMap(({ schema, name, table, table_schema }) => [
    { schema, name },
    ...(table === null || table_schema === null ? [] : [{ schema: table_schema, name: table }]),
  ]);
  const matches = selector(names, selection);
  return rows
    .filter(({ schema, name, table, table_schema }) =>
      matches([
        table === null || table_schema === null ? { schema, name } : { schema: table_schema, name: table },
      ]),
    )
    .map(({ schema, name, increment }) => ({
      schema,
      name,
      increment,
      sql: `${identifier(schema)}.${identifier(name)}`,
    }));
}

/** Large objects belong to no schema: pg_dump leaves them out as soon as schemas or tables are selected. */
export function carriesLargeObjects(selection: Selection = {}): boolean {
  return selection.only !== 'schema' && isEmpty(selection.schemas) && isEmpty(selection.tables);
}

/** True when a dump carries everything. */
export function isWhole(selection: Selection): boolean {
  return Object.values(selection).every(
    (value) => value === undefined || (Array.isArray(value) && value.length === 0),
  );
}

function isEmpty(list: readonly string[] | undefined): boolean {
  return list === undefined || list.length === 0;
}

export type Named = Required<ObjectName>;

/** A test of a table given with all tables above it in its partition tree. */
export function selector(
  all: readonly Named[],
  selection: Selection,
): (lineage: readonly Named[]) => boolean {
  const any = (list: readonly string[] | undefined) => {
    const tests = (list ?? []).map((text) => nameTest(text, all));
    return (lineage: readonly Named[]) => lineage.some((table) => tests.some((test) => test(table)));
  };
  const [wanted, excluded, dataless] = [
    any(selection.tables),
    any(selection.exclude),
    any(selection.excludeData),
  ];
  return (lineage) =>
    (isEmpty(selection.schemas) || selection.schemas?.includes(lineage[0]?.schema ?? '') === true) &&
    (isEmpty(selection.tables) || wanted(lineage)) &&
    !excluded(lineage) &&
    !dataless(lineage);
}

/**
 * A test for one name as the plan writes it, exact; `*` and `?` stand for any letters where no quotes are used.
 * Without a schema: the table in public, or where that has none, those of that name anywhere.
 */
export function nameTest(text: string, all: readonly Named[]): (table: Named) => boolean {
  const name = parseName(text);
  const wild = !text.includes('"') && /[*?]/.test(text);
  const part = (wanted: string) => {
    if (!wild) return (actual: string) => actual === wanted;
    const pattern = new RegExp(
      `^${wanted
        .replace(/[.+^${}()|[\]\\]/g, '\\$&')
        .replaceAll('*', '.*')
        .replaceAll('?', '.')}$`,
      's',
    );
    return (actual: string) => pattern.test(actual);
  };
  const nameMatches = part(name.name);
  if (name.schema !== undefined) {
    const schemaMatches = part(name.schema);
    return (table) => schemaMatches(table.schema) && nameMatches(table.name);
  }
  const inPublic = all.some((table) => table.schema === 'public' && nameMatches(table.name));
  return (table) => nameMatches(table.name) && (!inPublic || table.schema === 'public');
}

function toDataTable(row: TableRow): DataTable {
  const sql = `${identifier(row.schema)}.${identifier(row.name)}`;
  return {
    oid: row.oid,
    schema: row.schema,
    table: row.name,
    // Rows of tables that inherit are counted with those; partitions have no rows but those of their root.
    from: row.kind === 'r' ? `ONLY ${sql}` : sql,
    key: row.key,
    unlogged: row.unlogged,
  };
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
