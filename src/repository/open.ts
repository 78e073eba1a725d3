/** A repository on a storage. */
import { BackplanError, toBackplanError } from '../errors.ts';
import type { Storage } from '../storage/storage.ts';
import { readCatalog } from './catalog.ts';
import { verified, wrongSize } from './codec.ts';
import { findBackup } from './find.ts';
import { checkFormat, prepareFormat } from './format.ts';
import {
  backupFolder,
  deletingFolder,
  leaseKey,
  MANIFEST_FILE,
  newBackupId,
  parseBackupId,
  partialFolder,
} from './layout.ts';
import { type LeftoverReport, removeLeftovers } from './leftovers.ts';
import type { Backup, ManifestFile, Proof } from './manifest.ts';
import { writeProof } from './proof.ts';
import { openPartial } from './publish.ts';
import type { Catalog, Leases, PartialBackup, Repository } from './repository.ts';

export interface RepositoryOptions {
  /** Leases that hold between processes. Default: they hold inside this process only. */
  readonly leases?: Leases | undefined;
  /** Told of what is odd but no error, such as a damaged proof. Default: nobody. */
  readonly note?: ((message: string) => void) | undefined;
}

/** Opens a repository; nothing is read or written before the first call. @param name its key in the plan */
export function openRepository(name: string, storage: Storage, options: RepositoryOptions = {}): Repository {
  return new StoredRepository(name, storage, options);
}

class StoredRepository implements Repository {
  readonly name: string;
  readonly storage: Storage;
  readonly #leases: Leases | undefined;
  readonly #note: (message: string) => void;
  /** id → leases of this process: the run that prunes may be the one that reads, in a parallel step. */
  readonly #inUse = new Map<string, number>();
  /** Ids of what this process is deleting. */
  readonly #deleting = new Set<string>();
  #proofs: Promise<unknown> = Promise.resolve();
  #readable: Promise<unknown> | undefined;

  constructor(name: string, storage: Storage, { leases, note }: RepositoryOptions) {
    this.name = name;
    this.storage = storage;
    this.#leases = leases;
    this.#note = note ?? (() => {});
  }

  async begin(
    database: string,
    startedAt: Date,
    onFolder: (path: string) => void,
    { id: given }: { id?: string } = {},
  ): Promise<PartialBackup> {
    await prepareFormat(this.name, this.storage);
    if (given !== undefined && parseBackupId(given)?.database !== database) {
      throw new BackplanError('INTERNAL', `"${given}" is not the id of a backup of ${database}`);
    }
    const id = given ?? (await this.#freeId(database, startedAt));
    const folder = partialFolder(database, id);
    if (given !== undefined && (await this.#isTaken(database, id))) {
      throw new BackplanError(
        'STORAGE_FAILED',
        `${this.name} has the backup ${id} already, or is just getting it`,
        {
          hint: `See "backplan backups PLAN"; a partial copy left by a crash is ${this.storage.localPath(folder) ?? folder}.`,
        },
      );
    }
    const release = await this.#acquire(id);
    try {
      onFolder(this.storage.localPath(folder) ?? folder);
    } catch (error) {
      await release();
      throw error;
    }
    return openPartial({ repository: this.name, storage: this.storage, database, id, release });
  }

  async backups(database?: string): Promise<readonly Backup[]> {
    return (await this.catalog(database)).backups;
  }

  async broken() {
    return (await this.catalog()).broken;
  }

  async catalog(database?: string): Promise<Catalog> {
    this.#readable ??= checkFormat(this.name, this.storage);
    try {
      await this.#readable;
    } catch (error) {
      this.#readable = undefined;
      throw error;
    }
    return await readCatalog(this.name, this.storage, { database, note: this.#note });
  }

  async find(reference: string, database?: string): Promise<Backup> {
    const catalog = await this.catalog(database);
    const root = this.storage.localPath('');
    const exists = root === undefined || (await this.storage.stat('')) !== undefined;
    return findBackup(reference, {
      repository: this.name,
      catalog,
      database,
      emptyHint: exists
        ? undefined
        : `The folder ${root} does not exist. Is its disk mounted, and is the path in the plan right?`,
    });
  }

  async open(
    backup: Backup,
    file: ManifestFile,
    options: { signal: AbortSignal; onBytes?: (storedBytes: number) => void; stored?: boolean },
  ) {
    const { path, size, sha256, plain } = file;
    const what = `${path} of backup ${this.name}:${backup.manifest.id}`;
    const place = `${this.#folderOf(backup)}/${path}`;
    const entry = await this.storage.stat(place);
    if (entry?.size !== size) throw wrongSize(what, size, entry?.size);
    const raw = await this.storage.read(place).catch((error: unknown) => {
      const { cause } = toBackplanError(error);
      if ((cause as NodeJS.ErrnoException | undefined)?.code === 'ENOENT')
        throw wrongSize(what, size, undefined);
      throw error;
    });
    return verified(raw, {
      what,
      stored: { size, sha256 },
      ...(plain === undefined || options.stored === true ? {} : { plain }),
      signal: options.signal,
      onBytes: options.onBytes,
    });
  }

  async addProof(backup: Backup, proof: Proof): Promise<void> {
    if (proof.backup !== backup.manifest.id) {
      throw new BackplanError(
        'INTERNAL',
        `a proof of ${proof.backup} does not belong to ${backup.manifest.id}`,
      );
    }
    const folder = this.#folderOf(backup);
    // One after the other: the number of a second proof of the same second comes from what is there.
    const writing = this.#proofs.then(async () => {
      // Without this, a proof of a deleted backup would make its folder again.
      if ((await this.storage.stat(`${folder}/${MANIFEST_FILE}`)) === undefined) {
        throw this.#gone(backup.manifest.id, 'nothing can be shown of it');
      }
      await writeProof(this.storage, folder, proof);
    });
    this.#proofs = writing.catch(() => {});
    await writing;
  }

  async remove(backup: Backup): Promise<void> {
    const { id, database } = backup.manifest;
    const folder = this.#folderOf(backup);
    if (this.#inUse.has(id)) {
      throw new BackplanError('LOCKED', `backup ${this.name}:${id} is in use by another step of this run`, {
        hint: 'Let the step that deletes wait for it with `needs`.',
      });
    }
    this.#deleting.add(id);
    let release: (() => Promise<void>) | undefined;
    try {
      release = await this.#acquireExclusive(id);
      if (this.storage.traits.atomicPublish) {
        const deleting = deletingFolder(database, id);
        await this.storage.removeFolder(deleting);
        await this.storage.publish(folder, deleting).catch(async (error: unknown) => {
          // Without leases two processes may delete the same backup; the slower one has nothing to do any more.
          if ((await this.storage.stat(`${folder}/${MANIFEST_FILE}`)) !== undefined) throw error;
          throw this.#gone(id, 'another process deleted it');
        });
        await this.storage.removeFolder(deleting);
      } else {
        await this.storage.remove(`${folder}/${MANIFEST_FILE}`);
        await this.storage.removeFolder(folder);
      }
    } finally {
      this.#deleting.delete(id);
      await release?.();
    }
  }

  #gone(id: string, consequence: string): BackplanError {
    return new BackplanError('BACKUP_NOT_FOUND', `backup ${this.name}:${id} is gone: ${consequence}`);
  }

  async sweep(database: string, now: Date): Promise<LeftoverReport> {
    return await removeLeftovers(this.storage, {
      database,
      now,
      leases: this.#leases,
      // Leases keep other runs off; the run that sweeps may be the one that writes, in a parallel step.
      isOwned: ({ id }) => this.#inUse.has(id),
    });
  }

  async lease(backup: Backup, _run: string): Promise<() => Promise<void>> {
    const { id } = backup.manifest;
    const release = await this.#acquire(id);
    // It may have been pruned since it was found: from here on it cannot be.
    const place = `${this.#folderOf(backup)}/${MANIFEST_FILE}`;
    if (!this.#deleting.has(id) && (await this.storage.stat(place)) !== undefined) return release;
    await release();
    throw this.#gone(id, 'it was deleted a moment ago');
  }

  /** A shared lease, in this process and, where that can be written down, between processes. */
  async #acquire(id: string): Promise<() => Promise<void>> {
    const shared = await this.#leases?.acquire(leaseKey(id), 'shared').catch((error: unknown) => {
      const failure = toBackplanError(error);
      if (failure.code === 'LOCKED') throw failure;
      // A read-only or full disk must not stop a restore; nothing can be deleted from the one, little from the other.
      this.#note(`no lease on backup ${id} could be taken: ${failure.message}`);
      return undefined;
    });
    this.#inUse.set(id, (this.#inUse.get(id) ?? 0) + 1);
    let held = true;
    return async () => {
      if (!held) return;
      held = false;
      const others = (this.#inUse.get(id) ?? 1) - 1;
      if (others === 0) this.#inUse.delete(id);
      else this.#inUse.set(id, others);
      await shared?.();
    };
  }

  /** @throws LOCKED while another process uses the backup */
  async #acquireExclusive(id: string): Promise<(() => Promise<void>) | undefined> {
    try {
      return await this.#leases?.acquire(leaseKey(id), 'exclusive');
    } catch (error) {
      if (toBackplanError(error).code === 'LOCKED' || !(await this.#isFull())) throw error;
      // On a full disk a lease cannot be written, and deleting is the way out. A reader would fail, not go wrong.
      this.#note(`backup ${id} is deleted without a lease: the disk is full`);
      return undefined;
    }
  }

  async #isFull(): Promise<boolean> {
    const free = await this.storage.freeSpace();
    return free !== undefined && free < 1_000_000;
  }

  async #freeId(database: string, startedAt: Date): Promise<string> {
    for (;;) {
      const id = newBackupId(database, startedAt);
      if (!(await this.#isTaken(database, id))) return id;
    }
  }

  async #isTaken(database: string, id: string): Promise<boolean> {
    for (const folder of [
      backupFolder(database, id),
      partialFolder(database, id),
      deletingFolder(database, id),
    ]) {
      if ((await this.storage.stat(folder)) !== undefined) return true;
    }
    return false;
  }

  /** The folder by database and id, not by what a caller may have put together. */
  #folderOf({ manifest, folder }: Backup): string {
    const own = backupFolder(manifest.database, manifest.id);
    if (own !== folder || parseBackupId(manifest.id)?.database !== manifest.database) {
      throw new BackplanError('INTERNAL', `${folder} is not the folder of backup ${manifest.id}`);
    }
    return own;
  }
}
