/**
 * Runs pg_dump so that its success can be believed: the stream of an archive ends only after pg_dump has ended with
 * exit code 0, and errors otherwise. A reader that sees the end has the whole archive.
 */
import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline, type Readable, Transform, type TransformCallback } from 'node:stream';
import { BackplanError, toBackplanError } from '../errors.ts';
import { startTool } from '../process.ts';
import { type Connection, toEnvironment } from './connection.ts';
import { type TableOfContents, TocCollector } from './toc.ts';
import { pathFolders, type Tools } from './tools.ts';

export interface DumpOptions {
  readonly tools: Tools;
  readonly connection: Connection;
  readonly applicationName: string;
  /** An exported snapshot whose transaction stays open until the dump has ended. */
  readonly snapshot: string;
  /** Arguments that select, from `selectionArguments`. */
  readonly selection: readonly string[];
  /** Milliseconds that pg_dump waits for a table lock. */
  readonly lockTimeout: number;
  readonly signal: AbortSignal;
  readonly run?: string;
  readonly onStderr?: (line: string) => void;
}

export interface DumpStream {
  readonly stream: Readable;
  /** What the archive holds; complete once the stream has ended. @throws UnreadableArchive */
  contents(): TableOfContents;
}

/** As much as a read takes at most. */
const PIPE_BYTES = 65_536;

/**
 * pg_dump writes to a pipe in pieces of 4 KB, which costs it and us a fifth of their processor time in system calls.
 * GNU stdbuf, where there is one, makes them bigger; it becomes pg_dump itself, so the process is the same.
 */
async function stdbufCommand(): Promise<string | undefined> {
  for (const folder of pathFolders()) {
    const path = join(folder, 'stdbuf');
    if (
      await access(path, constants.X_OK).then(
        () => true,
        () => false,
      )
    )
      return path;
  }
  return undefined;
}

/** Custom format, not compressed: whoever stores it compresses better and faster. Errors of the stream are DUMP_FAILED. */
export async function dumpCustom(options: DumpOptions): Promise<DumpStream> {
  const pgDump = options.tools.path('pg_dump');
  const stdbuf = await stdbufCommand();
  const args = ['--format=custom', '--compress=0', ...commonArguments(options)];
  const tool = await startTool({
    command: stdbuf ?? pgDump,
    args: stdbuf === undefined ? args : [`--output=${PIPE_BYTES}`, pgDump, ...args],
    label: 'pg_dump',
    env: toEnvironment(options.connection, options.applicationName),
    code: 'DUMP_FAILED',
    signal: options.signal,
    run: options.run,
    onStderr: options.onStderr,
  });
  tool.stdin.on('error', () => {});
  tool.stdin.end();
  const collector = new TocCollector();
  const gate = new Transform({
    highWaterMark: 256 * 1024,
    transform(chunk: Buffer, _encoding, done: TransformCallback) {
      collector.push(chunk);
      done(null, chunk);
    },
    flush(done: TransformCallback) {
      tool.done.then(
        () => done(),
        (error: unknown) => done(dumpError(error, options.connection)),
      );
    },
  });
  pipeline(tool.stdout, gate, (error) => {
    // Whoever reads gave up (disk full, cancelled): there is no use in dumping on.
    if (error) tool.kill();
  });
  return { stream: gate, contents: () => collector.finish() };
}

/** How a directory dump compresses its files. */
export type DirectoryCompression = 'pg_dump:gzip' | 'pg_dump:zstd' | 'pg_dump:none';

/**
 * Directory format with parallel workers, into `folder` (which pg_dump makes). Falls back from zstd to gzip where
 * the tool cannot do it (before 16, or built without). Returns what was used.
 * @throws DUMP_FAILED, TOOL_TOO_OLD
 */
export async function dumpDirectory(
  options: DumpOptions & {
    readonly folder: string;
    readonly jobs: number;
    readonly compress: { readonly method: 'zstd'; readonly level: number } | { readonly method: 'none' };
  },
): Promise<DirectoryCompression> {
  const { tools, compress } = options;
  const candidates: [DirectoryCompression, string][] =
    compress.method === 'none'
      ? [['pg_dump:none', '0']]
      : tools.versionNum >= 160_000
        ? [
            ['pg_dump:zstd', `zstd:${compress.level}`],
            ['pg_dump:gzip', 'gzip:1'],
          ]
        : [['pg_dump:gzip', '1']];
  for (const [kind, argument] of candidates) {
    const tool = await startTool({
      command: tools.path('pg_dump'),
      args: [
        '--format=directory',
        `--file=${options.folder}`,
        `--jobs=${options.jobs}`,
        `--compress=${argument}`,
        '--no-sync',
        ...commonArguments(options),
      ],
      env: toEnvironment(options.connection, options.applicationName),
      code: 'DUMP_FAILED',
      signal: options.signal,
      run: options.run,
      onStderr: options.onStderr,
    });
    tool.stdin.on('error', () => {});
    tool.stdin.end();
    tool.stdout.resume();
    try {
      await tool.done;
      return kind;
    } catch (error) {
      const unsupported = /build does not support compression/i.test(toBackplanError(error).detail ?? '');
      if (!unsupported || kind !== 'pg_dump:zstd') throw dumpError(error, options.connection);
    }
  }
  throw new BackplanError('DUMP_FAILED', 'pg_dump knows none of the compressions that were tried');
}

function commonArguments({ snapshot, selection, lockTimeout }: DumpOptions): string[] {
  return [
    '--no-password',
    `--snapshot=${snapshot}`,
    `--lock-wait-timeout=${Math.max(1, Math.round(lockTimeout))}`,
    ...selection,
  ];
}

const HINTS: readonly {
  readonly pattern: RegExp;
  readonly hint: (user: string) => string;
  readonly transient?: boolean;
  readonly code?: 'TOOL_TOO_OLD' | 'PERMISSION_DENIED';
}[] = [
  {
    pattern: /row-level security|row security/i,
    hint: (user) =>
      `Row-level security would hide rows from ${user}, and a backup without them is none. ALTER ROLE ${user} BYPASSRLS, or dump as the owner of the tables (without FORCE ROW LEVEL SECURITY) or as a superuser.`,
    code: 'PERMISSION_DENIED',
  },
  {
    pattern: /permission denied/i,
    hint: (user) =>
      `GRANT pg_read_all_data TO ${user} (PostgreSQL 14 and later), or SELECT on every table and sequence; large objects need their owner or a superuser.`,
    code: 'PERMISSION_DENIED',
  },
  {
    pattern: /server version mismatch|aborting because of server version/i,
    hint: () => 'Install pg_dump of the major version of the server, or a newer one.',
    code: 'TOOL_TOO_OLD',
  },
  {
    pattern: /lock timeout|could not obtain lock/i,
    hint: () =>
      'Something held a table exclusively (ALTER TABLE, VACUUM FULL, TRUNCATE). Run at another time, or raise lockTimeout.',
    transient: true,
  },
  {
    pattern: /conflict with recovery/i,
    hint: () =>
      'A standby cancels long queries that hinder replay: set hot_standby_feedback or raise max_standby_streaming_delay there.',
    transient: true,
  },
  {
    pattern:
      /invalid page|could not read block|unexpected chunk|missing chunk|invalid memory alloc|cache lookup failed/i,
    hint: () =>
      'The source database looks damaged. Do not let retention run; look at the hardware and run pg_amcheck on it.',
  },
  {
    pattern:
      /server closed the connection|terminating connection|connection .*(refused|reset|lost)|the database system is/i,
    hint: () => 'The server stopped, restarted or ended the session. Its log tells why.',
    transient: true,
  },
];

/** What went wrong in the words of someone who has to act, from what pg_dump (or the server) said. */
export function dumpError(error: unknown, connection: Connection): BackplanError {
  const failure = toBackplanError(error, 'DUMP_FAILED');
  if (!['DUMP_FAILED', 'QUERY_FAILED'].includes(failure.code)) return failure;
  const text = `${failure.message}\n${failure.detail ?? ''}`;
  const known = HINTS.find(({ pattern }) => pattern.test(text));
  return new BackplanError(known?.code ?? 'DUMP_FAILED', failure.message, {
    cause: failure.cause ?? failure,
    detail: failure.detail,
    hint: known?.hint(connection.user) ?? failure.hint,
    transient: known?.transient ?? failure.transient,
  });
}
