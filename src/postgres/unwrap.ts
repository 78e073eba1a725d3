/**
 * Takes gzip or zstd off a stream that others made. Unlike node:zlib alone, it reads files of several zstd frames
 * (`cat a.zst b.zst`, pzstd) and reports what follows the last frame instead of ignoring it.
 * Source: RFC 8878 (zstd frames), RFC 1952 (gzip).
 */
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip, createZstdDecompress } from 'node:zlib';
import { BackplanError } from '../errors.ts';

export type Wrapper = 'none' | 'gzip' | 'zstd';

/** What the first bytes of a file say it is wrapped in. */
export function detectWrapper(head: Buffer): Wrapper {
  if (head[0] === 0x1f && head[1] === 0x8b) return 'gzip';
  if (head.length >= 4 && head.readUInt32LE(0) === ZSTD_MAGIC) return 'zstd';
  return 'none';
}

/** Plain bytes of a wrapped stream; errors with BACKUP_CORRUPT (naming `label`) when it is damaged or cut short. */
export function unwrap(source: Readable, wrapper: Wrapper, label: string): Readable {
  if (wrapper === 'none') return source;
  const plain =
    wrapper === 'gzip' ? gunzip(source) : Readable.from(zstdFrames(source), { objectMode: false });
  const guarded = Readable.from(
    (async function* () {
      try {
        yield* plain as AsyncIterable<Buffer>;
      } catch (cause) {
        throw cause instanceof BackplanError || (cause as { code?: string }).code === 'ABORT_ERR'
          ? cause
          : new BackplanError('BACKUP_CORRUPT', `${label} is damaged: ${describe(cause, wrapper)}`, {
              cause,
              hint: `Check the file with \`${wrapper} -t\`, and take another copy of it or an older backup.`,
            });
      }
    })(),
    { objectMode: false },
  );
  guarded.once('close', () => source.destroy());
  return guarded;
}

function describe(cause: unknown, wrapper: Wrapper): string {
  const { code, message } = cause as { code?: string; message?: string };
  return code === 'Z_BUF_ERROR' ? `it ends in the middle of its ${wrapper} stream` : `${message ?? cause}`;
}

function gunzip(source: Readable): Readable {
  const stream = createGunzip({ chunkSize: 256 * 1024 });
  // A failed pipeline destroys the last stream with the error, which the reader then sees.
  pipeline(source, stream).catch(() => {});
  return stream;
}

const ZSTD_MAGIC = 0xfd2fb528;

async function* zstdFrames(source: Readable): AsyncGenerator<Buffer> {
  const cursor = new Cursor(source);
  while (!(await cursor.ended())) {
    const magic = (await cursor.peek(4)).readUInt32LE(0);
    if (magic >>> 4 === 0x184d2a5) {
      const length = (await cursor.peek(8)).readUInt32LE(4);
      for await (const _skipped of cursor.take(8 + length)) {
        // Skippable frames carry no data.
      }
      continue;
    }
    if (magic !== ZSTD_MAGIC) throw new Error('something that is not zstd follows the end of the data');
    yield* oneFrame(cursor);
  }
}

/** Feeds exactly one frame to a decompressor of its own and yields what comes out. */
async function* oneFrame(cursor: Cursor): AsyncGenerator<Buffer> {
  const decompressor = createZstdDecompress({ chunkSize: 256 * 1024 });
  const feeding = (async () => {
    try {
      for await (const part of frameBytes(cursor)) {
        // The callback comes when the part is consumed, or at once with an error when nobody reads any more.
        await new Promise<void>((resolve) => decompressor.write(part, () => resolve()));
        if (decompressor.destroyed) return;
      }
      decompressor.end();
    } catch (error) {
      decompressor.destroy(error as Error);
    }
  })();
  yield* decompressor as AsyncIterable<Buffer>;
  await feeding;
}

/** The bytes of one frame, found by its block headers: nothing is decoded here. */
async function* frameBytes(cursor: Cursor): AsyncGenerator<Buffer> {
  const descriptor = (await cursor.peek(5))[4] ?? 0;
  const singleSegment = (descriptor >> 5) & 1;
  const sizeFlag = descriptor >> 6;
  const header =
    5 +
    (singleSegment ? 0 : 1) +
    ([0, 1, 2, 4][descriptor & 3] ?? 0) +
    (sizeFlag === 0 ? singleSegment : 1 << sizeFlag);
  yield* cursor.take(header);
  for (let last = false; !last; ) {
    const block = (await cursor.peek(3)).readUIntLE(0, 3);
    last = (block & 1) === 1;
    const type = (block >> 1) & 3;
    if (type === 3) throw new Error('a block of a reserved type');
    yield* cursor.take(3 + (type === 1 ? 1 : block >> 3));
  }
  if ((descriptor >> 2) & 1) yield* cursor.take(4);
}

/** Reads a stream in pieces of wanted sizes. */
class Cursor {
  readonly #chunks: AsyncIterator<Buffer>;
  #buffer: Buffer = Buffer.alloc(0);
  #over = false;

  constructor(source: Readable) {
    this.#chunks = source[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  }

  async ended(): Promise<boolean> {
    await this.#fill(1);
    return this.#buffer.length === 0;
  }

  async peek(length: number): Promise<Buffer> {
    await this.#fill(length);
    if (this.#buffer.length < length)
      throw Object.assign(new Error('unexpected end'), { code: 'Z_BUF_ERROR' });
    return this.#buffer.subarray(0, length);
  }

  async *take(length: number): AsyncGenerator<Buffer> {
    for (let left = length; left > 0; ) {
      await this.peek(1);
      const part = this.#buffer.subarray(0, left);
      this.#buffer = this.#buffer.subarray(part.length);
      left -= part.length;
      yield part;
    }
  }

  async #fill(length: number): Promise<void> {
    while (this.#buffer.length < length && !this.#over) {
      const { done, value } = await this.#chunks.next();
      if (done === true) this.#over = true;
      else this.#buffer = this.#buffer.length === 0 ? value : Buffer.concat([this.#buffer, value]);
    }
  }
}
