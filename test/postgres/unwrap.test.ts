import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { constants, gzipSync, zstdCompressSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { detectWrapper, unwrap } from '../../src/postgres/unwrap.ts';

const first = Buffer.concat([Buffer.from('some text, again and again. '.repeat(5000)), randomBytes(70_000)]);
const second = randomBytes(300_000);

function chunked(bytes: Buffer, size: number): Readable {
  const parts: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += size) parts.push(bytes.subarray(at, at + size));
  return Readable.from(parts, { objectMode: false });
}

async function plain(bytes: Buffer, size = 10_007): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of unwrap(chunked(bytes, size), detectWrapper(bytes), 'dump.x'))
    chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

describe.each([
  ['gzip', (bytes: Buffer) => gzipSync(bytes)],
  ['zstd', (bytes: Buffer) => zstdCompressSync(bytes, { params: { [constants.ZSTD_c_checksumFlag]: 1 } })],
] as const)('%s', (wrapper, pack) => {
  test('is recognised and taken off, also of several members or frames', async () => {
    expect(detectWrapper(pack(first))).toBe(wrapper);
    expect(await plain(pack(first))).toEqual(first);
    expect(await plain(Buffer.concat([pack(first), pack(second)]), 997)).toEqual(
      Buffer.concat([first, second]),
    );
  });

  test('a cut or changed stream is reported, never shortened silently', async () => {
    const bytes = pack(first);
    for (const length of [bytes.length - 1, bytes.length - 9, Math.floor(bytes.length / 2), 30]) {
      await expect(plain(bytes.subarray(0, length))).rejects.toMatchObject({
        code: 'BACKUP_CORRUPT',
        message: expect.stringContaining('dump.x'),
      });
    }
    const changed = Buffer.from(bytes);
    changed[bytes.length - 4000] = (changed[bytes.length - 4000] ?? 0) ^ 0x55;
    await expect(plain(changed)).rejects.toMatchObject({ code: 'BACKUP_CORRUPT' });
  });
});

test('zstd: skippable frames are skipped, what is not zstd is not ignored', async () => {
  const skippable = Buffer.alloc(8 + 5);
  skippable.writeUInt32LE(0x184d2a53, 0);
  skippable.writeUInt32LE(5, 4);
  const frame = zstdCompressSync(first);
  expect(await plain(Buffer.concat([frame, skippable, zstdCompressSync(second)]))).toEqual(
    Buffer.concat([first, second]),
  );
  await expect(plain(Buffer.concat([frame, Buffer.from('rubbish')]))).rejects.toMatchObject({
    code: 'BACKUP_CORRUPT',
    message: expect.stringContaining('follows the end'),
  });
});

test('zstd: what the stock tool writes, with and without its checksum', async () => {
  for (const flag of ['--check', '--no-check']) {
    const bytes = execFileSync('zstd', ['-q', '-c', flag], { input: second, maxBuffer: 1e8 });
    expect(await plain(bytes)).toEqual(second);
  }
});

test('a reader that stops early leaves nothing behind', async () => {
  const stream = unwrap(chunked(zstdCompressSync(Buffer.concat([first, second, second])), 500), 'zstd', 'x');
  for await (const _chunk of stream) break;
  expect(stream.destroyed).toBe(true);
});
