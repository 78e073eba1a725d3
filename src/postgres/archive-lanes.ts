/** Lanes of an archive and of a database, by the same text: what pg_restore and pg_dump write of their rows. */
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { BackplanError, toBackplanError } from '../errors.ts';
import { startTool, type ToolOptions } from '../process.ts';
import type { ArchiveContext } from './archive.ts';
import { type Connection, toEnvironment } from './connection.ts';
import { type CopyLanes, readCopyLanes } from './copy-lanes.ts';
import type { Tools } from './tools.ts';

/**
 * Reads the rows of an archive through pg_restore, without any database. `input` is a path that pg_restore reads, or
 * a stream of a custom archive.
 * @throws BACKUP_CORRUPT, TOOL_MISSING
 */
export async function archiveLanes(
  tools: Tools,
  input: string | Readable,
  context: ArchiveContext,
): Promise<CopyLanes> {
  const fromPath = typeof input === 'string';
  return await lanesOf(
    {
      command: tools.path('pg_restore'),
      args: ['--data-only', '--file=-', ...(fromPath ? [input] : ['--format=custom'])],
      env: { LC_ALL: 'C', PGCLIENTENCODING: 'UTF8' },
      code: 'BACKUP_CORRUPT',
      ...context,
    },
    fromPath ? Readable.from([]) : input,
  );
}

/** Reads the rows of a database through pg_dump. @throws DUMP_FAILED, TOOL_MISSING */
export async function databaseLanes(
  tools: Tools,
  connection: Connection,
  context: ArchiveContext & { readonly applicationName: string },
): Promise<CopyLanes> {
  return await lanesOf(
    {
      command: tools.path('pg_dump'),
      args: ['--data-only', '--no-password', '--no-sync'],
      env: toEnvironment(connection, context.applicationName),
      code: 'DUMP_FAILED',
      signal: context.signal,
      ...(context.run === undefined ? {} : { run: context.run }),
      ...(context.onStderr === undefined ? {} : { onStderr: context.onStderr }),
    },
    Readable.from([]),
  );
}

async function lanesOf(options: ToolOptions, input: Readable): Promise<CopyLanes> {
  const tool = await startTool(options);
  const [fed, lanes, ended] = await Promise.allSettled([
    pipeline(input, tool.stdin),
    readCopyLanes(tool.stdout),
    tool.done,
  ]);
  options.signal.throwIfAborted();
  // A damaged source says what is wrong with it; pg_restore then only sees an early end.
  if (fed.status === 'rejected' && fed.reason instanceof BackplanError) throw fed.reason;
  if (ended.status === 'rejected') throw toBackplanError(ended.reason);
  if (lanes.status === 'rejected') throw toBackplanError(lanes.reason);
  return lanes.value;
}
