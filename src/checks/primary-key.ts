import { identifier } from '../postgres/client.ts';
import { sameSet } from '../postgres/unique-indexes.ts';
import { columnsSchema, tableNameSchema } from '../schema.ts';
import {
  absence,
  defineCatalogCheck,
  existenceTitle,
  existsSchema,
  failed,
  withoutTable,
} from './catalog-check.ts';
import type { Finding } from './check-kind.ts';
import { findTables, isMissing, type Relation, showColumns, showName } from './names.ts';
import { fromRows } from './unique.ts';

interface PrimaryKey extends Record<string, unknown> {
  table: number;
  name: string;
  columns: string[];
  valid: boolean;
  immediate: boolean;
}

/** `primaryKey: {table, columns}`: the table has a valid primary key on these columns. */
export const primaryKey = defineCatalogCheck({
  kind: 'primaryKey',
  summary: 'A table has a primary key, on these columns.',
  params: {
    type: 'object',
    description: 'A primary key that must exist.',
    required: ['table'],
    additionalProperties: false,
    properties: {
      table: { ...tableNameSchema, description: 'The table.', examples: ['User'] },
      columns: {
        ...columnsSchema,
        uniqueItems: true,
        description: 'Its columns, in any order. Default: any.',
        examples: [['id']],
      },
      name: {
        type: 'string',
        minLength: 1,
        description: 'How the constraint is called. For readers: a differing name is noted, not failed.',
        examples: ['User_pkey'],
      },
      exists: { ...existsSchema, description: 'false: the table must have no primary key.' },
    },
    examples: [{ table: 'User', columns: ['id'] }],
  },
  title: ({ table, columns, exists }) =>
    existenceTitle(`primaryKey ${table}${columns === undefined ? '' : ` (${columns.join(', ')})`}`, exists),
  async runAll(client, all, options) {
    const doubted = options.some(({ trustIndexes }) => !trustIndexes);
    // Reading rows needs a timeout of its own.
    if (doubted && all.length > 1) throw new Error('the rows must be looked at');
    const tables = await findTables(
      client,
      all.map(({ table }) => table),
    );
    const keys = await client.query<PrimaryKey>(PRIMARY_KEYS, [
      tables.flatMap((table) => (isMissing(table) ? [] : [table.oid])),
    ]);
    const findings = all.map(({ columns, name, exists }, index): Finding => {
      const table = tables[index] as (typeof tables)[number];
      if (isMissing(table)) return withoutTable(table, exists);
      const key = keys.find((each) => each.table === table.oid);
      if (exists === false) {
        return absence(
          `a primary key of ${showName(table)}`,
          key !== undefined,
          key === undefined ? undefined : `ALTER TABLE ${table.sql} DROP CONSTRAINT ${identifier(key.name)};`,
        );
      }
      return judge(table, key, columns, name);
    });
    const [table, finding] = [tables[0], findings[0]];
    if (!doubted || finding?.outcome !== 'passed' || all[0]?.exists === false) return findings;
    if (table === undefined || isMissing(table)) return findings;
    const key = keys.find((each) => each.table === table.oid);
    return [await fromRows(client, table, key?.columns ?? [], finding, options[0]?.sample ?? 0)];
  },
});

// Matched on the index, which knows more than the constraint. Source: https://www.postgresql.org/docs/current/catalog-pg-index.html
const PRIMARY_KEYS = `
SELECT i.indrelid AS table, coalesce(con.conname, c.relname) AS name, i.indisvalid AND i.indisready AND i.indislive AS valid,
  i.indimmediate AS immediate,
  ARRAY(SELECT a.attname::pg_catalog.text
    FROM pg_catalog.unnest(i.indkey::pg_catalog.int2[]) WITH ORDINALITY AS k(attnum, position)
    JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
    WHERE k.position <= i.indnkeyatts ORDER BY k.position) AS columns
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
LEFT JOIN pg_catalog.pg_constraint con ON con.conindid = i.indexrelid AND con.contype = 'p'
WHERE i.indisprimary AND i.indrelid = ANY ($1::pg_catalog.oid[])`;

function judge(
  table: Relation,
  key: PrimaryKey | undefined,
  columns: readonly string[] | undefined,
  name: string | undefined,
): Finding {
  const add = (list: readonly string[]) =>
    `ALTER TABLE ${table.sql} ADD CONSTRAINT ${identifier(name ?? `${table.name}_pkey`)} PRIMARY KEY (${showColumns(list)});`;
  if (key === undefined) {
    return failed(
      `${showName(table)} has no primary key`,
      columns === undefined
        ? 'Without one rows cannot be told apart, and updates are not replicated.'
        : add(columns),
    );
  }
  const what = `primary key ${identifier(key.name)} (${showColumns(key.columns)})`;
  if (columns !== undefined && !sameSet(key.columns, columns)) {
    return failed(
      `${showName(table)} has the ${what}, expected (${showColumns(columns)})`,
      `ALTER TABLE ${table.sql} DROP CONSTRAINT ${identifier(key.name)}; ${add(columns)}`,
    );
  }
  if (!key.valid) {
    return failed(
      `the ${what} of ${showName(table)} is invalid`,
      table.kind === 'p'
        ? 'A partition has no index attached to it: add the key there and ALTER INDEX … ATTACH PARTITION.'
        : `REINDEX INDEX CONCURRENTLY ${identifier(table.schema)}.${identifier(key.name)};`,
    );
  }
  const notes = [
    name === undefined || name === key.name ? undefined : `the plan calls it ${identifier(name)}`,
    key.immediate ? undefined : 'deferrable: checked only at commit',
  ].filter((note) => note !== undefined);
  return { outcome: 'passed', message: `${what}${notes.length === 0 ? '' : `; ${notes.join('; ')}`}` };
}
