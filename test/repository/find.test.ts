import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import type { Repository } from '../../src/repository/repository.ts';
import { temporaryFolder } from '../helpers/database.ts';
import { makeBackup, repositoryAt } from './fixture.ts';

const folder = temporaryFolder();
const day = (date: string) => new Date(`2026-11-${date}T02:00:00Z`);
let repository: Repository;
const ids: Record<string, string> = {};

beforeAll(async () => {
  repository = repositoryAt(join(folder, 'repo'));
  const make = async (name: string, options: Parameters<typeof makeBackup>[1]) => {
    ids[name] = (await makeBackup(repository, options)).manifest.id;
  };
  await make('old', { startedAt: day('01'), proofs: ['restored', 'checked'] });
  await make('proven', {
    startedAt: day('02'),
    proofs: ['restored', 'checked'],
    changes: { label: 'before-restore' },
  });
  await make('labelled', { startedAt: day('03'), changes: { label: 'before-restore' } });
  await make('newest', { startedAt: day('04') });
  await make('partial', {
    startedAt: day('05'),
    changes: { selection: { tables: ['User'] }, label: 'latest' },
  });
  await make('shop', { database: 'shop', startedAt: day('06'), changes: { label: 'shop-only' } });
});

test.each([
  ['latest', 'newest'],
  ['latest-proven', 'proven'],
  ['before-restore', 'labelled'],
  ['label:before-restore', 'labelled'],
  ['label:latest', 'partial'],
  ['local:latest', 'newest'],
  ['local:label:before-restore', 'labelled'],
  ['crm-20261101', 'old'],
  ['  latest  ', 'newest'],
])('%s is the %s one', async (reference, name) => {
  expect((await repository.find(reference, 'crm')).manifest.id).toBe(ids[name]);
});

test('ids, with and without the repository, need no database', async () => {
  for (const id of Object.values(ids)) {
    expect((await repository.find(id)).manifest.id).toBe(id);
    expect((await repository.find(`local:${id}`)).manifest.id).toBe(id);
  }
  expect((await repository.find('shop-only')).manifest.id).toBe(ids.shop);
  expect((await repository.find('shop-2026')).manifest.id).toBe(ids.shop);
});

test('of a database, only its own', async () => {
  expect((await repository.find('latest', 'shop')).manifest.id).toBe(ids.shop);
  await expect(repository.find(ids.shop ?? '', 'crm')).rejects.toMatchObject({ code: 'BACKUP_NOT_FOUND' });
});

describe('errors', () => {
  test('without a database, latest is ambiguous where there are two', async () => {
    await expect(repository.find('latest')).rejects.toMatchObject({
      code: 'BACKUP_NOT_FOUND',
      message: '"latest" in local may mean a backup of crm or shop',
    });
  });

  test('a beginning of several ids lists them, newest first', async () => {
    await expect(repository.find('crm-2026', 'crm')).rejects.toMatchObject({
      code: 'BACKUP_NOT_FOUND',
      message: expect.stringMatching(`beginning of 5 backups in local: ${ids.partial}, ${ids.newest}`),
    });
  });

  test('a typo is met with what was meant and what there is', async () => {
    const typo = `${ids.newest?.slice(0, -1)}0`;
    await expect(repository.find(typo, 'crm')).rejects.toMatchObject({
      code: 'BACKUP_NOT_FOUND',
      message: expect.stringContaining(`did you mean "${ids.newest}"`),
      hint: expect.stringMatching(`Newest first: ${ids.partial} .*partial.*; ${ids.newest} `),
    });
    await expect(repository.find('lastest', 'crm')).rejects.toThrow('did you mean "latest"');
    await expect(repository.find('label:before-restor', 'crm')).rejects.toThrow(
      'did you mean "before-restore"',
    );
    await expect(repository.find('', 'crm')).rejects.toMatchObject({ code: 'BACKUP_NOT_FOUND' });
  });

  test('no proven backup: says so and what else there is', async () => {
    await expect(repository.find('latest-proven', 'shop')).rejects.toMatchObject({
      code: 'BACKUP_NOT_FOUND',
      message: expect.stringContaining('none of the one backup of shop in local is proven'),
      hint: expect.stringContaining(ids.shop ?? ''),
    });
  });

  test('nothing at all, and no folder at all', async () => {
    await expect(repository.find('latest', 'nobody')).rejects.toMatchObject({
      code: 'BACKUP_NOT_FOUND',
      message: 'there is no backup of nobody in local',
    });
    await expect(repositoryAt(join(folder, 'not-mounted')).find('latest')).rejects.toMatchObject({
      hint: expect.stringContaining('not-mounted does not exist. Is its disk mounted'),
    });
  });
});

test('a failed verification takes the proof away', async () => {
  const other = repositoryAt(join(folder, 'other'));
  const first = await makeBackup(other, { startedAt: day('01'), proofs: ['restored', 'checked'] });
  const second = await makeBackup(other, { startedAt: day('02'), proofs: ['restored', 'checked'] });
  expect((await other.find('latest-proven')).manifest.id).toBe(second.manifest.id);
  await other.addProof(second, {
    proofVersion: 1,
    backup: second.manifest.id,
    kind: 'verified',
    passed: false,
    at: day('03').toISOString(),
    run: 'r9',
  });
  expect((await other.find('latest-proven')).manifest.id).toBe(first.manifest.id);
});
