/** What crashes leave: half-written and half-deleted backups, in hidden folders that no listing shows. */
import { BackplanError, toBackplanError } from '../errors.ts';
import type { Storage } from '../storage/storage.ts';
import { formatAge } from '../units.ts';
import { leaseKey, parseBackupId, parseHiddenFolder } from './layout.ts';
import type { Leases } from './repository.ts';

export interface Leftover {
  readonly kind: 'partial' | 'deleting';
  readonly database: string;
  /** Of the backup that it was to become, or was. */
  readonly id: string;
  /** When that backup was started. */
  readonly startedAt: Date;
  /** Inside the storage. */
  readonly folder: string;
  /** The path that `begin` told for ownership: absolute where the storage is local. */
  readonly path: string;
}

export interface LeftoverOptions {
  readonly now: Date;
  /**
   * Whether a live run owns the folder, as far as this machine's journal knows. Default: no.
   * A partial folder of a live run is never touched.
   */
  readonly isOwned?: (leftover: Leftover) => boolean | Promise<boolean>;
  /** Leases of the repository: they know of runs on other machines, too. */
  readonly leases?: Leases | undefined;
  /** Only those of this database. Default: all. */
  readonly database?: string;
  /** Milliseconds since the start of the backup; younger partial folders stay. Default: one day. */
  readonly olderThan?: number;
}

export interface LeftoverReport {
  readonly removed: readonly Leftover[];
  readonly left: readonly { readonly leftover: Leftover; readonly reason: string }[];
}

const DAY = 86_400_000;

/** Hidden folders of our own making; anything else that is hidden is somebody else's. */
export async function findLeftovers(storage: Storage, only?: string): Promise<Leftover[]> {
  const found: Leftover[] = [];
  for (const database of only === undefined ? await storage.folders('') : [only]) {
    if (database.startsWith('.')) continue;
    for (const name of await storage.folders(database)) {
      const hidden = parseHiddenFolder(name);
      const startedAt = hidden === undefined ? undefined : parseBackupId(hidden.id)?.startedAt;
      if (hidden === undefined || startedAt === undefined) continue;
      const folder = `${database}/${name}`;
      found.push({ ...hidden, database, startedAt, folder, path: storage.localPath(folder) ?? folder });
    }
  }
  return found;
}

/** Removes what no live run owns. One that cannot be removed does not keep the others. */
export async function removeLeftovers(storage: Storage, options: LeftoverOptions): Promise<LeftoverReport> {
  const removed: Leftover[] = [];
  const left: { leftover: Leftover; reason: string }[] = [];
  for (const leftover of await findLeftovers(storage, options.database)) {
    try {
      await removeOne(storage, leftover, options);
      removed.push(leftover);
    } catch (error) {
      left.push({ leftover, reason: toBackplanError(error, 'STORAGE_FAILED').message });
    }
  }
  return { removed, left };
}

async function removeOne(storage: Storage, leftover: Leftover, options: LeftoverOptions): Promise<void> {
  const { now, isOwned, leases, olderThan = DAY } = options;
  // A backup that is being deleted exists no more, however young it is.
  if (leftover.kind === 'partial' && now.getTime() - leftover.startedAt.getTime() < olderThan) {
    throw new BackplanError('LOCKED', `it was started only ${formatAge(leftover.startedAt, now)} ago`);
  }
  if ((await isOwned?.(leftover)) === true) throw new BackplanError('LOCKED', 'a live run owns it');
  const release = await leases?.acquire(leaseKey(leftover.id), 'exclusive');
  try {
    await storage.removeFolder(leftover.folder);
  } finally {
    await release?.();
  }
}
