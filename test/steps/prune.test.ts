import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { storedSize } from '../../src/repository/manifest.ts';
import { type PruneReport, prune } from '../../src/steps/prune.ts';
import { makeContext } from '../helpers/context.ts';
import { temporaryFolder } from '../helpers/database.ts';
import { makeBackup } from '../repository/fixture.ts';

const root = temporaryFolder();
let number = 0;
const freshContext = () =>
  makeContext({
    databases: { crm: 'postgresql://crm@nowhere.invalid/crm' },
    repositoryFolder: join(root, `repo-${++number}`),
  });

/** Nightly backups of crm, the last one this night; every second one proven; and one of another database. */
async function world(nights = 6) {
  const context = freshContext();
  const repository = await context.repository('local');
  const made = [];
  for (let night = nights; night > 0; night--) {
    const startedAt = new Date(Date.now() - night * 86_400_000);
    made.push(
      await makeBackup(repository, { startedAt, proofs: night % 2 === 0 ? ['restored', 'checked'] : [] }),
    );
  }
  const shop = await makeBackup(repository, {
    database: 'shop',
    startedAt: new Date(Date.now() - 90 * 86_400_000),
  });
  const ids = made.map(({ manifest }) => manifest.id);
  const folders = () => readdirSync(join(context.repositoryFolder, 'crm')).sort();
  const run = (settings: object) =>
    prune.run({ repository: 'local', database: 'crm', dryRun: false, ...settings }, context);
  return { context, repository, made, shop, ids, folders, run };
}

test('deletes what no rule keeps, reports every decision, and leaves other databases alone', async () => {
  const { context, repository, made, shop, ids, folders, run } = await world();
  const doomed = made.slice(0, 4);
  const outputs = await run({ keep: { last: 1 } });
  expect(outputs).toEqual({
    kept: 2,
    removed: ids.slice(0, 4),
    bytesFreed: doomed.reduce((sum, { manifest }) => sum + storedSize(manifest), 0),
  });
  expect(folders()).toEqual(ids.slice(4).sort());
  expect(await repository.backups('shop')).toEqual([shop]);
  const report = context.reports.at(-1) as PruneReport;
  expect(report.dryRun).toBe(false);
  expect(report.decisions.map(({ backup, keep }) => [backup, keep])).toEqual(
    ids.map((id, index) => [id, index >= 4]),
  );
  expect(report.decisions.map(({ reasons }) => reasons)).toEqual([
    ...Array.from({ length: 4 }, () => ['no rule keeps it']),
    ['newest proven backup'],
    ['newest backup', 'one of the last 1'],
  ]);
  expect(report.decisions[4]).toMatchObject({ proven: true, label: null, bytes: expect.any(Number) });
  expect(await run({ keep: { last: 1 } })).toEqual({ kept: 2, removed: [], bytesFreed: 0 });
});

test('a dry run says the same and deletes nothing', async () => {
  const { context, ids, folders, run } = await world();
  expect(await run({ keep: { last: 1 }, dryRun: true })).toEqual({ kept: 6, removed: [], bytesFreed: 0 });
  expect(folders()).toEqual([...ids].sort());
  const report = context.reports.at(-1) as PruneReport;
  expect(report.dryRun).toBe(true);
  expect(report.decisions.filter(({ keep }) => !keep).map(({ backup }) => backup)).toEqual(ids.slice(0, 4));
  expect(context.logged.map(({ message }) => message)).toContain(`would delete ${ids[0]}`);
});

test('a backup in use stays, with a warning; the others go', async () => {
  const { context, repository, made, ids, run } = await world();
  const reading = made[1];
  if (reading === undefined) throw new Error('no backup');
  const release = await repository.lease(reading, 'another');
  expect(await run({ keep: { last: 1 } })).toMatchObject({ kept: 3, removed: [ids[0], ids[2], ids[3]] });
  expect(context.logged).toContainEqual({
    level: 'warn',
    message: expect.stringContaining(`${ids[1]} stays for now`),
  });
  expect((context.reports.at(-1) as PruneReport).decisions[1]).toMatchObject({
    keep: true,
    reasons: ['in use'],
  });
  await release();
  expect(await run({ keep: { last: 1 } })).toMatchObject({ removed: [ids[1]] });
});

describe('does nothing', () => {
  test('while a manifest of this database is damaged; one of another database does not matter', async () => {
    const { context, made, shop, ids, folders, run } = await world();
    writeFileSync(join(context.repositoryFolder, shop.folder, 'manifest.json'), 'rubbish');
    writeFileSync(join(context.repositoryFolder, made[2]?.folder ?? '', 'manifest.json'), 'rubbish');
    await expect(run({ keep: { last: 1 } })).rejects.toMatchObject({
      code: 'RETENTION_REFUSED',
      message: expect.stringContaining(made[2]?.folder ?? ''),
    });
    expect(folders()).toEqual([...ids].sort());
    const other = await world();
    writeFileSync(join(other.context.repositoryFolder, other.shop.folder, 'manifest.json'), 'rubbish');
    expect(await other.run({ keep: { last: 1 } })).toMatchObject({ kept: 2 });
  });

  test('when a backup is from the future', async () => {
    const { repository, folders, run } = await world();
    await makeBackup(repository, { startedAt: new Date(Date.now() + 3 * 86_400_000) });
    const before = folders();
    await expect(run({ keep: { last: 1 } })).rejects.toMatchObject({ code: 'RETENTION_REFUSED' });
    expect(folders()).toEqual(before);
  });

  test('without a rule, and in an empty repository', async () => {
    const { ids, folders, run } = await world();
    await expect(run({ keep: {} })).rejects.toMatchObject({ code: 'RETENTION_REFUSED' });
    expect(folders()).toEqual([...ids].sort());
    const context = freshContext();
    expect(
      await prune.run({ repository: 'local', database: 'crm', dryRun: false, keep: { last: 1 } }, context),
    ).toEqual({
      kept: 0,
      removed: [],
      bytesFreed: 0,
    });
  });

  test('once the run is cancelled; what was left is reported', async () => {
    const { context, ids, folders, run } = await world();
    context.abort();
    await expect(run({ keep: { last: 1 } })).rejects.toMatchObject({ code: 'CANCELLED' });
    expect(folders()).toEqual([...ids].sort());
    expect((context.reports.at(-1) as PruneReport).decisions.every(({ keep }) => keep)).toBe(true);
  });
});

test('says what it writes to and what it would do', () => {
  const params = { repository: 'local', database: 'crm', keep: { within: '30d', proven: 3 }, dryRun: false };
  expect(prune.writes?.(params)).toEqual([{ repository: 'local', database: 'crm' }]);
  expect(prune.describe?.(params)).toBe(
    'delete the backups of crm in local that are not kept by within 30d, proven 3',
  );
  expect(prune.destructive).toBe(true);
});

test('what runs that were cut off left goes too, once nobody can be writing it any more', async () => {
  const { context, repository, ids, folders, run } = await world(2);
  const begin = async (hours: number) =>
    (await repository.begin('crm', new Date(Date.now() - hours * 3_600_000), () => {})).localPath ?? '';
  const [old, young] = [await begin(30), await begin(2)];
  for (const folder of [old, young]) mkdirSync(folder, { recursive: true });
  const before = folders();
  await run({ keep: { last: 1 }, dryRun: true });
  expect(folders()).toEqual(before);
  // Another process looks: the two that "write" are gone as far as it knows.
  const later = makeContext({
    databases: { crm: 'postgresql://crm@nowhere.invalid/crm' },
    repositoryFolder: context.repositoryFolder,
  });
  await prune.run({ repository: 'local', database: 'crm', dryRun: false, keep: { last: 9 } }, later);
  expect(folders()).toEqual([...ids, basename(young)].sort());
  expect(later.logged.map(({ message }) => message)).toContainEqual(
    expect.stringContaining(`${basename(old)}, left by a run that was cut off`),
  );
});
