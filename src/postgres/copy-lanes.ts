/**
 * Row counts and sums of hashes out of the COPY lines of a dump, in one pass over its text: what an archive holds can
 * be held against what a restored database would dump, without the source. Per table one sum per column and one of
 * whole rows, which sees cells that swapped rows. Two 32-bit hashes, each changed by any single byte; sums, so that
 * the order of rows does not matter. Finds damage, not forgery.
 */
import type { Readable } from 'node:stream';
import { parseName, showName } from './object-name.ts';

interface CopiedTable {
  readonly columns: readonly string[];
  rows: number;
  /** Per column, then of whole rows: two sums modulo 2³² each. */
  readonly sums: Uint32Array;
}

export interface CopyLanes {
  /** Name as people read it → what was copied into it. */
  readonly tables: ReadonlyMap<string, CopiedTable>;
  /** Where `setval` put each sequence. */
  readonly sequences: ReadonlyMap<string, { readonly last: bigint; readonly called: boolean }>;
  /** Rows come as INSERT statements, of which nothing is known. */
  readonly inserts: boolean;
}

const [TAB, NEWLINE] = [9, 10] as const;
const [SEED_A, SEED_B, ROW_A, ROW_B] = [0x811c9dc5, 0x9747b28c, 0x3c6ef372, 0x1b873593] as const;
const [PRIME_A, PRIME_B] = [0x01000193, 0x5bd1e995] as const;

/** A line of SQL is read up to here: names are shorter, only values are longer. */
const LINE_BYTES = 65_536;

const IDENTIFIER = '(?:"(?:[^"]|"")+"|[^\\s".,()]+)';
const COPY = new RegExp(`^COPY (${IDENTIFIER}(?:\\.${IDENTIFIER})?) +(?:\\((.*)\\) )?FROM stdin;$`, 's');
const SETVAL = /^SELECT pg_catalog\.setval\('((?:[^']|'')+)', (-?\d+), (true|false)\);$/s;
const SEARCH_PATH = /^SET search_path = ([^,]+), pg_catalog;$/;

/** Sees every row of one table. */
export interface CopyWatch {
  /** As people read it. */
  readonly table: string;
  /** Called with the text of a row, without its line end; valid only during the call. */
  onRow(line: Buffer, columns: readonly string[]): void;
}

/** Reads a dump's text to its end. Errors of the stream are thrown. */
export async function readCopyLanes(source: Readable, watch?: CopyWatch): Promise<CopyLanes> {
  const reader = new CopyReader(watch);
  for await (const chunk of source as AsyncIterable<Buffer>) reader.push(chunk);
  return reader;
}

class CopyReader implements CopyLanes {
  readonly tables = new Map<string, CopiedTable>();
  readonly sequences = new Map<string, { last: bigint; called: boolean }>();
  inserts = false;
  /** The table whose rows are being read. */
  #table: CopiedTable | undefined;
  /** A comment of pg_dump has announced rows: a COPY in a function's body is none. */
  #announced = false;
  #statement = '';
  #line: Buffer[] = [];
  #lineBytes = 0;
  /** Of old dumps, which do not qualify names. */
  #schema: string | undefined;
  // Of the field and the row that are being read.
  #a: number = SEED_A;
  #b: number = SEED_B;
  #bytes = 0;
  #column = 0;
  #rowA: number = ROW_A;
  #rowB: number = ROW_B;
  readonly #watch: CopyWatch | undefined;
  /** The table being read is the one that is watched. */
  #watched = false;
  /** The beginning of the row, from the chunks before. */
  #row: Buffer[] = [];

  constructor(watch?: CopyWatch) {
    this.#watch = watch;
  }

  push(chunk: Buffer): void {
    for (let at = 0; at < chunk.length; ) {
      at = this.#table === undefined ? this.#readSql(chunk, at) : this.#readRows(this.#table, chunk, at);
    }
  }

  #readSql(chunk: Buffer, start: number): number {
    const end = chunk.indexOf(NEWLINE, start);
    const part = chunk.subarray(start, end === -1 ? chunk.length : end);
    if (this.#lineBytes < LINE_BYTES) this.#line.push(Buffer.from(part.subarray(0, LINE_BYTES)));
    this.#lineBytes += part.length;
    if (end === -1) return chunk.length;
    const line = Buffer.concat(this.#line).toString('utf8').replace(/\r$/, '');
    this.#line = [];
    this.#lineBytes = 0;
    this.#take(line);
    return end + 1;
  }

  #take(line: string): void {
    if (this.#statement !== '') {
      this.#statement += `\n${line}`;
    } else if (line.startsWith('COPY ') && this.#announced) {
      this.#statement = line;
    } else {
      this.#notice(line);
      return;
    }
    if (!this.#statement.endsWith(' FROM stdin;')) {
      // A name may hold line breaks, but not thousands.
      if (this.#statement.length > LINE_BYTES) this.#statement = '';
      return;
    }
    const [, name, columns] = COPY.exec(this.#statement) ?? [];
    this.#statement = '';
    this.#announced = false;
    if (name === undefined) return;
    const list = [...(columns ?? '').matchAll(new RegExp(IDENTIFIER, 'g'))].map(
      ([text]) => parseName(text).name,
    );
    const key = this.#shown(name);
    const table = this.tables.get(key) ?? {
      columns: list,
      rows: 0,
      sums: new Uint32Array((list.length + 1) * 2),
    };
    this.tables.set(key, table);
    this.#table = table;
    this.#watched = key === this.#watch?.table;
  }

  #notice(line: string): void {
    if (line.startsWith('-- Data for ')) this.#announced = true;
    else if (line.startsWith('INSERT INTO ') && this.#announced) this.inserts = true;
    else if (line.startsWith('SET search_path')) this.#schema = SEARCH_PATH.exec(line)?.[1];
    else if (line.startsWith('SELECT pg_catalog.setval(')) {
      const [, name, last, called] = SETVAL.exec(line) ?? [];
      if (name === undefined || last === undefined) return;
      this.sequences.set(this.#shown(name.replaceAll("''", "'")), {
        last: BigInt(last),
        called: called === 'true',
      });
    }
  }

  #shown(text: string): string {
    const name = parseName(text);
    const schema = name.schema ?? (this.#schema === undefined ? undefined : parseName(this.#schema).name);
    return showName(schema === undefined ? name : { ...name, schema });
  }

  /** The hot loop: returns where it stopped, behind the end of the rows or of the chunk. */
  #readRows(table: CopiedTable, chunk: Buffer, start: number): number {
    let [a, b, bytes] = [this.#a, this.#b, this.#bytes];
    let rowStart = start;
    for (let at = start; at < chunk.length; at++) {
      const byte = chunk[at] ?? 0;
      if (byte !== TAB && byte !== NEWLINE) {
        a = Math.imul(a ^ byte, PRIME_A);
        b = Math.imul(b ^ byte, PRIME_B) ^ (b >>> 15);
        bytes++;
        continue;
      }
      // Two bytes that are `\.` end the rows; in a value the backslash would be doubled.
      if (byte === NEWLINE && bytes === 2 && this.#column === 0 && a === END_A && b === END_B) {
        this.#startRow();
        this.#row = [];
        this.#table = undefined;
        return at + 1;
      }
      this.#endField(table, mix(a), mix(b));
      [a, b, bytes] = [SEED_A, SEED_B, 0];
      if (byte === NEWLINE) {
        table.rows += 1;
        const last = table.columns.length * 2;
        add(table.sums, last, mix(this.#rowA));
        add(table.sums, last + 1, mix(this.#rowB));
        this.#startRow();
        if (this.#watched) {
          const line = chunk.subarray(rowStart, at);
          this.#watch?.onRow(
            this.#row.length === 0 ? line : Buffer.concat([...this.#row, line]),
            table.columns,
          );
          this.#row = [];
          rowStart = at + 1;
        }
      }
    }
    [this.#a, this.#b, this.#bytes] = [a, b, bytes];
    if (this.#watched) this.#row.push(Buffer.from(chunk.subarray(rowStart)));
    return chunk.length;
  }

  #endField({ columns, sums }: CopiedTable, a: number, b: number): void {
    if (this.#column < columns.length) {
      add(sums, this.#column * 2, a);
      add(sums, this.#column * 2 + 1, b);
    }
    this.#column++;
    this.#rowA = Math.imul(this.#rowA ^ a, PRIME_A) ^ (this.#rowA >>> 13);
    this.#rowB = Math.imul(this.#rowB ^ b, PRIME_B) ^ (this.#rowB >>> 15);
  }

  #startRow(): void {
    [this.#a, this.#b, this.#bytes, this.#column] = [SEED_A, SEED_B, 0, 0];
    [this.#rowA, this.#rowB] = [ROW_A, ROW_B];
  }
}

function add(sums: Uint32Array, index: number, value: number): void {
  sums[index] = (sums[index] ?? 0) + value;
}

/** 53 bits of both hashes over some bytes. */
export function hashBytes(bytes: Buffer): number {
  let [a, b]: [number, number] = [SEED_A, SEED_B];
  for (const byte of bytes) {
    a = Math.imul(a ^ byte, PRIME_A);
    b = Math.imul(b ^ byte, PRIME_B) ^ (b >>> 15);
  }
  return (mix(a) & 0x1fffff) * 2 ** 32 + mix(b);
}

/** Spreads every bit over all of them, so that sums of similar values do not cancel out. */
function mix(value: number): number {
  let hash = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

const [END_A, END_B] = [...'\\.'].reduce<[number, number]>(
  ([a, b], character) => {
    const byte = character.charCodeAt(0);
    return [Math.imul(a ^ byte, PRIME_A), Math.imul(b ^ byte, PRIME_B) ^ (b >>> 15)];
  },
  [SEED_A, SEED_B],
);

export interface CopyDifference {
  readonly kind: 'tableMissing' | 'rows' | 'columns' | 'content' | 'sequenceMissing' | 'sequence';
  readonly object: string;
  readonly message: string;
}

/** What a database, dumped, has other than the archive. Tables that only the database has are none of the archive's. */
export function compareCopyLanes(archive: CopyLanes, database: CopyLanes): CopyDifference[] {
  const differences: CopyDifference[] = [];
  for (const [object, was] of archive.tables) {
    const is = database.tables.get(object);
    if (is === undefined) {
      differences.push({ kind: 'tableMissing', object, message: `table ${object} is missing` });
      continue;
    }
    if (was.rows !== is.rows) {
      const by = Math.abs(was.rows - is.rows);
      const message = `${object} has ${is.rows} rows, ${was.rows} in the archive: ${by} ${is.rows < was.rows ? 'missing' : 'more'}`;
      differences.push({ kind: 'rows', object, message });
      continue;
    }
    if ([...was.columns].sort().join('\0') !== [...is.columns].sort().join('\0')) {
      const message = `${object} has the columns ${is.columns.join(', ')}, in the archive ${was.columns.join(', ')}`;
      differences.push({ kind: 'columns', object, message });
      continue;
    }
    const changed = was.columns.filter((name, index) => {
      const other = is.columns.indexOf(name);
      return [0, 1].some((half) => was.sums[index * 2 + half] !== is.sums[other * 2 + half]);
    });
    const last = was.columns.length * 2;
    const sameOrder = was.columns.join('\0') === is.columns.join('\0');
    if (changed.length > 0) {
      const what = changed.map((name) => `${object}.${showName({ name })}`).join(', ');
      differences.push({
        kind: 'content',
        object,
        message: `the content of ${what} differs from the archive`,
      });
    } else if (sameOrder && [0, 1].some((half) => was.sums[last + half] !== is.sums[last + half])) {
      const message = `${object} holds the same values in every column, but in other rows`;
      differences.push({ kind: 'content', object, message });
    }
  }
  for (const [object, was] of archive.sequences) {
    const is = database.sequences.get(object);
    if (is === undefined) {
      differences.push({ kind: 'sequenceMissing', object, message: `sequence ${object} is missing` });
    } else if (is.last !== was.last || is.called !== was.called) {
      const message = `sequence ${object} stands at ${is.last}, in the archive at ${was.last}`;
      differences.push({ kind: 'sequence', object, message });
    }
  }
  return differences;
}
