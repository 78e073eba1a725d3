/**
 * Questions to the catalogs, one named function each. Every query names pg_catalog, so that a search_path (or an
 * object somebody put in front of it) cannot change its meaning.
 * Source: https://www.postgresql.org/docs/current/catalogs.html; columns differ between 12 and 18 as noted.
 */
import { statfs } from 'node:fs/promises';
import { type Client, sqlState } from './client.ts';
import { isSocket } from './connection.ts';
import { versionText } from './tools.ts';

export type LocaleProvider = 'libc' | 'icu' | 'builtin';

/** What a database was created with: enough to create its like. */
export interface DatabaseLocale {
  /** For example UTF8. */
  readonly encoding: string;
  readonly collate: string;
  readonly ctype: string;
  readonly localeProvider: LocaleProvider;
  /** ICU or builtin locale. */
  readonly locale: string | null;
  /** Tailoring rules of ICU, since 16. */
  readonly icuRules: string | null;
}

export interface DatabaseFacts extends DatabaseLocale {
  readonly name: string;
  /** pg_database_size(), bytes. */
  readonly size: number;
  readonly owner: string;
  /** Version of the collation library that its indexes were built with. */
  readonly collationVersion: string | null;
  readonly tablespace: string;
}

export interface ServerFacts {
  readonly serverVersion: string;
  readonly serverVersionNum: number;
  /** null where pg_control_system() is not allowed. */
  readonly systemIdentifier: string | null;
  readonly inRecovery: boolean;
}

export interface Extension {
  readonly name: string;
  readonly version: string;
  readonly schema: string;
}

/** Oldest server that is supported: pg_export_snapshot() and the catalogs used here work alike from it on. */
export const OLDEST_SERVER = 120_000;

/** The server a connection leads to. */
export async function serverFacts(client: Client): Promise<ServerFacts> {
  const row = await client.first<{ recovering: boolean }>(
    'SELECT pg_catalog.pg_is_in_recovery() AS recovering',
  );
  return {
    serverVersion: versionText(client.serverVersion),
    serverVersionNum: client.serverVersion,
    systemIdentifier: await systemIdentifier(client),
    inRecovery: row?.recovering ?? false,
  };
}

/** What initdb gave the cluster; a standby has that of its primary, an upgrade a new one. null where not allowed. */
export async function systemIdentifier(client: Client): Promise<string | null> {
  const row = await client.first<{ allowed: boolean }>(
    "SELECT pg_catalog.has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE') AS allowed",
  );
  if (row?.allowed !== true) return null;
  const found = await client.first<{ id: string }>(
    'SELECT system_identifier::text AS id FROM pg_catalog.pg_control_system()',
  );
  return found?.id ?? null;
}

/** WAL position right now; on a standby, what was replayed. null where the server keeps it to itself. */
export async function walPosition(client: Client, inRecovery: boolean): Promise<string | null> {
  const row = await client.first<{ lsn: string | null }>(
    inRecovery
      ? 'SELECT pg_catalog.pg_last_wal_replay_lsn()::text AS lsn'
      : 'SELECT pg_catalog.pg_current_wal_lsn()::text AS lsn',
  );
  return row?.lsn ?? null;
}

/** The connected database. */
export async function databaseFacts(client: Client): Promise<DatabaseFacts> {
  const version = client.serverVersion;
  const provider =
    version >= 150_000
      ? "CASE d.datlocprovider WHEN 'i' THEN 'icu' WHEN 'b' THEN 'builtin' ELSE 'libc' END"
      : "'libc'";
  const locale = version >= 170_000 ? 'd.datlocale' : version >= 150_000 ? 'd.daticulocale' : 'NULL';
  const row = await client.first<{
    name: string;
    size: string;
    owner: string;
    encoding: string;
    collate: string;
    ctype: string;
    provider: LocaleProvider;
    locale: string | null;
    rules: string | null;
    collversion: string | null;
    tablespace: string;
  }>(
    `SELECT d.datname AS name, pg_catalog.pg_database_size(d.oid)::text AS size,
            pg_catalog.pg_get_userbyid(d.datdba) AS owner,
            pg_catalog.pg_encoding_to_char(d.encoding) AS encoding,
            d.datcollate AS "collate", d.datctype AS ctype, ${provider} AS provider, ${locale} AS locale,
            ${version >= 160_000 ? 'd.daticurules' : 'NULL'} AS rules,
            ${version >= 150_000 ? 'd.datcollversion' : 'NULL'} AS collversion,
            t.spcname AS tablespace
       FROM pg_catalog.pg_database d JOIN pg_catalog.pg_tablespace t ON t.oid = d.dattablespace
      WHERE d.datname = pg_catalog.current_database()`,
  );
  if (row === undefined) throw new Error('the connected database is not in pg_database');
  return {
    name: row.name,
    size: Number(row.size),
    owner: row.owner,
    encoding: row.encoding,
    collate: row.collate,
    ctype: row.ctype,
    localeProvider: row.provider,
    locale: row.locale,
    icuRules: row.rules,
    collationVersion: row.collversion,
    tablespace: row.tablespace,
  };
}

/** Installed extensions, by name. */
export async function extensions(client: Client): Promise<Extension[]> {
  return await client.query<{ name: string; version: string; schema: string }>(
    `SELECT e.extname AS name, e.extversion AS version, n.nspname AS schema
       FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace ORDER BY 1`,
  );
}

/** Of some extensions, those that the server cannot create. */
export async function unavailableExtensions(client: Client, names: readonly string[]): Promise<string[]> {
  const rows = await client.query<{ name: string }>(
    `SELECT w.name FROM pg_catalog.unnest($1::text[]) AS w(name)
      WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_available_extensions a WHERE a.name::text = w.name) ORDER BY 1`,
    [names],
  );
  return rows.map((row) => row.name);
}

/** Of some roles, those that the server does not have. */
export async function missingRoles(client: Client, names: readonly string[]): Promise<string[]> {
  const rows = await client.query<{ name: string }>(
    `SELECT w.name FROM pg_catalog.unnest($1::text[]) AS w(name)
      WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.rolname::text = w.name) ORDER BY 1`,
    [names],
  );
  return rows.map((row) => row.name);
}

/** What a dump will roughly be before compression: rows as stored, without indexes. Bytes. */
export async function dumpSizeEstimate(client: Client): Promise<number> {
  const row = await client.first<{ size: string | null }>(
    `SELECT pg_catalog.sum(pg_catalog.pg_table_size(c.oid))::text AS size FROM pg_catalog.pg_class c
      WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND c.relnamespace <> 'pg_catalog'::regnamespace
        AND c.relnamespace <> 'information_schema'::regnamespace`,
  );
  return Number(row?.size ?? 0);
}

export interface Rights {
  readonly user: string;
  readonly superuser: boolean;
  readonly createDatabase: boolean;
  readonly bypassRowSecurity: boolean;
  /** May end other sessions (pg_signal_backend, or superuser). */
  readonly signalBackends: boolean;
  /** Owns the connected database, directly or as a member of its owner. */
  readonly ownsDatabase: boolean;
}

/** What the connected role may do. */
export async function rights(client: Client): Promise<Rights> {
  const row = await client.first<{
    user: string;
    super: boolean;
    createdb: boolean;
    bypass: boolean;
    signal: boolean;
    owner: boolean;
  }>(
    `SELECT r.rolname AS user, r.rolsuper AS super, r.rolcreatedb AS createdb, r.rolbypassrls AS bypass,
            r.rolsuper OR pg_catalog.pg_has_role(r.oid, 'pg_signal_backend', 'MEMBER') AS signal,
            pg_catalog.pg_has_role(r.oid, d.datdba, 'MEMBER') AS owner
       FROM pg_catalog.pg_roles r, pg_catalog.pg_database d
      WHERE r.rolname = current_user AND d.datname = pg_catalog.current_database()`,
  );
  if (row === undefined) throw new Error('the connected role is not in pg_roles');
  return {
    user: row.user,
    superuser: row.super,
    createDatabase: row.super || row.createdb,
    bypassRowSecurity: row.super || row.bypass,
    signalBackends: row.signal,
    ownsDatabase: row.owner,
  };
}

/** Things bound to the connected database that make a swap fail or break something silently. */
export interface SwapBlockers {
  readonly preparedTransactions: number;
  readonly logicalSlots: readonly string[];
  readonly subscriptions: readonly string[];
  readonly publications: readonly string[];
}

export async function swapBlockers(client: Client): Promise<SwapBlockers> {
  const row = await client.first<{
    prepared: string;
    slots: string[];
    subscriptions: string[];
    publications: string[];
  }>(
    `SELECT (SELECT count(*) FROM pg_catalog.pg_prepared_xacts WHERE database = pg_catalog.current_database()) AS prepared,
            ARRAY(SELECT slot_name::text FROM pg_catalog.pg_replication_slots
                   WHERE database = pg_catalog.current_database() ORDER BY 1) AS slots,
            ARRAY(SELECT subname::text FROM pg_catalog.pg_subscription s JOIN pg_catalog.pg_database d ON d.oid = s.subdbid
                   WHERE d.datname = pg_catalog.current_database() ORDER BY 1) AS subscriptions,
            ARRAY(SELECT pubname::text FROM pg_catalog.pg_publication ORDER BY 1) AS publications`,
  );
  return {
    preparedTransactions: Number(row?.prepared ?? 0),
    logicalSlots: row?.slots ?? [],
    subscriptions: row?.subscriptions ?? [],
    publications: row?.publications ?? [],
  };
}

/**
 * Free bytes where the server keeps its data: known only for a server on this machine whose data folder this
 * process may look at.
 */
export async function serverFreeSpace(client: Client): Promise<{ path: string; bytes: number } | undefined> {
  const { connection } = client;
  const local = isSocket(connection) || ['localhost', '127.0.0.1', '::1'].includes(connection.host);
  if (!local) return undefined;
  try {
    const row = await client.first<{ path: string }>(
      "SELECT pg_catalog.current_setting('data_directory') AS path",
    );
    if (row === undefined) return undefined;
    const { bavail, bsize } = await statfs(row.path);
    return { path: row.path, bytes: bavail * bsize };
  } catch (error) {
    // Not allowed to know (42501), or the server runs in a container with folders of its own.
    if (sqlState(error) === undefined && (error as { code?: string }).code === undefined) throw error;
    return undefined;
  }
}
