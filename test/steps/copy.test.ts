import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Backup, isProven } from '../../src/repository/manifest.ts';
import type { Repository } from '../../src/repository/repository.ts';
import { copy } from '../../src/steps/copy.ts';
import { makeContext, type TestContext } from '../helpers/context.ts';
import { temporaryFolder } from '../helpers/database.ts';
import { archivePath, makeBackup, readAll, repositoryAt } from '../repository/fixture.ts';
import { noSmallDisk, type SmallDisk, smallDisk } from '../storage/tmpfs.ts';

const folder = temporaryFolder();
let number = 0;

interface World {
  readonly context: TestContext;
  readonly local: Repository;
  readonly target: string;
  readonly offsite: Repository;
  readonly backup: Backup;
  run(settings?: object): ReturnType<typeof copy.run>;
}

async function world(target = join(folder, `offsite-${++number}`)): Promise<World> {
  const base = makeContext({
    databases: { crm: 'postgresql://crm@nowhere.invalid/crm' },
    repositoryFolder: join(folder, `local-${++number}`),
  });
  const offsite = repositoryAt(target, {}, 'offsite');
  const local = await base.repository('local');
  const context: TestContext = {
    ...base,
    plan: {
      ...base.plan,
      repositories: { ...base.plan.repositories, offsite: { name: 'offsite', path: target } },
    },
    repository: async (name) => (name === 'offsite' ? offsite : local),
  };
  const backup = await makeBackup(local, {
    content: randomBytes(300_000),
    proofs: ['verified', 'restored', 'checked'],
  });
  return {
    context,
    local,
    target,
    offsite,
    backup,
    run: (settings = {}) => copy.run({ backup: 'latest', to: 'offsite', ...settings }, context),
  };
}

test('the copy has the same id, manifest and bytes, and only the proof of its own reading', async () => {
  const { context, local, target, offsite, backup, run } = await world();
  const { id, files } = backup.manifest;
  expect(await run()).toEqual({
    backup: `offsite:${id}`,
    bytes: files.reduce((sum, { size }) => sum + size, 0),
  });
  const made = await offsite.find(id);
  expect(made.manifest).toEqual(backup.manifest);
  for (const { path } of files) {
    expect(
      readFileSync(join(target, made.folder, path)).equals(
        readFileSync(join(context.repositoryFolder, backup.folder, path)),
      ),
    ).toBe(true);
  }
  await readAll(offsite, made);
  expect(made.proofs).toEqual([
    expect.objectContaining({ kind: 'verified', passed: true, run: context.run.id }),
  ]);
  expect(isProven(made)).toBe(false);
  expect(isProven(await local.find(id))).toBe(true);
  expect(context.owned()).toEqual([]);
  expect(context.everOwned).toEqual([{ kind: 'folder', path: join(target, 'crm', `.partial-${id}`) }]);
});

test('a second copy finds the first, reads it back and copies nothing', async () => {
  const { context, offsite, backup, run } = await world();
  await run();
  const before = context.everOwned.length;
  expect(await run({ from: 'local' })).toEqual({ backup: `offsite:${backup.manifest.id}`, bytes: 0 });
  expect(context.everOwned).toHaveLength(before);
  expect(await offsite.backups()).toHaveLength(1);
});

test('the target is no source: latest means the newest elsewhere', async () => {
  const { offsite, backup, run } = await world();
  await makeBackup(offsite, { startedAt: new Date(Date.now() + 1000) });
  expect(await run()).toMatchObject({ backup: `offsite:${backup.manifest.id}` });
  await expect(run({ from: 'offsite' })).rejects.toMatchObject({ code: 'INPUT_INVALID' });
  await expect(run({ backup: 'offsite:latest' })).rejects.toMatchObject({ code: 'INPUT_INVALID' });
  await expect(run({ backup: 'nothing-like-it' })).rejects.toMatchObject({ code: 'BACKUP_NOT_FOUND' });
});

describe('damage', () => {
  test('of the original: nothing arrives', async () => {
    const { context, target, offsite, backup, run } = await world();
    const path = archivePath(context.repositoryFolder, backup);
    const bytes = readFileSync(path);
    bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
    writeFileSync(path, bytes);
    await expect(run()).rejects.toMatchObject({
      code: 'BACKUP_CORRUPT',
      message: expect.stringContaining(`local:${backup.manifest.id}`),
    });
    expect(await offsite.backups()).toEqual([]);
    expect(readdirSync(join(target, 'crm'))).toEqual([]);
    expect(context.owned()).toEqual([]);
  });

  test('of the copy that is there already: told, kept as failed proof', async () => {
    const { target, offsite, backup, run } = await world();
    await run();
    const path = archivePath(target, backup);
    const bytes = readFileSync(path);
    bytes[1000] = (bytes[1000] ?? 0) ^ 1;
    writeFileSync(path, bytes);
    await expect(run()).rejects.toMatchObject({
      code: 'BACKUP_CORRUPT',
      message: expect.stringContaining(`offsite:${backup.manifest.id}`),
    });
    const [copied] = await offsite.backups();
    expect(copied?.proofs.map(({ passed }) => passed)).toEqual([true, false]);
  });

  test('another backup under the same id is never overwritten', async () => {
    const { context, local, offsite, backup, run } = await world();
    await run();
    await local.remove(backup);
    const { id, startedAt } = backup.manifest;
    const again = await local.begin('crm', new Date(startedAt), () => {}, { id });
    const other = await again.writeFile('archive.dump.zst', 'archive', Readable.from([randomBytes(100)]), {
      compress: { method: 'none' },
      signal: context.signal,
    });
    await again.publish({ ...backup.manifest, files: [other] });
    await expect(run()).rejects.toMatchObject({
      code: 'STORAGE_FAILED',
      message: expect.stringContaining('other content'),
    });
    expect((await offsite.find(id)).manifest).toEqual(backup.manifest);
    await readAll(offsite, await offsite.find(id));
  });
});

test('an aborted copy leaves nothing at the target', async () => {
  const { context, target, offsite, run } = await world();
  const progress = context.progress;
  context.progress = (value) => {
    progress(value);
    context.abort();
  };
  await expect(run()).rejects.toMatchObject({ code: 'CANCELLED' });
  expect(await offsite.backups()).toEqual([]);
  expect(existsSync(join(target, 'crm')) ? readdirSync(join(target, 'crm')) : []).toEqual([]);
  expect(context.owned()).toEqual([]);
});

describe.skipIf(noSmallDisk !== undefined)('a target that is too small', () => {
  let disk: SmallDisk;
  beforeEach(() => {
    disk = smallDisk('256k');
  });
  afterEach(() => disk.remove());

  test('DISK_FULL, and nothing is left there', async () => {
    const { offsite, target, run } = await world(join(disk.path, 'offsite'));
    await expect(run()).rejects.toMatchObject({
      code: 'DISK_FULL',
      hint: expect.stringContaining(disk.path),
    });
    expect(await offsite.backups()).toEqual([]);
    expect(readdirSync(join(target, 'crm'))).toEqual([]);
  });
});

test('validation: from and to must differ; what it writes to is known with a database', () => {
  const params = { backup: 'latest', from: 'a', to: 'a', database: undefined };
  const plan = {} as never;
  expect(copy.validate?.(params, plan)).toEqual([
    { path: ['to'], message: '`from` and `to` are the same repository' },
  ]);
  expect(copy.validate?.({ ...params, to: 'b' }, plan)).toEqual([]);
  expect(copy.writes?.(params)).toEqual([]);
  expect(copy.writes?.({ ...params, database: 'crm' })).toEqual([{ repository: 'a', database: 'crm' }]);
});
