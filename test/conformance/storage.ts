/** What every storage backend promises. Run by the test of each backend. */
import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { describe, expect, test } from 'vitest';
import type { Storage } from '../../src/storage/storage.ts';

/** @param open a storage over a new, empty place each time */
export function describeStorage(name: string, open: () => Storage | Promise<Storage>): void {
  describe(`storage contract: ${name}`, () => {
    test('what was written is read back, byte for byte, through any number of chunks', async () => {
      const storage = await prepared(open);
      const chunks = Array.from({ length: 40 }, (_, index) => randomBytes(index * 3000 + 1));
      const handle = await storage.write('a/b/c.bin');
      await pipeline(Readable.from(chunks), handle.stream);
      await handle.close();
      const wanted = Buffer.concat(chunks);
      expect((await bytesOf(await storage.read('a/b/c.bin'))).equals(wanted)).toBe(true);
      expect(await storage.stat('a/b/c.bin')).toEqual({ path: 'a/b/c.bin', size: wanted.length });
    });

    test('an empty file is a file', async () => {
      const storage = await prepared(open);
      await put(storage, 'empty', '');
      expect(await storage.stat('empty')).toEqual({ path: 'empty', size: 0 });
      expect((await bytesOf(await storage.read('empty'))).length).toBe(0);
    });

    test('a file is invisible until close has resolved', async () => {
      const storage = await prepared(open);
      const handle = await storage.write('d/file');
      await new Promise<void>((resolve) => handle.stream.write('half', () => resolve()));
      expect(await storage.stat('d/file')).toBeUndefined();
      expect(await storage.list('d')).toEqual([]);
      handle.stream.end(' and whole');
      await handle.close();
      expect(await text(storage, 'd/file')).toBe('half and whole');
    });

    test('closing before the stream has ended fails and leaves nothing', async () => {
      const storage = await prepared(open);
      const handle = await storage.write('d/file');
      handle.stream.write('half');
      await expect(handle.close()).rejects.toMatchObject({ code: 'STORAGE_FAILED' });
      expect(await storage.list('d')).toEqual([]);
    });

    test('an abandoned write leaves nothing, twice is once, and close after it fails', async () => {
      const storage = await prepared(open);
      const handle = await storage.write('d/file');
      handle.stream.write(randomBytes(100_000));
      await handle.abandon();
      await handle.abandon();
      expect(await storage.list('d')).toEqual([]);
      await expect(handle.close()).rejects.toMatchObject({ code: 'STORAGE_FAILED' });
      expect(await storage.stat('d/file')).toBeUndefined();
    });

    test('a source that fails half-way leaves nothing, and the old file stays', async () => {
      const storage = await prepared(open);
      await put(storage, 'd/file', 'old');
      const handle = await storage.write('d/file');
      const source = Readable.from(
        (function* () {
          yield randomBytes(200_000);
          throw new Error('the dump was killed');
        })(),
      );
      await expect(pipeline(source, handle.stream)).rejects.toThrow('the dump was killed');
      await expect(handle.close()).rejects.toThrow();
      expect(await text(storage, 'd/file')).toBe('old');
      expect(await storage.list('d')).toEqual([{ path: 'd/file', size: 3 }]);
    });

    test('abandon after close leaves the file alone', async () => {
      const storage = await prepared(open);
      const handle = await storage.write('file');
      handle.stream.end('kept');
      await handle.close();
      await handle.abandon();
      expect(await text(storage, 'file')).toBe('kept');
    });

    test('a second write replaces the file whole', async () => {
      const storage = await prepared(open);
      await put(storage, 'file', 'a long first text');
      await put(storage, 'file', 'short');
      expect(await text(storage, 'file')).toBe('short');
    });

    test('several writers of one folder do not disturb each other', async () => {
      const storage = await prepared(open);
      await Promise.all(
        Array.from({ length: 20 }, (_, index) => put(storage, `x/y/${index}`, `text ${index}`)),
      );
      expect(await storage.list('x')).toHaveLength(20);
      expect(await text(storage, 'x/y/7')).toBe('text 7');
    });

    test('reading, looking at and listing what is not there', async () => {
      const storage = await prepared(open);
      await put(storage, 'file', 'x');
      await expect(storage.read('nothing')).rejects.toMatchObject({
        code: 'STORAGE_FAILED',
        cause: { code: 'ENOENT' },
      });
      expect(await storage.stat('nothing')).toBeUndefined();
      expect(await storage.stat('file/below')).toBeUndefined();
      expect(await storage.list('nothing')).toEqual([]);
      expect(await storage.folders('nothing')).toEqual([]);
    });

    test('listing goes down, skips hidden folders unless asked for them, and tells sizes', async () => {
      const storage = await prepared(open);
      await put(storage, 'db/one/manifest.json', '{}');
      await put(storage, 'db/one/deep/er/file', '12345');
      await put(storage, 'db/.partial-two/file', 'x');
      await put(storage, 'other/file', 'y');
      expect(sorted(await storage.list('db'))).toEqual([
        { path: 'db/one/deep/er/file', size: 5 },
        { path: 'db/one/manifest.json', size: 2 },
      ]);
      expect(await storage.list('db/.partial-two')).toEqual([{ path: 'db/.partial-two/file', size: 1 }]);
      expect([...(await storage.folders('db'))].sort()).toEqual(['.partial-two', 'one']);
      expect([...(await storage.folders(''))].sort()).toEqual(['db', 'other']);
      expect(await storage.folders('db/one/deep/er')).toEqual([]);
    });

    test('a folder whose name begins like another one is not listed with it', async () => {
      const storage = await prepared(open);
      await put(storage, 'crm/file', '1');
      await put(storage, 'crm-test/file', '2');
      expect(await storage.list('crm')).toEqual([{ path: 'crm/file', size: 1 }]);
      await storage.removeFolder('crm');
      expect(await text(storage, 'crm-test/file')).toBe('2');
    });

    test('removing is idempotent', async () => {
      const storage = await prepared(open);
      await put(storage, 'd/a', '1');
      await put(storage, 'd/b/c', '2');
      await storage.remove('d/a');
      await storage.remove('d/a');
      await storage.remove('never/there');
      expect(await storage.list('d')).toEqual([{ path: 'd/b/c', size: 1 }]);
      await storage.removeFolder('d');
      await storage.removeFolder('d');
      expect(await storage.list('d')).toEqual([]);
    });

    test('publish moves a folder whole and refuses to replace one', async () => {
      const storage = await prepared(open);
      await put(storage, 'db/.partial-1/manifest.json', '{}');
      await put(storage, 'db/.partial-1/deep/file', 'x');
      await storage.publish('db/.partial-1', 'db/1');
      expect(sorted(await storage.list('db'))).toEqual([
        { path: 'db/1/deep/file', size: 1 },
        { path: 'db/1/manifest.json', size: 2 },
      ]);
      expect(await storage.folders('db')).toEqual(['1']);
      await put(storage, 'db/.partial-2/manifest.json', '{"other": true}');
      await expect(storage.publish('db/.partial-2', 'db/1')).rejects.toMatchObject({
        code: 'STORAGE_FAILED',
      });
      expect(await text(storage, 'db/1/manifest.json')).toBe('{}');
      await expect(storage.publish('db/.partial-3', 'db/3')).rejects.toMatchObject({
        code: 'STORAGE_FAILED',
      });
      expect(await storage.list('db/3')).toEqual([]);
    });

    test.each(['../out', 'a/../../out', '/etc/passwd', 'a//b', 'a/./b', 'a\0b', 'a\\..\\b', '..'])(
      'the path %j is refused everywhere',
      async (path) => {
        const storage = await prepared(open);
        const refused = { code: 'STORAGE_FAILED', message: expect.stringContaining('not a path inside') };
        await expect(async () => await storage.write(path)).rejects.toMatchObject(refused);
        await expect(storage.read(path)).rejects.toMatchObject(refused);
        await expect(storage.stat(path)).rejects.toMatchObject(refused);
        await expect(storage.list(path)).rejects.toMatchObject(refused);
        await expect(storage.folders(path)).rejects.toMatchObject(refused);
        await expect(storage.remove(path)).rejects.toMatchObject(refused);
        await expect(storage.removeFolder(path)).rejects.toMatchObject(refused);
        await expect(storage.publish(path, 'x')).rejects.toMatchObject(refused);
        await expect(storage.publish('x', path)).rejects.toMatchObject(refused);
      },
    );

    test('the whole storage cannot be removed by an empty name', async () => {
      const storage = await prepared(open);
      await put(storage, 'file', 'x');
      await expect(storage.removeFolder('')).rejects.toMatchObject({ code: 'STORAGE_FAILED' });
      expect(await text(storage, 'file')).toBe('x');
    });

    test('names with spaces, dots, dashes and letters of other alphabets', async () => {
      const storage = await prepared(open);
      const names = ['a b', 'x.y-z_1', 'Größe', '数据库', '%20', 'a:b', "it's"];
      for (const name of names) await put(storage, `${name}/${name}`, name);
      expect((await storage.list('')).map(({ path }) => path).sort()).toEqual(
        names.map((name) => `${name}/${name}`).sort(),
      );
      for (const name of names) expect(await text(storage, `${name}/${name}`)).toBe(name);
    });

    test('prepare is repeatable and says how much is free', async () => {
      const storage = await prepared(open);
      await storage.prepare();
      expect(await storage.list('')).toEqual([]);
      const free = await storage.freeSpace();
      if (free !== undefined) expect(free).toBeGreaterThan(0);
      expect(storage.label).not.toBe('');
    });

    test('traits tell the truth about local paths', async () => {
      const storage = await prepared(open);
      expect(storage.localPath('a/b') !== undefined).toBe(storage.traits.localPaths);
    });
  });
}

async function prepared(open: () => Storage | Promise<Storage>): Promise<Storage> {
  const storage = await open();
  await storage.prepare();
  return storage;
}

export async function put(storage: Storage, path: string, content: string | Buffer): Promise<void> {
  const handle = await storage.write(path);
  handle.stream.end(content);
  await handle.close();
}

export async function bytesOf(stream: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

async function text(storage: Storage, path: string): Promise<string> {
  return (await bytesOf(await storage.read(path))).toString('utf8');
}

function sorted<T extends { path: string }>(entries: readonly T[]): T[] {
  return [...entries].sort((a, b) => (a.path < b.path ? -1 : 1));
}
