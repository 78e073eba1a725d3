import { randomBytes } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { expect, test } from 'vitest';
import { BackplanError } from '../../src/errors.ts';
import { findLeftovers, removeLeftovers } from '../../src/repository/leftovers.ts';
import { openRepository } from '../../src/repository/open.ts';
import type { Repository } from '../../src/repository/repository.ts';
import { localStorage } from '../../src/storage/local.ts';
import type { Storage, WriteHandle } from '../../src/storage/storage.ts';
import { temporaryFolder } from '../helpers/database.ts';
import { makeBackup, makeManifest, makeProof, NEVER, readAll, repositoryAt } from './fixture.ts';

const folder = temporaryFolder();
const START = new Date('2026-11-25T02:00:00Z');
const FAILURE = new BackplanError('STORAGE_FAILED', 'cannot write: the disk reports an error (EIO)');

/** Real storage in which the call number `failing` fails; counts calls. `broken` lets all later ones fail as well. */
class FaultyStorage {
  calls = 0;
  /** The method that failed first. */
  failed: string | undefined;
  readonly #failing: number;
  readonly #stays: boolean;

  constructor(failing: number, stays: boolean) {
    this.#failing = failing;
    this.#stays = stays;
  }

  wrap(storage: Storage): Storage {
    const guarded =
      <Args extends unknown[], Result>(name: string, call: (...args: Args) => Promise<Result>) =>
      async (...args: Args): Promise<Result> => {
        this.#step(name);
        return await call(...args);
      };
    return {
      ...storage,
      prepare: guarded('prepare', storage.prepare),
      read: guarded('read', storage.read),
      stat: guarded('stat', storage.stat),
      list: guarded('list', storage.list),
      folders: guarded('folders', storage.folders),
      remove: guarded('remove', storage.remove),
      removeFolder: guarded('removeFolder', storage.removeFolder),
      publish: guarded('publish', storage.publish),
      write: guarded('write', async (path: string): Promise<WriteHandle> => {
        const handle = await storage.write(path);
        const write = handle.stream._write.bind(handle.stream);
        handle.stream._writev = undefined;
        handle.stream._write = (chunk, encoding, done) => {
          try {
            this.#step('_write');
          } catch (error) {
            done(error as Error);
            return;
          }
          write(chunk, encoding, done);
        };
        return { ...handle, close: guarded('close', handle.close) };
      }),
    };
  }

  #step(name: string): void {
    this.calls++;
    if (this.calls === this.#failing || (this.#stays && this.calls > this.#failing)) {
      this.failed ??= name;
      throw FAILURE;
    }
  }
}

/** Everything that writes: a backup with two files, a proof, and the deletion of the oldest. */
async function work(repository: Repository): Promise<void> {
  const partial = await repository.begin('crm', START, () => {});
  try {
    const files = [
      await partial.writeFile('archive.dump.zst', 'archive', Readable.from([randomBytes(300_000)]), {
        compress: { method: 'zstd', level: 1 },
        signal: NEVER,
      }),
      await partial.writeFile('globals.sql', 'globals', Readable.from(['x']), {
        compress: { method: 'none' },
        signal: NEVER,
      }),
    ];
    const backup = await partial.publish(makeManifest(partial.id, 'crm', START, files));
    await repository.addProof(backup, makeProof(backup, 'verified'));
  } catch (error) {
    await partial.abandon();
    throw error;
  }
  const [oldest] = await repository.backups('crm');
  if (oldest !== undefined) await repository.remove(oldest);
}

test.each([
  ['once', false],
  ['from then on', true],
])(
  'the storage fails %s, at every call in turn: loud, nothing half-visible, and a clean run sets it right',
  async (_name, stays) => {
    const clean = new FaultyStorage(Number.POSITIVE_INFINITY, false);
    const total = await run(clean, 'count');
    expect(total.error).toBeUndefined();
    expect(clean.calls).toBeGreaterThan(20);
    for (let failing = 1; failing <= clean.calls; failing++) {
      const faults = new FaultyStorage(failing, stays);
      const { error, path } = await run(faults, `${stays}-${failing}`);
      // The number of chunks varies a little: the last calls may not come. A manifest or proof that cannot be read is
      // told by `broken()` and notes. Everything else must fail the work.
      if (error !== undefined || (faults.failed !== undefined && faults.failed !== 'read')) {
        expect(error, `call ${failing}`).toMatchObject({
          code: expect.stringMatching(/STORAGE_FAILED|REPOSITORY_UNUSABLE/),
        });
      }
      const sound = repositoryAt(path);
      expect(await sound.broken(), `call ${failing}`).toEqual([]);
      const listed = await sound.backups();
      expect(listed.length, `call ${failing}`).toBeGreaterThan(0);
      for (const backup of listed) await readAll(sound, backup);
      await removeLeftovers(sound.storage, { now: new Date(START.getTime() + 1), olderThan: 0 });
      expect(await findLeftovers(sound.storage)).toEqual([]);
      await work(sound);
      const ids = (await sound.backups()).map(({ manifest }) => manifest.id);
      expect(readdirSync(join(path, 'crm')).sort()).toEqual(ids.sort());
    }
  },
);

async function run(faults: FaultyStorage, name: string) {
  const path = join(folder, name);
  await makeBackup(repositoryAt(path));
  const error = await work(openRepository('local', faults.wrap(localStorage(path)))).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  return { error, path };
}
