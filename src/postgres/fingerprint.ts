/** Fingerprints: what a database holds, counted and hashed in the very snapshot that is dumped. */
import { BackplanError } from '../errors.ts';
import type { Fingerprint, TableFingerprint } from '../repository/manifest.ts';
import type { Progress } from '../runs/record.ts';
import { type Client, sqlState } from './client.ts';
import { type Column, loadColumns } from './columns.ts';
import {
  carriesLargeObjects,
  type DataSequence,
  type DataTable,
  listDataTables,
  listSequences,
  type Selection,
} from './data-tables.ts';
import { LANE_VERSION, laneQuery } from './lanes.ts';
import { countLargeObjects, sumLargeObjects } from './large-objects.ts';
import { CANONICAL_SETTINGS } from './snapshot.ts';
import { countTenants } from './tenant-counts.ts';

export interface FingerprintOptions {
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: Progress) => void;
  /** Milliseconds for content; tables that come after are only counted, and so is one that is cut off by it. */
  readonly budget?: number;
  /** Column that tells tenants apart: rows are counted per tenant as well in tables that have it. */
  readonly perTenant?: string;
  /** Told for each table whose content could not be hashed, and why. */
  readonly onSkipped?: (table: string, reason: string) => void;
}

type SequenceFingerprint = NonNullable<Fingerprint['sequences']>[number];

/** How many tables one statement reads: round trips matter with thousands of small tables, and so do locks. */
const BATCH = 50;

/**
 * Takes a fingerprint inside the transaction that the caller has open (REPEATABLE READ, whose snapshot pg_dump gets
 * too). Leaves the transaction's settings as they were. Needs SELECT on every table, as pg_dump does, and fails rather
 * than count the rows that row-level security lets through.
 *
 * `counts`: count(*) of every table, sequences, number of large objects. `content`: one hash sum per column as well,
 * and one over all large objects.
 * `none`, and a schema-only selection: nothing.
 * @throws QUERY_FAILED, CONNECTION_FAILED, CANCELLED
 */
export async function takeFingerprint(
  client: Client,
  kind: Fingerprint['kind'],
  selection: Selection = {},
  options: FingerprintOptions = {},
): Promise<Fingerprint> {
  if (kind === 'none' || selection.only === 'schema') return { kind: 'none', tables: [] };
  const started = performance.now();
  await client.query(`SAVEPOINT backplan_fingerprint; ${CANONICAL_SETTINGS}`);
  try {
    // Sequences do not obey snapshots. Read first, they can only be further on in the dump, never behind.
    const sequences = await readSequences(client, await listSequences(client, selection));
    const tables = await listDataTables(client, selection);
    const counted = await measureTables(client, kind, tables, options);
    const tenants =
      options.perTenant === undefined ? undefined : await countTenants(client, tables, options.perTenant);
    const measured = counted.map((table, index) => {
      const own = tenants?.get(tables[index]?.oid ?? 0);
      return own === undefined ? table : { ...table, tenants: own };
    });
    const largeObjects = carriesLargeObjects(selection) ? await countLargeObjects(client) : undefined;
    const largeObjectContent =
      kind === 'content' && (largeObjects ?? 0) > 0
        ? await hashLargeObjects(client, started, options)
        : undefined;
    return {
      kind,
      ...(kind === 'content' ? { laneVersion: LANE_VERSION } : {}),
      tables: measured,
      sequences,
      ...(largeObjects === undefined ? {} : { largeObjects }),
      ...(largeObjectContent === undefined ? {} : { largeObjectContent }),
    };
  } finally {
    await client
      .query('ROLLBACK TO SAVEPOINT backplan_fingerprint; RELEASE SAVEPOINT backplan_fingerprint')
      .catch(() => {});
  }
}

/** @param started `performance.now()` when the fingerprint began: the budget is for all of its content */
async function hashLargeObjects(
  client: Client,
  started: number,
  { budget, onSkipped }: FingerprintOptions,
): Promise<string | undefined> {
  const left = budget === undefined ? undefined : Math.floor(started + budget - performance.now());
  const result =
    left !== undefined && left <= 0
      ? { reason: 'the time for content was used up' }
      : await sumLargeObjects(client, left);
  if ('sum' in result) return result.sum;
  onSkipped?.('large objects', result.reason);
  return undefined;
}

async function measureTables(
  client: Client,
  kind: 'counts' | 'content',
  tables: readonly DataTable[],
  options: FingerprintOptions,
): Promise<TableFingerprint[]> {
  const measured: TableFingerprint[] = [];
  const tell = (note: string) =>
    options.onProgress?.({ done: measured.length, total: tables.length, unit: 'objects', note });
  if (kind === 'counts') {
    for (let start = 0; start < tables.length; start += BATCH) {
      const batch = tables.slice(start, start + BATCH);
      const counts = await countRows(client, batch);
      measured.push(
        ...batch.map(({ schema, table }, index) => ({ schema, table, rows: counts[index] ?? 0 })),
      );
      tell(batch.at(-1)?.table ?? '');
    }
    return measured;
  }
  const columns = await loadColumns(
    client,
    tables.map((table) => table.oid),
  );
  const until = options.budget === undefined ? undefined : performance.now() + options.budget;
  for (const table of tables) {
    const own = columns.get(table.oid) ?? [];
    measured.push(await measureTable(client, table, own, table.key, { until, onSkipped: options.onSkipped }));
    tell(table.table);
  }
  return measured;
}

/** Exact row counts, in the order given. */
export async function countRows(client: Client, tables: readonly DataTable[]): Promise<number[]> {
  const counts: number[] = [];
  for (let start = 0; start < tables.length; start += BATCH) {
    const batch = tables.slice(start, start + BATCH);
    const rows = await unlocked(client, () =>
      client.query<{ i: number; n: string }>(
        batch
          .map((table, index) => `SELECT ${index} AS i, pg_catalog.count(*) AS n FROM ${table.from}`)
          .join(' UNION ALL '),
      ),
    );
    for (const row of rows) counts[start + row.i] = Number(row.n);
  }
  return counts;
}

/**
 * Gives back the locks that `work` took (rolling back to a savepoint releases them): a table and all its indexes
 * for thousands of tables would fill the server's lock table, and fail the dump beside us.
 */
async function unlocked<T>(client: Client, work: () => Promise<T>): Promise<T> {
  await client.query('SAVEPOINT backplan_batch');
  const result = await work();
  await client.query('ROLLBACK TO SAVEPOINT backplan_batch; RELEASE SAVEPOINT backplan_batch');
  return result;
}

/** Rows and lanes of one table; rows alone where the content cannot be hashed (a value too large, out of time). */
export async function measureTable(
  client: Client,
  table: DataTable,
  columns: readonly Column[],
  seed: readonly string[],
  options: { readonly until?: number; readonly onSkipped?: FingerprintOptions['onSkipped'] } = {},
): Promise<TableFingerprint> {
  const { schema, table: name } = table;
  const left = options.until === undefined ? undefined : Math.floor(options.until - performance.now());
  let reason = 'the time for content was used up';
  if (left === undefined || left > 0) {
    const timeout = left === undefined ? '' : `; SET LOCAL statement_timeout = ${left}`;
    await client.query(`SAVEPOINT backplan_table${timeout}`);
    try {
      const { sql, names } = laneQuery(table.from, columns, seed);
      const [row = {}] = await client.query<Record<string, string>>(sql);
      await client.query('ROLLBACK TO SAVEPOINT backplan_table; RELEASE SAVEPOINT backplan_table');
      return {
        schema,
        table: name,
        rows: Number(row.rows),
        seed: [...seed],
        lanes: Object.fromEntries(names.map((lane, index) => [lane, row[`l${index}`] ?? '0'])),
      };
    } catch (error) {
      const state = sqlState(error);
      // 54000 and 53200: a value whose text form exceeds 1 GB or memory. 57014: our own timeout.
      const bearable = state === '54000' || state === '53200' || (state === '57014' && left !== undefined);
      if (!bearable) throw error;
      await client.query('ROLLBACK TO SAVEPOINT backplan_table; RELEASE SAVEPOINT backplan_table');
      if (state !== '57014' && error instanceof BackplanError) reason = error.message;
    }
  }
  options.onSkipped?.(table.from.replace(/^ONLY /, ''), reason);
  const [rows = 0] = await countRows(client, [table]);
  return { schema, table: name, rows };
}

/** Where each sequence stands. */
export async function readSequences(
  client: Client,
  sequences: readonly DataSequence[],
): Promise<SequenceFingerprint[]> {
  const read: SequenceFingerprint[] = [];
  for (let start = 0; start < sequences.length; start += BATCH) {
    const batch = sequences.slice(start, start + BATCH);
    const rows = await unlocked(client, () =>
      client.query<{ i: number; last: string; called: boolean }>(
        batch
          .map(
            ({ sql }, index) =>
              `SELECT ${index} AS i, last_value::pg_catalog.text AS last, is_called AS called FROM ${sql}`,
          )
          .join(' UNION ALL '),
      ),
    );
    for (const row of rows.sort((a, b) => a.i - b.i)) {
      const sequence = batch[row.i];
      if (sequence === undefined) continue;
      const { schema, name } = sequence;
      read.push({ schema, name, lastValue: row.last, isCalled: row.called });
    }
  }
  return read;
}
