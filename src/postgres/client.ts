/** The only door to the PostgreSQL driver. */
import { readFile } from 'node:fs/promises';
import { createConnection } from 'node:net';
import type { ClientConfig, Client as PgClient } from 'pg';
import { BackplanError } from '../errors.ts';
import { type Connection, describeConnection, isSocket } from './connection.ts';

export interface ConnectOptions {
  /** Shown in pg_stat_activity; also how a lock's holder is told. Default `backplan`. */
  readonly applicationName?: string;
  /** Ends a running query on the server (a cancel request) and closes the connection. */
  readonly signal?: AbortSignal;
  /** Session settings, for example {statement_timeout: '60s'}. */
  readonly settings?: Readonly<Record<string, string>>;
}

export interface QueryOptions {
  /**
   * Use the extended protocol although there are no values: the server then refuses a text that holds more than
   * one statement (SQLSTATE 42601). For statements that a plan supplies.
   */
  readonly single?: boolean;
}

export interface Client extends AsyncDisposable {
  readonly connection: Connection;
  /** `server_version_num`, for example 150018. */
  readonly serverVersion: number;
  /** Backend process id. */
  readonly backend: number;
  /** @throws QUERY_FAILED (with SQLSTATE in `cause`), CONNECTION_FAILED when the server went away, CANCELLED */
  query<Row extends Record<string, unknown> = Record<string, unknown>>(
    sql: string,
    values?: readonly unknown[],
    options?: QueryOptions,
  ): Promise<Row[]>;
  /** First row or undefined. */
  first<Row extends Record<string, unknown> = Record<string, unknown>>(
    sql: string,
    values?: readonly unknown[],
  ): Promise<Row | undefined>;
  /** Server notices, as they come. */
  onNotice(listener: (message: string) => void): void;
  close(): Promise<void>;
}

/** SQLSTATE of an error that a query threw, if it came from the server. */
export function sqlState(error: unknown): string | undefined {
  const cause = error instanceof BackplanError ? error.cause : error;
  const code = (cause as { code?: unknown } | undefined)?.code;
  return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) ? code : undefined;
}

/** Quotes an identifier: `we"ird` → `"we""ird"`. */
export function identifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** Quotes a literal for statements that take no parameters (ALTER DATABASE … SET). */
export function literal(value: string): string {
  const quoted = `'${value.replaceAll("'", "''")}'`;
  return value.includes('\\') ? ` E${quoted.replaceAll('\\', '\\\\')}` : quoted;
}

/** Opens a connection. @throws CONNECTION_FAILED with what to check, CANCELLED */
export async function connect(connection: Connection, options: ConnectOptions = {}): Promise<Client> {
  options.signal?.throwIfAborted();
  const pg = await import('pg');
  const raw = await open(pg.default.Client, connection, options);
  // A server that goes away between queries must not crash the process; the next query reports it.
  raw.on('error', () => {});
  const wrapped = wrap(raw, connection, options.signal);
  try {
    const settings = Object.entries(options.settings ?? {});
    const calls = settings.map((_each, index) => `set_config($${2 * index + 1}, $${2 * index + 2}, false)`);
    const row = (
      await raw.query(
        `SELECT ${["current_setting('server_version_num')::int AS version", 'pg_backend_pid() AS pid', ...calls].join(', ')}`,
        settings.flat(),
      )
    ).rows[0];
    return Object.assign(wrapped, { serverVersion: Number(row.version), backend: Number(row.pid) });
  } catch (error) {
    await wrapped.close();
    throw queryError(error, connection);
  }
}

/** Runs `work` with a connection that is closed afterwards, whatever happens. */
export async function withClient<T>(
  connection: Connection,
  options: ConnectOptions,
  work: (client: Client) => Promise<T>,
): Promise<T> {
  await using client = await connect(connection, options);
  return await work(client);
}

function wrap(
  raw: PgClient,
  connection: Connection,
  signal: AbortSignal | undefined,
): Client & { serverVersion: number; backend: number } {
  let closed = false;
  let running = 0;
  const close = async () => {
    if (closed) return;
    closed = true;
    signal?.removeEventListener('abort', onAbort);
    await raw.end().catch(() => {});
  };
  // A server that computes does not notice a closed socket, so a running query is cancelled first.
  const onAbort = () => {
    closed = true;
    if (running > 0) requestCancel(raw, connection);
    (raw as unknown as DriverInternals).connection.stream.destroy();
  };
  signal?.addEventListener('abort', onAbort, { once: true });
  const query = async <Row extends Record<string, unknown>>(
    sql: string,
    values: readonly unknown[] = [],
    options: QueryOptions = {},
  ) => {
    signal?.throwIfAborted();
    running++;
    try {
      const result = await raw.query({
        text: sql,
        ...(values.length === 0 ? {} : { values: [...values] }),
        ...(options.single === true ? { queryMode: 'extended' } : {}),
      });
      // Several statements in one string yield a list of results; the last one is the answer.
      return (Array.isArray(result) ? result.at(-1).rows : result.rows) as Row[];
    } catch (error) {
      signal?.throwIfAborted();
      throw queryError(error, connection, sql);
    } finally {
      running--;
    }
  };
  return {
    connection,
    serverVersion: 0,
    backend: 0,
    query,
    first: async <Row extends Record<string, unknown>>(sql: string, values?: readonly unknown[]) =>
      (await query<Row>(sql, values))[0],
    onNotice: (listener) => raw.on('notice', (notice) => listener(notice.message ?? '')),
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** What the driver knows of the session but its types do not say. */
interface DriverInternals {
  readonly processID: number | null;
  readonly secretKey: number | null;
  readonly connection: { readonly stream: { destroy(): void } };
}

/**
 * Asks the server to end what a session is running. Best effort: a request that does not arrive only means that
 * the server finishes work whose result nobody reads.
 * Source: https://www.postgresql.org/docs/current/protocol-message-formats.html (CancelRequest)
 */
function requestCancel(raw: PgClient, connection: Connection): void {
  const { processID, secretKey } = raw as unknown as DriverInternals;
  if (processID === null || secretKey === null) return;
  const request = Buffer.alloc(16);
  request.writeInt32BE(16, 0);
  request.writeInt32BE(80_877_102, 4);
  request.writeInt32BE(processID, 8);
  request.writeInt32BE(secretKey, 12);
  const socket = isSocket(connection)
    ? createConnection(`${connection.host}/.s.PGSQL.${connection.port}`)
    : createConnection(connection.port, connection.host);
  socket.on('error', () => {});
  socket.setTimeout(5000, () => socket.destroy());
  socket.once('connect', () => socket.end(request));
  socket.resume();
}

async function open(
  Client: typeof PgClient,
  connection: Connection,
  options: ConnectOptions,
): Promise<PgClient> {
  const base: ClientConfig = {
    host: connection.host,
    port: connection.port,
    user: connection.user,
    password: connection.password,
    database: connection.database,
    options: connection.options,
    application_name: options.applicationName ?? 'backplan',
    connectionTimeoutMillis: connection.connectTimeout * 1000,
    keepAlive: true,
  };
  const attempt = async (ssl: ClientConfig['ssl']) => {
    const client = new Client({ ...base, ssl });
    client.on('error', () => {});
    // Ending politely would wait for a server that never answers.
    const onAbort = () => (client as unknown as DriverInternals).connection.stream.destroy();
    options.signal?.addEventListener('abort', onAbort, { once: true });
    try {
      await client.connect();
      return client;
    } catch (error) {
      await client.end().catch(() => {});
      throw error;
    } finally {
      options.signal?.removeEventListener('abort', onAbort);
    }
  };
  try {
    const tls = await tlsOf(connection);
    if (tls === false) return await attempt(false);
    try {
      return await attempt(tls);
    } catch (error) {
      // As libpq with `prefer` and `allow`: a server without TLS is fine.
      const fallback = connection.sslmode === 'prefer' || connection.sslmode === 'allow';
      if (fallback && error instanceof Error && /does not support SSL/i.test(error.message))
        return await attempt(false);
      throw error;
    }
  } catch (error) {
    options.signal?.throwIfAborted();
    throw connectionError(error, connection);
  }
}

/** libpq's meaning of sslmode, which differs from the driver's: `require` encrypts but does not verify. */
async function tlsOf(connection: Connection): Promise<ClientConfig['ssl']> {
  if (isSocket(connection) || connection.sslmode === 'disable') return false;
  const read = async (path: string | undefined) =>
    path === undefined || path === 'system' ? undefined : await readFile(path, 'utf8');
  const verify = connection.sslmode === 'verify-ca' || connection.sslmode === 'verify-full';
  return {
    rejectUnauthorized: verify,
    ca: await read(connection.sslrootcert),
    cert: await read(connection.sslcert),
    key: await read(connection.sslkey),
    ...(connection.sslmode === 'verify-ca' ? { checkServerIdentity: () => undefined } : {}),
  };
}

const CONNECTION_HINTS: readonly (readonly [RegExp, string])[] = [
  [/ECONNREFUSED/, 'Nothing listens there. Is the server running, and are host and port right?'],
  [/ENOENT/, 'There is no such socket. Is the server running, and is the folder of the socket right?'],
  [/ENOTFOUND|EAI_AGAIN/, 'The host name does not resolve. Check its spelling and the network.'],
  [
    /ETIMEDOUT|timeout expired|Connection terminated due to connection timeout/,
    'No answer in time. A firewall, or the server is overloaded.',
  ],
  [/28P01|28000/, 'The server refused the login. Check user, password and pg_hba.conf.'],
  [/3D000/, 'There is no database of that name. `backplan restore` can bring it back from a backup.'],
  [/53300/, 'The server has no free connection slot. End some sessions or raise max_connections.'],
  [/57P03/, 'The server is starting up or shutting down. Try again in a moment.'],
  [/55000/, 'The database does not accept connections (ALLOW_CONNECTIONS is off, or a swap is under way).'],
];

const TRANSIENT =
  /ECONNREFUSED|ECONNRESET|ETIMEDOUT|EAI_AGAIN|53300|57P0[123]|08\d{3}|timeout|terminated unexpectedly/i;

function connectionError(error: unknown, connection: Connection): BackplanError {
  const code = String((error as { code?: unknown }).code ?? '');
  const message = messageOf(error);
  const text = `${code} ${message}`;
  return new BackplanError(
    'CONNECTION_FAILED',
    `cannot connect to ${describeConnection(connection)}: ${message}`,
    {
      cause: error,
      hint:
        CONNECTION_HINTS.find(([pattern]) => pattern.test(text))?.[1] ??
        'Check the url, the network and the server log.',
      transient: TRANSIENT.test(text),
    },
  );
}

function queryError(error: unknown, connection: Connection, sql?: string): BackplanError {
  const code = String((error as { code?: unknown }).code ?? '');
  const message = messageOf(error);
  if (code === '' || code === '57P01' || code === '57P02' || /^(08|E[A-Z]+$)/.test(code)) {
    return new BackplanError(
      'CONNECTION_FAILED',
      `the connection to ${describeConnection(connection)} was lost: ${message}`,
      {
        cause: error,
        transient: true,
        hint: 'The server restarted, ended the session, or the network dropped. The server log tells which.',
      },
    );
  }
  const { detail, hint, where } = error as { detail?: string; hint?: string; where?: string };
  return new BackplanError('QUERY_FAILED', `${message} (SQLSTATE ${code}) in ${connection.database}`, {
    cause: error,
    hint,
    detail: [
      detail,
      where,
      sql === undefined ? undefined : `statement: ${sql.length > 400 ? `${sql.slice(0, 400)}…` : sql}`,
    ]
      .filter((line) => line !== undefined)
      .join('\n'),
    transient: /^(40001|40P01|55P03|53\d{3}|57P03)$/.test(code),
  });
}

function messageOf(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(messageOf).join('; ');
  return error instanceof Error ? error.message : String(error);
}
