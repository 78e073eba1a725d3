import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { localStorage } from '../../src/storage/local.ts';
import { bytesOf, describeStorage, put } from '../conformance/storage.ts';
import { temporaryFolder } from '../helpers/database.ts';
import { noSmallDisk, type SmallDisk, smallDisk } from './tmpfs.ts';

const root = temporaryFolder();
let number = 0;
const freshPath = () => join(root, `storage-${++number}`);

describeStorage('local', () => localStorage(freshPath()));

describe('local storage', () => {
  test('touches nothing before the first call, then makes every missing folder', async () => {
    const path = join(freshPath(), 'deep', 'down');
    const storage = localStorage(path);
    expect(existsSync(path)).toBe(false);
    expect(await storage.folders('')).toEqual([]);
    expect(await storage.freeSpace()).toBeGreaterThan(0);
    expect(existsSync(path)).toBe(false);
    await storage.prepare();
    expect(statSync(path).isDirectory()).toBe(true);
    expect(readdirSync(path)).toEqual([]);
  });

  test('nobody but owner and group can read what a backup holds', async () => {
    const path = freshPath();
    const storage = localStorage(path);
    await put(storage, 'db/file', 'secret');
    expect(statSync(join(path, 'db')).mode & 0o007).toBe(0);
    expect(statSync(join(path, 'db/file')).mode & 0o007).toBe(0);
  });

  test('a temporary file of a killed writer is not listed, and goes with its folder', async () => {
    const path = freshPath();
    const storage = localStorage(path);
    await put(storage, 'db/one/file', 'x');
    writeFileSync(join(path, 'db/one/.backplan-00112233aabb.tmp'), 'half');
    expect(await storage.list('db')).toEqual([{ path: 'db/one/file', size: 1 }]);
    await storage.removeFolder('db/one');
    expect(readdirSync(join(path, 'db'))).toEqual([]);
  });

  test('links: to a database folder followed, to a backup ignored, cycles and dangling ones harmless', async () => {
    const path = freshPath();
    const elsewhere = freshPath();
    const storage = localStorage(path);
    await put(storage, 'db/one/file', 'x');
    mkdirSync(join(elsewhere, 'two'), { recursive: true });
    writeFileSync(join(elsewhere, 'two', 'file'), 'yy');
    symlinkSync(elsewhere, join(path, 'big'));
    symlinkSync('one', join(path, 'db', 'latest'));
    symlinkSync('..', join(path, 'db', 'up'));
    symlinkSync('nowhere', join(path, 'db', 'dangling'));
    symlinkSync('nowhere', join(path, 'dangling'));
    symlinkSync('loop', join(path, 'loop'));
    expect(await storage.folders('')).toEqual(['big', 'db']);
    expect(await storage.folders('db')).toEqual(['one']);
    expect(await storage.list('db')).toEqual([{ path: 'db/one/file', size: 1 }]);
    expect(await storage.list('big')).toEqual([{ path: 'big/two/file', size: 2 }]);
    await storage.removeFolder('db');
    expect(readFileSync(join(elsewhere, 'two', 'file'), 'utf8')).toBe('yy');
  });

  test('a folder is no file, a file no folder, and the message says which path', async () => {
    const path = freshPath();
    const storage = localStorage(path);
    await put(storage, 'db/file', 'x');
    await expect(storage.read('db')).rejects.toMatchObject({
      code: 'STORAGE_FAILED',
      message: expect.stringContaining(join(path, 'db')),
    });
    await expect(storage.write('db/file/below')).rejects.toMatchObject({
      code: 'STORAGE_FAILED',
      message: expect.stringContaining('a file stands where a folder is needed'),
    });
    await expect(localStorage(join(path, 'db/file')).prepare()).rejects.toMatchObject({
      code: 'REPOSITORY_UNUSABLE',
    });
  });

  test('a name of 300 letters fails with a clear error', async () => {
    await expect(localStorage(freshPath()).write(`${'x'.repeat(300)}/file`)).rejects.toMatchObject({
      code: 'STORAGE_FAILED',
      message: expect.stringContaining('name is too long'),
    });
  });

  test('a file that shrinks or vanishes while it is read ends or errors, and never hangs', async () => {
    const path = freshPath();
    const storage = localStorage(path);
    await put(storage, 'file', randomBytes(3_000_000));
    const stream = await storage.read('file');
    writeFileSync(join(path, 'file'), 'short');
    expect((await bytesOf(stream)).length).toBeLessThan(3_000_000);
  });

  test('a reader that stops early frees its file', async () => {
    const path = freshPath();
    const storage = localStorage(path);
    await put(storage, 'file', randomBytes(3_000_000));
    const before = openFiles();
    for (let round = 0; round < 20; round++) {
      for await (const chunk of await storage.read('file')) {
        expect((chunk as Buffer).length).toBeGreaterThan(0);
        break;
      }
    }
    // The last handle is closed just after the loop has let go of it.
    await expect.poll(openFiles).toBeLessThanOrEqual(before);
  });

  test('failed and abandoned writes free their files', async () => {
    const storage = localStorage(freshPath());
    await put(storage, 'warm', 'up');
    const before = openFiles();
    for (let round = 0; round < 20; round++) {
      const handle = await storage.write(`d/${round}`);
      handle.stream.write(randomBytes(70_000));
      await handle.abandon();
      const second = await storage.write(`d/${round}`);
      await second.close().catch(() => {});
    }
    expect(openFiles()).toBeLessThanOrEqual(before);
    expect(await storage.list('d')).toEqual([]);
  });

  test.skipIf(process.getuid?.() === 0)('a folder without write permission', async () => {
    const path = freshPath();
    mkdirSync(path);
    chmodSync(path, 0o555);
    const storage = localStorage(path);
    await expect(storage.prepare()).rejects.toMatchObject({
      code: 'REPOSITORY_UNUSABLE',
      message: expect.stringContaining('permission denied'),
    });
    await expect(storage.write('db/file')).rejects.toMatchObject({ code: 'PERMISSION_DENIED' });
  });
});

describe.skipIf(noSmallDisk !== undefined)('local storage on a small disk', () => {
  let disk: SmallDisk;
  beforeEach(() => {
    disk = smallDisk('8m');
  });
  afterEach(() => disk.remove());

  test('a full disk: the error says how much is free and where, and nothing is left', async () => {
    const storage = localStorage(join(disk.path, 'repo'));
    await put(storage, 'db/old', randomBytes(1_000_000));
    const handle = await storage.write('db/new');
    const endless = Readable.from(
      (function* () {
        for (let round = 0; round < 500; round++) yield randomBytes(50_000);
      })(),
    );
    await expect(pipeline(endless, handle.stream)).rejects.toMatchObject({
      code: 'DISK_FULL',
      message: expect.stringMatching(new RegExp(`${disk.path}/repo/db/new.*full.*\\(.* free\\)`)),
      hint: expect.stringContaining('df -h'),
    });
    await expect(handle.close()).rejects.toMatchObject({ code: 'DISK_FULL' });
    expect(readdirSync(join(disk.path, 'repo/db'))).toEqual(['old']);
    await put(storage, 'db/new', randomBytes(5_000_000));
    expect((await storage.list('db')).length).toBe(2);
  });

  test('a disk without room for one more folder', async () => {
    const storage = localStorage(join(disk.path, 'repo'));
    await storage.prepare();
    const handle = await storage.write('filler');
    handle.stream.end(Buffer.alloc((await storage.freeSpace()) ?? 0));
    await handle.close();
    await expect(
      storage.prepare().then(() => put(storage, 'db/x/file', randomBytes(5000))),
    ).rejects.toMatchObject({
      message: expect.stringContaining('full'),
    });
    expect(await storage.list('db')).toEqual([]);
  });

  test('a read-only disk can be read; writing says that it is read-only', async () => {
    const storage = localStorage(join(disk.path, 'repo'));
    await put(storage, 'db/.partial-1/file', 'x');
    disk.remount('ro');
    await expect(storage.prepare()).rejects.toMatchObject({
      code: 'REPOSITORY_UNUSABLE',
      message: expect.stringContaining('read-only'),
    });
    const denied = { code: 'PERMISSION_DENIED', message: expect.stringContaining('read-only') };
    await expect(storage.write('db/file')).rejects.toMatchObject(denied);
    await expect(storage.remove('db/.partial-1/file')).rejects.toMatchObject(denied);
    await expect(storage.removeFolder('db')).rejects.toMatchObject(denied);
    await expect(storage.publish('db/.partial-1', 'db/1')).rejects.toMatchObject(denied);
    expect((await bytesOf(await storage.read('db/.partial-1/file'))).toString()).toBe('x');
  });
});

function openFiles(): number {
  return existsSync('/proc/self/fd') ? readdirSync('/proc/self/fd').length : 0;
}
