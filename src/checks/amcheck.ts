import { BackplanError } from '../errors.ts';
import { identifier, sqlState } from '../postgres/client.ts';
import { tableNameSchema } from '../schema.ts';
import { type CheckClient, defineCheck } from './check-kind.ts';
import { requireTable } from './names.ts';

/**
 * `amcheck: {}`: tables and B-tree indexes are whole inside, by the functions of the extension amcheck. Takes no lock
 * that stops anybody. Without the extension it cannot look, which is no pass.
 */
export const amcheck = defineCheck({
  kind: 'amcheck',
  summary: 'Tables and B-tree indexes are whole inside, as the extension amcheck sees it.',
  params: {
    type: 'object',
    description: 'What to look at, and how closely.',
    additionalProperties: false,
    properties: {
      tables: {
        type: 'array',
        items: tableNameSchema,
        minItems: 1,
        uniqueItems: true,
        description: 'Only these tables and their indexes. Default: all.',
        examples: [['AuditLog']],
      },
      level: {
        enum: ['heap', 'index', 'both', 'heapallindexed'],
        default: 'both',
        description:
          'heap: tables (with what is stored out of line). index: B-tree indexes. heapallindexed: both, and that every row is in its indexes, which takes several times as long.',
        examples: ['heapallindexed'],
      },
    },
    examples: [{}, { level: 'heapallindexed' }],
  },
  title: ({ tables, level }) =>
    `amcheck${level === undefined ? '' : ` ${level}`}${tables === undefined ? '' : ` of ${tables.join(', ')}`}`,
  async run(client, { tables, level = 'both' }, { sample }) {
    const schema = await extensionSchema(client);
    const only =
      tables === undefined
        ? null
        : (await Promise.all(tables.map((name) => requireTable(client, name)))).map(({ oid }) => oid);
    const damage: { object: string; problem: string }[] = [];
    let looked = 0;
    try {
      if (level !== 'index') {
        const relations = await client.query<Target>(HEAPS, [only]);
        looked += relations.length;
        for (const { oid, name } of relations) {
          const found = await client.query<{ problem: string }>(
            `SELECT 'block ' || blkno || coalesce(', item ' || offnum, '') || coalesce(', column ' || attnum, '') || ': ' || msg AS problem
             FROM ${schema}.verify_heapam($1::pg_catalog.oid::pg_catalog.regclass, false, true)`,
            [oid],
          );
          damage.push(...found.map(({ problem }) => ({ object: name, problem })));
        }
      }
      if (level !== 'heap') {
        const indexes = await client.query<Target>(INDEXES, [only]);
        looked += indexes.length;
        for (const { oid, name } of indexes) {
          const problem = await checkIndex(client, schema, oid, level === 'heapallindexed');
          if (problem !== undefined) damage.push({ object: name, problem });
        }
      }
    } catch (error) {
      if (sqlState(error) !== '42501') throw error;
      throw new BackplanError('PERMISSION_DENIED', (error as Error).message, {
        cause: error,
        hint: `Let the role that checks run the functions of amcheck: GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA ${schema} TO …`,
      });
    }
    if (looked === 0) return { outcome: 'vacuous', message: 'there is no table or B-tree index to look at' };
    if (damage.length === 0) {
      return { outcome: 'passed', message: `${looked} tables and indexes are whole (${level})` };
    }
    const objects = [...new Set(damage.map(({ object }) => object))];
    return {
      outcome: 'failed',
      message: `${objects.slice(0, 3).join(', ')}${objects.length > 3 ? ` and ${objects.length - 3} more` : ''}: ${damage[0]?.problem}`,
      hint: 'REINDEX mends an index whose table is whole. Damage in a table means the disk or memory: restore, and do not write to it.',
      count: damage.length,
      samples: damage.slice(0, sample),
    };
  },
});

interface Target extends Record<string, unknown> {
  oid: number;
  name: string;
}

// Sequences are left out: their page has a format of its own before PostgreSQL 16.
const HEAPS = `
SELECT c.oid, pg_catalog.format('%I.%I', n.nspname, c.relname) AS name
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_am am ON am.oid = c.relam AND am.amname = 'heap'
WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't'
  AND ($1::pg_catalog.oid[] IS NULL OR c.oid = ANY ($1)
    OR EXISTS (SELECT FROM pg_catalog.unnest($1::pg_catalog.oid[]) AS root, pg_catalog.pg_partition_tree(root) AS part WHERE part.relid = c.oid))
ORDER BY n.nspname, c.relname`;

const INDEXES = `
SELECT c.oid, pg_catalog.format('%I.%I', n.nspname, c.relname) AS name
FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_am am ON am.oid = c.relam AND am.amname = 'btree'
WHERE c.relkind = 'i' AND c.relpersistence <> 't' AND i.indisready AND i.indisvalid
  AND ($1::pg_catalog.oid[] IS NULL OR i.indrelid = ANY ($1)
    OR EXISTS (SELECT FROM pg_catalog.unnest($1::pg_catalog.oid[]) AS root, pg_catalog.pg_partition_tree(root) AS part WHERE part.relid = i.indrelid))
ORDER BY n.nspname, c.relname`;

/** @throws EXTENSION_MISSING */
async function extensionSchema(client: CheckClient): Promise<string> {
  const [row] = await client.query<{ schema: string | null; available: boolean }>(
    `SELECT (SELECT n.nspname FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace
         WHERE e.extname = 'amcheck') AS schema,
       EXISTS (SELECT FROM pg_catalog.pg_available_extensions WHERE name = 'amcheck') AS available`,
  );
  if (typeof row?.schema === 'string') return identifier(row.schema);
  throw new BackplanError('EXTENSION_MISSING', 'the extension amcheck is not installed in this database', {
    hint:
      row?.available === true
        ? 'CREATE EXTENSION amcheck; in this database (a check only reads and does not do it).'
        : 'The server does not have it: install the contrib package of PostgreSQL, then CREATE EXTENSION amcheck.',
  });
}

/** What is wrong with an index, in the words of amcheck. */
async function checkIndex(
  client: CheckClient,
  schema: string,
  oid: number,
  all: boolean,
): Promise<string | undefined> {
  await client.query('SAVEPOINT backplan_index');
  try {
    await client.query(
      `SELECT ${schema}.bt_index_check($1::pg_catalog.oid::pg_catalog.regclass, $2::pg_catalog.bool)`,
      [oid, all],
    );
    return undefined;
  } catch (error) {
    // XX001 data_corrupted, XX002 index_corrupted; an operator class whose function fails tells by others.
    const state = sqlState(error);
    if (state === undefined || !state.startsWith('XX')) throw error;
    await client.query('ROLLBACK TO SAVEPOINT backplan_index');
    return (error as Error).message.replace(/ \(SQLSTATE .*$/, '');
  } finally {
    await client.query('RELEASE SAVEPOINT backplan_index').catch(() => {});
  }
}
