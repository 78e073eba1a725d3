import { identifier } from '../postgres/client.ts';
import { sameSet } from '../postgres/unique-indexes.ts';
import { columnsSchema, tableNameSchema } from '../schema.ts';
import {
  absence,
  conclude,
  defineCatalogCheck,
  existenceTitle,
  existsSchema,
  withoutTable,
} from './catalog-check.ts';
import type { CheckClient, Finding } from './check-kind.ts';
import { findIndexes, findTables, isMissing, type Relation, showColumns, showName } from './names.ts';

interface IndexRow extends Record<string, unknown> {
  oid: number;
  valid: boolean;
  ready: boolean;
  is_unique: boolean;
  method: string;
  predicate: string | null;
  /** Key columns in order, an expression as PostgreSQL writes it. */
  keys: string[];
  included: string[];
  table_oid: number;
  table_schema: string;
  table_name: string;
  definition: string;
}

/** `index: {name: AuditLog_timestamp_idx}`: an index of that name exists and can be used. */
export const index = defineCatalogCheck({
  kind: 'index',
  summary: 'An index of this name exists, is valid and is made like this.',
  params: {
    type: 'object',
    description: 'An index that must exist and be valid.',
    required: ['name'],
    additionalProperties: false,
    properties: {
      name: {
        type: 'string',
        minLength: 1,
        description: 'The index, exactly as written; with its schema where it is not in public.',
        examples: ['AuditLog_timestamp_idx', 'audit.Log_timestamp_idx'],
      },
      table: { ...tableNameSchema, description: 'The table that it must be on.', examples: ['AuditLog'] },
      columns: {
        ...columnsSchema,
        description: 'Its key columns in this order; an expression as PostgreSQL writes it.',
        examples: [['tenantId', 'lower(email)']],
      },
      include: {
        ...columnsSchema,
        uniqueItems: true,
        description: 'The columns it only carries along (INCLUDE), in any order.',
        examples: [['status']],
      },
      unique: { type: 'boolean', description: 'It must (true) or must not (false) be unique.' },
      method: {
        type: 'string',
        minLength: 1,
        description: 'How it is built.',
        examples: ['btree', 'gin'],
      },
      where: {
        type: ['string', 'boolean'],
        description:
          'The condition of a partial index as PostgreSQL writes it, without regard to spaces and brackets; false: it is not partial.',
        examples: ['deleted_at IS NULL', false],
      },
      exists: existsSchema,
    },
    examples: [
      { name: 'AuditLog_timestamp_idx', table: 'AuditLog', columns: ['timestamp'], method: 'btree' },
    ],
  },
  title: ({ name, exists }) => existenceTitle(`index ${name}`, exists),
  async runAll(client, all) {
    const names = all.flatMap(({ table }) => (table === undefined ? [] : [table]));
    const tables = names.length === 0 ? [] : await findTables(client, names);
    const owners = all.map(({ table }) => (table === undefined ? undefined : tables[names.indexOf(table)]));
    // An index lives in the schema of its table.
    const indexes = await findIndexes(
      client,
      all.map(({ name }, position) => {
        const owner = owners[position];
        return owner === undefined || isMissing(owner) ? { name } : { name, schema: owner.schema };
      }),
    );
    const found = indexes.map((one, position) => {
      const owner = owners[position];
      return owner !== undefined && isMissing(owner) ? owner : one;
    });
    const rows = await loadIndexes(
      client,
      found.flatMap((one) => (isMissing(one) ? [] : [one.oid])),
    );
    return all.map((wanted, position): Finding => {
      const one = found[position] as (typeof found)[number];
      if (wanted.exists === false) {
        return isMissing(one)
          ? owners[position] === one
            ? withoutTable(one, false)
            : absence(`index ${wanted.name}`, false)
          : absence(`index ${showName(one)}`, true, `DROP INDEX CONCURRENTLY ${one.sql};`);
      }
      if (isMissing(one)) return { outcome: 'failed', ...one, count: 1 };
      const row = rows.find(({ oid }) => oid === one.oid);
      if (row === undefined) throw new Error(`index ${one.sql} vanished while it was looked at`);
      const table = owners[position];
      return judge(one, row, table !== undefined && !isMissing(table) ? table : undefined, wanted);
    });
  },
});

interface Wanted {
  readonly columns?: readonly string[] | undefined;
  readonly include?: readonly string[] | undefined;
  readonly unique?: boolean | undefined;
  readonly method?: string | undefined;
  readonly where?: string | boolean | undefined;
}

function judge(one: Relation, row: IndexRow, table: Relation | undefined, wanted: Wanted): Finding {
  const owner = showName({ schema: row.table_schema, name: row.table_name });
  const called = `index ${showName(one)}`;
  const problems: { message: string; hint?: string }[] = [];
  if (table !== undefined && row.table_oid !== table.oid) {
    return conclude([{ message: `${called} is on ${owner}, not on ${showName(table)}` }], '');
  }
  const label = `${called} on ${owner}`;
  if (!row.valid || !row.ready) {
    problems.push({
      message: `${label} is ${row.valid ? 'not ready' : 'invalid'}: the planner does not use it`,
      hint:
        one.kind === 'I'
          ? 'A partition has no index attached to it: create it there and ALTER INDEX … ATTACH PARTITION.'
          : `REINDEX INDEX CONCURRENTLY ${one.sql};`,
    });
  }
  const form = { hint: `It is: ${row.definition}` };
  if (wanted.unique !== undefined && row.is_unique !== wanted.unique) {
    problems.push({ message: `${label} is ${row.is_unique ? '' : 'not '}unique`, ...form });
  }
  if (wanted.columns !== undefined && !sameKeys(wanted.columns, row.keys)) {
    problems.push({
      message: `${label} is on (${row.keys.join(', ')}), expected (${showColumns(wanted.columns)})`,
      ...form,
    });
  }
  if (wanted.include !== undefined && !sameSet(wanted.include, row.included)) {
    problems.push({
      message: `${label} carries (${showColumns(row.included)}) along, expected (${showColumns(wanted.include)})`,
      ...form,
    });
  }
  if (wanted.method !== undefined && wanted.method !== row.method) {
    problems.push({ message: `${label} is a ${row.method} index, expected ${wanted.method}`, ...form });
  }
  if (
    wanted.where !== undefined &&
    (typeof wanted.where === 'boolean'
      ? wanted.where !== (row.predicate !== null)
      : plain(wanted.where) !== plain(row.predicate ?? ''))
  ) {
    problems.push({
      message: `${label} ${row.predicate === null ? 'is not partial' : `is only for rows WHERE ${row.predicate}`}, expected ${wanted.where === false ? 'all rows' : wanted.where === true ? 'a condition' : wanted.where}`,
      ...form,
    });
  }
  return conclude(problems, row.definition);
}

/** pg_get_indexdef quotes a column only where it must. */
function sameKeys(wanted: readonly string[], actual: readonly string[]): boolean {
  return (
    wanted.length === actual.length &&
    wanted.every((name, position) => {
      const key = actual[position] ?? '';
      return name === key || identifier(name) === key || plain(name) === plain(key);
    })
  );
}

function plain(text: string): string {
  return text.replaceAll(/[\s()]+/g, '');
}

// Source: https://www.postgresql.org/docs/current/functions-info.html (pg_get_indexdef of one column)
async function loadIndexes(client: CheckClient, oids: readonly number[]): Promise<IndexRow[]> {
  if (oids.length === 0) return [];
  return await client.query<IndexRow>(
    `SELECT i.indexrelid AS oid, i.indisvalid AND i.indislive AS valid, i.indisready AS ready, i.indisunique AS is_unique,
       am.amname::pg_catalog.text AS method, pg_catalog.pg_get_expr(i.indpred, i.indrelid) AS predicate,
       ARRAY(SELECT pg_catalog.pg_get_indexdef(i.indexrelid, k, true)
         FROM pg_catalog.generate_series(1, i.indnkeyatts) AS k ORDER BY k) AS keys,
       ARRAY(SELECT a.attname::pg_catalog.text FROM pg_catalog.pg_attribute a
         WHERE a.attrelid = i.indexrelid AND a.attnum > i.indnkeyatts ORDER BY a.attnum) AS included,
       c.oid AS table_oid, n.nspname AS table_schema, c.relname AS table_name,
       pg_catalog.pg_get_indexdef(i.indexrelid) AS definition
     FROM pg_catalog.pg_index i
     JOIN pg_catalog.pg_class ic ON ic.oid = i.indexrelid
     JOIN pg_catalog.pg_am am ON am.oid = ic.relam
     JOIN pg_catalog.pg_class c ON c.oid = i.indrelid
     JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE i.indexrelid = ANY ($1::pg_catalog.oid[])`,
    [oids],
  );
}
