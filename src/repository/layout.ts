/**
 * Where things are in a repository:
 *
 *     <database>/<id>/manifest.json        what exists; written last, never changed
 *     <database>/<id>/…                    the files that the manifest lists
 *     <database>/<id>/proofs/*.json        what was shown of the backup; only added to
 *     <database>/.partial-<id>/            a backup being written, or what a crash left of one
 *     <database>/.deleting-<id>/           a backup being deleted, or what a crash left of one
 *     .backplan/repository.json            the version of this layout
 *     .backplan/locks.sqlite               locks and leases
 *
 * An id is `<database>-<start in compact UTC>-<four letters>`. Databases may hold dots and dashes.
 */
import { randomInt } from 'node:crypto';
import { BackplanError } from '../errors.ts';
import type { Storage } from '../storage/storage.ts';
import { compactInstant } from '../units.ts';

export const MANIFEST_FILE = 'manifest.json';
export const PROOFS_FOLDER = 'proofs';
export const FORMAT_FILE = '.backplan/repository.json';
const LOCKS_FILE = '.backplan/locks.sqlite';
const PARTIAL = '.partial-';
const DELETING = '.deleting-';

/** Without l, o, i, 0 and 1: an id is read out on the phone at 3 a.m. */
const LETTERS = 'abcdefghjkmnpqrstuvwxyz23456789';
const ID = /^(?<database>[A-Za-z0-9_.-]+)-(?<start>\d{8}T\d{6}Z)-(?<suffix>[a-z0-9]{4})$/;

export interface BackupId {
  readonly database: string;
  readonly startedAt: Date;
}

/** A new id; the caller makes sure that it is not taken. @throws STORAGE_FAILED for names and times that make none */
export function newBackupId(database: string, startedAt: Date): string {
  const suffix = Array.from({ length: 4 }, () => LETTERS[randomInt(LETTERS.length)]).join('');
  const id = `${databaseFolder(database)}-${compactInstant(startedAt)}-${suffix}`;
  // A clock in the year 10000: listings would never find such a backup again.
  if (parseBackupId(id) === undefined) {
    throw new BackplanError(
      'STORAGE_FAILED',
      `no backup can be named after the time ${startedAt.toISOString()}`,
      {
        hint: 'Compare the clock of this machine with a right one ("timedatectl").',
      },
    );
  }
  return id;
}

/** What an id says, or undefined when it is none. */
export function parseBackupId(id: string): BackupId | undefined {
  const { database, start } = ID.exec(id)?.groups ?? {};
  if (database === undefined || start === undefined || database.startsWith('.')) return undefined;
  const startedAt = new Date(
    start.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z'),
  );
  return Number.isNaN(startedAt.getTime()) ? undefined : { database, startedAt };
}

/** The folder of a database's backups. @throws STORAGE_FAILED for a name that no folder can have */
export function databaseFolder(database: string): string {
  // 200: an id and the prefix of its hidden folders must fit into the 255 bytes of a file name.
  if (!/^[A-Za-z0-9_-][A-Za-z0-9_.-]*$/.test(database) || database.length > 200) {
    throw new BackplanError(
      'STORAGE_FAILED',
      `${JSON.stringify(database)} cannot be the name of a folder in a repository`,
      {
        hint: 'Give the database in the plan a name of letters, digits, "_", "-" and ".", not starting with ".".',
      },
    );
  }
  return database;
}

export function backupFolder(database: string, id: string): string {
  return `${databaseFolder(database)}/${id}`;
}

export function partialFolder(database: string, id: string): string {
  return `${databaseFolder(database)}/${PARTIAL}${id}`;
}

export function deletingFolder(database: string, id: string): string {
  return `${databaseFolder(database)}/${DELETING}${id}`;
}

/** What a hidden folder's name says, or undefined when it is not one of ours. */
export function parseHiddenFolder(name: string): { kind: 'partial' | 'deleting'; id: string } | undefined {
  for (const [kind, prefix] of [
    ['partial', PARTIAL],
    ['deleting', DELETING],
  ] as const) {
    const id = name.slice(prefix.length);
    if (name.startsWith(prefix) && parseBackupId(id) !== undefined) return { kind, id };
  }
  return undefined;
}

/** Why a path may not be that of a backup's file, or undefined when it may. */
export function problemOfFilePath(path: string): string | undefined {
  const parts = path.split('/');
  if (path === '' || path.length > 1000) return 'a file name is empty or too long';
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be in a name
  if (/[\\\u0000-\u001f]/.test(path)) return `the file name ${JSON.stringify(path)} holds odd characters`;
  // Covers "..", hidden names (which listings skip) and absolute paths.
  if (parts.some((part) => part === '' || part.startsWith('.'))) {
    return `the file name ${JSON.stringify(path)} leaves the folder of the backup or is hidden`;
  }
  if (path === MANIFEST_FILE || parts[0] === PROOFS_FOLDER) {
    return `the file name ${JSON.stringify(path)} is taken by the repository itself`;
  }
  return undefined;
}

/** The key of a backup's lease. */
export function leaseKey(id: string): string {
  return `backup ${id}`;
}

/** Where locks and leases live, for repositories on this machine. */
export function locksFile(storage: Storage): string | undefined {
  return storage.localPath(LOCKS_FILE);
}
