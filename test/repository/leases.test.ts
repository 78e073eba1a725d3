import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { BackplanError } from '../../src/errors.ts';
import { locksFile } from '../../src/repository/layout.ts';
import { findLeftovers, removeLeftovers } from '../../src/repository/leftovers.ts';
import type { Leases } from '../../src/repository/repository.ts';
import { openLocks } from '../../src/runs/lock.ts';
import { localStorage } from '../../src/storage/local.ts';
import { temporaryFolder } from '../helpers/database.ts';
import { beginBackup, makeBackup, makeManifest, NEVER, readAll, repositoryAt } from './fixture.ts';

const folder = temporaryFolder();
let number = 0;
const freshPath = () => join(folder, `repo-${++number}`);

/** The real locks, as a run of its own has them. */
function leasesOf(path: string, run: string): Leases & { close(): void } {
  const locks = openLocks(locksFile(localStorage(path)) ?? '');
  return {
    acquire: async (key, mode) => {
      const handle = locks.acquire(key, mode, { run, job: 'j', plan: 'p' });
      return async () => handle.release();
    },
    close: () => locks.close(),
  };
}

describe('leases', () => {
  test('a backup that another run reads is not deleted; afterwards it is', async () => {
    const path = freshPath();
    const [one, two] = [leasesOf(path, 'run-1'), leasesOf(path, 'run-2')];
    const reader = repositoryAt(path, { leases: one });
    const pruner = repositoryAt(path, { leases: two });
    const backup = await makeBackup(reader);
    const release = await reader.lease(backup, 'run-1');
    const second = await reader.lease(backup, 'run-1');
    await expect(pruner.remove(backup)).rejects.toMatchObject({
      code: 'LOCKED',
      message: expect.stringContaining('run-1'),
    });
    await readAll(pruner, backup);
    await release();
    await release();
    await expect(pruner.remove(backup)).rejects.toMatchObject({ code: 'LOCKED' });
    await second();
    await pruner.remove(backup);
    expect(await reader.backups()).toEqual([]);
    expect(readdirSync(join(path, 'crm'))).toEqual([]);
    one.close();
    two.close();
  });

  test('two steps of one run keep each other off, with and without locks between processes', async () => {
    const path = freshPath();
    const leases = leasesOf(path, 'run-1');
    for (const repository of [repositoryAt(path, { leases }), repositoryAt(path)]) {
      const backup = await makeBackup(repository);
      const release = await repository.lease(backup, 'run-1');
      await expect(repository.remove(backup)).rejects.toMatchObject({ code: 'LOCKED' });
      await release();
      await repository.remove(backup);
    }
    leases.close();
  });

  test('a backup that was pruned between being found and being used is gone, not damaged', async () => {
    const path = freshPath();
    const [one, two] = [leasesOf(path, 'run-1'), leasesOf(path, 'run-2')];
    const reader = repositoryAt(path, { leases: one });
    const backup = await makeBackup(reader);
    await repositoryAt(path, { leases: two }).remove(backup);
    await expect(reader.lease(backup, 'run-1')).rejects.toMatchObject({ code: 'BACKUP_NOT_FOUND' });
    // Nothing is held after that.
    const again = await makeBackup(reader);
    await reader.remove(again);
    one.close();
    two.close();
  });

  test('a step that begins to read while another one of its run deletes is told so', async () => {
    const path = freshPath();
    const leases = leasesOf(path, 'run-1');
    const repository = repositoryAt(path, { leases });
    const backup = await makeBackup(repository);
    const removing = repository.remove(backup);
    await expect(repository.lease(backup, 'run-1')).rejects.toMatchObject({ code: 'BACKUP_NOT_FOUND' });
    await removing;
    expect(await repository.backups()).toEqual([]);
    leases.close();
  });

  test('a sweep leaves alone what another step of the same run is writing: the copy of an old backup looks old', async () => {
    const path = freshPath();
    const leases = leasesOf(path, 'run-1');
    for (const repository of [repositoryAt(path, { leases }), repositoryAt(path)]) {
      const partial = await beginBackup(repository, { startedAt: new Date('2020-01-01T00:00:00Z') });
      const { size } = await partial.writeFile('archive.dump', 'archive', Readable.from(['x']), {
        compress: { method: 'none' },
        signal: NEVER,
      });
      expect(size).toBe(1);
      const { removed, left } = await repository.sweep('crm', new Date('2026-11-24T00:00:00Z'));
      expect(removed).toEqual([]);
      expect(left).toHaveLength(1);
      await partial.abandon();
      await repository.sweep('crm', new Date('2026-11-24T00:00:00Z'));
    }
    leases.close();
  });

  test('a lease that cannot be written down is noted and does not stop a restore', async () => {
    const notes: string[] = [];
    const leases: Leases = {
      acquire: async () => {
        throw new BackplanError('PERMISSION_DENIED', 'the lock file cannot be written');
      },
    };
    const path = freshPath();
    const backup = await makeBackup(repositoryAt(path));
    const repository = repositoryAt(path, { leases, note: (message) => notes.push(message) });
    const release = await repository.lease(backup, 'r');
    await readAll(repository, backup);
    await release();
    expect(notes).toEqual([expect.stringContaining('the lock file cannot be written')]);
    await expect(repository.remove(backup)).rejects.toMatchObject({ code: 'PERMISSION_DENIED' });
    expect(await repository.backups()).toHaveLength(1);
  });

  test('deleting cuts nothing in half: the folder is hidden before its first file goes', async () => {
    const path = freshPath();
    const repository = repositoryAt(path);
    const backup = await makeBackup(repository);
    const seen: string[][] = [];
    const watching = {
      ...repository.storage,
      removeFolder: async (place: string) => {
        seen.push(existsSync(join(path, 'crm')) ? readdirSync(join(path, 'crm')) : []);
        await repository.storage.removeFolder(place);
      },
    };
    const { openRepository } = await import('../../src/repository/open.ts');
    await openRepository('local', watching).remove(backup);
    expect(seen.at(-1)).toEqual([`.deleting-${backup.manifest.id}`]);
    expect(readdirSync(join(path, 'crm'))).toEqual([]);
    await expect(repository.remove(backup)).rejects.toMatchObject({ code: 'BACKUP_NOT_FOUND' });
  });
});

describe('leftovers', () => {
  const now = new Date('2026-11-24T12:00:00Z');

  test('partial and deleting folders are found; anything else is left alone', async () => {
    const path = freshPath();
    const repository = repositoryAt(path);
    const backup = await makeBackup(repository);
    const partial = await beginBackup(repository, { startedAt: new Date('2026-11-20T02:00:00Z') });
    await partial.writeFile('archive', 'archive', Readable.from(['half']), {
      compress: { method: 'none' },
      signal: NEVER,
    });
    const doomed = await makeBackup(repository, { startedAt: new Date('2026-11-24T11:59:00Z') });
    await repository.storage.publish(doomed.folder, `crm/.deleting-${doomed.manifest.id}`);
    for (const name of ['.git', '.partial-', '.partial-x', '.snapshot', '.Trash-1000']) {
      const handle = await repository.storage.write(`crm/${name}/file`);
      handle.stream.end('x');
      await handle.close();
    }
    expect(await findLeftovers(repository.storage)).toEqual([
      expect.objectContaining({ kind: 'deleting', id: doomed.manifest.id, database: 'crm' }),
      expect.objectContaining({
        kind: 'partial',
        id: partial.id,
        path: partial.localPath,
        startedAt: new Date('2026-11-20T02:00:00Z'),
      }),
    ]);
    const { removed, left } = await removeLeftovers(repository.storage, { now });
    expect(removed.map(({ kind }) => kind)).toEqual(['deleting', 'partial']);
    expect(left).toEqual([]);
    expect(readdirSync(join(path, 'crm')).sort()).toEqual([
      '.Trash-1000',
      '.git',
      '.partial-',
      '.partial-x',
      '.snapshot',
      backup.manifest.id,
    ]);
    await partial.abandon();
  });

  test('a partial backup of a live run is never touched: by age, by journal, by lease', async () => {
    const path = freshPath();
    const [one, two] = [leasesOf(path, 'run-1'), leasesOf(path, 'run-2')];
    const repository = repositoryAt(path, { leases: one });
    const partial = await beginBackup(repository);
    const file = await partial.writeFile('archive', 'archive', Readable.from(['half']), {
      compress: { method: 'none' },
      signal: NEVER,
    });
    const attempts = [
      { now },
      { now, olderThan: 0, isOwned: ({ path: place }: { path: string }) => place === partial.localPath },
      { now, olderThan: 0, leases: two },
    ];
    for (const options of attempts) {
      const { removed, left } = await removeLeftovers(repository.storage, options);
      expect(removed).toEqual([]);
      expect(left).toEqual([
        {
          leftover: expect.objectContaining({ id: partial.id }),
          reason: expect.stringMatching(/ago|live run|run-1/),
        },
      ]);
    }
    const backup = await partial.publish(
      makeManifest(partial.id, 'crm', new Date('2026-11-24T02:00:00Z'), [file]),
    );
    await readAll(repository, backup);
    // Published, it is nobody's any more.
    await repositoryAt(path, { leases: two }).remove(backup);
    one.close();
    two.close();
  });
});
