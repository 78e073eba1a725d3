/**
 * Building a unique index or constraint anew from the rows of its table, in the form that it has: constraint or plain
 * index, name, column order, INCLUDE, NULLS NOT DISTINCT, DEFERRABLE, storage options, tablespace, comments, its role
 * as replica identity and for CLUSTER. What other objects depend on (foreign keys, views) is rebuilt in place instead.
 * Sources: https://www.postgresql.org/docs/current/sql-createindex.html, …/sql-reindex.html, …/sql-altertable.html
 */
import { BackplanError } from '../errors.ts';
import { type Client, identifier, literal, sqlState } from './client.ts';
import { loadUniqueIndexes, sameSet, type UniqueIndex } from './unique-indexes.ts';

export interface RebuildTable {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  /** Quoted and qualified. */
  readonly sql: string;
}

/** What is to be done about one set of columns. */
export type Rebuild =
  /** A new index beside the old one, then the old one goes. */
  | { readonly how: 'swap'; readonly index: UniqueIndex }
  /** The same index, filled again; `because` says why it may not go. */
  | { readonly how: 'reindex'; readonly index: UniqueIndex; readonly because: string }
  /** Of a partitioned table, incomplete: it guards nothing, so it can go first. */
  | { readonly how: 'recreate'; readonly index: UniqueIndex }
  /** There is none. */
  | { readonly how: 'add'; readonly name: string; readonly form: 'constraint' | 'index' };

/** What the server keeps beside the definition of an index. */
interface Surroundings extends Record<string, unknown> {
  prefix: string;
  tablespace: string | null;
  clustered: boolean;
  replica_identity: boolean;
  index_comment: string | null;
  constraint_comment: string | null;
  deferrable: boolean | null;
  deferred: boolean | null;
}

/** Unique indexes on exactly these columns, without predicate or expressions, valid or not. */
export async function matchingIndexes(
  client: Client,
  table: RebuildTable,
  columns: readonly string[],
): Promise<UniqueIndex[]> {
  const all = await loadUniqueIndexes(client, table.oid);
  return all.filter(
    (index) => sameSet(index.columns, columns) && index.predicate === undefined && !index.expressions,
  );
}

/** How an existing index can be rebuilt. */
export async function planRebuild(client: Client, index: UniqueIndex): Promise<Rebuild> {
  if (index.partitioned) {
    return index.valid
      ? { how: 'reindex', index, because: 'the table is partitioned' }
      : { how: 'recreate', index };
  }
  if (index.primary) return { how: 'reindex', index, because: 'it is the primary key' };
  const dependants = await client.query<{ object: string }>(
    `SELECT DISTINCT pg_catalog.pg_describe_object(d.classid, d.objid, d.objsubid) AS object
     FROM pg_catalog.pg_depend d
     WHERE d.deptype = 'n' AND (
       (d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = $1::pg_catalog.oid) OR
       (d.refclassid = 'pg_catalog.pg_constraint'::pg_catalog.regclass AND d.refobjid = $2::pg_catalog.oid))
     ORDER BY 1`,
    [index.oid, index.constraint?.oid ?? 0],
  );
  if (dependants.length === 0) return { how: 'swap', index };
  return {
    how: 'reindex',
    index,
    because: `${dependants.map(({ object }) => object).join(', ')} depends on it`,
  };
}

/** The temporary name: recognisable, and the same on every try. */
export function temporaryName(rebuild: Rebuild, table: RebuildTable): string {
  return rebuild.how === 'add'
    ? `backplan_rebuild_${table.oid}_${hash(rebuild.name)}`
    : `backplan_rebuild_${rebuild.index.oid}`;
}

function hash(text: string): string {
  let value = 0;
  for (const character of text) value = (value * 31 + (character.codePointAt(0) ?? 0)) >>> 0;
  return value.toString(36);
}

/**
 * Does it inside the caller's transaction. Every state that others can see has a constraint that holds.
 * @throws QUERY_FAILED, with SQLSTATE 23505 when the rows do not allow it
 */
export async function rebuildInTransaction(
  client: Client,
  table: RebuildTable,
  columns: readonly string[],
  rebuild: Rebuild,
): Promise<void> {
  const list = columns.map(identifier).join(', ');
  switch (rebuild.how) {
    case 'reindex':
      for (const leaf of await leaves(client, rebuild.index)) await client.query(`REINDEX INDEX ${leaf}`);
      return;
    case 'add':
      await client.query(
        rebuild.form === 'index'
          ? `CREATE UNIQUE INDEX ${identifier(rebuild.name)} ON ${table.sql} (${list})`
          : `ALTER TABLE ${table.sql} ADD CONSTRAINT ${identifier(rebuild.name)} UNIQUE (${list})`,
      );
      return;
    case 'recreate': {
      const around = await surroundings(client, rebuild.index);
      await dropOld(client, table, rebuild.index);
      await client.query(
        rebuild.index.constraint === undefined
          ? createStatement(rebuild.index, around, identifier(rebuild.index.name)).replace(
              ' ON ONLY ',
              ' ON ',
            )
          : `ALTER TABLE ${table.sql} ADD CONSTRAINT ${identifier(rebuild.index.constraint.name)} ${rebuild.index.constraint.definition}`,
      );
      await putBack(client, table, rebuild.index, around);
      return;
    }
    case 'swap': {
      const around = await surroundings(client, rebuild.index);
      const temporary = temporaryName(rebuild, table);
      await client.query(createStatement(rebuild.index, around, identifier(temporary)));
      await swapIn(client, table, rebuild.index, around, temporary);
    }
  }
}

/**
 * The same without blocking writers while the index is built: first CREATE INDEX (or REINDEX) CONCURRENTLY, outside
 * any transaction and waiting as long as it takes, which is in nobody's way; then the swap in a short one. On failure
 * the new index is dropped; where others keep that from happening, `onLeftover` is told, and the next try drops it.
 * @throws as rebuildInTransaction
 */
export async function rebuildConcurrently(
  client: Client,
  table: RebuildTable,
  columns: readonly string[],
  rebuild: Rebuild,
  options: { readonly lockTimeoutMs: number; readonly onLeftover: (index: string) => void },
): Promise<void> {
  const temporary = temporaryName(rebuild, table);
  const qualified = `${identifier(table.schema)}.${identifier(temporary)}`;
  if (rebuild.how === 'recreate') throw new BackplanError('REBUILD_REFUSED', partitionedConcurrently(table));
  if (rebuild.how === 'reindex') {
    try {
      for (const leaf of await leaves(client, rebuild.index))
        await client.query(`REINDEX INDEX CONCURRENTLY ${leaf}`);
    } catch (error) {
      await dropLeftovers(client, rebuild.index);
      throw error;
    }
    return;
  }
  const list = columns.map(identifier).join(', ');
  // Left by a run that was killed.
  await client.query(`DROP INDEX CONCURRENTLY IF EXISTS ${qualified}`);
  const around = rebuild.how === 'swap' ? await surroundings(client, rebuild.index) : undefined;
  const create =
    rebuild.how === 'swap' && around !== undefined
      ? createStatement(rebuild.index, around, identifier(temporary))
      : `CREATE UNIQUE INDEX ${identifier(temporary)} ON ${table.sql} (${list})`;
  try {
    await client.query(create.replace('CREATE UNIQUE INDEX ', 'CREATE UNIQUE INDEX CONCURRENTLY '));
    await client.query(`BEGIN; SET LOCAL lock_timeout = ${options.lockTimeoutMs}`);
    if (rebuild.how === 'swap' && around !== undefined)
      await swapIn(client, table, rebuild.index, around, temporary);
    else if (rebuild.how === 'add') await nameNew(client, table, rebuild, temporary);
    await client.query('COMMIT');
  } catch (error) {
    await client.query('ROLLBACK').catch(() => {});
    await client
      .query(`SET lock_timeout = ${options.lockTimeoutMs}`)
      .then(() => client.query(`DROP INDEX CONCURRENTLY IF EXISTS ${qualified}`))
      .then(() => client.query('RESET lock_timeout'))
      .catch(() => options.onLeftover(qualified));
    throw error;
  }
}

function partitionedConcurrently(table: RebuildTable): string {
  return `an index on the partitioned table ${table.sql} cannot be created concurrently`;
}

async function surroundings(client: Client, index: UniqueIndex): Promise<Surroundings> {
  const row = await client.first<Surroundings>(
    `SELECT pg_catalog.format('CREATE UNIQUE INDEX %I ON ', c.relname) AS prefix, ts.spcname AS tablespace,
       i.indisclustered AS clustered, i.indisreplident AS replica_identity,
       pg_catalog.obj_description(c.oid, 'pg_class') AS index_comment,
       pg_catalog.obj_description(con.oid, 'pg_constraint') AS constraint_comment,
       con.condeferrable AS deferrable, con.condeferred AS deferred
     FROM pg_catalog.pg_index i
     JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
     LEFT JOIN pg_catalog.pg_tablespace ts ON ts.oid = c.reltablespace
     LEFT JOIN pg_catalog.pg_constraint con ON con.oid = $2::pg_catalog.oid
     WHERE i.indexrelid = $1::pg_catalog.oid`,
    [index.oid, index.constraint?.oid ?? 0],
  );
  if (row === undefined || !index.definition.startsWith(row.prefix)) {
    throw new BackplanError(
      'REBUILD_REFUSED',
      `the index ${identifier(index.name)} changed while it was looked at`,
      {
        transient: true,
      },
    );
  }
  return row;
}

/** The index's own definition under another name. */
function createStatement(index: UniqueIndex, around: Surroundings, name: string): string {
  const tablespace = around.tablespace === null ? '' : ` TABLESPACE ${identifier(around.tablespace)}`;
  return `CREATE UNIQUE INDEX ${name} ON ${index.definition.slice(around.prefix.length)}${tablespace}`;
}

async function dropOld(client: Client, table: RebuildTable, index: UniqueIndex): Promise<void> {
  await client.query(
    index.constraint === undefined
      ? `DROP INDEX ${identifier(index.schema)}.${identifier(index.name)}`
      : `ALTER TABLE ${table.sql} DROP CONSTRAINT ${identifier(index.constraint.name)}`,
  );
}

/** The old one goes and the new one takes its name, form and roles. */
async function swapIn(
  client: Client,
  table: RebuildTable,
  index: UniqueIndex,
  around: Surroundings,
  temporary: string,
): Promise<void> {
  await dropOld(client, table, index);
  if (index.constraint === undefined) {
    await client.query(
      `ALTER INDEX ${identifier(index.schema)}.${identifier(temporary)} RENAME TO ${identifier(index.name)}`,
    );
  } else {
    const deferrable = around.deferrable === true ? ' DEFERRABLE' : '';
    const deferred = around.deferred === true ? ' INITIALLY DEFERRED' : '';
    await client.query(
      `ALTER TABLE ${table.sql} ADD CONSTRAINT ${identifier(index.constraint.name)} UNIQUE USING INDEX ${identifier(temporary)}${deferrable}${deferred}`,
    );
  }
  await putBack(client, table, index, around);
}

async function putBack(
  client: Client,
  table: RebuildTable,
  index: UniqueIndex,
  around: Surroundings,
): Promise<void> {
  const name = identifier(index.name);
  const qualified = `${identifier(index.schema)}.${name}`;
  if (around.index_comment !== null) {
    await client.query(`COMMENT ON INDEX ${qualified} IS ${literal(around.index_comment)}`);
  }
  if (around.constraint_comment !== null && index.constraint !== undefined) {
    const constraint = identifier(index.constraint.name);
    await client.query(
      `COMMENT ON CONSTRAINT ${constraint} ON ${table.sql} IS ${literal(around.constraint_comment)}`,
    );
  }
  if (around.clustered) await client.query(`ALTER TABLE ${table.sql} CLUSTER ON ${name}`);
  if (around.replica_identity)
    await client.query(`ALTER TABLE ${table.sql} REPLICA IDENTITY USING INDEX ${name}`);
}

async function nameNew(
  client: Client,
  table: RebuildTable,
  { name, form }: Extract<Rebuild, { how: 'add' }>,
  temporary: string,
): Promise<void> {
  await client.query(
    form === 'index'
      ? `ALTER INDEX ${identifier(table.schema)}.${identifier(temporary)} RENAME TO ${identifier(name)}`
      : `ALTER TABLE ${table.sql} ADD CONSTRAINT ${identifier(name)} UNIQUE USING INDEX ${identifier(temporary)}`,
  );
}

/** The indexes that hold entries: itself, or those of its partitions. */
async function leaves(client: Client, index: UniqueIndex): Promise<string[]> {
  if (!index.partitioned) return [`${identifier(index.schema)}.${identifier(index.name)}`];
  const rows = await client.query<{ sql: string }>(
    `SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) AS sql
     FROM pg_catalog.pg_partition_tree($1::pg_catalog.oid::pg_catalog.regclass) t
     JOIN pg_catalog.pg_class c ON c.oid = t.relid
     JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind = 'i' ORDER BY 1`,
    [index.oid],
  );
  return rows.map((row) => row.sql);
}

/** REINDEX CONCURRENTLY that failed leaves an invalid copy named …_ccnew. */
async function dropLeftovers(client: Client, index: UniqueIndex): Promise<void> {
  const rows = await client.query<{ sql: string }>(
    `SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) AS sql
     FROM pg_catalog.pg_index i
     JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
     JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE NOT i.indisvalid AND c.relname ~ '_ccnew[0-9]*$' AND i.indrelid IN (
       SELECT x.indrelid FROM pg_catalog.pg_index x
       WHERE x.indexrelid IN (SELECT relid FROM pg_catalog.pg_partition_tree($1::pg_catalog.oid::pg_catalog.regclass))
         OR x.indexrelid = $1::pg_catalog.oid)`,
    [index.oid],
  );
  for (const { sql } of rows) await client.query(`DROP INDEX CONCURRENTLY IF EXISTS ${sql}`).catch(() => {});
}

/** The rows do not allow it. */
export function isDuplicateError(error: unknown): boolean {
  return sqlState(error) === '23505';
}
