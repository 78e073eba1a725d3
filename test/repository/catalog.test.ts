import {
  cpSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Manifest } from '../../src/repository/manifest.ts';
import { seal } from '../../src/repository/seal.ts';
import { temporaryFolder } from '../helpers/database.ts';
import { archivePath, makeBackup, readAll, repositoryAt } from './fixture.ts';

const folder = temporaryFolder();
let number = 0;
const freshPath = () => join(folder, `repo-${++number}`);

async function repositoryWithOne() {
  const path = freshPath();
  const repository = repositoryAt(path);
  const backup = await makeBackup(repository);
  return { path, repository, backup, manifestFile: join(path, backup.folder, 'manifest.json') };
}

describe('listing', () => {
  test('what does not exist yet is empty, and looking does not make it', async () => {
    const repository = repositoryAt(join(freshPath(), 'nowhere'));
    expect(await repository.backups()).toEqual([]);
    expect(await repository.backups('crm')).toEqual([]);
    expect(await repository.broken()).toEqual([]);
    expect(await repository.storage.stat('')).toBeUndefined();
  });

  test('is ordered by recorded start, whatever names and file times say', async () => {
    const repository = repositoryAt(freshPath());
    for (const day of ['2026-11-03', '2026-11-01', '2026-11-02']) {
      await makeBackup(repository, { startedAt: new Date(`${day}T02:00:00Z`) });
      await makeBackup(repository, { database: 'a-shop', startedAt: new Date(`${day}T03:00:00Z`) });
    }
    const starts = (await repository.backups()).map(({ manifest }) => manifest.startedAt.slice(0, 13));
    expect(starts).toEqual([
      '2026-11-01T02',
      '2026-11-01T03',
      '2026-11-02T02',
      '2026-11-02T03',
      '2026-11-03T02',
      '2026-11-03T03',
    ]);
    expect((await repository.backups('a-shop')).map(({ manifest }) => manifest.database)).toEqual([
      'a-shop',
      'a-shop',
      'a-shop',
    ]);
    expect(await repository.backups('nobody')).toEqual([]);
  });

  test('passes over links, stray files, hidden and foreign folders', async () => {
    const { path, repository, backup } = await repositoryWithOne();
    const database = join(path, 'crm');
    symlinkSync(backup.manifest.id, join(database, 'latest'));
    symlinkSync('/etc', join(database, 'etc'));
    symlinkSync('missing', join(database, 'dangling'));
    writeFileSync(join(database, 'README.txt'), 'notes');
    writeFileSync(join(path, 'notes.txt'), 'notes');
    mkdirSync(join(database, 'lost+found'));
    mkdirSync(join(database, 'scripts'));
    writeFileSync(join(database, 'scripts', 'cleanup.sh'), '#!/bin/sh');
    mkdirSync(join(path, 'lost+found'));
    mkdirSync(join(path, '.git'));
    writeFileSync(join(path, '.git', 'config'), '');
    cpSync(join(path, backup.folder), join(database, '.partial-crm-20261124T020000Z-abcd'), {
      recursive: true,
    });
    cpSync(join(path, backup.folder), join(database, '.deleting-crm-20261124T020000Z-abcd'), {
      recursive: true,
    });
    mkdirSync(join(database, 'crm-20261124T020000Z-zzzz'));
    expect(await repository.backups()).toEqual([backup]);
    expect(await repository.broken()).toEqual([]);
  });

  test('a database whose folder is a link to another disk', async () => {
    const { path, repository, backup } = await repositoryWithOne();
    renameSync(join(path, 'crm'), `${path}-elsewhere`);
    symlinkSync(`${path}-elsewhere`, join(path, 'crm'));
    expect(await repository.backups()).toEqual([backup]);
    await makeBackup(repository, { startedAt: new Date('2026-11-25T02:00:00Z') });
    expect(await repository.backups()).toHaveLength(2);
  });

  test('a thousand backups with proofs', async () => {
    const { path, repository, backup } = await repositoryWithOne();
    const archive = readFileSync(archivePath(path, backup));
    const globals = readFileSync(join(path, backup.folder, 'globals.sql'));
    const count = 1000;
    for (let index = 1; index < count; index++) {
      const startedAt = new Date(Date.parse(backup.manifest.startedAt) + index * 3_600_000);
      const id = `crm-${startedAt.toISOString().replace(/[-:]|\.\d+/g, '')}-aaaa`;
      const place = join(path, 'crm', id);
      mkdirSync(join(place, 'proofs'), { recursive: true });
      const manifest = seal({ ...backup.manifest, id, startedAt: startedAt.toISOString() });
      writeFileSync(join(place, 'manifest.json'), JSON.stringify(manifest, null, 2));
      writeFileSync(join(place, 'archive.dump.zst'), archive);
      writeFileSync(join(place, 'globals.sql'), globals);
      for (const kind of ['restored', 'checked'] as const) {
        const proof = {
          proofVersion: 1,
          backup: id,
          kind,
          passed: true,
          at: startedAt.toISOString(),
          run: 'r',
        };
        writeFileSync(join(place, 'proofs', `${kind}.json`), JSON.stringify(seal(proof)));
      }
    }
    const listed = await repository.backups();
    expect(listed).toHaveLength(count);
    expect(listed.filter(({ proofs }) => proofs.length === 2)).toHaveLength(count - 1);
    expect((await repository.find('latest-proven')).manifest.id).toBe(listed.at(-1)?.manifest.id);
  });

  test('backups that come and go while we look are never called broken', async () => {
    const repository = repositoryAt(freshPath());
    let stop = false;
    const churn = async (offset: number) => {
      for (let round = 0; !stop; round++) {
        const backup = await makeBackup(repository, {
          startedAt: new Date(1_700_000_000_000 + (round * 2 + offset) * 60_000),
        });
        if (round % 3 !== 0) await repository.remove(backup);
      }
    };
    const writers = [churn(0), churn(1)];
    for (let look = 0; look < 60; look++) {
      expect(await repository.broken()).toEqual([]);
      for (const { manifest } of await repository.backups()) expect(manifest.files).toHaveLength(2);
    }
    stop = true;
    await Promise.all(writers);
  });
});

describe('broken backups are told, not listed and not counted', () => {
  const cases: [string, RegExp, (path: string, manifestFile: string) => void][] = [
    ['no manifest', /no manifest\.json/, (_path, file) => unlinkSync(file)],
    ['an empty manifest', /not JSON/, (_path, file) => writeFileSync(file, '')],
    ['a cut manifest', /not JSON/, (_path, file) => truncateSync(file, 500)],
    ['another document', /damaged/, (_path, file) => writeFileSync(file, '[]')],
    ['null', /damaged/, (_path, file) => writeFileSync(file, 'null')],
    [
      'a newer manifest',
      /version 2.*newer backplan/,
      (_path, file) => rewrite(file, (m) => ({ ...m, manifestVersion: 2 })),
    ],
    ['a missing key', /damaged/, (_path, file) => rewrite(file, ({ source: _source, ...rest }) => rest)],
    [
      'a start that is no time',
      /not a time/,
      (_path, file) => rewrite(file, (m) => ({ ...m, startedAt: 'soon' })),
    ],
    [
      'a changed letter',
      /checksum does not fit/,
      (_path, file) => writeFileSync(file, readFileSync(file, 'utf8').replace('"nightly"', '"nighily"')),
    ],
    [
      'a file outside',
      /leaves the folder/,
      (_path, file) =>
        rewrite(file, (m) => ({ ...m, files: [{ ...m.files[0], path: '../../../etc/passwd' }] })),
    ],
    [
      'the manifest of another backup',
      /renamed or copied/,
      (_path, file) => rewrite(file, (m) => ({ ...m, id: 'crm-20261124T020000Z-zzzz' })),
    ],
    [
      'the manifest of another database',
      /renamed or copied/,
      (_path, file) => rewrite(file, (m) => ({ ...m, database: 'shop' })),
    ],
    ['a missing file', /archive\.dump\.zst is missing/, (path) => unlinkSync(join(path, 'archive.dump.zst'))],
    [
      'a file of another size',
      /globals\.sql has 3 bytes instead of 17/,
      (path) => truncateSync(join(path, 'globals.sql'), 3),
    ],
    [
      'a folder in place of a file',
      /globals\.sql is missing/,
      (path) => {
        unlinkSync(join(path, 'globals.sql'));
        mkdirSync(join(path, 'globals.sql'));
      },
    ],
  ];
  test.each(cases)('%s', async (_name, reason, damage) => {
    const { path, repository, backup, manifestFile } = await repositoryWithOne();
    const sound = await makeBackup(repository, { startedAt: new Date('2026-11-23T02:00:00Z') });
    damage(join(path, backup.folder), manifestFile);
    expect(await repository.backups()).toEqual([sound]);
    const broken = await repository.broken();
    expect(broken).toEqual([{ folder: backup.folder, reason: expect.stringMatching(reason) }]);
    await expect(repository.find(backup.manifest.id)).rejects.toMatchObject({
      code: 'BACKUP_CORRUPT',
      message: expect.stringMatching(reason),
      hint: expect.stringContaining(sound.manifest.id),
    });
    expect((await repository.find('latest')).manifest.id).toBe(sound.manifest.id);
  });

  test('a renamed and a copied folder', async () => {
    const { path, repository, backup } = await repositoryWithOne();
    cpSync(join(path, backup.folder), join(path, 'crm', 'before-the-upgrade'), { recursive: true });
    cpSync(join(path, backup.folder), join(path, 'crm', 'crm-20261124T020000Z-zzzz'), { recursive: true });
    expect(await repository.backups()).toEqual([backup]);
    expect((await repository.broken()).map(({ folder: place }) => place)).toEqual([
      'crm/before-the-upgrade',
      'crm/crm-20261124T020000Z-zzzz',
    ]);
  });

  test('keys of a later version are let through', async () => {
    const { repository, backup, manifestFile } = await repositoryWithOne();
    rewrite(manifestFile, (m) => ({ ...m, encryption: { method: 'age' } }));
    const [listed] = await repository.backups();
    expect(listed?.manifest).toMatchObject({ id: backup.manifest.id, encryption: { method: 'age' } });
  });

  test('every flipped bit and cut of a manifest is found, or changes nothing', async () => {
    const { repository, backup, manifestFile } = await repositoryWithOne();
    const text = readFileSync(manifestFile);
    const { checksum: _checksum, ...wanted } = backup.manifest;
    await fc.assert(
      fc.asyncProperty(
        fc.nat({ max: text.length - 1 }),
        fc.nat({ max: 7 }),
        fc.boolean(),
        async (at, bit, cut) => {
          const bytes = cut ? text.subarray(0, at) : Buffer.from(text);
          if (!cut) bytes[at] = (bytes[at] ?? 0) ^ (1 << bit);
          writeFileSync(manifestFile, bytes);
          const [listed] = await repository.backups();
          if (listed === undefined) {
            expect(await repository.broken()).toHaveLength(1);
            return;
          }
          // White space may change; what the manifest says may not.
          expect(listed.manifest).toMatchObject(wanted);
        },
      ),
      { numRuns: 300 },
    );
  });

  test('every damage of a data file is found when it is read, if not before', async () => {
    const { path, repository, backup } = await repositoryWithOne();
    const archive = archivePath(path, backup);
    const content = readFileSync(archive);
    await fc.assert(
      fc.asyncProperty(
        fc.nat({ max: content.length - 1 }),
        fc.nat({ max: 7 }),
        fc.constantFrom('flip', 'cut', 'grow'),
        async (at, bit, how) => {
          const bytes = how === 'cut' ? content.subarray(0, at) : Buffer.from(content);
          if (how === 'flip') bytes[at] = (bytes[at] ?? 0) ^ (1 << bit);
          writeFileSync(archive, how === 'grow' ? Buffer.concat([bytes, Buffer.alloc(bit + 1)]) : bytes);
          await expect(readAll(repository, backup)).rejects.toMatchObject({
            code: 'BACKUP_CORRUPT',
            message: expect.stringContaining(`archive.dump.zst of backup local:${backup.manifest.id}`),
          });
          if (how !== 'flip') expect(await repository.backups()).toEqual([]);
        },
      ),
      { numRuns: 150 },
    );
    rmSync(archive);
    await expect(readAll(repository, backup)).rejects.toMatchObject({
      code: 'BACKUP_CORRUPT',
      message: expect.stringContaining('the file is missing'),
    });
  });
});

/** Changes a manifest and seals it again, as its maker would. */
function rewrite(file: string, change: (manifest: Manifest) => object): void {
  writeFileSync(file, JSON.stringify(seal(change(JSON.parse(readFileSync(file, 'utf8')) as Manifest))));
}
