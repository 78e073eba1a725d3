/** Tables, views and partitions of a live database, and whether they have rows. */
import { type Client, identifier } from '../../postgres/client.ts';
import { type Column, loadColumns } from '../../postgres/columns.ts';
import { notMember, USER_SCHEMA } from '../../postgres/user-objects.ts';

export interface LiveTable {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  /** `pg_class.relkind`: r table, p partitioned table, v view, m materialized view, f foreign table. */
  readonly kind: string;
  readonly owner: string;
  /** This role may read all its rows: it has the right, and no policy hides any from it. */
  readonly readable: boolean;
  /** Of a materialized view: it was filled. */
  readonly populated: boolean;
  /** Of a view: it reads its tables with the rights of who asks. */
  readonly securityInvoker: boolean;
  /** undefined where this role may not look, and for views and foreign tables. */
  readonly hasRows?: boolean;
  readonly columns: ReadonlyMap<string, Column>;
  /** Some foreign key leads to it. */
  readonly referenced: boolean;
}

interface TableRow extends Record<string, unknown> {
  oid: number;
  schema: string;
  name: string;
  kind: string;
  owner: string;
  partition: boolean;
  readable: boolean;
  referenced: boolean;
  populated: boolean;
  invoker: boolean;
}

// row_security_active() is true for who is bound by policies, whatever row_security says.
const TABLES = `
SELECT c.oid, n.nspname AS schema, c.relname AS name, c.relkind AS kind, c.relispartition AS partition,
  pg_catalog.pg_get_userbyid(c.relowner)::pg_catalog.text AS owner,
  pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_table_privilege(c.oid, 'SELECT')
    AND NOT pg_catalog.row_security_active(c.oid) AS readable,
  EXISTS (SELECT FROM pg_catalog.pg_constraint f WHERE f.confrelid = c.oid AND f.contype = 'f') AS referenced,
  c.relkind <> 'm' OR c.relispopulated AS populated,
  coalesce(pg_catalog.array_to_string(c.reloptions, ' ') ~* 'security_invoker=(true|on|1|yes)', false) AS invoker
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND ${USER_SCHEMA} AND ${notMember('pg_class', 'c.oid')}
ORDER BY n.nspname <> 'public', n.nspname, c.relname`;

export interface LiveTables {
  readonly tables: readonly LiveTable[];
  /** Partitions, which no suite needs to name but which exist. */
  readonly partitions: readonly LiveTable[];
}

/** @param wanted whether a schema is looked at */
export async function loadTables(client: Client, wanted: (schema: string) => boolean): Promise<LiveTables> {
  const rows = (await client.query<TableRow>(TABLES)).filter(({ schema }) => wanted(schema));
  const columns = await loadColumns(
    client,
    rows.map(({ oid }) => oid),
  );
  const filled = await findRows(client, rows);
  const tables: LiveTable[] = [];
  const partitions: LiveTable[] = [];
  for (const { oid, schema, name, kind, owner, readable, populated, referenced, ...row } of rows) {
    const hasRows = filled.get(oid);
    (row.partition ? partitions : tables).push({
      oid,
      schema,
      name,
      kind,
      owner,
      readable,
      populated,
      referenced,
      securityInvoker: row.invoker,
      ...(hasRows === undefined ? {} : { hasRows }),
      columns: new Map((columns.get(oid) ?? []).map((column) => [column.name, column])),
    });
  }
  return { tables, partitions };
}

/** Tables asked in one statement: each needs a lock for a moment. */
const AT_ONCE = 50;

/** Whether tables have rows at all, without counting them. */
async function findRows(client: Client, rows: readonly TableRow[]): Promise<Map<number, boolean>> {
  const found = new Map<number, boolean>();
  const readable = rows.filter(
    ({ kind, readable, populated, partition }) =>
      ['r', 'p', 'm'].includes(kind) && readable && populated && !partition,
  );
  const ask = async (some: readonly TableRow[]) => {
    const answers = await client.query<{ oid: number; filled: boolean }>(
      some
        .map(
          ({ oid, schema, name }) =>
            `SELECT ${oid}::pg_catalog.oid AS oid, EXISTS (SELECT FROM ${identifier(schema)}.${identifier(name)}) AS filled`,
        )
        .join(' UNION ALL '),
    );
    for (const { oid, filled } of answers) found.set(oid, filled);
  };
  for (let start = 0; start < readable.length; start += AT_ONCE) {
    const some = readable.slice(start, start + AT_ONCE);
    try {
      await ask(some);
    } catch {
      // A lock or a partition that may not be read: the others are asked one by one.
      for (const each of some) await ask([each]).catch(() => {});
    }
  }
  return found;
}

/** Makes a function that puts rows of a catalog beside the tables that they are about; those of others are left out. */
export function onTables(tables: ReadonlyMap<number, LiveTable>) {
  return <Row extends { table_oid: number }>(found: readonly Row[]) =>
    found.flatMap((row) => {
      const table = tables.get(row.table_oid);
      return table === undefined ? [] : [{ table, row }];
    });
}
