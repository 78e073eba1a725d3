/**
 * Bytes on their way into and out of a repository: one pass, never a whole file in memory.
 *
 *     in:   source → hash → zstd → hash → storage
 *     out:  storage → hash → unzstd → hash → consumer
 *
 * Hashing runs on the main thread while zstd works in the thread pool, so the two overlap. The file is one zstd frame
 * with its own checksum: stock `zstd -dc` reads and checks it. ZSTD_c_nbWorkers is not used: streams of more than some
 * megabytes break with it.
 */
import { createHash, type Hash } from 'node:crypto';
import { pipeline, type Readable, Transform, type TransformCallback, type Writable } from 'node:stream';
import { pipeline as pipelined } from 'node:stream/promises';
import { constants, createZstdCompress, createZstdDecompress } from 'node:zlib';
import { BackplanError, toBackplanError } from '../errors.ts';
import { formatBytes } from '../units.ts';

export interface Digest {
  readonly size: number;
  readonly sha256: string;
}

export type Compression = { readonly method: 'none' } | { readonly method: 'zstd'; readonly level: number };

/**
 * Pipes deliver 64 KiB at a time. Gathered into bigger blocks, which are used again and again, they cost zstd fewer
 * trips to the thread pool and the allocator nothing: a third less time on the main thread.
 */
const BLOCK_BYTES = 1024 * 1024;
/** One is compressed, one waits for it, one is filled. */
const BLOCKS = 3;
/** Output buffers of zlib. */
const CHUNK_BYTES = 256 * 1024;
/** Of what is decompressed: four times as many buffers live at once as are needed, so they are small. */
const PLAIN_CHUNK_BYTES = 64 * 1024;

/**
 * Streams `source` into `sink` and says what passed. Resolves when the sink has taken the last byte (it need not be
 * durable yet). On any error, the abort included, both streams are destroyed.
 * @throws the error of the source or of the sink, CANCELLED (or the BackplanError that aborted)
 */
export async function store(
  source: Readable,
  sink: Writable,
  options: { compress: Compression; signal: AbortSignal; onBytes?: (plainBytes: number) => void },
): Promise<{ plain: Digest; stored: Digest }> {
  const { compress, signal, onBytes } = options;
  const stored = new Meter(compress.method === 'none' ? onBytes : undefined);
  try {
    if (compress.method === 'none') {
      await pipelined(source, stored, sink, { signal });
      return { plain: stored.digest(), stored: stored.digest() };
    }
    const zstd = createZstdCompress({
      chunkSize: CHUNK_BYTES,
      params: {
        [constants.ZSTD_c_compressionLevel]: compress.level,
        [constants.ZSTD_c_checksumFlag]: 1,
      },
    });
    const writing = pipelined(zstd, stored, sink, { signal });
    // A source that is waiting for its next byte would not notice that there is nobody left to take it.
    writing.catch((error: Error) => source.destroy(error));
    const [fed, written] = await Promise.allSettled([feed(source, zstd, onBytes), writing]);
    if (fed.status === 'rejected') throw fed.reason;
    if (written.status === 'rejected') throw written.reason;
    return { plain: fed.value, stored: stored.digest() };
  } catch (error) {
    if (signal.aborted) throw toBackplanError(signal.reason, 'CANCELLED');
    throw error;
  }
}

/**
 * Hashes a source and writes it in blocks, each used again once it has been taken. Ends or destroys `target`.
 * Where the target fails it stops early and leaves the error to whoever reads from there.
 */
async function feed(
  source: Readable,
  target: Writable,
  onBytes: ((bytes: number) => void) | undefined,
): Promise<Digest> {
  const hash = createHash('sha256');
  const ring = Array.from({ length: BLOCKS }, () => ({
    bytes: Buffer.allocUnsafeSlow(BLOCK_BYTES),
    taken: Promise.withResolvers<boolean>(),
  }));
  for (const { taken } of ring) taken.resolve(true);
  // A stream that is destroyed while its reader holds it up never calls back for what it was given.
  target.once('close', () => {
    for (const { taken } of ring) taken.resolve(false);
  });
  let size = 0;
  let filled = 0;
  let current = 0;
  const release = () => {
    const block = ring[current];
    if (block === undefined || filled === 0) return;
    const full = block.bytes.subarray(0, filled);
    const taken = Promise.withResolvers<boolean>();
    block.taken = taken;
    target.write(full, (error) => taken.resolve(error === null || error === undefined));
    filled = 0;
    current = (current + 1) % BLOCKS;
  };
  try {
    for await (const piece of source) {
      const chunk: Buffer = typeof piece === 'string' ? Buffer.from(piece) : piece;
      hash.update(chunk);
      size += chunk.length;
      onBytes?.(size);
      for (let offset = 0; offset < chunk.length; ) {
        const block = ring[current] as (typeof ring)[number];
        if (filled === 0 && !(await block.taken.promise)) return { size, sha256: '' };
        const copied = chunk.copy(block.bytes, filled, offset);
        offset += copied;
        filled += copied;
        if (filled === BLOCK_BYTES) release();
      }
    }
    release();
    target.end();
  } catch (error) {
    target.destroy(error as Error);
    throw error;
  }
  return { size, sha256: hash.digest('hex') };
}

/**
 * Yields the plain bytes of a stored file while checking size and SHA-256 of both forms. The last piece is held back
 * until everything has been checked, so a consumer of damaged bytes never sees a clean end: its stream errors, and
 * a program that the bytes are piped into misses the end of its input.
 * @throws CANCELLED (or the BackplanError that aborted) where `signal` is aborted already
 */
export function verified(
  raw: Readable,
  options: {
    /** For messages: `archive.dump.zst of backup local:crm-…`. */
    what: string;
    stored: Digest;
    /** Set where the file is a zstd stream that must be undone. */
    plain?: Digest;
    signal: AbortSignal;
    onBytes?: (storedBytes: number) => void;
  },
): Readable {
  const { what, stored, plain, signal, onBytes } = options;
  if (signal.aborted) {
    raw.destroy();
    throw toBackplanError(signal.reason, 'CANCELLED');
  }
  const explain = (error: Error) => explainDamage(error, what, signal);
  const outer = new Check({ what, form: 'stored', expected: stored, explain, onBytes });
  const streams: Transform[] = [outer];
  if (plain !== undefined) {
    streams.push(
      createZstdDecompress({ chunkSize: PLAIN_CHUNK_BYTES }),
      new Check({ what, form: 'decompressed', expected: plain, explain }),
    );
  }
  const last = streams.at(-1) ?? outer;
  const abort = () => last.destroy(toBackplanError(signal.reason, 'CANCELLED'));
  // Reading ahead may find the damage before anybody listens; whoever then reads the stream is still told.
  last.on('error', () => {});
  signal.addEventListener('abort', abort, { once: true });
  pipeline([raw, ...streams], () => signal.removeEventListener('abort', abort));
  return last;
}

/** Hashes and counts what passes. */
class Meter extends Transform {
  readonly #hash: Hash = createHash('sha256');
  readonly #onBytes: ((bytes: number) => void) | undefined;
  #size = 0;
  #sha256: string | undefined;

  constructor(onBytes?: (bytes: number) => void) {
    super({ highWaterMark: CHUNK_BYTES });
    this.#onBytes = onBytes;
  }

  digest(): Digest {
    this.#sha256 ??= this.#hash.digest('hex');
    return { size: this.#size, sha256: this.#sha256 };
  }

  override _transform(chunk: Buffer, _encoding: string, done: TransformCallback): void {
    this.#hash.update(chunk);
    this.#size += chunk.length;
    this.#onBytes?.(this.#size);
    done(null, chunk);
  }
}

/** Compares what passes with what was recorded, holding back the last chunk until the comparison is done. */
class Check extends Transform {
  readonly #hash: Hash = createHash('sha256');
  readonly #what: string;
  readonly #form: string;
  readonly #expected: Digest;
  readonly #explain: (error: Error) => Error;
  readonly #onBytes: ((bytes: number) => void) | undefined;
  #size = 0;
  #held: Buffer | undefined;

  constructor(options: {
    what: string;
    form: string;
    expected: Digest;
    explain: (error: Error) => Error;
    onBytes?: (bytes: number) => void;
  }) {
    super({ highWaterMark: CHUNK_BYTES });
    this.#what = options.what;
    this.#form = options.form;
    this.#expected = options.expected;
    this.#explain = options.explain;
    this.#onBytes = options.onBytes;
  }

  override _transform(chunk: Buffer, _encoding: string, done: TransformCallback): void {
    this.#size += chunk.length;
    // Not only at the end: a few bytes that decompress to terabytes must not get that far.
    if (this.#size > this.#expected.size) {
      done(this.#damaged(`more than the expected ${bytes(this.#expected.size)}`));
      return;
    }
    this.#hash.update(chunk);
    this.#onBytes?.(this.#size);
    const ready = this.#held;
    this.#held = chunk;
    if (ready === undefined) done();
    else done(null, ready);
  }

  override _flush(done: TransformCallback): void {
    const { size, sha256 } = this.#expected;
    if (this.#size !== size) {
      done(this.#damaged(`${bytes(this.#size)}, expected ${bytes(size)}`));
      return;
    }
    const found = this.#hash.digest('hex');
    if (found !== sha256) {
      done(this.#damaged(`SHA-256 ${found}, expected ${sha256}`));
      return;
    }
    if (this.#held === undefined) done();
    else done(null, this.#held);
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#held = undefined;
    done(error === null ? null : this.#explain(error));
  }

  #damaged(found: string): BackplanError {
    return corrupt(this.#what, `${this.#form} form: found ${found}`);
  }
}

/** @param what `archive.dump.zst of backup local:crm-…` @param found what is wrong with it */
export function corrupt(what: string, found: string, cause?: unknown): BackplanError {
  return new BackplanError('BACKUP_CORRUPT', `${what} is damaged: ${found}`, {
    cause,
    hint: 'Do not restore this backup. Use another one ("backplan backups PLAN" lists them), look at the disk (dmesg, smartctl), and verify the other backups.',
  });
}

function bytes(count: number): string {
  return count < 1000 ? `${count} bytes` : `${count} bytes (${formatBytes(count)})`;
}

/** Errors of zlib are errors of the data; anything else keeps its meaning. */
function explainDamage(error: Error, what: string, signal: AbortSignal): Error {
  if (error instanceof BackplanError) return error;
  if (signal.aborted) return toBackplanError(signal.reason, 'CANCELLED');
  const code = (error as NodeJS.ErrnoException).code ?? '';
  if (/^(Z_|ZSTD_)/.test(code)) return corrupt(what, `it does not decompress (${error.message})`, error);
  return error;
}

/** What is thrown when a stored file is gone or has another size than recorded, before a byte is read. */
export function wrongSize(what: string, expected: number, found: number | undefined): BackplanError {
  return corrupt(
    what,
    found === undefined ? 'the file is missing' : `found ${bytes(found)}, expected ${bytes(expected)}`,
  );
}
