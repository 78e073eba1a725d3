/** The list of storage backends. A backend is one file; adding one adds a line here. */
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { BackplanError } from '../errors.ts';
import { localStorage } from './local.ts';
import type { Storage } from './storage.ts';

export interface StorageBackend {
  readonly name: string;
  /** How its locations look, for messages and documentation. */
  readonly location: string;
  matches(location: string): boolean;
  /** @param base the folder that relative locations start from */
  open(location: string, base: string): Storage;
}

export const storageBackends: readonly StorageBackend[] = [
  {
    name: 'local',
    location: '/srv/backups',
    // Two letters at least: `C:\backups` is a path.
    matches: (location) => !/^[a-z][a-z0-9+.-]+:/i.test(location),
    open: (location, base) => localStorage(resolve(base, expandHome(location))),
  },
];

/** What a shell would make of `~/backups`; a plan is read by no shell, and a folder called `~` is never meant. */
function expandHome(location: string): string {
  return /^~(\/|$)/.test(location) ? join(homedir(), location.slice(1)) : location;
}

/**
 * The storage behind a repository's `path`.
 * @param base the folder that relative locations start from: that of the plan file
 * @throws REPOSITORY_UNUSABLE where no backend knows such a location
 */
export function openStorage(location: string, base: string = process.cwd()): Storage {
  const backend = storageBackends.find((each) => location !== '' && each.matches(location));
  if (backend === undefined) {
    const known = storageBackends.map((each) => `${each.name} (${each.location})`).join(', ');
    throw new BackplanError('REPOSITORY_UNUSABLE', `"${location}" is no place for a repository`, {
      hint: `Known kinds of places: ${known}. A folder whose name looks like a url is written ./${location || 'backups'}.`,
    });
  }
  return backend.open(location, base);
}
