import { spawn, spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { PassThrough, Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setImmediate } from 'node:timers/promises';
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BackplanError } from '../../src/errors.ts';
import { type Compression, type Digest, store, verified } from '../../src/repository/codec.ts';
import { NEVER } from './fixture.ts';

const ZSTD: Compression = { method: 'zstd', level: 1 };
const digestOf = (data: Buffer): Digest => ({
  size: data.length,
  sha256: createHash('sha256').update(data).digest('hex'),
});

describe('store', () => {
  test('both digests are right and the stored form is what was hashed, for any chunks', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.uint8Array({ maxLength: 3000 }), { maxLength: 30 }),
        fc.constantFrom<Compression>({ method: 'none' }, ZSTD, { method: 'zstd', level: 3 }),
        async (chunks, compress) => {
          const plain = Buffer.concat(chunks);
          const { digests, bytes } = await storeChunks(
            chunks.filter(({ length }) => length > 0),
            compress,
          );
          expect(digests.plain).toEqual(digestOf(plain));
          expect(digests.stored).toEqual(digestOf(bytes));
          expect((compress.method === 'none' ? bytes : zstdDecompressSync(bytes)).equals(plain)).toBe(true);
        },
      ),
      { numRuns: 60 },
    );
  });

  test.each([1, 65_535, 65_536, 262_143, 262_144, 262_145, 3_000_001])(
    'a source of %i bytes in one chunk',
    async (size) => {
      const plain = randomBytes(size);
      const { digests, bytes } = await storeChunks([plain], ZSTD);
      expect(digests.plain).toEqual(digestOf(plain));
      expect(zstdDecompressSync(bytes).equals(plain)).toBe(true);
    },
  );

  test('blocks are used again without mixing up, however slow the sink and odd the chunks', async () => {
    const chunks = Array.from({ length: 60 }, (_, index) => randomBytes(((index * 7919) % 400_000) + 1));
    const plain = Buffer.concat(chunks);
    const parts: Buffer[] = [];
    const sink = new Writable({
      highWaterMark: 10_000,
      write(chunk: Buffer, _encoding, done) {
        parts.push(Buffer.from(chunk));
        setTimeout(done, 1);
      },
    });
    const digests = await store(Readable.from(chunks), sink, { compress: ZSTD, signal: NEVER });
    expect(digests).toEqual({ plain: digestOf(plain), stored: digestOf(Buffer.concat(parts)) });
    expect(zstdDecompressSync(Buffer.concat(parts)).equals(plain)).toBe(true);
  });

  test('progress rises to the plain size', async () => {
    const seen: number[] = [];
    const chunks = Array.from({ length: 20 }, () => randomBytes(50_000));
    const sink = new Writable({ write: (_chunk, _encoding, done) => done() });
    await store(Readable.from(chunks), sink, {
      compress: ZSTD,
      signal: NEVER,
      onBytes: (bytes) => seen.push(bytes),
    });
    expect(seen.at(-1)).toBe(1_000_000);
    expect(seen).toEqual([...seen].sort((a, b) => a - b));
  });

  test('the error of the source comes out as it is', async () => {
    const failure = new BackplanError('DUMP_FAILED', 'pg_dump was killed by SIGKILL');
    const source = new PassThrough();
    source.write(randomBytes(500_000));
    process.nextTick(() => source.destroy(failure));
    await expect(storeStream(source, ZSTD)).rejects.toBe(failure);
  });

  test('the error of the sink comes out as it is, and the source is destroyed', async () => {
    const failure = new BackplanError('DISK_FULL', 'full');
    const source = Readable.from(endless());
    const sink = new Writable({ write: (_chunk, _encoding, done) => done(failure) });
    await expect(store(source, sink, { compress: ZSTD, signal: NEVER })).rejects.toBe(failure);
    expect(source.destroyed).toBe(true);
  });

  test('a sink that fails at any moment, fast or slow, ends it', async () => {
    const failure = new BackplanError('DISK_FULL', 'full');
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 0, max: 6_000_000 }),
        fc.integer({ min: 0, max: 3 }),
        fc.boolean(),
        async (room, delay, coarse) => {
          let taken = 0;
          const sink = new Writable({
            highWaterMark: coarse ? 1_000_000 : 16_000,
            write(chunk: Buffer, _encoding, done) {
              taken += chunk.length;
              setTimeout(() => done(taken > room ? failure : null), delay);
            },
          });
          const source = Readable.from(endless());
          await expect(store(source, sink, { compress: ZSTD, signal: NEVER })).rejects.toBe(failure);
          expect(source.destroyed).toBe(true);
        },
      ),
      { numRuns: 40 },
    );
  });

  test('a sink that fails while the source waits for its next byte ends it', async () => {
    const failure = new BackplanError('DISK_FULL', 'full');
    const source = new PassThrough();
    const sink = new Writable();
    const storing = expect(store(source, sink, { compress: ZSTD, signal: NEVER })).rejects.toBe(failure);
    source.write(randomBytes(3_000_000));
    sink.destroy(failure);
    await storing;
    expect(source.destroyed).toBe(true);
  });

  test('an abort stops both ends with its own reason', async () => {
    const abort = new AbortController();
    const reason = new BackplanError('TIMEOUT', 'step dump took longer than 2h');
    const source = Readable.from(endless());
    const sink = new Writable({ write: (_chunk, _encoding, done) => done() });
    setTimeout(() => abort.abort(reason), 20);
    await expect(store(source, sink, { compress: ZSTD, signal: abort.signal })).rejects.toBe(reason);
    expect(source.destroyed && sink.destroyed).toBe(true);
    const before = AbortSignal.abort();
    await expect(storeStream(Readable.from(endless()), ZSTD, before)).rejects.toMatchObject({
      code: 'CANCELLED',
    });
  });

  test('stock zstd reads and checks the file', async (context) => {
    const cli = spawnSync('zstd', ['--version']);
    if (cli.status !== 0) context.skip('no zstd on this machine');
    const plain = Buffer.concat(
      Array.from({ length: 50 }, (_, index) => Buffer.from(`${index}\t`.repeat(20_000))),
    );
    const { bytes } = await storeChunks([plain], ZSTD);
    const read = spawnSync('zstd', ['-dc'], { input: bytes, maxBuffer: 1e9 });
    expect(read.stderr.toString()).toBe('');
    expect(read.stdout.equals(plain)).toBe(true);
    const listed = spawnSync('zstd', ['-t'], { input: flip(bytes, bytes.length - 2, 3), encoding: 'utf8' });
    expect(listed.status).not.toBe(0);
  });
});

describe('verified', () => {
  const plain = Buffer.from(
    Array.from({ length: 8000 }, (_, index) => `${index}\tabc\t${index * 7}\n`).join(''),
  );
  const zstd = zstdCompressSync(plain);

  test('sound bytes come through, in any chunks', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 5000 }), fc.boolean(), async (size, compressed) => {
        const bytes = await collect(open(compressed ? zstd : plain, compressed, size));
        expect(bytes.equals(plain)).toBe(true);
      }),
      { numRuns: 40 },
    );
  });

  test('an empty file, stored plain and compressed', async () => {
    const nothing = Buffer.alloc(0);
    const stream = verified(Readable.from([]), { what: 'f', stored: digestOf(nothing), signal: NEVER });
    expect((await collect(stream)).length).toBe(0);
    const packed = zstdCompressSync(nothing);
    const unpacked = verified(Readable.from([packed]), {
      what: 'f',
      stored: digestOf(packed),
      plain: digestOf(nothing),
      signal: NEVER,
    });
    expect((await collect(unpacked)).length).toBe(0);
  });

  test('every flipped bit, cut and addition is found, and no clean end is ever seen', async () => {
    await fc.assert(
      fc.asyncProperty(
        damages(zstd.length),
        fc.boolean(),
        fc.integer({ min: 100, max: 70_000 }),
        async (damage, compressed, size) => {
          const sound = compressed ? zstd : plain;
          const bytes = damage(sound);
          if (bytes.equals(sound)) return;
          let ended = false;
          let seen = 0;
          const stream = openAs(bytes, sound, compressed, size).on('end', () => {
            ended = true;
          });
          await expect(
            (async () => {
              for await (const chunk of stream) seen += (chunk as Buffer).length;
            })(),
          ).rejects.toMatchObject({
            code: 'BACKUP_CORRUPT',
            message: expect.stringContaining('archive of backup local:x'),
          });
          expect(ended).toBe(false);
          // The last piece is held back: a program that gets these bytes misses the end of its input.
          expect(seen).toBeLessThan(plain.length);
        },
      ),
      { numRuns: 300 },
    );
  });

  test('a second frame behind the first is found', async () => {
    const bytes = Buffer.concat([zstd, zstdCompressSync(Buffer.from('more'))]);
    await expect(collect(openAs(bytes, zstd, true, 1000))).rejects.toMatchObject({ code: 'BACKUP_CORRUPT' });
    // Even where the stored form was recorded with the garbage, the decompressed one was not.
    const stream = verified(Readable.from([bytes]), {
      what: 'f',
      stored: digestOf(bytes),
      plain: digestOf(Buffer.concat([plain, Buffer.from('more')])),
      signal: NEVER,
    });
    await expect(collect(stream)).rejects.toMatchObject({ code: 'BACKUP_CORRUPT' });
  });

  test('bytes that decompress to more than recorded are stopped early', async () => {
    const bomb = zstdCompressSync(Buffer.alloc(200_000_000));
    let seen = 0;
    const stream = verified(Readable.from([bomb]), {
      what: 'f',
      stored: digestOf(bomb),
      plain: { size: 1000, sha256: '0'.repeat(64) },
      signal: NEVER,
    });
    await expect(
      (async () => {
        for await (const chunk of stream) seen += (chunk as Buffer).length;
      })(),
    ).rejects.toMatchObject({
      code: 'BACKUP_CORRUPT',
      message: expect.stringContaining('more than the expected'),
    });
    expect(seen).toBeLessThan(1000);
  });

  test('the message tells what was expected and found', async () => {
    await expect(collect(openAs(zstd.subarray(0, 50), zstd, true, 10))).rejects.toMatchObject({
      message: expect.stringMatching(new RegExp(`found 50 bytes, expected ${zstd.length} bytes`)),
      hint: expect.stringContaining('another'),
    });
    const other = flip(plain, 100, 1);
    await expect(collect(openAs(other, plain, false, 1000))).rejects.toMatchObject({
      message: expect.stringContaining(
        `found SHA-256 ${digestOf(other).sha256}, expected ${digestOf(plain).sha256}`,
      ),
    });
  });

  test('damage reaches whoever pipes into a child process, though the child itself is content', async () => {
    for (const compressed of [true, false]) {
      const sound = compressed ? zstd : plain;
      const bytes = Buffer.from(sound);
      bytes[sound.length - 1] = (bytes[sound.length - 1] ?? 0) ^ 1;
      const child = spawn('cat', [], { stdio: ['pipe', 'pipe', 'inherit'] });
      const exit = new Promise((resolve) => child.on('close', resolve));
      const output = collect(child.stdout);
      await expect(pipeline(openAs(bytes, sound, compressed, 4000), child.stdin)).rejects.toMatchObject({
        code: 'BACKUP_CORRUPT',
      });
      expect(await exit).toBe(0);
      expect((await output).length).toBeLessThan(plain.length);
    }
  });

  test('damage found before anybody reads is told to whoever reads later', async () => {
    const bad = flip(plain.subarray(0, 100), 50, 1);
    for (const read of [collect, (stream: Readable) => pipeline(stream, new PassThrough().resume())]) {
      const stream = openAs(bad, plain.subarray(0, 100), false, 1000);
      await expect.poll(() => stream.errored).toBeInstanceOf(BackplanError);
      await expect(read(stream)).rejects.toMatchObject({ code: 'BACKUP_CORRUPT' });
    }
  });

  test('a consumer that stops early frees the source', async () => {
    const raw = Readable.from(endless());
    const stream = verified(raw, {
      what: 'f',
      stored: { size: 1e12, sha256: '0'.repeat(64) },
      signal: NEVER,
    });
    for await (const chunk of stream) {
      expect((chunk as Buffer).length).toBeGreaterThan(0);
      break;
    }
    await expect.poll(() => raw.destroyed).toBe(true);
  });

  test('an abort and an error of the disk are not called damage', async () => {
    const abort = new AbortController();
    const stream = verified(Readable.from(endless()), {
      what: 'f',
      stored: { size: 1e12, sha256: '0'.repeat(64) },
      signal: abort.signal,
    });
    setTimeout(() => abort.abort(), 10);
    await expect(collect(stream)).rejects.toMatchObject({ code: 'CANCELLED' });
    const raw = Readable.from(endless());
    const late = new BackplanError('TIMEOUT', 'late');
    const expected = { size: 1, sha256: '0'.repeat(64) };
    expect(() => verified(raw, { what: 'f', stored: expected, signal: AbortSignal.abort(late) })).toThrow(
      late,
    );
    expect(raw.destroyed).toBe(true);
    const failure = new BackplanError('STORAGE_FAILED', 'the disk reports an error (EIO)');
    const failing = new Readable({
      read() {
        this.destroy(failure);
      },
    });
    const read = verified(failing, { what: 'f', stored: { size: 1, sha256: '0'.repeat(64) }, signal: NEVER });
    await expect(collect(read)).rejects.toBe(failure);
  });

  function open(bytes: Buffer, compressed: boolean, chunk: number): Readable {
    return openAs(bytes, compressed ? zstd : plain, compressed, chunk);
  }

  /** Reads `bytes` where `sound` was recorded. */
  function openAs(bytes: Buffer, sound: Buffer, compressed: boolean, chunk: number): Readable {
    return verified(Readable.from(slices(bytes, chunk)), {
      what: 'archive of backup local:x',
      stored: digestOf(sound),
      ...(compressed ? { plain: digestOf(plain) } : {}),
      signal: NEVER,
    });
  }
});

/** Ways in which bytes go bad. */
function damages(length: number): fc.Arbitrary<(bytes: Buffer) => Buffer> {
  return fc.oneof(
    fc.tuple(fc.nat({ max: length - 1 }), fc.nat({ max: 7 })).map(
      ([at, bit]) =>
        (bytes: Buffer) =>
          flip(bytes, at % bytes.length, bit),
    ),
    fc.nat({ max: length - 1 }).map((at) => (bytes: Buffer) => bytes.subarray(0, at)),
    fc
      .uint8Array({ minLength: 1, maxLength: 2000 })
      .map((more) => (bytes: Buffer) => Buffer.concat([bytes, more])),
    fc.tuple(fc.nat({ max: length - 1 }), fc.integer({ min: 1, max: 4096 })).map(
      ([at, count]) =>
        (bytes: Buffer) =>
          Buffer.from(bytes).fill(0, at % bytes.length, Math.min(bytes.length, (at % bytes.length) + count)),
    ),
    fc.tuple(fc.nat({ max: length - 1 }), fc.integer({ min: 1, max: 4096 })).map(
      ([at, count]) =>
        (bytes: Buffer) =>
          Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + count)]),
    ),
  );
}

function flip(bytes: Buffer, at: number, bit: number): Buffer {
  const copy = Buffer.from(bytes);
  copy[at] = (copy[at] ?? 0) ^ (1 << bit);
  return copy;
}

function* slices(bytes: Buffer, size: number) {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

/** Never ends, does not compress, and lets timers run as a real source does. */
async function* endless() {
  for (;;) {
    await setImmediate();
    yield randomBytes(64 * 1024);
  }
}

async function storeChunks(chunks: readonly Uint8Array[], compress: Compression) {
  return await storeStream(Readable.from(chunks.map((chunk) => Buffer.from(chunk))), compress);
}

async function storeStream(source: Readable, compress: Compression, signal = NEVER) {
  const parts: Buffer[] = [];
  const sink = new Writable({
    write(chunk, _encoding, done) {
      parts.push(chunk);
      done();
    },
  });
  const digests = await store(source, sink, { compress, signal });
  return { digests, bytes: Buffer.concat(parts) };
}

async function collect(stream: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}
