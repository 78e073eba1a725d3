/**
 * Runs pg_restore and psql so that any error stops them, and says what failed on which object.
 * Sources: https://www.postgresql.org/docs/current/app-pgrestore.html, …/app-psql.html
 */
import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { toBackplanError } from '../errors.ts';
import { type RunningTool, startTool } from '../process.ts';
import { type Connection, toEnvironment } from './connection.ts';
import { type PlainOptions, PlainScript } from './plain.ts';
import { restoreError } from './restore-error.ts';
import type { Tools } from './tools.ts';

export interface RestoreOptions {
  readonly tools: Tools;
  /** The empty database to fill. */
  readonly target: Connection;
  readonly targetVersion: number;
  readonly applicationName: string;
  /** How the archive is called in messages. */
  readonly label: string;
  readonly signal: AbortSignal;
  readonly run?: string;
  readonly onStderr?: (line: string) => void;
  readonly noOwner?: boolean;
  readonly noPrivileges?: boolean;
}

export interface ArchiveRestoreOptions extends RestoreOptions {
  /** Default 1. */
  readonly jobs?: number;
  /** File with the ids of the entries to restore. */
  readonly listFile?: string;
  readonly only?: 'schema' | 'data';
  readonly singleTransaction?: boolean;
  readonly noTablespaces?: boolean;
}

/**
 * Restores an archive from a path, or a custom archive from a stream. Subscriptions are never restored: they would
 * keep a copy from being dropped, and two databases must not read one replication slot.
 * @throws RESTORE_FAILED naming the object, BACKUP_CORRUPT, and what the environment lacks
 */
export async function restoreArchive(
  input: string | Readable,
  options: ArchiveRestoreOptions,
): Promise<void> {
  const { tools, target, signal } = options;
  // Newer clients write settings that older servers do not know: their script goes through a filter then.
  const unknown = settingsUnknownTo(options.targetVersion, tools.versionNum);
  const asScript = unknown.size > 0 && options.targetVersion < tools.versionNum;
  const tool = await startTool({
    command: tools.path('pg_restore'),
    args: [
      ...(asScript
        ? ['--file=-']
        : [`--dbname=${conninfo(target.database)}`, '--exit-on-error', '--no-password']),
      '--no-subscriptions',
      ...(typeof input === 'string' && !asScript && (options.jobs ?? 1) > 1
        ? [`--jobs=${options.jobs}`]
        : []),
      ...(options.listFile === undefined ? [] : [`--use-list=${options.listFile}`]),
      ...(options.only === undefined ? [] : [`--${options.only}-only`]),
      ...(options.noOwner === true ? ['--no-owner'] : []),
      ...(options.noPrivileges === true ? ['--no-privileges'] : []),
      ...(options.noTablespaces === true ? ['--no-tablespaces'] : []),
      ...(options.singleTransaction === true && !asScript ? ['--single-transaction'] : []),
      ...(typeof input === 'string' ? [input] : ['--format=custom']),
    ],
    env: toEnvironment(target, options.applicationName),
    code: 'RESTORE_FAILED',
    signal,
    run: options.run,
    onStderr: options.onStderr,
  });
  const feeding = feed(tool, typeof input === 'string' ? undefined : input);
  if (!asScript) {
    tool.stdout.resume();
    await outcome(tool.done, feeding, options);
    return;
  }
  const script = restoreScript(tool.stdout, options, { unknownSettings: unknown });
  await Promise.all([outcome(tool.done, feeding, options), script]);
}

/**
 * Runs a plain SQL script through psql.
 * @throws RESTORE_FAILED naming the statement, BACKUP_CORRUPT when the script is cut short
 */
export async function restoreScript(
  input: Readable,
  options: RestoreOptions,
  plain: PlainOptions = {},
): Promise<void> {
  const { tools, target, signal } = options;
  const tool = await startTool({
    command: tools.path('psql'),
    args: [
      ...['--no-psqlrc', '--quiet', '--no-password', '--set=ON_ERROR_STOP=1', '--set=VERBOSITY=verbose'],
      ...[`--dbname=${conninfo(target.database)}`, '--file=-'],
    ],
    env: toEnvironment(target, options.applicationName),
    code: 'RESTORE_FAILED',
    signal,
    run: options.run,
    onStderr: options.onStderr,
  });
  tool.stdout.resume();
  const script = new PlainScript({
    noOwner: options.noOwner,
    noPrivileges: options.noPrivileges,
    unknownSettings: settingsUnknownTo(options.targetVersion),
    ...plain,
  });
  const feeding = feed(
    tool,
    Readable.from(guarded(script, input, tools, options.label), { objectMode: false }),
  );
  await outcome(tool.done, feeding, options);
}

/**
 * Backslash commands were taken out already; psql that knows \restrict refuses any that were overlooked. A script
 * that is cut short must not look like one that ended: psql takes the end of its input for the end of a COPY.
 */
async function* guarded(
  script: PlainScript,
  input: Readable,
  tools: Tools,
  label: string,
): AsyncGenerator<Buffer> {
  if (knowsRestrict(tools.versionNum)) yield Buffer.from(`\\restrict ${randomBytes(24).toString('hex')}\n`);
  yield* script.filter(input);
  script.assertWhole(label);
}

/** The minor releases of August 2025 (CVE-2025-8714) and all later major versions. */
function knowsRestrict(versionNum: number): boolean {
  const since: Readonly<Record<number, number>> = { 13: 22, 14: 19, 15: 14, 16: 10, 17: 6 };
  const least = since[Math.floor(versionNum / 10_000)];
  return versionNum >= 180_000 || (least !== undefined && versionNum % 10_000 >= least);
}

/** Settings that clients write at the top of a script, and the server version that brought them. */
const SETTINGS_SINCE: readonly (readonly [string, number])[] = [['transaction_timeout', 170_000]];

/** Those that a server of `targetVersion` does not know and a client of `clientVersion` may write. */
export function settingsUnknownTo(targetVersion: number, clientVersion = 999_999): Set<string> {
  return new Set(
    SETTINGS_SINCE.filter(([, since]) => targetVersion < since && clientVersion >= since).map(
      ([name]) => name,
    ),
  );
}

/** A name as pg_restore and psql take it: as it stands it could be read as a connection string. */
export function conninfo(database: string): string {
  return `dbname='${database.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}

async function feed(tool: RunningTool, input: Readable | undefined): Promise<void> {
  tool.stdin.on('error', () => {});
  if (input === undefined) {
    tool.stdin.end();
    return;
  }
  try {
    await pipeline(input, tool.stdin);
  } catch (error) {
    // The program must not take a broken input for the end of the work.
    if ((error as { code?: string }).code !== 'EPIPE') tool.kill();
    throw error;
  }
}

async function outcome(
  done: Promise<unknown>,
  feeding: Promise<void>,
  options: RestoreOptions,
): Promise<void> {
  const [ended, fed] = await Promise.allSettled([done, feeding]);
  options.signal.throwIfAborted();
  const broken = fed.status === 'rejected' && (fed.reason as { code?: string }).code !== 'EPIPE';
  // A damaged source says best what is wrong; the program only saw its input end.
  if (broken && (ended.status === 'fulfilled' || toBackplanError(fed.reason).code !== 'INTERNAL')) {
    throw toBackplanError(fed.reason, 'STORAGE_FAILED');
  }
  if (ended.status === 'rejected') throw restoreError(ended.reason, options.label, options.target.user);
}
