import { chmodSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import fc from 'fast-check';
import { beforeAll, describe, expect, inject, test } from 'vitest';
import type { Backup, Manifest } from '../../src/repository/manifest.ts';
import { newestProof } from '../../src/repository/manifest.ts';
import type { Repository } from '../../src/repository/repository.ts';
import { backup } from '../../src/steps/backup.ts';
import { verify } from '../../src/steps/verify.ts';
import { makeContext, type TestContext } from '../helpers/context.ts';
import { sharedUrl, temporaryFolder } from '../helpers/database.ts';
import { createHardDatabase } from '../helpers/hard-schema.ts';
import { readFile } from '../repository/fixture.ts';

const database = createHardDatabase('verify');
const root = temporaryFolder();
const url = () => sharedUrl(database);
let context: TestContext;
let repository: Repository;
let custom: Backup;
let directory: Backup;
let archive: Buffer;

beforeAll(async () => {
  context = makeContext({ databases: { crm: url() }, repositoryFolder: join(root, 'repo') });
  repository = await context.repository('local');
  const make = async (settings: object) => {
    const made = await backup.run(
      {
        database: 'crm',
        repository: 'local',
        fingerprint: 'none',
        format: 'custom',
        lockTimeout: '60s',
        ...settings,
      },
      context,
    );
    return await repository.find(String(made.backup));
  };
  custom = await make({});
  directory = await make({ format: 'directory', jobs: 2 });
  archive = await readFile(repository, custom, 'archive.dump.zst');
});

const run = (settings: object, on: TestContext = context) => verify.run({ archive: true, ...settings }, on);
const proofOf = async (id: string) => newestProof(await repository.find(id), 'verified');

/** A backup whose checksums are right, whatever its archive holds. */
async function publish(content: Buffer, changes: Partial<Manifest> = {}): Promise<Backup> {
  const startedAt = new Date();
  const partial = await repository.begin('crm', startedAt, () => {});
  const file = await partial.writeFile('archive.dump.zst', 'archive', Readable.from([content]), {
    compress: { method: 'zstd', level: 1 },
    signal: context.signal,
  });
  return await partial.publish({
    ...custom.manifest,
    id: partial.id,
    startedAt: startedAt.toISOString(),
    files: [file],
    ...changes,
  });
}

describe('a sound backup', () => {
  test('custom format: every byte, the archive through pg_restore, and a proof', async () => {
    const { id, files, archiveEntries } = custom.manifest;
    const outputs = await run({ backup: id });
    expect(outputs).toEqual({
      backup: `local:${id}`,
      files: files.length,
      bytes: files.reduce((sum, { size }) => sum + size, 0),
      entries: Object.values(archiveEntries).reduce((sum, count) => sum + count, 0),
    });
    expect(await proofOf(id)).toMatchObject({
      passed: true,
      run: context.run.id,
      summary: expect.stringContaining('archive entries'),
    });
    expect(context.progressed.at(-1)).toMatchObject({
      done: outputs.bytes,
      total: outputs.bytes,
      unit: 'bytes',
    });
  });

  test('directory format', async () => {
    const { id, files } = directory.manifest;
    expect(files.length).toBeGreaterThan(10);
    expect(await run({ backup: id })).toMatchObject({ files: files.length, entries: expect.any(Number) });
    expect(await proofOf(id)).toMatchObject({ passed: true });
  });

  test('checksums only', async () => {
    expect(await run({ backup: custom.manifest.id, archive: false })).toMatchObject({ entries: null });
  });

  test('latest of the only database', async () => {
    expect(await run({ backup: 'latest' })).toMatchObject({ backup: expect.stringContaining('local:crm-') });
  });

  test('one that does not exist', async () => {
    await expect(run({ backup: 'crm-2000' })).rejects.toMatchObject({ code: 'BACKUP_NOT_FOUND' });
  });
});

describe('damage', () => {
  test('at any place of any file: BACKUP_CORRUPT, and a failed proof that stays', async () => {
    for (const victim of [custom, directory]) {
      const { id, files } = victim.manifest;
      await fc.assert(
        fc.asyncProperty(
          fc.nat({ max: files.length - 1 }),
          fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
          fc.nat({ max: 7 }),
          async (index, place, bit) => {
            const file = files[index];
            if (file === undefined || file.size === 0) return;
            const path = join(context.repositoryFolder, victim.folder, file.path);
            const sound = readFileSync(path);
            const bytes = Buffer.from(sound);
            const at = Math.floor(place * bytes.length);
            bytes[at] = (bytes[at] ?? 0) ^ (1 << bit);
            writeFileSync(path, bytes);
            await expect(run({ backup: id })).rejects.toMatchObject({
              code: 'BACKUP_CORRUPT',
              message: expect.stringContaining(`${file.path} of backup local:${id}`),
            });
            writeFileSync(path, sound);
          },
        ),
        { numRuns: 12 },
      );
      expect(await proofOf(id)).toMatchObject({ passed: false, summary: expect.stringContaining('damaged') });
    }
    await run({ backup: custom.manifest.id });
    expect(await proofOf(custom.manifest.id)).toMatchObject({ passed: true });
  });

  test('a dump that was cut off before it was stored: checksums are right, pg_restore is not content', async () => {
    for (const content of [
      archive.subarray(0, archive.length - 50),
      archive.subarray(0, Math.floor(archive.length / 2)),
      Buffer.from('no archive at all'),
    ]) {
      const bad = await publish(content);
      expect(await run({ backup: bad.manifest.id, archive: false })).toMatchObject({ files: 1 });
      await expect(run({ backup: bad.manifest.id })).rejects.toMatchObject({ code: 'BACKUP_CORRUPT' });
      expect(await proofOf(bad.manifest.id)).toMatchObject({ passed: false });
      await repository.remove(bad);
    }
  });

  test('an archive that does not hold what the manifest says', async () => {
    const bad = await publish(archive, { archiveEntries: { ...custom.manifest.archiveEntries, TABLE: 1 } });
    await expect(run({ backup: bad.manifest.id })).rejects.toMatchObject({
      code: 'BACKUP_CORRUPT',
      message: expect.stringMatching(/found \d+ entries TABLE, expected 1/),
    });
    await repository.remove(bad);
  });

  test('bytes behind the end of the archive are read and compared as well', async () => {
    const long = await publish(Buffer.concat([archive, Buffer.alloc(3_000_000)]));
    expect(await run({ backup: long.manifest.id })).toMatchObject({ files: 1 });
    const path = join(context.repositoryFolder, long.folder, 'archive.dump.zst');
    const bytes = readFileSync(path);
    bytes[bytes.length - 10] = (bytes.at(-10) ?? 0) ^ 1;
    writeFileSync(path, bytes);
    await expect(run({ backup: long.manifest.id })).rejects.toMatchObject({ code: 'BACKUP_CORRUPT' });
    await repository.remove(long);
  });
});

describe('what says nothing of the backup leaves no proof', () => {
  const proofs = () => readdirSync(join(context.repositoryFolder, custom.folder, 'proofs')).length;

  test('tools that are too old', async () => {
    const newer = await publish(archive, { tools: { backplan: '9', pgDump: '99.1' } });
    await expect(run({ backup: newer.manifest.id })).rejects.toMatchObject({ code: 'TOOL_TOO_OLD' });
    expect(await proofOf(newer.manifest.id)).toBeUndefined();
    expect(await run({ backup: newer.manifest.id, archive: false })).toMatchObject({ entries: null });
    await repository.remove(newer);
  });

  test('a pg_restore that something kills', async () => {
    const folder = mkdtempSync(join(root, 'bin-'));
    const real = join(inject('cluster').binDirectory, 'pg_restore');
    writeFileSync(
      join(folder, 'pg_restore'),
      `#!/bin/sh\n[ "$1" = --version ] && exec '${real}' --version\nkill -9 $$\n`,
    );
    chmodSync(join(folder, 'pg_restore'), 0o755);
    const other = makeContext({
      databases: { crm: url() },
      repositoryFolder: context.repositoryFolder,
      settings: { binDirectories: [folder] },
    });
    const before = proofs();
    await expect(run({ backup: custom.manifest.id }, other)).rejects.toMatchObject({
      code: 'TOOL_FAILED',
      message: expect.stringContaining('killed by SIGKILL'),
    });
    expect(proofs()).toBe(before);
  });

  test('a cancelled run', async () => {
    const other = makeContext({ databases: { crm: url() }, repositoryFolder: context.repositoryFolder });
    const before = proofs();
    other.abort();
    await expect(run({ backup: custom.manifest.id }, other)).rejects.toThrow();
    expect(proofs()).toBe(before);
    await repository.remove(await publish(archive));
  });
});

test('a backup that is being verified is not deleted', async () => {
  const busy = await publish(archive);
  const answers: unknown[] = [];
  // The first progress comes while the lease is held.
  const watching: TestContext = {
    ...context,
    progress: () => void answers.push(repository.remove(busy).catch((error: { code: string }) => error.code)),
  };
  await run({ backup: busy.manifest.id }, watching);
  expect(new Set(await Promise.all(answers))).toEqual(new Set(['LOCKED']));
  await repository.remove(busy);
});
