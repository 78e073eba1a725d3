/**
 * Replaces one database by another in a single transaction.
 *
 * `ALTER DATABASE … RENAME` takes an exclusive lock on the database object before it looks at who is connected:
 * new sessions then wait in front of the door while the old ones are ended from a second connection, and the
 * rename goes through. Nothing is ever committed before both names are right, so a crash at any instant (of us,
 * of the server) rolls back to exactly what was there, with connections allowed. That is why no
 * ALLOW_CONNECTIONS switch is used: a crash after it would leave production closed.
 * Source: https://www.postgresql.org/docs/current/sql-alterdatabase.html
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { BackplanError } from '../errors.ts';
import { type Client, connect, identifier, literal, sqlState } from './client.ts';
import { type Connection, withDatabase } from './connection.ts';
import { commentOf, formatMarker, type Marker, ownComment } from './marker.ts';

export interface SwapOptions {
  /** Any connection to the server; its database is replaced by a maintenance database. */
  readonly server: Connection;
  readonly maintenanceDatabase?: string;
  readonly applicationName: string;
  /** The name that clients use. It may be absent (dropped by accident): then the replacement just takes it. */
  readonly production: string;
  /** The database that gets this name. */
  readonly replacement: string;
  /** The name that the old one gets, and its marker. */
  readonly previous: { readonly name: string; readonly marker: Extract<Marker, { previousOf: string }> };
  /** Own comment of the database that becomes production; `undefined` takes over the old production's. */
  readonly comment?: string | null;
  /** Comment when there is no old production to take one over from. */
  readonly fallbackComment?: string | null;
  /** Statements for the new production inside the same transaction, after the renames (settings, grants). */
  readonly carryOver?: (
    client: Client,
    names: { production: string; previous: string | undefined },
  ) => Promise<void>;
  /** Milliseconds until sessions that do not end make the swap fail. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  readonly log: (message: string) => void;
}

export interface SwapResult {
  /** Name of the database that was production before; undefined when there was none. */
  readonly previous: string | undefined;
  /** Sessions that were ended. */
  readonly ended: number;
}

/**
 * A swap waits for other DDL on the database, but not for ever. And where this host vanishes without closing its
 * connection, the server must not wait for it with production's name locked.
 */
const SETTINGS = { lock_timeout: '15s', idle_in_transaction_session_timeout: '10s' };

/** Connects where databases can be renamed, created and dropped from. @throws CONNECTION_FAILED */
export async function connectMaintenance(
  server: Connection,
  maintenanceDatabase: string | undefined,
  options: { applicationName: string; signal?: AbortSignal; avoid?: readonly string[] },
): Promise<Client> {
  const candidates = (
    maintenanceDatabase === undefined ? ['postgres', 'template1'] : [maintenanceDatabase]
  ).filter((name) => options.avoid?.includes(name) !== true);
  let failure: unknown;
  for (const name of candidates) {
    try {
      return await connect(withDatabase(server, name), { ...options, settings: SETTINGS });
    } catch (error) {
      failure = error;
      if (!['3D000', '42501', '55000', '28000'].includes(sqlState(error) ?? '')) break;
    }
  }
  throw (
    failure ??
    new BackplanError('CONNECTION_FAILED', 'there is no maintenance database to connect to', {
      hint: 'Set maintenanceDatabase for this database in the plan to one that backplan may connect to.',
    })
  );
}

/**
 * @throws PROMOTE_REFUSED when something stands in the way that waiting cannot cure
 * @throws PROMOTE_FAILED when sessions did not end in time or a statement failed; production is then as it was
 */
export async function swapDatabases(options: SwapOptions): Promise<SwapResult> {
  const { production, replacement, applicationName, signal } = options;
  const avoid = [production, replacement];
  const open = () =>
    connectMaintenance(options.server, options.maintenanceDatabase, { applicationName, signal, avoid });
  await using swapper = await open();
  await using sweeper = await open();
  await lockSwap(swapper, production);
  const exists = await databaseExists(swapper, production);
  if (!(await databaseExists(swapper, replacement))) {
    throw new BackplanError(
      'DATABASE_MISSING',
      `the database "${replacement}" that should become "${production}" does not exist`,
      {
        hint: 'Restore a backup into a staging database first.',
      },
    );
  }
  await refuseClosed(swapper, replacement);
  if (exists) await refuseBlockers(swapper, production);
  await refuseBlockers(swapper, replacement);

  const deadline = performance.now() + options.timeoutMs;
  for (;;) {
    let committing = false;
    try {
      const ended = await attemptSwap(swapper, sweeper, options, exists, () => {
        committing = true;
      });
      return { previous: exists ? options.previous.name : undefined, ended };
    } catch (error) {
      await swapper.query('ROLLBACK').catch(() => {});
      if (committing) {
        const outcome = await outcomeOfCommit(options, exists);
        if (outcome !== undefined) return outcome;
      }
      // 55006 object_in_use: a session did not end within the server's five seconds.
      if (sqlState(error) !== '55006' || signal.aborted) throw promoteError(error, production);
      if (performance.now() > deadline) throw await sessionsRemain(sweeper, production, error);
      options.log(`sessions on "${production}" are still ending, trying again`);
      await sleep(200, undefined, { signal });
    }
  }
}

async function attemptSwap(
  swapper: Client,
  sweeper: Client,
  options: SwapOptions,
  exists: boolean,
  onCommit: () => void,
): Promise<number> {
  const { production, replacement, previous } = options;
  let ended = 0;
  await swapper.query('BEGIN');
  if (exists) {
    ended += await renameUnderFire(swapper, sweeper, production, previous.name);
  }
  ended += await renameUnderFire(swapper, sweeper, replacement, production);
  await options.carryOver?.(swapper, { production, previous: exists ? previous.name : undefined });
  const old = exists ? ownComment(await commentOf(swapper, previous.name)) : null;
  const own =
    options.comment === undefined ? ((exists ? old : options.fallbackComment) ?? null) : options.comment;
  await swapper.query(
    `COMMENT ON DATABASE ${identifier(production)} IS ${own === null ? 'NULL' : literal(own)}`,
  );
  if (exists) {
    await carryTemplateFlag(swapper, previous.name, production);
    const marker = formatMarker({ ...previous.marker, name: previous.name, comment: old });
    await swapper.query(`COMMENT ON DATABASE ${identifier(previous.name)} IS ${literal(marker)}`);
  }
  options.signal.throwIfAborted();
  onCommit();
  await swapper.query('COMMIT');
  return ended;
}

/**
 * A connection that breaks at COMMIT, or is cut there because the run is cancelled, leaves open whether it happened;
 * only the server knows. Returns the result when the swap went through, undefined when production is as it was.
 */
async function outcomeOfCommit(options: SwapOptions, exists: boolean): Promise<SwapResult | undefined> {
  const { production, replacement, previous } = options;
  try {
    await using client = await connectMaintenance(options.server, options.maintenanceDatabase, {
      applicationName: options.applicationName,
      avoid: [production, replacement],
    });
    // The old session holds this lock until it has ended, one way or the other.
    await client.query(`SELECT pg_catalog.pg_advisory_lock(${LOCK_KEY})`, [production]);
    const gone = !(await databaseExists(client, replacement));
    return gone ? { previous: exists ? previous.name : undefined, ended: 0 } : undefined;
  } catch {
    return undefined;
  }
}

/** Renames while a second connection ends the sessions that hold the old name. Returns how many were ended. */
async function renameUnderFire(swapper: Client, sweeper: Client, from: string, to: string): Promise<number> {
  let renaming = true;
  let ended = 0;
  const rename = swapper
    .query(`ALTER DATABASE ${identifier(from)} RENAME TO ${identifier(to)}`)
    .finally(() => {
      renaming = false;
    });
  const sweep = (async () => {
    // Only after the rename holds its lock can no new session slip in; ending sessions repeatedly covers the moment before.
    while (renaming) {
      ended += await endSessions(sweeper, from);
      await sleep(25);
    }
  })();
  const [renamed, swept] = await Promise.allSettled([rename, sweep]);
  // Sessions that may not be ended are why the rename fails, and trying again would only keep clients waiting.
  if (swept.status === 'rejected') throw swept.reason;
  if (renamed.status === 'rejected') throw renamed.reason;
  return ended;
}

async function endSessions(client: Client, database: string): Promise<number> {
  try {
    const rows = await client.query<{ ended: boolean }>(
      `SELECT pg_catalog.pg_terminate_backend(pid) AS ended FROM pg_catalog.pg_stat_activity
        WHERE datname = $1 AND pid <> pg_catalog.pg_backend_pid()
          AND (usesysid IS NOT NULL OR coalesce(backend_type, $2) <> $2)`,
      // They give way to the rename by themselves, and only few roles may end (or even recognise) them.
      [database, 'autovacuum worker'],
    );
    return rows.filter((row) => row.ended).length;
  } catch (error) {
    if (sqlState(error) === '42501') {
      throw new BackplanError(
        'PERMISSION_DENIED',
        `the sessions on "${database}" may not be ended by this role`,
        {
          cause: error,
          hint: 'GRANT pg_signal_backend TO the role; sessions of superusers can only be ended by a superuser, so close those by hand.',
        },
      );
    }
    throw error;
  }
}

const LOCK_KEY = "pg_catalog.hashtextextended('backplan:swap:' || $1, 0)";

/** One swap at a time per database, whoever runs it and from wherever. Held until the connection closes. */
async function lockSwap(client: Client, production: string): Promise<void> {
  const row = await client.first<{ locked: boolean }>(
    `SELECT pg_catalog.pg_try_advisory_lock(${LOCK_KEY}) AS locked`,
    [production],
  );
  if (row?.locked !== true) {
    throw new BackplanError('LOCKED', `another backplan is swapping "${production}" right now`, {
      hint: 'Wait for it to end; `backplan runs` on its host shows it.',
    });
  }
}

/** A database that lets nobody in must not get the name that everybody uses. */
async function refuseClosed(client: Client, replacement: string): Promise<void> {
  const row = await client.first<{ open: boolean; limit: number }>(
    'SELECT datallowconn AS open, datconnlimit AS limit FROM pg_catalog.pg_database WHERE datname = $1',
    [replacement],
  );
  if (row === undefined || (row.open && row.limit !== -2)) return;
  throw new BackplanError('PROMOTE_REFUSED', `"${replacement}" accepts no connections`, {
    hint: row.open
      ? 'A DROP DATABASE of it was cut: it is damaged for good. Restore a backup.'
      : `If that is on purpose no more: ALTER DATABASE ${identifier(replacement)} ALLOW_CONNECTIONS true;`,
  });
}

/** What would make a rename fail for ever, or break silently: better said before anyone is thrown out. */
async function refuseBlockers(client: Client, database: string): Promise<void> {
  const row = await client.first<{ prepared: string; slots: string; subscriptions: string }>(
    `SELECT (SELECT count(*) FROM pg_catalog.pg_prepared_xacts WHERE database = $1) AS prepared,
            (SELECT coalesce(string_agg(slot_name, ', '), '') FROM pg_catalog.pg_replication_slots WHERE database = $1) AS slots,
            (SELECT coalesce(string_agg(subname, ', '), '') FROM pg_catalog.pg_subscription s
               JOIN pg_catalog.pg_database d ON d.oid = s.subdbid WHERE d.datname = $1) AS subscriptions`,
    [database],
  );
  if (row === undefined) return;
  if (Number(row.prepared) > 0) {
    throw new BackplanError(
      'PROMOTE_REFUSED',
      `"${database}" has ${row.prepared} prepared transaction(s), which block a rename`,
      {
        hint: `Look at pg_prepared_xacts and COMMIT PREPARED or ROLLBACK PREPARED each of them.`,
      },
    );
  }
  if (row.slots !== '') {
    throw new BackplanError('PROMOTE_REFUSED', `"${database}" has logical replication slots: ${row.slots}`, {
      hint: 'Slots stay with the old database: subscribers would silently stop getting changes. Drop the slots (pg_drop_replication_slot) and set replication up again after the swap.',
    });
  }
  if (row.subscriptions !== '') {
    throw new BackplanError('PROMOTE_REFUSED', `"${database}" has subscriptions: ${row.subscriptions}`, {
      hint: 'They stay with the old database: the new one would silently get no changes. Drop them first (DROP SUBSCRIPTION) and create them in the new database afterwards.',
    });
  }
}

export async function databaseExists(client: Client, name: string): Promise<boolean> {
  return (
    (await client.first('SELECT 1 FROM pg_catalog.pg_database WHERE datname = $1', [name])) !== undefined
  );
}

/** A template cannot be dropped when its time is over, and the flag belongs to the name, not to the data. */
async function carryTemplateFlag(client: Client, from: string, to: string): Promise<void> {
  const row = await client.first<{ template: boolean }>(
    'SELECT datistemplate AS template FROM pg_catalog.pg_database WHERE datname = $1',
    [from],
  );
  if (row?.template !== true) return;
  await client.query(`ALTER DATABASE ${identifier(to)} IS_TEMPLATE true`);
  await client.query(`ALTER DATABASE ${identifier(from)} IS_TEMPLATE false`);
}

async function sessionsRemain(client: Client, production: string, cause: unknown): Promise<BackplanError> {
  const rows = await client.query<{ line: string }>(
    `SELECT format('pid %s, user %s, %s, %s since %s', pid, usename, coalesce(nullif(application_name, ''), backend_type), state, state_change) AS line
       FROM pg_catalog.pg_stat_activity WHERE datname = $1 LIMIT 10`,
    [production],
  );
  return new BackplanError(
    'PROMOTE_FAILED',
    `sessions on "${production}" did not end, so it was not replaced; it is as it was`,
    {
      cause,
      detail: rows.map((row) => row.line).join('\n'),
      hint: 'End these sessions (or stop what opens them) and promote again; the staging database is still there.',
    },
  );
}

function promoteError(error: unknown, production: string): unknown {
  if (!(error instanceof BackplanError) || error.code !== 'QUERY_FAILED') return error;
  const denied = sqlState(error) === '42501';
  return new BackplanError(
    denied ? 'PERMISSION_DENIED' : 'PROMOTE_FAILED',
    `"${production}" was not replaced and is as it was: ${error.message}`,
    {
      cause: error.cause,
      detail: error.detail,
      hint: denied
        ? 'Renaming needs the owner of both databases with CREATEDB, or a superuser: ALTER ROLE … CREATEDB; ALTER DATABASE … OWNER TO ….'
        : error.hint,
    },
  );
}
