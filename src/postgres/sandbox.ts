/**
 * A private throw-away PostgreSQL server: initdb in a temporary folder, unix socket only, tuned for speed and not
 * for safety, gone when it is stopped. Nothing in it is of value, so nothing is written durably.
 */
import { randomBytes } from 'node:crypto';
import { chown, mkdir, readFile, readlink, rm, statfs, writeFile } from 'node:fs/promises';
import { availableParallelism, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { BackplanError, toBackplanError } from '../errors.ts';
import { type RunningTool, runTool, startTool } from '../process.ts';
import { connect } from './client.ts';
import { createDataDirectory, SERVER_ENVIRONMENT } from './cluster-template.ts';
import type { Connection } from './connection.ts';
import type { Tools } from './tools.ts';
import { type Account, unprivilegedAccount } from './unprivileged.ts';

/** What recovery needs to remove a sandbox that its run left behind. */
export interface SandboxThing {
  readonly kind: 'sandbox';
  readonly dataDirectory: string;
  readonly folder: string;
}

export interface SandboxOptions {
  /** Installation with initdb and postgres. */
  readonly tools: Tools;
  readonly settings: {
    /** Parent folder. Default: the system's temporary folder. */
    readonly directory?: string;
    readonly user?: string;
    readonly parameters: Readonly<Record<string, string>>;
  };
  /** Writes ownership down; called before anything is made. */
  readonly own: (thing: SandboxThing | { readonly kind: 'folder'; readonly path: string }) => {
    release(): void;
  };
  /** Ends the start; a running sandbox is ended by `stop`. */
  readonly signal: AbortSignal;
  /** Marks the server process for recovery. */
  readonly run?: string;
  /** The server's log. */
  readonly onLog?: (line: string) => void;
}

export interface Sandbox {
  /** As its superuser, to its database `postgres`. */
  readonly connection: Connection;
  readonly dataDirectory: string;
  readonly serverVersionNum: number;
  /** Ends the server at once and removes every trace. Idempotent, never throws. */
  stop(): Promise<void>;
}

/** Longest path of a unix socket (sun_path) on Linux, without the closing zero. macOS: 103. */
const SOCKET_BYTES = process.platform === 'darwin' ? 103 : 107;

export const SANDBOX_SUPERUSER = 'postgres';

/** @throws SANDBOX_FAILED with the server's last words, CANCELLED */
export async function startSandbox(options: SandboxOptions): Promise<Sandbox> {
  const { tools, signal } = options;
  const account = await unprivilegedAccount(options.settings.user);
  const name = `backplan-sandbox-${randomBytes(6).toString('hex')}`;
  const folder = join(options.settings.directory ?? tmpdir(), name);
  const dataDirectory = join(folder, 'data');
  // A deep temporary folder leaves no room for the socket's path: the socket then gets a short folder of its own.
  const inside = Buffer.byteLength(join(folder, '.s.PGSQL.5432')) <= SOCKET_BYTES;
  const socketFolder = inside ? folder : join('/tmp', name);
  const owned = [
    options.own({ kind: 'sandbox', dataDirectory, folder }),
    ...(inside ? [] : [options.own({ kind: 'folder', path: socketFolder })]),
  ];
  const lastWords = new LastLines(30);
  const onLog = (line: string) => {
    lastWords.add(line);
    options.onLog?.(line);
  };
  let server: RunningTool | undefined;
  const stop = async () => {
    if (server !== undefined) await end(server);
    await rm(folder, { recursive: true, force: true, maxRetries: 3 }).catch(() => {});
    if (!inside) await rm(socketFolder, { recursive: true, force: true }).catch(() => {});
    for (const each of owned) each.release();
  };
  try {
    for (const path of new Set([folder, socketFolder])) {
      await mkdir(path, { mode: 0o700 });
      if (account !== undefined) await chown(path, account.uid, account.gid);
    }
    await createDataDirectory({
      ...{ tools, dataDirectory, account, signal },
      superuser: SANDBOX_SUPERUSER,
      run: options.run,
      onLog,
    });
    const parameters = await serverParameters(socketFolder, tools.versionNum, options.settings.parameters);
    await writeFile(join(dataDirectory, 'postgresql.auto.conf'), formatParameters(parameters), { flag: 'a' });
    signal.throwIfAborted();
    server = await startTool({
      command: tools.path('postgres'),
      args: ['-D', dataDirectory],
      env: SERVER_ENVIRONMENT,
      cwd: folder,
      // Its end is ours to decide, after every step that uses it.
      signal: new AbortController().signal,
      ...account,
      run: options.run,
      onStderr: onLog,
      label: 'postgres',
    });
    server.stdin.on('error', () => {});
    server.stdin.end();
    server.stdout.resume();
    const connection = socketConnection(socketFolder);
    await ready(server, connection, signal);
    return { connection, dataDirectory, serverVersionNum: tools.versionNum, stop };
  } catch (error) {
    await stop();
    signal.throwIfAborted();
    throw sandboxError(error, options, account, lastWords.text());
  }
}

function socketConnection(folder: string): Connection {
  return {
    host: folder,
    port: 5432,
    user: SANDBOX_SUPERUSER,
    database: 'postgres',
    sslmode: 'disable',
    connectTimeout: 15,
  };
}

/**
 * Speed without safety: no fsync, no WAL where it can be skipped, no checkpoints, no background work, memory by
 * what the machine has. No way in from the network; no way out for jobs of the restored database either, because
 * nothing preloads unless the plan says so.
 * Source: https://www.postgresql.org/docs/current/populate.html, …/non-durability.html
 */
export async function serverParameters(
  socketFolder: string,
  versionNum: number,
  extra: Readonly<Record<string, string>>,
): Promise<Record<string, string>> {
  // A container may have less than the machine; 0 means no limit.
  const limit = process.constrainedMemory();
  const megabytes = Math.floor(Math.min(totalmem(), limit > 0 ? limit : totalmem()) / 2 ** 20);
  const within = (share: number, least: number, most: number) =>
    `${Math.max(least, Math.min(most, Math.floor(megabytes * share)))}MB`;
  const parameters: Record<string, string> = {
    listen_addresses: '',
    unix_socket_directories: socketFolder,
    unix_socket_permissions: '0700',
    port: '5432',
    max_connections: '50',
    fsync: 'off',
    full_page_writes: 'off',
    synchronous_commit: 'off',
    wal_level: 'minimal',
    max_wal_senders: '0',
    archive_mode: 'off',
    wal_init_zero: 'off',
    wal_recycle: 'off',
    max_wal_size: '16GB',
    checkpoint_timeout: '1d',
    autovacuum: 'off',
    bgwriter_lru_maxpages: '0',
    jit: 'off',
    shared_buffers: within(1 / 8, 64, 2048),
    maintenance_work_mem: within(1 / 32, 64, 1024),
    work_mem: within(1 / 128, 16, 256),
    max_locks_per_transaction: '512',
    max_prepared_transactions: '0',
    max_logical_replication_workers: '0',
    max_worker_processes: String(Math.max(4, availableParallelism())),
    // What the dump says must not be cut short by a setting of the server.
    statement_timeout: '0',
    log_min_messages: 'warning',
    // Statements hold data.
    log_min_error_statement: 'panic',
    log_checkpoints: 'off',
    log_timezone: 'UTC',
    timezone: 'UTC',
    // Containers often have a tiny /dev/shm, which parallel queries would fill.
    ...((await sharedMemoryBytes()) < 256 * 2 ** 20 ? { dynamic_shared_memory_type: 'mmap' } : {}),
    ...extra,
  };
  if (versionNum < 130_000) delete parameters.wal_init_zero;
  return parameters;
}

async function sharedMemoryBytes(): Promise<number> {
  if (process.platform !== 'linux') return Number.POSITIVE_INFINITY;
  return await statfs('/dev/shm').then(
    ({ bavail, bsize }) => bavail * bsize,
    () => 0,
  );
}

function formatParameters(parameters: Readonly<Record<string, string>>): string {
  return Object.entries(parameters)
    .map(([name, value]) => `${name} = '${value.replaceAll("'", "''").replaceAll('\\', '\\\\')}'\n`)
    .join('');
}

/** Tries to connect until the server says yes or has ended. */
async function ready(server: RunningTool, connection: Connection, signal: AbortSignal): Promise<void> {
  let ended = false;
  const watch = server.done.then(
    () => {
      ended = true;
    },
    (error: unknown) => {
      ended = true;
      throw error;
    },
  );
  watch.catch(() => {});
  const deadline = performance.now() + 60_000;
  for (;;) {
    signal.throwIfAborted();
    try {
      await using _client = await connect(connection, { signal });
      return;
    } catch (error) {
      if (ended) await watch;
      if (ended || performance.now() > deadline) throw error;
      await sleep(5);
    }
  }
}

/** Immediate shutdown: there is nothing to save. KILL if that is not enough. */
async function end(server: RunningTool): Promise<void> {
  const over = server.done.then(
    () => {},
    () => {},
  );
  signalProcess(server.pid, 'SIGQUIT');
  const timer = setTimeout(() => signalProcess(-server.pid, 'SIGKILL'), 10_000);
  await over;
  clearTimeout(timer);
}

function signalProcess(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(pid, signal);
  } catch {
    return false;
  }
}

const SANDBOX_HINTS: readonly (readonly [
  RegExp,
  (facts: { folder: string; user: string; binaries: string }) => string,
])[] = [
  [
    /could not access file "|could not load library/i,
    () => 'A library in settings.sandbox.parameters is not installed for this version of PostgreSQL.',
  ],
  [
    /unrecognized configuration parameter|invalid value for parameter/i,
    () => 'Check settings.sandbox.parameters in the plan.',
  ],
  [
    /no space left|ENOSPC/i,
    ({ folder }) => `Free space in ${folder}, or set settings.sandbox.directory to a bigger file system.`,
  ],
  [
    /shared memory|out of memory|cannot allocate/i,
    () => 'The machine has too little memory free: lower shared_buffers in settings.sandbox.parameters.',
  ],
  [
    /permission denied|EACCES|could not access directory|could not change directory/i,
    ({ folder, user, binaries }) =>
      `The user ${user} must be able to enter ${folder} and to run ${binaries}. Set settings.sandbox.directory to a folder that it can reach.`,
  ],
];

function sandboxError(
  error: unknown,
  { settings, tools }: SandboxOptions,
  account: Account | undefined,
  log: string,
): BackplanError {
  const cause = toBackplanError(error, 'SANDBOX_FAILED');
  const text = `${cause.message}\n${cause.detail ?? ''}\n${log}`;
  const folder = settings.directory ?? tmpdir();
  const hint =
    SANDBOX_HINTS.find(([pattern]) => pattern.test(text))?.[1]({
      folder,
      user: account?.name ?? 'that runs backplan',
      binaries: tools.directory,
    }) ??
    cause.hint ??
    'The last lines of its log are in the details.';
  return new BackplanError('SANDBOX_FAILED', `the sandbox server did not start: ${cause.message}`, {
    cause: error,
    hint,
    detail: [cause.detail, log].filter((part) => part !== undefined && part !== '').join('\n'),
  });
}

class LastLines {
  readonly #lines: string[] = [];
  readonly #limit: number;
  constructor(limit: number) {
    this.#limit = limit;
  }
  add(line: string): void {
    this.#lines.push(line);
    if (this.#lines.length > this.#limit) this.#lines.shift();
  }
  text(): string {
    return this.#lines.join('\n');
  }
}

/**
 * Removes a sandbox that a crashed run left behind: its server, if it is still this one, and its folder.
 * Safe to call for one that is gone.
 */
export async function removeSandbox(thing: SandboxThing): Promise<void> {
  const pid = await postmasterOf(thing.dataDirectory);
  if (pid !== undefined) {
    signalProcess(pid, 'SIGQUIT');
    const deadline = performance.now() + 10_000;
    while (signalProcess(pid, 0) && (await runsIn(pid, thing.dataDirectory))) {
      if (performance.now() > deadline) signalProcess(pid, 'SIGKILL');
      await sleep(20);
    }
  }
  await rm(thing.folder, { recursive: true, force: true, maxRetries: 3 });
}

/** The server process of a data folder, if it runs: a number that another process has by now is not believed. */
async function postmasterOf(dataDirectory: string): Promise<number | undefined> {
  const text = await readFile(join(dataDirectory, 'postmaster.pid'), 'utf8').catch(() => '');
  const [first, directory] = text.split('\n');
  const pid = Number(first);
  if (!Number.isInteger(pid) || pid <= 1 || directory !== dataDirectory) return undefined;
  return (await runsIn(pid, dataDirectory)) ? pid : undefined;
}

/** A server's working directory is its data folder. Where /proc is missing, ps tells its arguments. */
async function runsIn(pid: number, dataDirectory: string): Promise<boolean> {
  if (process.platform === 'linux') {
    return await readlink(`/proc/${pid}/cwd`).then(
      (path) => path === dataDirectory,
      () => false,
    );
  }
  return await runTool({
    command: 'ps',
    args: ['-o', 'command=', '-p', String(pid)],
    signal: AbortSignal.timeout(5000),
  }).then(
    ({ stdout }) => stdout.includes(dataDirectory),
    () => false,
  );
}
