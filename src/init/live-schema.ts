/**
 * What a live database has that a suite can check: tables, keys, foreign keys, indexes and accepted values. Read-only.
 * What extensions brought along is left out, and so are partitions: they come and go, their parent speaks for them.
 * Source: https://www.postgresql.org/docs/current/catalogs.html
 */

import { catalogHealth } from '../checks/catalog-health.ts';
import { HEALTH_ITEM_NAMES, HEALTH_ITEMS } from '../checks/catalog-health-items.ts';
import { allSequences, sequencePositions, sequenceTrouble } from '../checks/sequence-state.ts';
import { type Client, identifier } from '../postgres/client.ts';
import { type Column, loadColumns } from '../postgres/columns.ts';
import { type ObjectName, parseName } from '../postgres/object-name.ts';
import { REFERENCED_COLUMNS, REFERRING_COLUMNS } from '../postgres/reference-columns.ts';

export interface LiveTable {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  /** `pg_class.relkind`: r table, p partitioned table, v view, m materialized view, f foreign table. */
  readonly kind: string;
  /** undefined where this role may not look, and for views and foreign tables. */
  readonly hasRows?: boolean;
  readonly columns: ReadonlyMap<string, Column>;
  /** Some foreign key leads to it. */
  readonly referenced: boolean;
}

export interface LiveIndex {
  readonly table: LiveTable;
  readonly name: string;
  readonly columns: readonly string[];
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
  /** Why the check of it fails already, for example `NOT VALID`. */
  readonly trouble?: string;
}

export interface LiveEnum {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  readonly labels: readonly string[];
}

export interface LiveSequence {
  readonly schema: string;
  readonly name: string;
  /** The column that owns it. */
  readonly owner?: { readonly table: ObjectName; readonly column: string };
  /** Why it will fail, for example that it is behind its column. */
  readonly trouble?: string;
}

/** A column that holds only some values, by a CHECK constraint. */
export interface LiveValues {
  readonly table: LiveTable;
  readonly column: string;
  readonly values: readonly string[];
  readonly notNull: boolean;
}

export interface LiveSchema {
  readonly database: string;
  readonly tables: readonly LiveTable[];
  /** Partitions, which no suite needs to name but which exist. */
  readonly partitions: readonly LiveTable[];
  readonly indexes: readonly LiveIndex[];
  readonly foreignKeys: readonly LiveForeignKey[];
  readonly values: readonly LiveValues[];
  readonly enums: readonly LiveEnum[];
  readonly sequences: readonly LiveSequence[];
  /** CHECK and exclusion constraints. */
  readonly constraints: readonly {
    readonly table: LiveTable;
    readonly name: string;
    readonly validated: boolean;
  }[];
  readonly triggers: readonly {
    readonly table: LiveTable;
    readonly name: string;
    readonly enabled: 'origin' | 'always' | 'replica' | 'disabled';
  }[];
  readonly extensions: readonly string[];
  /** What catalogHealth finds already, by its items, those that it only warns of left out. */
  readonly ailing: readonly string[];
  /** Items of catalogHealth that this role may not look at. */
  readonly unseen: readonly string[];
  /** The table or view that a plan calls so, as checks find it. */
  find(text: string): LiveTable | undefined;
}

const USER_SCHEMA = `n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)'`;

const TABLES = `
SELECT c.oid, n.nspname AS schema, c.relname AS name, c.relkind AS kind, c.relispartition AS partition,
  pg_catalog.has_table_privilege(c.oid, 'SELECT') AS readable,
  EXISTS (SELECT FROM pg_catalog.pg_constraint f WHERE f.confrelid = c.oid AND f.contype = 'f') AS referenced,
  c.relkind <> 'm' OR c.relispopulated AS populated
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND ${USER_SCHEMA} AND NOT EXISTS (
  SELECT FROM pg_catalog.pg_depend d
  WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY n.nspname <> 'public', n.nspname, c.relname`;

const INDEXES = `
SELECT i.indrelid AS table_oid, c.relname AS name, i.indisunique AS unique, i.indisprimary AS primary,
  i.indpred IS NOT NULL OR i.indexprs IS NOT NULL AS partial,
  i.indisvalid AND i.indisready AND i.indislive AS valid,
  ARRAY(SELECT a.attname::text
    FROM pg_catalog.unnest(i.indkey::pg_catalog.int2[]) WITH ORDINALITY AS k(attnum, position)
    JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
    WHERE k.position <= i.indnkeyatts ORDER BY k.position) AS columns
FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
WHERE i.indrelid = ANY ($1::pg_catalog.oid[])
ORDER BY pg_catalog.array_position($1::pg_catalog.oid[], i.indrelid), NOT i.indisprimary, c.relname`;

const FOREIGN_KEYS = `
SELECT con.conrelid AS table_oid, con.conname AS name, pn.nspname AS parent_schema, p.relname AS parent_name,
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

const TRIGGERS = `
SELECT t.tgrelid AS table_oid, t.tgname AS name,
  CASE t.tgenabled WHEN 'O' THEN 'origin' WHEN 'A' THEN 'always' WHEN 'R' THEN 'replica' ELSE 'disabled' END AS enabled
FROM pg_catalog.pg_trigger t
WHERE NOT t.tgisinternal AND t.tgrelid = ANY ($1::pg_catalog.oid[])
ORDER BY pg_catalog.array_position($1::pg_catalog.oid[], t.tgrelid), t.tgname`;

interface TableRow extends Record<string, unknown> {
  oid: number;
  schema: string;
  name: string;
  kind: string;
  partition: boolean;
  readable: boolean;
  referenced: boolean;
  populated: boolean;
}

export interface InspectOptions {
  /** Only these schemas. */
  readonly schemas?: readonly string[];
}

/** Looks at everything that a suite can check. @throws QUERY_FAILED, CONNECTION_FAILED */
export async function inspectSchema(client: Client, options: InspectOptions = {}): Promise<LiveSchema> {
  const rows = (await client.query<TableRow>(TABLES)).filter(
    ({ schema }) => options.schemas === undefined || options.schemas.includes(schema),
  );
  const oids = rows.filter(({ partition }) => !partition).map(({ oid }) => oid);
  const columns = await loadColumns(
    client,
    rows.map(({ oid }) => oid),
  );
  const filled = await findRows(client, rows);
  const all = rows.map((row): LiveTable => {
    const hasRows = filled.get(row.oid);
    return {
      oid: row.oid,
      schema: row.schema,
      name: row.name,
      kind: row.kind,
      ...(hasRows === undefined ? {} : { hasRows }),
      columns: new Map((columns.get(row.oid) ?? []).map((column) => [column.name, column])),
      referenced: row.referenced,
    };
  });
  const byOid = new Map(all.map((table) => [table.oid, table]));
  const partitions = new Set(rows.filter(({ partition }) => partition).map(({ oid }) => oid));
  const tables = all.filter(({ oid }) => !partitions.has(oid));
  const on = <Row extends { table_oid: number }>(found: Row[]) =>
    found.flatMap((row) => {
      const table = byOid.get(row.table_oid);
      return table === undefined ? [] : [{ table, row }];
    });
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
      ...(row.trouble === null ? {} : { trouble: row.trouble }),
    }),
  );
  const checks = on(
    await client.query<{ table_oid: number; column: string; expression: string }>(CHECKS, [oids]),
  ).flatMap(({ table, row }): LiveValues[] => {
    const values = valuesOf(row.expression, row.column);
    const column = columns.get(table.oid)?.find(({ name }) => name === row.column);
    return values === undefined || column === undefined
      ? []
      : [{ table, column: row.column, values, notNull: column.notNull }];
  });
  return {
    database: client.connection.database,
    tables,
    partitions: all.filter(({ oid }) => partitions.has(oid)),
    indexes,
    foreignKeys,
    values: checks,
    enums: (await client.query<LiveEnum & Record<string, unknown>>(ENUMS)).filter(
      ({ schema }) => options.schemas === undefined || options.schemas.includes(schema),
    ),
    constraints: on(
      await client.query<{ table_oid: number; name: string; validated: boolean }>(CONSTRAINTS, [oids]),
    ).map(({ table, row: { name, validated } }) => ({ table, name, validated })),
    triggers: on(
      await client.query<{
        table_oid: number;
        name: string;
        enabled: 'origin' | 'always' | 'replica' | 'disabled';
      }>(TRIGGERS, [oids]),
    ).map(({ table, row: { name, enabled } }) => ({ table, name, enabled })),
    extensions: (
      await client.query<{ name: string }>(
        `SELECT extname AS name FROM pg_catalog.pg_extension WHERE extname <> 'plpgsql' ORDER BY 1`,
      )
    ).map(({ name }) => name),
    sequences: (await findSequences(client)).filter(
      ({ schema }) => options.schemas === undefined || options.schemas.includes(schema),
    ),
    ...(await findAilments(client)),
    find: (text) => findTable(all, text),
  };
}

interface ForeignKeyRow extends Record<string, unknown> {
  table_oid: number;
  name: string;
  columns: string[];
  parent_schema: string;
  parent_name: string;
  parent_columns: string[];
  trouble: string | null;
}

/** As checks do: without a schema `public` first, then any. */
function findTable(all: readonly LiveTable[], text: string): LiveTable | undefined {
  let wanted: ObjectName;
  try {
    wanted = parseName(text);
  } catch {
    return undefined;
  }
  const named = all.filter(
    ({ schema, name }) => name === wanted.name && (wanted.schema === undefined || schema === wanted.schema),
  );
  return named.find(({ schema }) => schema === 'public') ?? named[0];
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
      // A lock, a policy or a right that is missing on one of them: the others are asked one by one.
      for (const each of some) await ask([each]).catch(() => {});
    }
  }
  return found;
}

const ENUMS = `
SELECT t.oid, n.nspname AS schema, t.typname AS name,
  ARRAY(SELECT e.enumlabel::text FROM pg_catalog.pg_enum e WHERE e.enumtypid = t.oid ORDER BY e.enumsortorder) AS labels
FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
WHERE t.typtype = 'e' AND ${USER_SCHEMA} AND NOT EXISTS (
  SELECT FROM pg_catalog.pg_depend d
  WHERE d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass AND d.objid = t.oid AND d.deptype = 'e')
ORDER BY n.nspname <> 'public', n.nspname, t.typname`;

async function findSequences(client: Client): Promise<LiveSequence[]> {
  const all = await allSequences(client);
  // Without the right to read one of them nobody can say how far it is.
  const positions = await sequencePositions(client, all).catch(
    () => new Map<number, Parameters<typeof sequenceTrouble>[1]>(),
  );
  return all.map((sequence) => {
    const position = positions.get(sequence.oid);
    const trouble = position === undefined ? undefined : sequenceTrouble(sequence, position)?.message;
    const owner = sequence.columns.find(({ owned }) => owned);
    return {
      schema: sequence.schema,
      name: sequence.name,
      ...(owner === undefined
        ? {}
        : { owner: { table: { schema: owner.schema, name: owner.table }, column: owner.column } }),
      ...(trouble === undefined ? {} : { trouble }),
    };
  });
}

async function findAilments(client: Client): Promise<Pick<LiveSchema, 'ailing' | 'unseen'>> {
  const ailing: string[] = [];
  const unseen: string[] = [];
  for (const item of HEALTH_ITEM_NAMES) {
    if (HEALTH_ITEMS.find((each) => each.item === item)?.severity === 'warn') continue;
    const skip = HEALTH_ITEM_NAMES.filter((each) => each !== item);
    await client.query('BEGIN READ ONLY');
    try {
      const options = { sample: 0, rows: false, trustIndexes: true };
      const { outcome } = await catalogHealth.run(client, { skip, warn: [] }, options);
      if (outcome === 'failed') ailing.push(item);
    } catch {
      unseen.push(item);
    } finally {
      await client.query('ROLLBACK');
    }
  }
  return { ailing, unseen };
}

const TEXT_LIST =
  /^\(+(?<column>"(?:[^"]|"")+"|[\w$]+)\)?(?:::text)? = ANY \(+ARRAY\[(?<list>.*?)\]\)?(?:::text\[\])?\)+$/s;
const TEXT_ITEM = /\s*'(?<text>(?:[^']|'')*)'::(?:text|character varying)(?:::text)?\s*(?:,|$)/y;

/**
 * The values of `CHECK (status IN ('a', 'b'))` as the server writes it: `(status = ANY (ARRAY['a'::text, …]))`.
 * undefined for every other condition.
 */
export function valuesOf(expression: string, column: string): string[] | undefined {
  const match = TEXT_LIST.exec(expression);
  if (match?.groups === undefined) return undefined;
  const { column: written = '', list = '' } = match.groups;
  if (written.replace(/^"|"$/g, '').replaceAll('""', '"') !== column) return undefined;
  const values: string[] = [];
  TEXT_ITEM.lastIndex = 0;
  while (TEXT_ITEM.lastIndex < list.length) {
    const text = TEXT_ITEM.exec(list)?.groups?.text;
    if (text === undefined) return undefined;
    values.push(text.replaceAll("''", "'"));
  }
  return values.length === 0 ? undefined : values;
}
