import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { openStorage, storageBackends } from '../../src/storage/index.ts';

test.each(['/srv/backups', './backups', 'backups', '../b', '/a path/with spaces', 'C:\\backups', './s3:x'])(
  '%s is a folder',
  (location) => {
    expect(openStorage(location).label).toBe(resolve(location));
  },
);

test.each(['s3://bucket/prefix', 'azblob://x', 'sftp:host:/path', ''])(
  '%s is not mistaken for a folder name',
  (location) => {
    expect(() => openStorage(location)).toThrow(
      expect.objectContaining({ code: 'REPOSITORY_UNUSABLE', hint: expect.stringContaining('local') }),
    );
  },
);

test('every backend has a name of its own and recognises its own example', () => {
  expect(new Set(storageBackends.map(({ name }) => name)).size).toBe(storageBackends.length);
  for (const backend of storageBackends) expect(backend.matches(backend.location)).toBe(true);
});

test('relative paths start at the given folder, ~ is the home folder', () => {
  expect(openStorage('backups', '/etc/plans').label).toBe('/etc/plans/backups');
  expect(openStorage('/srv/backups', '/etc/plans').label).toBe('/srv/backups');
  expect(openStorage('~/backups', '/etc/plans').label).toBe(join(homedir(), 'backups'));
  expect(openStorage('~backups', '/etc/plans').label).toBe('/etc/plans/~backups');
});
