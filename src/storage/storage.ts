/**
 * The contract of a storage backend: where the files of a repository live.
 *
 * Paths are relative, with `/`, never starting with one. Promises: `write` makes a file visible only when its
 * stream has ended without error and `close` has resolved, and then it is durable; a failed or abandoned write
 * leaves nothing under that path; `remove` and `removeFolder` are idempotent; `publish` is atomic where
 * `traits.atomicPublish` says so.
 */
import type { Readable, Writable } from 'node:stream';

export interface StorageEntry {
  readonly path: string;
  /** Bytes. */
  readonly size: number;
}

export interface StorageTraits {
  /** A folder can be renamed into place in one step. Without it, the manifest object written last is what publishes. */
  readonly atomicPublish: boolean;
  /** Files have a path on this machine that tools can open. */
  readonly localPaths: boolean;
}

/** A file being written. */
export interface WriteHandle {
  readonly stream: Writable;
  /** Waits until everything is durable (fsync). @throws DISK_FULL, STORAGE_FAILED */
  close(): Promise<void>;
  /** Gives up and removes what was written. Never throws. */
  abandon(): Promise<void>;
}

export interface Storage {
  readonly traits: StorageTraits;
  /** How it is called in messages; no secrets. */
  readonly label: string;
  /** Creates what is missing and checks that it can be written. @throws REPOSITORY_UNUSABLE */
  prepare(): Promise<void>;
  write(path: string): Promise<WriteHandle>;
  /** @throws STORAGE_FAILED when it does not exist (code in `cause`) */
  read(path: string): Promise<Readable>;
  /** undefined when it does not exist */
  stat(path: string): Promise<StorageEntry | undefined>;
  /** Files below a folder, recursively; hidden folders (name starts with a dot) only when asked for by prefix. */
  list(folder: string): Promise<readonly StorageEntry[]>;
  /** Names of the folders directly below, hidden ones included. */
  folders(folder: string): Promise<readonly string[]>;
  remove(path: string): Promise<void>;
  removeFolder(folder: string): Promise<void>;
  /** Moves a finished folder from its hidden name to its final one and makes that durable. */
  publish(partial: string, final: string): Promise<void>;
  /** The path on this machine, where `traits.localPaths`. */
  localPath(path: string): string | undefined;
  /** Bytes that can still be written, where the backend can tell. */
  freeSpace(): Promise<number | undefined>;
}
