import { identifier } from '../postgres/client.ts';
import { tableNameSchema } from '../schema.ts';
import { type CheckClient, defineCheck } from './check-kind.ts';
import { findIndex, findTable, isMissing, showName } from './names.ts';

interface IndexRow extends Record<string, unknown> {
  valid: boolean;
  ready: boolean;
  is_unique: boolean;
  table_oid: number;
  table_schema: string;
  table_name: string;
  definition: string;
}

/** `index: {name: AuditLog_timestamp_idx}`: an index of that name exists and can be used. */
export const index = defineCheck({
  kind: 'index',
  summary: 'An index of this name exists and is valid.',
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
      unique: { type: 'boolean', description: 'It must (true) or must not (false) be unique.' },
    },
    examples: [{ name: 'AuditLog_timestamp_idx', table: 'AuditLog' }],
  },
  title: ({ name }) => `index ${name}`,
  async run(client, { name, table: tableName, unique }) {
    const table = tableName === undefined ? undefined : await findTable(client, tableName);
    if (table !== undefined && isMissing(table)) return { outcome: 'failed', ...table, count: 1 };
    // An index lives in the schema of its table.
    const found = await findIndex(client, name, table?.schema);
    if (isMissing(found)) return { outcome: 'failed', ...found, count: 1 };
    const row = await loadIndex(client, found.oid);
    const owner = showName({ schema: row.table_schema, name: row.table_name });
    if (table !== undefined && row.table_oid !== table.oid) {
      return {
        outcome: 'failed',
        message: `index ${showName(found)} is on ${owner}, not on ${showName(table)}`,
        count: 1,
      };
    }
    if (!row.valid || !row.ready) {
      return {
        outcome: 'failed',
        message: `index ${showName(found)} on ${owner} is ${row.valid ? 'not ready' : 'invalid'}: the planner does not use it`,
        hint:
          found.kind === 'I'
            ? 'A partition has no index attached to it: create it there and ALTER INDEX … ATTACH PARTITION.'
            : `REINDEX INDEX CONCURRENTLY ${found.sql};`,
        count: 1,
      };
    }
    if (unique !== undefined && row.is_unique !== unique) {
      return {
        outcome: 'failed',
        message: `index ${showName(found)} on ${owner} is ${row.is_unique ? '' : 'not '}unique`,
        hint: `It is: ${row.definition}`,
        count: 1,
      };
    }
    return { outcome: 'passed', message: row.definition };
  },
});

async function loadIndex(client: CheckClient, oid: number): Promise<IndexRow> {
  const [row] = await client.query<IndexRow>(
    `SELECT i.indisvalid AND i.indislive AS valid, i.indisready AS ready, i.indisunique AS is_unique,
       c.oid AS table_oid, n.nspname AS table_schema, c.relname AS table_name,
       pg_catalog.pg_get_indexdef(i.indexrelid) AS definition
     FROM pg_catalog.pg_index i
     JOIN pg_catalog.pg_class c ON c.oid = i.indrelid
     JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE i.indexrelid = $1::pg_catalog.oid`,
    [oid],
  );
  if (row === undefined) throw new Error(`index ${identifier(String(oid))} vanished while it was looked at`);
  return row;
}
