/**
 * Where a database is and how to reach it, parsed once from a url, usable by the driver and by the stock tools.
 * Source: https://www.postgresql.org/docs/current/libpq-connect.html (connection URIs, parameter key words).
 */
import { BackplanError } from '../errors.ts';
import { MASK } from '../secret.ts';

export type SslMode = 'disable' | 'allow' | 'prefer' | 'require' | 'verify-ca' | 'verify-full';

export interface Connection {
  /** Host name, address, or the folder of a unix socket. */
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password?: string;
  readonly database: string;
  readonly sslmode: SslMode;
  readonly sslrootcert?: string;
  readonly sslcert?: string;
  readonly sslkey?: string;
  /** Server settings, as `-c name=value`. */
  readonly options?: string;
  /** Seconds. */
  readonly connectTimeout: number;
}

const SSL_MODES: readonly string[] = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'];

/**
 * Parses `postgresql://user:password@host:port/database?sslmode=…`. Parameters of other tools (Prisma's `schema`,
 * `connection_limit`, `pgbouncer`) are ignored. What the url leaves out comes from PG* variables, as with libpq.
 * @throws CONNECTION_FAILED when it is not a PostgreSQL url
 */
export function parseConnection(url: string, env: NodeJS.ProcessEnv = process.env): Connection {
  let parsed: URL;
  try {
    if (!/^postgres(ql)?:\/\//.test(url)) throw new Error('not a postgresql:// url');
    // WHATWG URL refuses an empty host with a port or a user; libpq allows both.
    parsed = new URL(
      url.replace(
        /^postgres(ql)?:\/\/([^/?#@]*@)?(?=[:/?#]|$)/,
        (_all, _ql, auth: string | undefined) => `postgresql://${auth ?? ''}socket.invalid`,
      ),
    );
  } catch (cause) {
    throw new BackplanError('CONNECTION_FAILED', 'the database url is not a PostgreSQL url', {
      cause: cause instanceof TypeError ? undefined : cause,
      hint: 'Write postgresql://USER:PASSWORD@HOST:PORT/DATABASE; percent-encode special characters in the password.',
    });
  }
  const parameter = (name: string) => parsed.searchParams.get(name) ?? undefined;
  const host =
    parsed.hostname === 'socket.invalid' ? '' : decodeURIComponent(parsed.hostname).replace(/^\[|\]$/g, '');
  const user =
    parameter('user') ?? (decodeURIComponent(parsed.username) || env.PGUSER || env.USER || 'postgres');
  const sslmode = parameter('sslmode') ?? env.PGSSLMODE ?? 'prefer';
  return {
    host: parameter('host') ?? (host || env.PGHOST || '/var/run/postgresql'),
    port: Number(parsed.port || parameter('port') || env.PGPORT || 5432),
    user,
    password: parameter('password') ?? (decodeURIComponent(parsed.password) || env.PGPASSWORD),
    database: parameter('dbname') ?? (decodeURIComponent(parsed.pathname.slice(1)) || env.PGDATABASE || user),
    sslmode: (SSL_MODES.includes(sslmode) ? sslmode : 'prefer') as SslMode,
    sslrootcert: parameter('sslrootcert') ?? env.PGSSLROOTCERT,
    sslcert: parameter('sslcert') ?? env.PGSSLCERT,
    sslkey: parameter('sslkey') ?? env.PGSSLKEY,
    options: parameter('options'),
    connectTimeout: Number(parameter('connect_timeout') ?? env.PGCONNECT_TIMEOUT ?? 15) || 15,
  };
}

/** The same server, another database. */
export function withDatabase(connection: Connection, database: string): Connection {
  return { ...connection, database };
}

export function isSocket(connection: Connection): boolean {
  return connection.host.startsWith('/') || connection.host.startsWith('@');
}

/** For people: no password, ever. */
export function describeConnection(connection: Connection): string {
  const host = isSocket(connection) ? `[${connection.host}]` : connection.host;
  return `${connection.user}@${host}:${connection.port}/${connection.database}`;
}

/** For manifests and listings: a url whose password is masked. */
export function maskedUrl(connection: Connection): string {
  const auth = `${encodeURIComponent(connection.user)}${connection.password === undefined ? '' : `:${MASK}`}`;
  const database = encodeURIComponent(connection.database);
  return isSocket(connection)
    ? `postgresql://${auth}@/${database}?host=${encodeURIComponent(connection.host)}&port=${connection.port}`
    : `postgresql://${auth}@${connection.host}:${connection.port}/${database}`;
}

/**
 * For child processes: PG* variables, so that a password is never in argv.
 * Source: https://www.postgresql.org/docs/current/libpq-envars.html
 */
export function toEnvironment(connection: Connection, applicationName: string): Record<string, string> {
  const variables: Record<string, string | undefined> = {
    PGHOST: connection.host,
    PGPORT: String(connection.port),
    PGUSER: connection.user,
    PGPASSWORD: connection.password,
    PGDATABASE: connection.database,
    PGSSLMODE: connection.sslmode,
    PGSSLROOTCERT: connection.sslrootcert,
    PGSSLCERT: connection.sslcert,
    PGSSLKEY: connection.sslkey,
    PGOPTIONS: connection.options,
    PGCONNECT_TIMEOUT: String(connection.connectTimeout),
    PGAPPNAME: applicationName,
    // Messages are matched and shown: keep them in one language.
    LC_MESSAGES: 'C',
    LANGUAGE: 'en',
  };
  return Object.fromEntries(
    Object.entries(variables).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
}
