/** Private PostgreSQL servers for tests: real binaries, unix socket only, removed afterwards. */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import {
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface TestCluster {
  /** Folder of the unix socket; the port below names the socket file. */
  readonly socket: string;
  readonly port: number;
  readonly dataDirectory: string;
  readonly binDirectory: string;
  readonly logFile: string;
  /** Url of a database on this server, as the superuser `postgres`. */
  url(database: string, user?: string): string;
  /** Runs SQL through psql with ON_ERROR_STOP; returns unaligned tuples-only output. */
  psql(database: string, sql: string): string;
  stop(mode?: 'fast' | 'immediate'): void;
  start(): void;
  /** Stops and removes everything. */
  remove(): void;
}

/** Folder of initdb, pg_ctl and the client tools: BACKPLAN_TEST_PG_BIN, or the newest that Debian installed, or PATH's. */
export function findBinDirectory(): string {
  const configured = process.env.BACKPLAN_TEST_PG_BIN;
  if (configured !== undefined) return configured;
  const debian = '/usr/lib/postgresql';
  const majors = existsSync(debian)
    ? readdirSync(debian)
        .filter((name) => existsSync(join(debian, name, 'bin', 'initdb')))
        .sort((a, b) => Number(b) - Number(a))
    : [];
  if (majors[0] !== undefined) return join(debian, majors[0], 'bin');
  return join(execFileSync('pg_config', ['--bindir'], { encoding: 'utf8' }).trim());
}

/** User and group that PostgreSQL runs as: undefined unless we are root, which it refuses. */
export function unprivileged(): { uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined;
  for (const name of ['postgres', 'nobody']) {
    const line = readFileSync('/etc/passwd', 'utf8')
      .split('\n')
      .find((entry) => entry.startsWith(`${name}:`));
    if (line !== undefined) {
      const [, , uid, gid] = line.split(':');
      return { uid: Number(uid), gid: Number(gid) };
    }
  }
  throw new Error('no unprivileged user to run PostgreSQL as');
}

/** Where the copy of a new data folder lies; inherited by the processes of the test files. */
const TEMPLATE = 'BACKPLAN_TEST_TEMPLATE';

export function startCluster(
  options: {
    parameters?: Record<string, string>;
    initdb?: string[];
    hba?: string;
    binDirectory?: string;
    /** Keeps a copy of the new data folder from which the clusters of test files are made. */
    keepTemplate?: boolean;
  } = {},
): TestCluster {
  const binDirectory = options.binDirectory ?? findBinDirectory();
  const who = unprivileged();
  const folder = mkdtempSync(join(tmpdir(), 'backplan-test-'));
  const dataDirectory = join(folder, 'data');
  const socket = join(folder, 's');
  const logFile = join(folder, 'server.log');
  mkdirSync(socket);
  writeFileSync(logFile, '');
  if (who !== undefined) for (const path of [folder, socket, logFile]) chownSync(path, who.uid, who.gid);
  const run = (tool: string, args: string[]) => {
    const result = spawnSync(join(binDirectory, tool), args, {
      ...who,
      cwd: folder,
      encoding: 'utf8',
      env: { PATH: process.env.PATH, LC_ALL: 'C.UTF-8', TZ: 'UTC' },
    });
    if (result.status !== 0)
      throw new Error(`${tool} failed: ${result.error?.message ?? ''}${result.stdout}${result.stderr}`);
    return result.stdout;
  };
  const template = options.binDirectory === undefined ? process.env[TEMPLATE] : undefined;
  if (template !== undefined && options.initdb === undefined) {
    execFileSync('cp', ['-Rp', '--', template, dataDirectory]);
  } else {
    const how = ['-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C.UTF-8', '-N'];
    run('initdb', ['-D', dataDirectory, ...how, ...(options.initdb ?? [])]);
  }
  if (options.keepTemplate === true) {
    process.env[TEMPLATE] = join(folder, 'template');
    execFileSync('cp', ['-Rp', '--', dataDirectory, process.env[TEMPLATE]]);
  }
  const port = 5432;
  const parameters: Record<string, string> = {
    listen_addresses: '',
    unix_socket_directories: socket,
    port: String(port),
    fsync: 'off',
    synchronous_commit: 'off',
    full_page_writes: 'off',
    max_connections: '200',
    max_prepared_transactions: '10',
    wal_level: 'logical',
    shared_buffers: '128MB',
    timezone: 'UTC',
    // Hundreds of databases that live for seconds: background work and compiled queries cost more than they bring.
    autovacuum: 'off',
    jit: 'off',
    checkpoint_timeout: '1d',
    max_wal_size: '4GB',
    bgwriter_lru_maxpages: '0',
    ...options.parameters,
  };
  writeFileSync(
    join(dataDirectory, 'postgresql.auto.conf'),
    Object.entries(parameters)
      .map(([name, value]) => `${name} = '${value}'\n`)
      .join(''),
  );
  if (options.hba !== undefined) writeFileSync(join(dataDirectory, 'pg_hba.conf'), options.hba);
  const start = () => {
    run('pg_ctl', ['-D', dataDirectory, '-l', logFile, '-w', '-t', '30', 'start']);
  };
  start();
  const stop = (mode: 'fast' | 'immediate' = 'fast') => {
    spawnSync(join(binDirectory, 'pg_ctl'), ['-D', dataDirectory, '-m', mode, '-w', '-t', '30', 'stop'], {
      ...who,
      cwd: folder,
    });
  };
  const url = (database: string, user = 'postgres') =>
    `postgresql://${user}@/${encodeURIComponent(database)}?host=${encodeURIComponent(socket)}&port=${port}`;
  return {
    socket,
    port,
    dataDirectory,
    binDirectory,
    logFile,
    url,
    start,
    stop,
    psql: (database, sql) => psql(join(binDirectory, 'psql'), url(database), sql),
    remove: () => {
      stop('immediate');
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Runs SQL with stop on the first error; throws with psql's message. */
export function psql(command: string, url: string, sql: string): string {
  const result = spawnSync(command, ['-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1', '-d', url], {
    input: sql,
    encoding: 'utf8',
    maxBuffer: 1e9,
  });
  if (result.status !== 0) throw new Error(`psql failed: ${result.stderr}`);
  return result.stdout.trimEnd();
}

/** Keeps psql open for a client that writes in a loop. */
export function psqlSession(command: string, url: string) {
  return spawn(command, ['-X', '-q', '-A', '-t', '-d', url], { stdio: ['pipe', 'pipe', 'pipe'] });
}
