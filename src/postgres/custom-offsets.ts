/**
 * A custom archive that went through a pipe does not know where the rows of its tables are, because pg_dump could not
 * go back to note it. Every parallel worker of pg_restore would search the file from its start, row by row. This finds
 * the places while the archive is copied to a file, and notes them there afterwards. It also sees an archive that was
 * cut short.
 *
 * Layout after the table of contents: a type byte, the id of the entry, chunks of length and bytes up to a length of
 * zero; large objects have their number before the chunks of each, up to a number of zero
 * (src/bin/pg_dump/pg_backup_custom.c).
 */
import { open } from 'node:fs/promises';
import { Transform, type TransformCallback } from 'node:stream';
import { BackplanError } from '../errors.ts';
import { type TableOfContents, TocCollector, UnreadableArchive } from './toc.ts';

const [DATA, LARGE_OBJECTS] = [1, 3] as const;
const POSITION_IS_SET = 2;

type Expecting = 'block' | 'chunk' | 'largeObject' | 'largeObjectChunk';

/** Follows the blocks of an archive as its bytes pass. */
export class BlockScanner {
  /** Id of the entry → position of its block in the file. */
  readonly positions = new Map<number, number>();
  readonly #intSize: number;
  #expecting: Expecting = 'block';
  /** Position in the file of the next byte to look at. */
  #at: number;
  #skip = 0;
  #carry: Buffer = Buffer.alloc(0);

  /** @param start position in the file where data begins */
  constructor(start: number, intSize: number) {
    this.#at = start;
    this.#intSize = intSize;
  }

  /** @throws UnreadableArchive */
  push(bytes: Buffer): void {
    let chunk = bytes;
    if (this.#carry.length > 0) {
      chunk = Buffer.concat([this.#carry, bytes]);
      this.#carry = Buffer.alloc(0);
    }
    const intLength = 1 + this.#intSize;
    let at = 0;
    while (at < chunk.length) {
      if (this.#skip > 0) {
        const step = Math.min(this.#skip, chunk.length - at);
        this.#skip -= step;
        at += step;
        continue;
      }
      const needed = this.#expecting === 'block' ? 1 + intLength : intLength;
      if (chunk.length - at < needed) {
        this.#carry = Buffer.from(chunk.subarray(at));
        break;
      }
      this.#header(chunk, at);
      at += needed;
    }
    this.#at += at;
  }

  /** True when the bytes so far end where an archive can end. */
  get complete(): boolean {
    return this.#expecting === 'block' && this.#skip === 0 && this.#carry.length === 0;
  }

  #header(chunk: Buffer, at: number): void {
    if (this.#expecting === 'block') {
      const type = chunk[at];
      if (type !== DATA && type !== LARGE_OBJECTS) {
        throw new UnreadableArchive(`there is no block of data at byte ${this.#at + at}`);
      }
      const id = this.#int(chunk, at + 1);
      if (!this.positions.has(id)) this.positions.set(id, this.#at + at);
      this.#expecting = type === DATA ? 'chunk' : 'largeObject';
      return;
    }
    const value = this.#int(chunk, at);
    if (this.#expecting === 'largeObject') {
      this.#expecting = value === 0 ? 'block' : 'largeObjectChunk';
    } else if (value === 0) {
      this.#expecting = this.#expecting === 'chunk' ? 'block' : 'largeObject';
    } else {
      this.#skip = value;
    }
  }

  #int(chunk: Buffer, at: number): number {
    const value =
      this.#intSize === 4 ? chunk.readUInt32LE(at + 1) : chunk.readUIntLE(at + 1, Math.min(6, this.#intSize));
    if (chunk[at] !== 0) throw new UnreadableArchive(`a length at byte ${this.#at + at} is negative`);
    return value;
  }
}

export interface LocatedArchive {
  readonly toc: TableOfContents;
  readonly positions: ReadonlyMap<number, number>;
}

/**
 * Passes an archive on unchanged while finding its blocks. `located()` is complete once the stream has ended; an
 * archive of a version that cannot be read is passed on as it is, and undefined then.
 */
export function locateBlocks(label: string): { stream: Transform; located(): LocatedArchive | undefined } {
  const collector = new TocCollector();
  let scanner: BlockScanner | undefined;
  let toc: TableOfContents | undefined;
  let unknown = false;
  let head: Buffer[] = [];
  const look = (chunk: Buffer) => {
    if (unknown) return;
    if (scanner !== undefined) {
      scanner.push(chunk);
      return;
    }
    head.push(chunk);
    collector.push(chunk);
    if (!collector.done) return;
    begin();
  };
  const begin = () => {
    const bytes = Buffer.concat(head);
    head = [];
    try {
      toc = collector.finish();
    } catch (error) {
      if (!(error instanceof UnreadableArchive && error.tooNew)) throw error;
      unknown = true;
      return;
    }
    scanner = new BlockScanner(toc.end, toc.header.intSize);
    scanner.push(bytes.subarray(toc.end));
  };
  const damaged = (error: unknown) =>
    error instanceof UnreadableArchive
      ? new BackplanError('BACKUP_CORRUPT', `${label} cannot be read: ${error.message}`, {
          cause: error,
          hint: 'Take another copy of it or an older backup.',
        })
      : (error as Error);
  const stream = new Transform({
    highWaterMark: 1 << 20,
    transform(chunk: Buffer, _encoding, done: TransformCallback) {
      try {
        look(chunk);
        done(null, chunk);
      } catch (error) {
        done(damaged(error));
      }
    },
    flush(done: TransformCallback) {
      try {
        if (scanner === undefined && !unknown) begin();
        if (scanner !== undefined && !scanner.complete) {
          throw new UnreadableArchive('it ends in the middle of its data');
        }
        done();
      } catch (error) {
        done(damaged(error));
      }
    },
  });
  return {
    stream,
    located: () =>
      toc === undefined || scanner === undefined ? undefined : { toc, positions: scanner.positions },
  };
}

/** Notes in a copy of the archive where the data of each entry is, as pg_dump does when it can go back. */
export async function notePositions(path: string, { toc, positions }: LocatedArchive): Promise<void> {
  const file = await open(path, 'r+');
  try {
    const note = Buffer.alloc(1 + toc.header.offsetSize);
    note[0] = POSITION_IS_SET;
    for (const { id, noteAt } of toc.entries) {
      const position = positions.get(id);
      if (position === undefined || noteAt === undefined) continue;
      note.fill(0, 1);
      note.writeUIntLE(position, 1, Math.min(6, toc.header.offsetSize));
      await file.write(note, 0, note.length, noteAt);
    }
  } finally {
    await file.close();
  }
}
