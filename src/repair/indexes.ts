/**
 * `indexes`: invalid indexes are built anew, and those that the copy has and this database lacks are created as the
 * copy has them; CONCURRENTLY, so that writers go on, where PostgreSQL allows it.
 */
import { findTable, isMissing, showName } from '../checks/names.ts';
import { identifier } from '../postgres/client.ts';
import type { RepairAction, RepairKind, RepairWorld } from './repair-kind.ts';

export const indexes: RepairKind = {
  kind: 'indexes',
  summary: 'Rebuilds invalid indexes and recreates missing ones, CONCURRENTLY.',
  async find(world) {
    return [...(await invalidOnes(world)), ...(await missingOnes(world))];
  },
};

// An invalid unique index is a matter of its key (uniqueKeys) unless it is partial: then its rows are told by the server.
const INVALID = `
SELECT n.nspname AS schema, c.relname AS name, t.relname AS "table"
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid AND c.relkind = 'i'
JOIN pg_catalog.pg_class t ON t.oid = i.indrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE NOT (i.indisvalid AND i.indisready AND i.indislive) AND n.nspname !~ '^pg_'
  AND (NOT i.indisunique OR i.indpred IS NOT NULL OR i.indexprs IS NOT NULL)
ORDER BY n.nspname, c.relname`;

async function invalidOnes({ client }: RepairWorld): Promise<RepairAction[]> {
  const rows = await client.query<{ schema: string; name: string; table: string }>(INVALID);
  return rows.map(({ schema, name, table }) => {
    const sql = `${identifier(schema)}.${identifier(name)}`;
    return {
      kind: 'indexes',
      key: JSON.stringify([schema, name]),
      what: `the index ${sql} on ${showName({ schema, name: table })} is invalid: the planner does not use it`,
      statements: [`REINDEX INDEX CONCURRENTLY ${sql}`],
      transaction: false,
      // What a failed rebuild leaves; its name is the server's own, cut where it would be too long.
      undo: [`DROP INDEX CONCURRENTLY IF EXISTS ${identifier(schema)}.${identifier(`${name}_ccnew`)}`],
    };
  });
}

async function missingOnes(world: RepairWorld, indexes = world.wanted.indexes): Promise<RepairAction[]> {
  const { client } = world;
  const actions: RepairAction[] = [];
  for (const index of indexes) {
    const table = await findTable(client, index.table);
    if (isMissing(table)) continue;
    const [there] = await client.query(
      'SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2',
      [index.schema, index.name],
    );
    if (there !== undefined) continue;
    const sql = `${identifier(index.schema)}.${identifier(index.name)}`;
    actions.push({
      kind: 'indexes',
      key: JSON.stringify([index.schema, index.name]),
      what: `${showName(table)} has no index ${identifier(index.name)}`,
      statements: [
        index.concurrently
          ? index.definition.replace(/^(CREATE (?:UNIQUE )?INDEX) /, '$1 CONCURRENTLY ')
          : index.definition,
      ],
      transaction: !index.concurrently,
      again: async () => (await missingOnes(world, [index]))[0],
      ...(index.concurrently ? { undo: [`DROP INDEX CONCURRENTLY IF EXISTS ${sql}`] } : {}),
    });
  }
  return actions;
}
