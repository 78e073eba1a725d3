/**
 * Reads the table of contents of a pg_dump archive (custom, directory and tar share it): exact names, owners,
 * definitions and dependencies, which `pg_restore --list` prints only ambiguously or not at all.
 *
 * The layout is that of ReadHead() and ReadToc() in src/bin/pg_dump/pg_backup_archiver.c; archive versions 1.10
 * (PostgreSQL 8.0) to 1.16 (PostgreSQL 17 and 18). Newer ones are refused with ARCHIVE_TOO_NEW, and callers fall
 * back to `pg_restore --list`.
 */

export interface ArchiveEntry {
  /** What `pg_restore --use-list` selects by. */
  readonly id: number;
  /** TABLE, TABLE DATA, INDEX, FK CONSTRAINT, … as pg_restore --list prints it. */
  readonly type: string;
  readonly schema: string | null;
  /** For indexes and the like the object's own name, for constraints, triggers and policies `table object`. */
  readonly name: string;
  readonly owner: string | null;
  readonly section: 'none' | 'preData' | 'data' | 'postData';
  /** Ids of the entries that must be restored before. */
  readonly dependencies: readonly number[];
  /** The SQL that makes it; empty for data. */
  readonly definition: string;
  /** True when the archive holds rows or large objects for it. */
  readonly hasData: boolean;
  /** Custom format: where in the file the position of its data is noted. */
  readonly noteAt?: number;
}

export interface ArchiveHeader {
  /** For example 1.14. */
  readonly archiveVersion: string;
  readonly format: 'custom' | 'tar' | 'directory';
  /** Compression inside the archive. */
  readonly compression: 'none' | 'gzip' | 'lz4' | 'zstd';
  /** Bytes of an integer (without its sign) and of a position. */
  readonly intSize: number;
  readonly offsetSize: number;
  readonly database: string | null;
  /** As pg_dump wrote it: `15.18 (Debian 15.18-0+deb12u1)`. */
  readonly serverVersion: string | null;
  readonly dumpVersion: string | null;
}

export interface TableOfContents {
  readonly header: ArchiveHeader;
  readonly entries: readonly ArchiveEntry[];
  /** Bytes of header and table of contents; in the custom format data begins here. */
  readonly end: number;
}

/** The bytes so far do not hold the whole table of contents. */
export class NeedMoreBytes extends Error {}

/** Not an archive, damaged, or of a version that this reader does not know. */
export class UnreadableArchive extends Error {
  readonly tooNew: boolean;
  constructor(message: string, tooNew = false) {
    super(message);
    this.tooNew = tooNew;
  }
}

const MAGIC = Buffer.from('PGDMP');
const NEWEST = [1, 16];
const FORMATS: Readonly<Record<number, ArchiveHeader['format']>> = { 1: 'custom', 3: 'tar', 5: 'directory' };
const COMPRESSIONS = ['none', 'gzip', 'lz4', 'zstd'] as const;
const SECTIONS = ['none', 'none', 'preData', 'data', 'postData'] as const;

/** True when bytes begin as an archive (or a toc.dat) does. */
export function startsAsArchive(bytes: Buffer): boolean {
  return bytes.subarray(0, MAGIC.length).equals(MAGIC);
}

/**
 * @throws NeedMoreBytes when `bytes` end too early
 * @throws UnreadableArchive
 */
export function parseToc(bytes: Buffer): TableOfContents {
  const reader = new Reader(bytes);
  const header = readHeader(reader);
  const count = reader.int();
  if (count < 0) throw new UnreadableArchive(`its table of contents claims ${count} entries`);
  const entries: ArchiveEntry[] = [];
  for (let index = 0; index < count; index++) entries.push(readEntry(reader, header));
  return { header, entries, end: reader.position };
}

function readHeader(reader: Reader): ArchiveHeader {
  if (!reader.bytes(MAGIC.length).equals(MAGIC)) throw new UnreadableArchive('it does not begin with PGDMP');
  const [major, minor] = [reader.byte(), reader.byte()];
  reader.byte(); // revision
  if (major < 1 || (major === 1 && minor < 10)) {
    throw new UnreadableArchive(`archive version ${major}.${minor} is older than 1.10`);
  }
  if (major > (NEWEST[0] ?? 0) || minor > (NEWEST[1] ?? 0)) {
    throw new UnreadableArchive(`archive version ${major}.${minor} is newer than 1.16`, true);
  }
  reader.minor = minor;
  reader.intSize = reader.byte();
  reader.offsetSize = reader.byte();
  if (reader.intSize < 1 || reader.intSize > 8 || reader.offsetSize > 8) {
    throw new UnreadableArchive('its header is damaged');
  }
  const format = FORMATS[reader.byte()];
  if (format === undefined) throw new UnreadableArchive('its header names no known format');
  const level = minor >= 15 ? reader.byte() : reader.int();
  const compression = minor >= 15 ? COMPRESSIONS[level] : level === 0 ? 'none' : 'gzip';
  if (compression === undefined) throw new UnreadableArchive(`it is compressed in an unknown way (${level})`);
  for (let field = 0; field < 7; field++) reader.int(); // creation time: second … isdst
  return {
    archiveVersion: `${major}.${minor}`,
    format,
    compression,
    intSize: reader.intSize,
    offsetSize: reader.offsetSize,
    database: reader.text(),
    serverVersion: reader.text(),
    dumpVersion: reader.text(),
  };
}

function readEntry(reader: Reader, { format }: ArchiveHeader): ArchiveEntry {
  const { minor } = reader;
  const id = reader.int();
  const hasData = reader.int() !== 0;
  reader.text(); // catalog's oid
  reader.text(); // object's oid
  const name = reader.text() ?? '';
  const type = reader.text() ?? '';
  const section = minor >= 11 ? reader.int() : 0;
  const definition = reader.text() ?? '';
  reader.text(); // DROP statement
  reader.text(); // COPY statement
  const schema = reader.text();
  reader.text(); // tablespace
  if (minor >= 14) reader.text(); // table access method
  if (minor >= 16) reader.int(); // relkind
  const owner = reader.text();
  reader.text(); // WITH OIDS
  const dependencies: number[] = [];
  for (let text = reader.text(); text !== null; text = reader.text()) dependencies.push(Number(text));
  const noteAt = reader.position;
  if (format === 'custom') {
    reader.byte();
    reader.bytes(reader.offsetSize);
  } else {
    reader.text(); // file with its data
  }
  return {
    id,
    type,
    schema: schema === '' ? null : schema,
    name,
    owner: owner === '' ? null : owner,
    section: SECTIONS[section] ?? 'none',
    dependencies,
    definition,
    hasData,
    ...(format === 'custom' ? { noteAt } : {}),
  };
}

class Reader {
  /** Archive version 1.minor. */
  minor = 0;
  intSize = 4;
  offsetSize = 8;
  position = 0;
  readonly #bytes: Buffer;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  bytes(length: number): Buffer {
    const end = this.position + length;
    if (end > this.#bytes.length) throw new NeedMoreBytes();
    const part = this.#bytes.subarray(this.position, end);
    this.position = end;
    return part;
  }

  byte(): number {
    return this.bytes(1)[0] ?? 0;
  }

  /** A sign byte, then little endian. */
  int(): number {
    const negative = this.byte() !== 0;
    const value = Number(this.bytes(this.intSize).readUIntLE(0, Math.min(this.intSize, 6)));
    return negative ? -value : value;
  }

  text(): string | null {
    const length = this.int();
    if (length < 0) return null;
    // A flipped bit in a length must not make us wait for gigabytes.
    if (length > 1 << 30) throw new UnreadableArchive('its table of contents is damaged');
    return this.bytes(length).toString('utf8');
  }
}

/** Types that pg_restore treats as settings of the session or of the database: never listed, never counted. */
const SPECIAL = new Set(['ENCODING', 'STDSTRINGS', 'SEARCHPATH', 'DATABASE', 'DATABASE PROPERTIES']);

/** True for what `pg_restore --list` prints: everything but session settings and the database itself. */
export function isListed({ type, name }: ArchiveEntry): boolean {
  return !SPECIAL.has(type) && !(/^(ACL|COMMENT|SECURITY LABEL)$/.test(type) && name.startsWith('DATABASE '));
}

/** Entries by type, as `pg_restore --list` shows them: {"TABLE": 14, "TABLE DATA": 14, …}. */
export function countEntries(entries: readonly ArchiveEntry[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const entry of entries) if (isListed(entry)) counts[entry.type] = (counts[entry.type] ?? 0) + 1;
  return Object.fromEntries(Object.entries(counts).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/**
 * Collects the head of an archive's stream until the table of contents is complete, so that it need not be read a
 * second time. Feed it every chunk; afterwards it keeps nothing but the result.
 */
export class TocCollector {
  #chunks: Buffer[] = [];
  #size = 0;
  #nextTry = 65_536;
  #result: TableOfContents | undefined;
  #failure: UnreadableArchive | undefined;

  get done(): boolean {
    return this.#result !== undefined || this.#failure !== undefined;
  }

  push(chunk: Buffer): void {
    if (this.done) return;
    this.#chunks.push(chunk);
    this.#size += chunk.length;
    if (this.#size >= this.#nextTry) this.#try();
  }

  /** Call at the end of the stream. @throws UnreadableArchive, also when the stream ended inside the table of contents */
  finish(): TableOfContents {
    if (!this.done) this.#try();
    if (this.#result !== undefined) return this.#result;
    throw this.#failure ?? new UnreadableArchive('it ends inside its table of contents');
  }

  #try(): void {
    const bytes = Buffer.concat(this.#chunks);
    try {
      this.#result = parseToc(bytes);
      this.#chunks = [];
    } catch (error) {
      if (error instanceof UnreadableArchive) {
        this.#failure = error;
        this.#chunks = [];
      } else if (error instanceof NeedMoreBytes) {
        this.#chunks = [bytes];
        this.#nextTry = this.#size * 2;
      } else {
        throw error;
      }
    }
  }
}
