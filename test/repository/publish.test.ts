import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { zstdDecompressSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { BackplanError } from '../../src/errors.ts';
import { seal } from '../../src/repository/seal.ts';
import { temporaryFolder } from '../helpers/database.ts';
import { noSmallDisk, type SmallDisk, smallDisk } from '../storage/tmpfs.ts';
import { beginBackup, makeBackup, makeManifest, NEVER, readAll, readFile, repositoryAt } from './fixture.ts';

const folder = temporaryFolder();
let number = 0;
const freshPath = () => join(folder, `repo-${++number}`);
const START = new Date('2026-11-24T02:00:00Z');
const PLAIN = { compress: { method: 'none' }, signal: NEVER } as const;
const ZSTD = { compress: { method: 'zstd', level: 1 }, signal: NEVER } as const;

describe('publication', () => {
  test('a published backup is where the layout says, reads back and is listed', async () => {
    const path = freshPath();
    const repository = repositoryAt(path);
    const content = randomBytes(700_000);
    const backup = await makeBackup(repository, { content });
    const { id } = backup.manifest;
    expect(backup.folder).toBe(`crm/${id}`);
    expect(readdirSync(path).sort()).toEqual(['.backplan', 'crm']);
    expect(JSON.parse(readFileSync(join(path, '.backplan/repository.json'), 'utf8'))).toEqual({
      formatVersion: 1,
    });
    expect(readdirSync(join(path, 'crm'))).toEqual([id]);
    expect(readdirSync(join(path, backup.folder)).sort()).toEqual([
      'archive.dump.zst',
      'globals.sql',
      'manifest.json',
    ]);
    expect(
      zstdDecompressSync(readFileSync(join(path, backup.folder, 'archive.dump.zst'))).equals(content),
    ).toBe(true);
    expect((await readFile(repository, backup, 'archive.dump.zst')).equals(content)).toBe(true);
    expect((await readFile(repository, backup, 'globals.sql')).toString()).toBe('CREATE ROLE crm;\n');
    const again = await repositoryAt(path).backups();
    expect(again).toEqual([backup]);
    expect(statSync(join(path, backup.folder)).mode & 0o007).toBe(0);
  });

  test('the owner is told the folder before it exists', async () => {
    const path = freshPath();
    const told: [string, boolean][] = [];
    const partial = await repositoryAt(path).begin('crm', START, (each) =>
      told.push([each, existsSync(each)]),
    );
    expect(told).toEqual([[join(path, 'crm', `.partial-${partial.id}`), false]]);
    expect(partial.localPath).toBe(told[0]?.[0]);
    expect(partial.id).toMatch(/^crm-20261124T020000Z-[a-z2-9]{4}$/);
    await partial.abandon();
  });

  test('nothing is made when the ownership cannot be written down', async () => {
    const path = freshPath();
    const failure = new BackplanError('JOURNAL_FAILED', 'the journal is gone');
    await expect(
      repositoryAt(path).begin('crm', START, () => {
        throw failure;
      }),
    ).rejects.toBe(failure);
    expect(existsSync(join(path, 'crm'))).toBe(false);
  });

  test('until it is published nothing is listed; abandoned, nothing is left', async () => {
    const path = freshPath();
    const repository = repositoryAt(path);
    const partial = await beginBackup(repository);
    await partial.writeFile('archive.dump.zst', 'archive', Readable.from([randomBytes(1000)]), ZSTD);
    expect(await repository.backups()).toEqual([]);
    expect(await repository.broken()).toEqual([]);
    await partial.abandon();
    await partial.abandon();
    expect(readdirSync(join(path, 'crm'))).toEqual([]);
    await expect(partial.writeFile('more', 'archive', Readable.from(['x']), PLAIN)).rejects.toMatchObject({
      code: 'INTERNAL',
    });
    await expect(partial.publish(makeManifest(partial.id, 'crm', START, []))).rejects.toMatchObject({
      code: 'INTERNAL',
    });
    expect(readdirSync(join(path, 'crm'))).toEqual([]);
  });

  test('abandoning in the middle of a write stops it and leaves nothing', async () => {
    const path = freshPath();
    const partial = await beginBackup(repositoryAt(path));
    const source = new PassThrough();
    source.write(randomBytes(300_000));
    const writing = partial.writeFile('archive.dump.zst', 'archive', source, ZSTD);
    const outcome = expect(writing).rejects.toMatchObject({ code: 'CANCELLED' });
    await partial.abandon();
    await outcome;
    expect(source.destroyed).toBe(true);
    expect(readdirSync(join(path, 'crm'))).toEqual([]);
  });

  test('abandoning after publication does nothing', async () => {
    const repository = repositoryAt(freshPath());
    const partial = await beginBackup(repository);
    const file = await partial.writeFile('a', 'archive', Readable.from(['x']), PLAIN);
    const backup = await partial.publish(makeManifest(partial.id, 'crm', START, [file]));
    await partial.abandon();
    expect(await readAll(repository, backup)).toBe(1);
  });

  test('abandoning in the middle of publication waits to see what comes of it', async () => {
    const path = freshPath();
    const repository = repositoryAt(path);
    const good = await beginBackup(repository);
    const file = await good.writeFile('a', 'archive', Readable.from(['x']), PLAIN);
    const publishing = good.publish(makeManifest(good.id, 'crm', START, [file]));
    await good.abandon();
    expect(await repository.backups()).toEqual([await publishing]);
    const bad = await beginBackup(repository);
    await bad.writeFile('a', 'archive', Readable.from(['x']), PLAIN);
    const failing = expect(bad.publish(makeManifest(bad.id, 'crm', START, []))).rejects.toMatchObject({
      code: 'INTERNAL',
    });
    await bad.abandon();
    await failing;
    expect(readdirSync(join(path, 'crm'))).toEqual([good.id]);
  });

  test('a source that fails, is cut off or is aborted leaves nothing of its file, with the right error', async () => {
    const path = freshPath();
    const partial = await beginBackup(repositoryAt(path));
    const inside = () => (existsSync(partial.localPath ?? '') ? readdirSync(partial.localPath ?? '') : []);
    const dump = new BackplanError('DUMP_FAILED', 'pg_dump was killed by SIGKILL');
    const failing = new PassThrough();
    failing.write(randomBytes(400_000));
    setTimeout(() => failing.destroy(dump), 10);
    await expect(partial.writeFile('a', 'archive', failing, ZSTD)).rejects.toBe(dump);
    const early = new PassThrough();
    early.write('x');
    const writing = partial.writeFile('a', 'archive', early, ZSTD);
    early.destroy(dump);
    await expect(writing).rejects.toBe(dump);
    const plain = new PassThrough();
    const writingPlain = partial.writeFile('a', 'archive', plain, PLAIN);
    plain.destroy(dump);
    await expect(writingPlain).rejects.toBe(dump);
    const cut = new PassThrough();
    cut.write(randomBytes(400_000));
    setTimeout(() => cut.destroy(), 10);
    await expect(partial.writeFile('a', 'archive', cut, ZSTD)).rejects.toMatchObject({
      code: 'STORAGE_FAILED',
      message: expect.stringContaining('cut off'),
    });
    const abort = new AbortController();
    const endless = new PassThrough();
    endless.write(randomBytes(400_000));
    setTimeout(() => abort.abort(new BackplanError('TIMEOUT', 'too long')), 10);
    await expect(
      partial.writeFile('a', 'archive', endless, { ...ZSTD, signal: abort.signal }),
    ).rejects.toMatchObject({ code: 'TIMEOUT' });
    expect(inside()).toEqual([]);
    await partial.writeFile('a', 'archive', Readable.from(['good']), ZSTD);
    expect(inside()).toEqual(['a']);
    await partial.abandon();
  });

  test('files that cannot be, or were written before, are refused and their source is ended', async () => {
    const partial = await beginBackup(repositoryAt(freshPath()));
    await partial.writeFile('a', 'archive', Readable.from(['x']), PLAIN);
    for (const path of ['a', '../x', 'manifest.json', 'proofs/x.json', '/etc/x', '.hidden']) {
      const source = Readable.from(['x']);
      await expect(partial.writeFile(path, 'archive', source, PLAIN)).rejects.toMatchObject({
        code: 'INTERNAL',
      });
      expect(source.destroyed).toBe(true);
    }
    await partial.abandon();
  });

  test('a manifest that does not tell exactly what was written is refused, and a right one is still taken', async () => {
    const path = freshPath();
    const repository = repositoryAt(path);
    const partial = await beginBackup(repository);
    const file = await partial.writeFile('a', 'archive', Readable.from(['x']), PLAIN);
    const wrong = [
      makeManifest(partial.id, 'crm', START, []),
      makeManifest(partial.id, 'crm', START, [file, { ...file, path: 'b' }]),
      makeManifest(partial.id, 'crm', START, [{ ...file, size: 2 }]),
      makeManifest(partial.id, 'crm', START, [{ ...file, sha256: '0'.repeat(64) }]),
      makeManifest(partial.id, 'crm', START, [file, file]),
      makeManifest('crm-20261124T020000Z-zzzz', 'crm', START, [file]),
      makeManifest(partial.id, 'shop', START, [file]),
      { ...makeManifest(partial.id, 'crm', START, [file]), startedAt: 'yesterday' },
      { ...makeManifest(partial.id, 'crm', START, [file]), durationMs: Number.NaN },
    ];
    for (const manifest of wrong)
      await expect(partial.publish(manifest)).rejects.toMatchObject({ code: 'INTERNAL' });
    expect(await repository.backups()).toEqual([]);
    writeFileSync(join(partial.localPath ?? '', 'stray'), 'x');
    await expect(partial.publish(makeManifest(partial.id, 'crm', START, [file]))).rejects.toThrow(
      'does not list the file stray',
    );
    expect(readdirSync(join(path, 'crm'))).toEqual([`.partial-${partial.id}`]);
    await partial.abandon();
  });

  test('a file that was changed behind our back is noticed before publication', async () => {
    const path = freshPath();
    const partial = await beginBackup(repositoryAt(path));
    const file = await partial.writeFile('a', 'archive', Readable.from(['abc']), PLAIN);
    writeFileSync(join(partial.localPath ?? '', 'a'), 'abcd');
    await expect(partial.publish(makeManifest(partial.id, 'crm', START, [file]))).rejects.toMatchObject({
      code: 'STORAGE_FAILED',
      message: expect.stringContaining('4 bytes instead of 3'),
    });
    await partial.abandon();
    expect(readdirSync(join(path, 'crm'))).toEqual([]);
  });

  test('files that a tool wrote are adopted with their hashes', async () => {
    const repository = repositoryAt(freshPath());
    const partial = await beginBackup(repository);
    const archive = join(partial.localPath ?? '', 'archive');
    mkdirSync(archive, { recursive: true });
    const contents = new Map(
      Array.from({ length: 30 }, (_, index) => [`${3000 + index}.dat`, randomBytes(index * 997)]),
    );
    contents.set('toc.dat', Buffer.from('PGDMP'));
    for (const [name, content] of contents) writeFileSync(join(archive, name), content);
    const files = await partial.adoptFiles('archive', 'archive', NEVER);
    expect(files.map(({ path }) => path).sort()).toEqual(
      [...contents.keys()].map((name) => `archive/${name}`).sort(),
    );
    const backup = await partial.publish(
      makeManifest(partial.id, 'crm', START, files, { method: 'directory', compression: 'pg_dump:none' }),
    );
    for (const [name, content] of contents) {
      expect((await readFile(repository, backup, `archive/${name}`)).equals(content)).toBe(true);
    }
  });

  test('adopting: nothing there, an abort', async () => {
    const partial = await beginBackup(repositoryAt(freshPath()));
    await expect(partial.adoptFiles('archive', 'archive', NEVER)).rejects.toMatchObject({
      code: 'STORAGE_FAILED',
    });
    mkdirSync(join(partial.localPath ?? '', 'archive'), { recursive: true });
    writeFileSync(join(partial.localPath ?? '', 'archive', 'toc.dat'), randomBytes(5_000_000));
    await expect(partial.adoptFiles('archive', 'archive', AbortSignal.abort())).rejects.toMatchObject({
      code: 'CANCELLED',
    });
    await partial.abandon();
  });

  test('copies keep their id, and an id is not taken twice', async () => {
    const repository = repositoryAt(freshPath());
    const backup = await makeBackup(repository);
    const { id } = backup.manifest;
    await expect(repository.begin('crm', START, () => {}, { id })).rejects.toMatchObject({
      code: 'STORAGE_FAILED',
      message: expect.stringContaining(id),
    });
    await expect(repository.begin('shop', START, () => {}, { id })).rejects.toMatchObject({
      code: 'INTERNAL',
    });
    const other = repositoryAt(freshPath());
    const partial = await other.begin('crm', START, () => {}, { id });
    expect(partial.id).toBe(id);
    await partial.abandon();
  });

  test('a database name that would leave the repository is refused', async () => {
    const path = freshPath();
    for (const database of ['..', '../x', '.backplan', 'a/b', '']) {
      await expect(repositoryAt(path).begin(database, START, () => {})).rejects.toMatchObject({
        code: 'STORAGE_FAILED',
      });
    }
    expect(readdirSync(path)).toEqual(['.backplan']);
  });

  test('several backups side by side, of one database and second', async () => {
    const repository = repositoryAt(freshPath());
    const made = await Promise.all(Array.from({ length: 12 }, () => makeBackup(repository)));
    const listed = await repository.backups('crm');
    expect(listed.map(({ manifest }) => manifest.id).sort()).toEqual(
      made.map(({ manifest }) => manifest.id).sort(),
    );
    for (const backup of listed) await readAll(repository, backup);
  });
});

describe('layout version', () => {
  const withFormat = async (content: string) => {
    const path = freshPath();
    const backup = await makeBackup(repositoryAt(path));
    writeFileSync(join(path, '.backplan/repository.json'), content);
    return { path, backup };
  };

  test('a newer one is refused for everything', async () => {
    const { path } = await withFormat('{"formatVersion": 2}');
    const refused = {
      code: 'REPOSITORY_UNUSABLE',
      message: expect.stringContaining('version 2'),
      hint: expect.stringContaining('Upgrade'),
    };
    await expect(repositoryAt(path).backups()).rejects.toMatchObject(refused);
    await expect(repositoryAt(path).find('latest')).rejects.toMatchObject(refused);
    await expect(repositoryAt(path).broken()).rejects.toMatchObject(refused);
    await expect(beginBackup(repositoryAt(path))).rejects.toMatchObject(refused);
  });

  test.each(['', 'rubbish', '{}', '{"formatVersion": "x"}', 'null', '{"formatVersion": 0}'])(
    'damaged (%j): restores go on, backups wait',
    async (content) => {
      const { path, backup } = await withFormat(content);
      const repository = repositoryAt(path);
      expect(await repository.backups()).toEqual([backup]);
      await readAll(repository, backup);
      await expect(beginBackup(repository)).rejects.toMatchObject({
        code: 'REPOSITORY_UNUSABLE',
        hint: expect.stringContaining(join(path, '.backplan/repository.json')),
      });
    },
  );
});

describe('checksum of the manifest', () => {
  test('is the one that the schema documents', async () => {
    const path = freshPath();
    const backup = await makeBackup(repositoryAt(path));
    const text = readFileSync(join(path, backup.folder, 'manifest.json'), 'utf8');
    const { checksum, ...rest } = JSON.parse(text) as Record<string, unknown>;
    expect(checksum).toMatch(/^[0-9a-f]{64}$/);
    expect(seal(rest)).toEqual({ ...rest, checksum });
    expect(Object.keys(JSON.parse(text) as object).at(-1)).toBe('checksum');
  });
});

describe.skipIf(noSmallDisk !== undefined)('on a small disk', () => {
  let disk: SmallDisk;
  beforeEach(() => {
    disk = smallDisk('8m');
  });
  afterEach(() => disk.remove());

  test('a dump that does not fit: DISK_FULL, nothing published, nothing left, the old backups sound', async () => {
    const path = join(disk.path, 'repo');
    const repository = repositoryAt(path);
    const old = await makeBackup(repository, { content: randomBytes(1_500_000) });
    const partial = await beginBackup(repository, { startedAt: new Date('2026-11-25T02:00:00Z') });
    const source = Readable.from(Array.from({ length: 200 }, () => randomBytes(64 * 1024)));
    await expect(partial.writeFile('archive.dump.zst', 'archive', source, ZSTD)).rejects.toMatchObject({
      code: 'DISK_FULL',
      message: expect.stringMatching(/archive\.dump\.zst.*free\)/),
      hint: expect.stringContaining(disk.path),
    });
    expect(source.destroyed).toBe(true);
    await partial.abandon();
    expect(readdirSync(join(path, 'crm'))).toEqual([old.manifest.id]);
    await readAll(repository, old);
    // There is room again.
    await makeBackup(repository, {
      content: randomBytes(2_000_000),
      startedAt: new Date('2026-11-25T02:00:00Z'),
    });
    expect(await repository.backups()).toHaveLength(2);
  });

  test('a disk that is full when only the manifest is missing publishes nothing', async () => {
    const path = join(disk.path, 'repo');
    const repository = repositoryAt(path);
    const partial = await beginBackup(repository);
    const file = await partial.writeFile('archive', 'archive', Readable.from([randomBytes(1000)]), PLAIN);
    writeFileSync(
      join(disk.path, 'filler'),
      Buffer.alloc(((await repository.storage.freeSpace()) ?? 0) - 4096),
    );
    const tables = Array.from({ length: 300 }, (_, index) => ({
      schema: 'public',
      table: `table_${index}`,
      rows: index,
    }));
    const manifest = makeManifest(partial.id, 'crm', START, [file], {
      fingerprint: { kind: 'counts', tables },
    });
    await expect(partial.publish(manifest)).rejects.toMatchObject({ code: 'DISK_FULL' });
    expect(await repository.backups()).toEqual([]);
    expect(await repository.broken()).toEqual([]);
    await partial.abandon();
    expect(readdirSync(join(path, 'crm'))).toEqual([]);
  });

  test('deleting works on a full disk', async () => {
    const path = join(disk.path, 'repo');
    const repository = repositoryAt(path);
    const backup = await makeBackup(repository, { content: randomBytes(3_000_000) });
    writeFileSync(join(disk.path, 'filler'), Buffer.alloc((await repository.storage.freeSpace()) ?? 0));
    expect(await repository.storage.freeSpace()).toBe(0);
    await repository.remove(backup);
    expect(await repository.storage.freeSpace()).toBeGreaterThan(2_900_000);
  });

  test('a read-only repository: no backup starts; listing, leasing and reading go on; proofs and deletions say why not', async () => {
    const path = join(disk.path, 'repo');
    const backup = await makeBackup(repositoryAt(path));
    disk.remount('ro');
    const repository = repositoryAt(path);
    await expect(beginBackup(repository)).rejects.toMatchObject({
      code: 'REPOSITORY_UNUSABLE',
      message: expect.stringContaining('read-only'),
    });
    expect(await repository.find('latest')).toEqual(backup);
    const release = await repository.lease(backup, 'r2');
    await readAll(repository, backup);
    await release();
    await expect(repository.remove(backup)).rejects.toMatchObject({ code: 'PERMISSION_DENIED' });
    expect(await repository.backups()).toEqual([backup]);
  });
});
