/** The rows of an archive and of a database in the same text: what pg_restore and pg_dump write of them. */
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { BackplanError, toBackplanError } from '../errors.ts';
import { startTool, type ToolOptions } from '../process.ts';
import type { ArchiveContext } from './archive.ts';
import { identifier } from './client.ts';
import { type Connection, toEnvironment } from './connection.ts';
import { parseName } from './object-name.ts';
import type { Tools } from './tools.ts';

/** What is done with the text of the rows. */
export type Consume<T> = (text: Readable) => Promise<T>;

interface Selected {
  /** Only this table, as people read its name. */
  readonly table?: string;
}

/**
 * Reads the rows of an archive through pg_restore, without any database. `input` is a path that pg_restore reads, or
 * a stream of a custom archive.
 * @throws BACKUP_CORRUPT, TOOL_MISSING
 */
export async function readArchiveRows<T>(
  tools: Tools,
  input: string | Readable,
  context: ArchiveContext & Selected,
  consume: Consume<T>,
): Promise<T> {
  const { table, ...rest } = context;
  const { schema = 'public', name = '' } = table === undefined ? {} : parseName(table);
  const fromPath = typeof input === 'string';
  return await rowsOf(
    {
      command: tools.path('pg_restore'),
      args: [
        '--data-only',
        '--file=-',
        ...(table === undefined ? [] : [`--schema=${schema}`, `--table=${name}`]),
        ...(fromPath ? [input] : ['--format=custom']),
      ],
      env: { LC_ALL: 'C' },
      code: 'BACKUP_CORRUPT',
      ...rest,
    },
    fromPath ? Readable.from([]) : input,
    consume,
  );
}

/** Reads the rows of a database through pg_dump. @throws DUMP_FAILED, TOOL_MISSING */
export async function readDatabaseRows<T>(
  tools: Tools,
  connection: Connection,
  context: ArchiveContext & Selected & { readonly applicationName: string },
  consume: Consume<T>,
): Promise<T> {
  const { table, applicationName, ...rest } = context;
  const { schema = 'public', name = '' } = table === undefined ? {} : parseName(table);
  return await rowsOf(
    {
      command: tools.path('pg_dump'),
      args: [
        '--data-only',
        '--no-password',
        '--no-sync',
        // A pattern; in quotes it is a name.
        ...(table === undefined ? [] : [`--table=${identifier(schema)}.${identifier(name)}`]),
      ],
      env: toEnvironment(connection, applicationName),
      code: 'DUMP_FAILED',
      ...rest,
    },
    Readable.from([]),
    consume,
  );
}

async function rowsOf<T>(options: ToolOptions, input: Readable, consume: Consume<T>): Promise<T> {
  const tool = await startTool(options);
  const [fed, consumed, ended] = await Promise.allSettled([
    pipeline(input, tool.stdin),
    consume(tool.stdout),
    tool.done,
  ]);
  options.signal.throwIfAborted();
  // A damaged source says what is wrong with it; pg_restore then only sees an early end.
  if (fed.status === 'rejected' && fed.reason instanceof BackplanError) throw fed.reason;
  if (ended.status === 'rejected') throw toBackplanError(ended.reason);
  if (consumed.status === 'rejected') throw toBackplanError(consumed.reason);
  return consumed.value;
}
