import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { isProven } from '../../src/repository/manifest.ts';
import { temporaryFolder } from '../helpers/database.ts';
import { makeBackup, makeProof, repositoryAt } from './fixture.ts';

const folder = temporaryFolder();
let number = 0;

async function withBackup() {
  const path = join(folder, `repo-${++number}`);
  const notes: string[] = [];
  const repository = repositoryAt(path, { note: (message) => notes.push(message) });
  const backup = await makeBackup(repository);
  return { path, notes, repository, backup, proofs: join(path, backup.folder, 'proofs') };
}

test('proofs are added beside the manifest, in files that tell time, kind and run', async () => {
  const { repository, backup, proofs } = await withBackup();
  await repository.addProof(
    backup,
    makeProof(backup, 'restored', { at: '2026-11-24T03:00:00.123Z', run: 'r1', durationMs: 5 }),
  );
  await repository.addProof(
    backup,
    makeProof(backup, 'checked', {
      at: '2026-11-24T03:01:00Z',
      run: 'r1',
      suite: 'crm',
      summary: '15/15 checks passed',
    }),
  );
  expect(readdirSync(proofs).sort()).toEqual([
    '20261124T030000Z-restored-r1.json',
    '20261124T030100Z-checked-r1.json',
  ]);
  const [listed] = await repository.backups();
  expect(listed?.manifest).toEqual(backup.manifest);
  expect(listed?.proofs.map(({ kind }) => kind)).toEqual(['restored', 'checked']);
  expect(listed?.proofs[1]).toMatchObject({ suite: 'crm', summary: '15/15 checks passed' });
  expect(listed !== undefined && isProven(listed)).toBe(true);
});

test('many proofs of one second, kind and run are all kept', async () => {
  const { repository, backup, proofs } = await withBackup();
  await Promise.all(
    Array.from({ length: 10 }, (_, index) =>
      repository.addProof(backup, makeProof(backup, 'checked', { suite: `s${index}` })),
    ),
  );
  expect(readdirSync(proofs)).toHaveLength(10);
  const [listed] = await repository.backups();
  expect(new Set(listed?.proofs.map(({ suite }) => suite)).size).toBe(10);
});

test('damaged, foreign and newer proof files show nothing and are noted; odd files are passed over', async () => {
  const { repository, backup, proofs, notes } = await withBackup();
  await repository.addProof(backup, makeProof(backup, 'restored'));
  await repository.addProof(backup, makeProof(backup, 'checked'));
  const [checked] = readdirSync(proofs).filter((name) => name.includes('checked'));
  const text = readFileSync(join(proofs, checked ?? ''), 'utf8');
  const damages = {
    'a.json': '',
    'b.json': text.slice(0, 60),
    'c.json': text.replace(backup.manifest.id, 'crm-20200101T000000Z-abcd'),
    'd.json': text.replace('"proofVersion": 1', '"proofVersion": 2'),
    'e.json': text.replace('"passed": true', '"passed": "yes"'),
    'f.json': text.replace('"run": "r1"', '"run": "r2"'),
    'g.json': text.replace(/"at": "[^"]+"/, '"at": "today"'),
    'h.json': 'null',
  };
  for (const [name, content] of Object.entries(damages)) writeFileSync(join(proofs, name), content);
  rmSync(join(proofs, checked ?? ''));
  writeFileSync(join(proofs, 'notes.txt'), 'x');
  mkdirSync(join(proofs, 'folder'));
  const [listed] = await repository.backups();
  expect(listed?.proofs.map(({ kind }) => kind)).toEqual(['restored']);
  expect(listed !== undefined && isProven(listed)).toBe(false);
  for (const name of Object.keys(damages)) {
    expect(notes.filter((note) => note.includes(`/proofs/${name} is ignored`))).toHaveLength(1);
  }
});

test('a proof of a backup that is gone makes no folder', async () => {
  const { path, repository, backup } = await withBackup();
  await repository.remove(backup);
  await expect(repository.addProof(backup, makeProof(backup, 'verified'))).rejects.toMatchObject({
    code: 'BACKUP_NOT_FOUND',
  });
  expect(readdirSync(join(path, 'crm'))).toEqual([]);
  const other = await makeBackup(repository);
  await expect(repository.addProof(other, makeProof(backup, 'verified'))).rejects.toMatchObject({
    code: 'INTERNAL',
  });
});

test('a run id with odd letters cannot leave the folder', async () => {
  const { repository, backup, proofs } = await withBackup();
  await repository.addProof(backup, makeProof(backup, 'verified', { run: '../../../x y' }));
  expect(readdirSync(proofs)).toEqual([
    expect.stringMatching(/^\d{8}T\d{6}Z-verified-\.\._\.\._\.\._x_y\.json$/),
  ]);
  const [listed] = await repository.backups();
  expect(listed?.proofs[0]?.run).toBe('../../../x y');
});
