/** Archives as pg_dump makes them: what kind a file is, what it holds, whether it can be read to its end. */
import { createReadStream } from 'node:fs';
import { open, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { BackplanError, toBackplanError } from '../errors.ts';
import { startTool } from '../process.ts';
import { assertWholeTar } from './tar.ts';
import {
  type ArchiveEntry,
  NeedMoreBytes,
  parseToc,
  startsAsArchive,
  type TableOfContents,
  TocCollector,
  UnreadableArchive,
} from './toc.ts';
import type { Tools } from './tools.ts';
import { detectWrapper, unwrap, type Wrapper } from './unwrap.ts';

export type { ArchiveEntry, TableOfContents } from './toc.ts';
export { countEntries } from './toc.ts';

export type ArchiveFormat = 'custom' | 'directory' | 'tar' | 'plain';

/** A file or folder that can be restored, told by its content. */
export interface DetectedArchive {
  readonly path: string;
  readonly format: ArchiveFormat;
  /** What is around a single file. */
  readonly wrapper: Wrapper;
  /** Bytes on disk; of a folder 0. */
  readonly size: number;
}

/** How other files begin (as latin1), what they are, what to do. */
const NOT_OURS: readonly (readonly [string, string, string])[] = [
  ['BZh', 'a bzip2 file', 'Unpack it first: bunzip2 -k FILE.'],
  ['\u00fd7zXZ', 'an xz file', 'Unpack it first: xz -dk FILE.'],
  ['\u0004"M\u0018', 'an lz4 file', 'Unpack it first: lz4 -dk FILE.'],
  ['PK\u0003\u0004', 'a zip file', 'Unpack it first: unzip FILE.'],
  ['7z\u00bc\u00af', 'a 7-Zip file', 'Unpack it first: 7z x FILE.'],
  ['age-encryption.org', 'encrypted with age', 'Decrypt it first: age -d -i KEY FILE.'],
  ['-----BEGIN AGE', 'encrypted with age', 'Decrypt it first: age -d -i KEY FILE.'],
  ['-----BEGIN PGP', 'encrypted with PGP', 'Decrypt it first: gpg -d FILE.'],
  ['SQLite format 3', 'a SQLite database', 'Only PostgreSQL dumps can be restored.'],
];

/**
 * Tells by content, not by name, what `path` is.
 * @throws BACKUP_NOT_FOUND when there is nothing, BACKUP_CORRUPT when it is no dump, with what it looks like instead
 */
export async function detectArchive(path: string): Promise<DetectedArchive> {
  const entry = await stat(path).catch((cause) => {
    throw cause.code === 'ENOENT' || cause.code === 'ENOTDIR'
      ? new BackplanError('BACKUP_NOT_FOUND', `there is no file ${path}`, {
          cause,
          hint: 'Relative paths start at the folder of the plan file.',
        })
      : toBackplanError(cause, 'STORAGE_FAILED');
  });
  if (entry.isDirectory()) {
    const toc = await stat(join(path, 'toc.dat')).catch(() => undefined);
    if (toc === undefined) {
      throw new BackplanError(
        'BACKUP_CORRUPT',
        `${path} is a folder without toc.dat, so no dump of pg_dump -Fd`,
        {
          hint: 'Name the folder that pg_dump -Fd wrote, or a single dump file.',
        },
      );
    }
    return { path, format: 'directory', wrapper: 'none', size: 0 };
  }
  if (entry.size === 0) {
    throw new BackplanError('BACKUP_CORRUPT', `${path} is empty`, {
      hint: 'The dump failed when it was made. Take another copy of it or an older backup.',
    });
  }
  const raw = await headOf(createReadStream(path, { end: 65_535 }));
  const wrapper = detectWrapper(raw);
  const head = wrapper === 'none' ? raw : await headOf(unwrap(createReadStream(path), wrapper, path));
  return { path, format: formatOf(head, path), wrapper, size: entry.size };
}

async function headOf(stream: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    size += chunk.length;
    if (size >= 65_536) break;
  }
  stream.destroy();
  return Buffer.concat(chunks);
}

function formatOf(head: Buffer, path: string): ArchiveFormat {
  if (startsAsArchive(head)) {
    // The format byte follows magic, version (3), integer and offset size.
    if (head[10] === 1) return 'custom';
    throw new BackplanError('BACKUP_CORRUPT', `${path} is only the table of contents of a dump`, {
      hint: 'Name the folder of the dump (the one that holds toc.dat), not the file.',
    });
  }
  if (head.toString('latin1', 257, 262) === 'ustar') {
    const first = head.toString('utf8', 0, 100).replace(/\0.*$/s, '');
    if (first === 'toc.dat') return 'tar';
    throw new BackplanError(
      'BACKUP_CORRUPT',
      `${path} is a tar file, but not one of pg_dump -Ft (it begins with ${first})`,
      {
        hint: 'If it holds a dump, unpack it first and name what comes out.',
      },
    );
  }
  const start = head.toString('latin1', 0, 64);
  const other = NOT_OURS.find(([beginning]) => start.startsWith(beginning));
  if (other !== undefined) {
    throw new BackplanError('BACKUP_CORRUPT', `${path} is ${other[1]}`, { hint: other[2] });
  }
  const words = /\b(PostgreSQL database|CREATE|INSERT|COPY|SET|SELECT|ALTER|BEGIN)\b/i;
  if (head.includes(0) || !words.test(head.toString('utf8'))) {
    throw new BackplanError('BACKUP_CORRUPT', `${path} is neither an archive of pg_dump nor SQL`, {
      hint: 'Known are pg_dump -Fc, -Fd, -Ft and plain SQL, also packed with gzip or zstd.',
    });
  }
  return 'plain';
}

/** What listing and reading need of a step. */
export interface ArchiveContext {
  readonly signal: AbortSignal;
  readonly run?: string;
  readonly onStderr?: (line: string) => void;
}

/** What an archive holds. `exact`: names and dependencies are right to the letter. */
export interface Contents {
  readonly entries: readonly ArchiveEntry[];
  readonly exact: boolean;
  readonly header?: TableOfContents['header'];
}

/** The entries of an archive. @throws BACKUP_CORRUPT */
export async function listArchive(
  tools: Tools,
  input: string | Readable,
  context: ArchiveContext,
): Promise<readonly ArchiveEntry[]> {
  return (await readContents(tools, input, context)).entries;
}

/**
 * Reads the table of contents, by our own reader; of a version newer than it knows, by `pg_restore --list` (whose
 * names are then not exact, and dependencies unknown: `exact` is false).
 * @throws BACKUP_CORRUPT
 */
export async function readContents(
  tools: Tools,
  input: string | Readable,
  context: ArchiveContext,
): Promise<Contents> {
  const label = typeof input === 'string' ? input : 'the archive';
  try {
    const toc = typeof input === 'string' ? await tocOfPath(input) : await tocOfStream(input);
    return { ...toc, exact: true };
  } catch (error) {
    if (error instanceof UnreadableArchive && error.tooNew && typeof input === 'string') {
      return { entries: await listWithTool(tools, input, context), exact: false };
    }
    throw unreadable(error, label);
  }
}

/** Why an archive's table of contents cannot be read, as the error that a person sees. */
export function unreadable(error: unknown, label: string): BackplanError {
  if (!(error instanceof UnreadableArchive || error instanceof NeedMoreBytes)) {
    return toBackplanError(error, 'STORAGE_FAILED');
  }
  return new BackplanError(
    'BACKUP_CORRUPT',
    `${label} cannot be read: ${error.message || 'it is cut short'}`,
    {
      cause: error,
      hint: 'Take another copy of it or an older backup.',
    },
  );
}

async function tocOfPath(path: string): Promise<TableOfContents> {
  if ((await stat(path)).isDirectory()) return parseToc(await readFile(join(path, 'toc.dat')));
  const file = await open(path);
  const head = Buffer.alloc(512);
  try {
    await file.read(head, 0, 512, 0);
  } finally {
    await file.close();
  }
  // A tar archive begins with the file toc.dat; its size is in the tar header, in octal.
  const inTar = head.toString('latin1', 257, 262) === 'ustar';
  const size = Number.parseInt(head.toString('latin1', 124, 136), 8);
  return await tocOfStream(createReadStream(path, inTar ? { start: 512, end: 511 + size } : {}));
}

async function tocOfStream(stream: Readable): Promise<TableOfContents> {
  const collector = new TocCollector();
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    collector.push(chunk);
    if (collector.done) break;
  }
  stream.destroy();
  return collector.finish();
}

/** The kinds of two and more words; the rest are one word long. */
const LONG_TYPES =
  /^(TABLE DATA|TABLE ATTACH|INDEX ATTACH|FK CONSTRAINT|CHECK CONSTRAINT|MATERIALIZED VIEW DATA|MATERIALIZED VIEW|SEQUENCE SET|SEQUENCE OWNED BY|DEFAULT ACL|ROW SECURITY|EVENT TRIGGER|FOREIGN TABLE|FOREIGN DATA WRAPPER|FOREIGN SERVER|USER MAPPING|TEXT SEARCH (?:CONFIGURATION|DICTIONARY|PARSER|TEMPLATE)|OPERATOR CLASS|OPERATOR FAMILY|PUBLICATION TABLES IN SCHEMA|PUBLICATION TABLE|ACCESS METHOD|SHELL TYPE|SECURITY LABEL|PROCEDURAL LANGUAGE|BLOB COMMENTS|BLOB METADATA|LARGE OBJECT METADATA|STATISTICS DATA|SUBSCRIPTION TABLE|[A-Z]+) (\S+) (.*) (\S+)$/;

async function listWithTool(tools: Tools, path: string, context: ArchiveContext): Promise<ArchiveEntry[]> {
  const tool = await startTool({
    command: tools.path('pg_restore'),
    args: ['--list', path],
    env: { LC_ALL: 'C' },
    code: 'BACKUP_CORRUPT',
    ...context,
  });
  tool.stdin.on('error', () => {});
  tool.stdin.end();
  const chunks: Buffer[] = [];
  for await (const chunk of tool.stdout as AsyncIterable<Buffer>) chunks.push(chunk);
  await tool.done;
  return Buffer.concat(chunks).toString('utf8').split('\n').flatMap(parseListLine);
}

/** `3456; 1259 16401 TABLE public User postgres`; names with spaces cannot be told apart from their neighbours. */
export function parseListLine(line: string): ArchiveEntry[] {
  const [, id, rest] = /^(\d+); \d+ \d+ (.*)$/.exec(line) ?? [];
  if (id === undefined || rest === undefined) return [];
  const [, type = rest.split(' ')[0] ?? '', schema = '-', name = '', owner = ''] =
    LONG_TYPES.exec(rest) ?? [];
  return [
    {
      id: Number(id),
      type,
      schema: schema === '-' ? null : schema,
      name,
      owner: owner === '' ? null : owner,
      section: 'none',
      dependencies: [],
      definition: '',
      hasData: /DATA$/.test(type),
    },
  ];
}

/**
 * Lets pg_restore read a whole archive without a database: the cheap proof that nothing is missing at its end
 * (`--list` reads only the beginning). `input` is a path, or a stream of a custom archive.
 * @throws BACKUP_CORRUPT with what pg_restore said
 */
export async function readThrough(
  tools: Tools,
  input: string | Readable,
  context: ArchiveContext & { readonly label?: string },
): Promise<void> {
  const fromPath = typeof input === 'string';
  const label = context.label ?? (fromPath ? input : 'the archive');
  if (fromPath && (await detectArchive(input)).format === 'tar') await assertWholeTar(input);
  const tool = await startTool({
    command: tools.path('pg_restore'),
    args: ['--file=/dev/null', ...(fromPath ? [input] : ['--format=custom'])],
    env: { LC_ALL: 'C' },
    code: 'BACKUP_CORRUPT',
    signal: context.signal,
    run: context.run,
    onStderr: context.onStderr,
  });
  tool.stdout.resume();
  const feeding = fromPath ? pipeline(Readable.from([]), tool.stdin) : pipeline(input, tool.stdin);
  const [fed, ended] = await Promise.allSettled([feeding, tool.done]);
  context.signal.throwIfAborted();
  // A damaged source says what is wrong with it; pg_restore then only sees an early end.
  if (fed.status === 'rejected' && fed.reason instanceof BackplanError) throw fed.reason;
  if (ended.status === 'rejected') {
    const { message, detail } = toBackplanError(ended.reason);
    throw new BackplanError('BACKUP_CORRUPT', `${label} cannot be read to its end: ${message}`, {
      cause: ended.reason,
      detail,
      hint: 'Take another copy of it or an older backup.',
    });
  }
  if (fed.status === 'rejected' && (fed.reason as { code?: string }).code !== 'EPIPE') {
    throw toBackplanError(fed.reason, 'STORAGE_FAILED');
  }
}
