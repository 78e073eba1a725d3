/**
 * The contract of a repository: where backups live, what exists, what was shown of it. The layout is described in
 * `layout.ts`. Built on a Storage; knows nothing of PostgreSQL.
 */
import type { Readable } from 'node:stream';
import type { Storage } from '../storage/storage.ts';
import type { LeftoverReport } from './leftovers.ts';
import type { Backup, Manifest, ManifestFile, Proof } from './manifest.ts';

/** A backup being written. Invisible until `publish`. */
export interface PartialBackup {
  readonly id: string;
  /** The hidden folder, relative to the storage. */
  readonly folder: string;
  /** Absolute path of the hidden folder where the storage is local. */
  readonly localPath: string | undefined;
  /**
   * Streams bytes into a file: hash → (zstd) → hash → storage, in one pass. Resolves when the file is durable.
   * `onBytes` is told the plain bytes so far. If `source` errors, nothing is left of the file.
   */
  writeFile(
    path: string,
    role: ManifestFile['role'],
    source: Readable,
    options: {
      compress: { method: 'none' } | { method: 'zstd'; level: number };
      signal: AbortSignal;
      onBytes?: (plainBytes: number) => void;
    },
  ): Promise<ManifestFile>;
  /** Hashes and fsyncs files that a tool wrote into the local folder itself (directory format). */
  adoptFiles(folder: string, role: ManifestFile['role'], signal: AbortSignal): Promise<ManifestFile[]>;
  /** Writes the manifest last and makes the backup exist. Atomic. */
  publish(manifest: Manifest): Promise<Backup>;
  /** Removes everything that was written. Never throws. */
  abandon(): Promise<void>;
}

/**
 * Marks on single backups that hold between processes: a run that reads or writes one has a shared lease, deleting
 * it takes the exclusive one. The application wires them to its locks.
 */
export interface Leases {
  /** Takes a lease at once or fails. Returns the release. @throws LOCKED naming the holder */
  acquire(key: string, mode: 'exclusive' | 'shared'): Promise<() => Promise<void>>;
}

/** Something that looks like a backup but cannot be used, with the reason. Never hidden, never counted. */
export interface BrokenBackup {
  readonly folder: string;
  readonly reason: string;
}

export interface Catalog {
  /** Oldest first by recorded start. */
  readonly backups: readonly Backup[];
  readonly broken: readonly BrokenBackup[];
}

export interface Repository {
  readonly name: string;
  readonly storage: Storage;
  /** Starts a backup: the id is new, the folder hidden. `onFolder` is told the path BEFORE it is made, for ownership. */
  begin(
    database: string,
    startedAt: Date,
    onFolder: (path: string) => void,
    options?: {
      /** Of a backup that is copied from another repository. Default: a new one. */
      id?: string;
    },
  ): Promise<PartialBackup>;
  /** Published backups of a database (or of all), oldest first by recorded start. */
  backups(database?: string): Promise<readonly Backup[]>;
  broken(): Promise<readonly BrokenBackup[]>;
  /** Both of these from one look, for decisions that must not fall between two. */
  catalog(database?: string): Promise<Catalog>;
  /**
   * `latest`, `latest-proven`, an id or an unambiguous beginning of one, or `label:TEXT` / a label (its newest).
   * @throws BACKUP_NOT_FOUND with what there is instead
   */
  find(reference: string, database?: string): Promise<Backup>;
  /**
   * Opens a stored file and yields its plain bytes while checking size and SHA-256 of both forms; the stream
   * errors with BACKUP_CORRUPT (naming backup, file, expected and found) at the latest when it ends.
   */
  open(
    backup: Backup,
    file: ManifestFile,
    options: {
      signal: AbortSignal;
      onBytes?: (storedBytes: number) => void;
      /** Yield the bytes as stored, for copies; only their own size and SHA-256 are checked then. */
      stored?: boolean;
    },
  ): Promise<Readable>;
  /** Adds a statement beside the manifest, atomically. */
  addProof(backup: Backup, proof: Proof): Promise<void>;
  /** Deletes a backup so that a crash half-way leaves it hidden, never half-listed. @throws LOCKED while a live run uses it */
  remove(backup: Backup): Promise<void>;
  /**
   * Removes the half-written and half-deleted backups of a database that no live run uses and that no journal of
   * this machine knows any more. Half-written ones younger than a day stay: another machine may be writing them.
   */
  sweep(database: string, now: Date): Promise<LeftoverReport>;
  /** Marks a backup as being read by a live run; prune leaves it alone. Returns the release. No-op on read-only storage. */
  lease(backup: Backup, run: string): Promise<() => Promise<void>>;
}
