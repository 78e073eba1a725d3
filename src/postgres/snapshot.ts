/** Read-only transactions whose results do not depend on who is connected and how. */
import { type Client, sqlState } from './client.ts';

/** Settings that decide what a query sees and how values look as text. SET LOCAL, so that poolers do not matter. */
const SETTINGS: Readonly<Record<string, string>> = {
  // Without it a role that row-level security restricts would see part of the rows and call that the whole.
  row_security: 'off',
  search_path: '',
  TimeZone: 'UTC',
  DateStyle: 'ISO, YMD',
  IntervalStyle: 'postgres',
  extra_float_digits: '1',
  bytea_output: 'hex',
  xmloption: 'content',
  // The number of decimals of money.
  lc_monetary: 'C',
};

/** `SET LOCAL` of everything that decides how values look as text and which rows are seen. */
export const CANONICAL_SETTINGS = Object.entries(SETTINGS)
  .map(([name, value]) => `SET LOCAL ${name} = '${value}'`)
  .join('; ');

export interface SnapshotOptions {
  /** Export the snapshot so that other connections can join it. */
  readonly export?: boolean;
  /** The exported snapshot to join. */
  readonly snapshot?: string;
}

/**
 * Begins a REPEATABLE READ, READ ONLY transaction. Returns the exported snapshot's name, or undefined when none was
 * asked for or the server would not export one.
 * Source: https://www.postgresql.org/docs/current/functions-admin.html (snapshot synchronization)
 */
export async function beginSnapshot(
  client: Client,
  options: SnapshotOptions = {},
): Promise<string | undefined> {
  // A closed socket then ends a long query within a second. Not every platform can; then the query runs to its end.
  if (client.serverVersion >= 140_000) {
    await client.query("SET client_connection_check_interval = '1s'").catch(() => {});
  }
  const join =
    options.snapshot === undefined
      ? ''
      : `SET TRANSACTION SNAPSHOT '${options.snapshot.replaceAll("'", "''")}'; `;
  const begin =
    `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; ${join}SET LOCAL default_transaction_read_only = on; ` +
    `SET LOCAL lock_timeout = '5s'; SET LOCAL idle_in_transaction_session_timeout = 0; ${CANONICAL_SETTINGS}`;
  await client.query(begin);
  if (options.export !== true) return undefined;
  try {
    // Before any savepoint: a snapshot cannot be exported from a subtransaction.
    const row = await client.first<{ name: string }>('SELECT pg_catalog.pg_export_snapshot() AS name');
    return row?.name;
  } catch (error) {
    if (sqlState(error) === undefined) throw error;
    await client.query(`ROLLBACK; ${begin}`);
    return undefined;
  }
}
