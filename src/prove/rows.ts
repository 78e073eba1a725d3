/** Statements that change rows so that a check of rows must notice. */
import type { CheckClient, CheckOptions } from '../checks/check-kind.ts';
import { type Relation, requireColumns, requireTable } from '../checks/names.ts';
import { identifier, literal } from '../postgres/client.ts';
import { type Column, loadColumns } from '../postgres/columns.ts';
import type { Damage } from './mutation.ts';

/** A text that no application writes. */
const BROKEN = 'backplan: broken';

const TIMES = [`'-infinity'`, `'infinity'`, `'1900-01-01'`];

/** By `pg_type.typname`: values at the ends of what the type can hold, where nothing sensible lies. */
const VALUES: Readonly<Record<string, readonly string[]>> = {
  int2: ['-1', '0', '-32768', '32767'],
  int4: ['-1', '0', '-2147483648', '2147483647'],
  int8: ['-1', '0', '-9223372036854775808', '9223372036854775807'],
  numeric: ['-1', '0', '-1000000000', '1000000000', '-1e-9'],
  float4: ['-1', '0', '-1e30', '1e30'],
  float8: ['-1', '0', '-1e300', '1e300'],
  timestamptz: TIMES,
  timestamp: TIMES,
  date: TIMES,
  interval: [`'-1000 years'`, `'1000 years'`, `'0'`],
  uuid: [`'00000000-0000-4000-8000-00000000dead'`],
  json: [`'"${BROKEN}"'`, `'{}'`, `'[]'`, `'null'`],
  jsonb: [`'"${BROKEN}"'`, `'{}'`, `'[]'`, `'null'`],
};

/** Values, as SQL, that a column is unlikely to be allowed to hold. */
export function brokenValues(column: Column): string[] {
  const known = VALUES[column.base.name];
  if (known !== undefined) return [...known];
  const name = identifier(column.name);
  if (column.base.name === 'bool') return [`NOT t.${name}`, 'true', 'false'];
  if (column.base.category === 'A') return [`'{}'`];
  if (column.base.category === 'S') return [`'${BROKEN}'`, `''`, `'☃'`];
  return [];
}

/** The rows that the check looks at: what its `where` says. */
export function condition({ where }: Pick<CheckOptions, 'where'>): string {
  return where === undefined ? 'true' : `(${where})`;
}

export interface Rows {
  readonly table: Relation;
  readonly columns: readonly Column[];
}

/** @throws INPUT_INVALID for a table or column that does not exist */
export async function rowsOf(client: CheckClient, name: string, columns: readonly string[]): Promise<Rows> {
  const table = await requireTable(client, name);
  return { table, columns: await requireColumns(client, table, columns) };
}

/** The same for all columns of a table. */
export async function allRowsOf(client: CheckClient, name: string): Promise<Rows> {
  const table = await requireTable(client, name);
  return { table, columns: (await loadColumns(client, [table.oid])).get(table.oid) ?? [] };
}

/** SQL for `SET`: which column becomes what. */
export type Assignment = readonly [column: string, value: string];

/** First in one row, then in all: a check with a threshold may put up with one. */
export function update(
  table: Relation,
  assignments: readonly Assignment[],
  options: Pick<CheckOptions, 'where'>,
): Damage[] {
  const set = assignments.map(([column, value]) => `${identifier(column)} = ${value}`).join(', ');
  const rows = condition(options);
  const one = `(t.tableoid, t.ctid) IN (SELECT t.tableoid, t.ctid FROM ${table.sql} AS t WHERE ${rows} LIMIT 1)`;
  return [
    {
      what: `${set} in one row of ${table.sql}`,
      sql: [`UPDATE ${table.sql} AS t SET ${set} WHERE ${one}`],
      table,
    },
    { what: `${set} in ${table.sql}`, sql: [`UPDATE ${table.sql} AS t SET ${set} WHERE ${rows}`], table },
  ];
}

/** Each broken value in each of the columns. */
export function breakValues({ table, columns }: Rows, options: Pick<CheckOptions, 'where'>): Damage[] {
  return columns.flatMap((column) =>
    brokenValues(column).flatMap((value) => update(table, [[column.name, value]], options)),
  );
}

/** The column as text with a value that nobody expects: what is left where its type holds only good values. */
export function breakAsText(table: Relation, column: Column, options: Pick<CheckOptions, 'where'>): Damage {
  const name = identifier(column.name);
  return {
    what: `${name} of ${table.sql} becomes text and '${BROKEN}'`,
    sql: [
      `ALTER TABLE ${table.sql} ALTER COLUMN ${name} DROP DEFAULT`,
      `ALTER TABLE ${table.sql} ALTER COLUMN ${name} TYPE pg_catalog.text USING ${name}::pg_catalog.text`,
      `UPDATE ${table.sql} AS t SET ${name} = '${BROKEN}' WHERE ${condition(options)}`,
    ],
    table,
  };
}

export function deleteRows(table: Relation, options: Pick<CheckOptions, 'where'>): Damage {
  return {
    what: `delete rows of ${table.sql}`,
    sql: [`DELETE FROM ${table.sql} AS t WHERE ${condition(options)}`],
    table,
  };
}

/** Rows once more, keys and all. @param count how many; they repeat the rows that are there */
export function copyRows(
  { table, columns }: Rows,
  options: Pick<CheckOptions, 'where'>,
  count: number,
  notNull: readonly Column[] = [],
): Damage {
  const own = columns.filter(({ generated }) => generated === '').map(({ name }) => identifier(name));
  const list = own.join(', ');
  const from = own.map((name) => `t.${name}`).join(', ');
  const rows = [condition(options), ...notNull.map(({ name }) => `t.${identifier(name)} IS NOT NULL`)];
  return {
    what: `rows of ${table.sql} twice`,
    sql: [
      `INSERT INTO ${table.sql} (${list}) OVERRIDING SYSTEM VALUE SELECT ${from} FROM ${table.sql} AS t` +
        ` CROSS JOIN pg_catalog.generate_series(1, ${count}) WHERE ${rows.join(' AND ')} LIMIT ${count}`,
    ],
    table,
  };
}

/** A value of the plan as SQL. */
export function plainValue(value: unknown): string {
  return literal(String(value)).trim();
}

interface Hindrance extends Record<string, unknown> {
  sql: string;
}

// Source: https://www.postgresql.org/docs/current/catalog-pg-constraint.html, catalog-pg-index.html
const HINDRANCES = `
SELECT pg_catalog.format('ALTER TABLE %s DROP CONSTRAINT IF EXISTS %I CASCADE', c.conrelid::pg_catalog.regclass, c.conname) AS sql
FROM pg_catalog.pg_constraint c
WHERE c.conrelid IN (SELECT $1::pg_catalog.oid UNION ALL SELECT relid FROM pg_catalog.pg_partition_tree($1::pg_catalog.oid::pg_catalog.regclass))
  AND c.contype IN ('c', 'u', 'p', 'x') AND c.conislocal AND c.conparentid = 0
UNION ALL
SELECT pg_catalog.format('DROP INDEX IF EXISTS %s CASCADE', i.indexrelid::pg_catalog.regclass)
FROM pg_catalog.pg_index i
WHERE i.indrelid = $1::pg_catalog.oid AND i.indisunique
  AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_constraint c WHERE c.conindid = i.indexrelid AND c.contype IN ('u', 'p', 'x'))
UNION ALL
SELECT pg_catalog.format('ALTER TABLE %s ALTER COLUMN %I DROP EXPRESSION', a.attrelid::pg_catalog.regclass, a.attname)
FROM pg_catalog.pg_attribute a
WHERE a.attrelid = $1::pg_catalog.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = 's'
UNION ALL
SELECT pg_catalog.format('ALTER TABLE %s ALTER COLUMN %I DROP IDENTITY IF EXISTS', a.attrelid::pg_catalog.regclass, a.attname)
FROM pg_catalog.pg_attribute a
WHERE a.attrelid = $1::pg_catalog.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attidentity <> ''
UNION ALL
SELECT pg_catalog.format('ALTER TABLE %s ALTER COLUMN %I DROP NOT NULL', a.attrelid::pg_catalog.regclass, a.attname)
FROM pg_catalog.pg_attribute a
WHERE a.attrelid = $1::pg_catalog.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attnotnull
UNION ALL
SELECT pg_catalog.format('CREATE TABLE public."backplan: default" PARTITION OF %s DEFAULT', p.partrelid::pg_catalog.regclass)
FROM pg_catalog.pg_partitioned_table p
WHERE p.partrelid = $1::pg_catalog.oid AND p.partdefid = 0 AND p.partstrat <> 'h'`;

/** Statements that take away what keeps wrong rows out of a table, in this order. */
export async function loosening(client: CheckClient, table: Relation): Promise<string[]> {
  return (await client.query<Hindrance>(HINDRANCES, [table.oid])).map(({ sql }) => sql);
}
