import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  backupFolder,
  databaseFolder,
  deletingFolder,
  newBackupId,
  parseBackupId,
  parseHiddenFolder,
  partialFolder,
  problemOfFilePath,
} from '../../src/repository/layout.ts';

const databases = fc.stringMatching(/^[A-Za-z0-9_-][A-Za-z0-9_.-]{0,40}$/);
const starts = fc.date({
  min: new Date('1970-01-01T00:00:00Z'),
  max: new Date('9999-12-31T23:59:59Z'),
  noInvalidDate: true,
});

test('an id tells its database and start, whatever dots and dashes the database holds', () => {
  fc.assert(
    fc.property(databases, starts, (database, startedAt) => {
      const id = newBackupId(database, startedAt);
      expect(id).toMatch(/-\d{8}T\d{6}Z-[a-z2-9]{4}$/);
      expect(parseBackupId(id)).toEqual({
        database,
        startedAt: new Date(Math.floor(startedAt.getTime() / 1000) * 1000),
      });
    }),
  );
});

test('a clock in the year 10000 makes no ids that nobody could read', () => {
  expect(() => newBackupId('crm', new Date('+010000-01-01T00:00:00Z'))).toThrow(
    expect.objectContaining({ code: 'STORAGE_FAILED' }),
  );
});

test('databases that look like ids do not confuse it', () => {
  const database = 'crm-20261124T020000Z-abcd';
  const id = newBackupId(database, new Date('2026-11-25T02:00:00Z'));
  expect(parseBackupId(id)).toEqual({ database, startedAt: new Date('2026-11-25T02:00:00Z') });
});

test('ids of a second differ', () => {
  const ids = new Set(Array.from({ length: 200 }, () => newBackupId('crm', new Date(0))));
  expect(ids.size).toBeGreaterThan(195);
});

test.each([
  'crm',
  'crm-20261124T020000Z',
  'crm-20261124T020000Z-abc',
  'crm-20261124T020000Z-ABCD',
  '-20261124T020000Z-abcd',
  'crm-20261324T020000Z-abcd',
  'crm-20261124T020000Z-abcd.bak',
  '.crm-20261124T020000Z-abcd',
  '../crm-20261124T020000Z-abcd',
  'crm/x-20261124T020000Z-abcd',
])('%s is no id', (id) => {
  expect(parseBackupId(id)).toBeUndefined();
});

test.each([
  '',
  '.',
  '..',
  '.hidden',
  '.backplan',
  'a/b',
  'a\\b',
  'a b',
  'ä',
  'a\0b',
  '../x',
  `${'x'.repeat(201)}`,
])('a database called %j cannot have a folder', (database) => {
  for (const place of [
    () => databaseFolder(database),
    () => backupFolder(database, 'x'),
    () => newBackupId(database, new Date(0)),
  ]) {
    expect(place).toThrow(expect.objectContaining({ code: 'STORAGE_FAILED' }));
  }
});

test('hidden folders are told apart and led back to their id', () => {
  const id = newBackupId('my.db-1', new Date(0));
  const last = (path: string) => path.split('/').at(-1) ?? '';
  expect(parseHiddenFolder(last(partialFolder('my.db-1', id)))).toEqual({ kind: 'partial', id });
  expect(parseHiddenFolder(last(deletingFolder('my.db-1', id)))).toEqual({ kind: 'deleting', id });
  for (const name of [id, '.partial-', '.partial-x', '.git', `.deleted-${id}`])
    expect(parseHiddenFolder(name)).toBeUndefined();
});

describe('paths of files', () => {
  test.each(['archive.dump.zst', 'archive/toc.dat', 'archive/3456.dat.gz', 'a/b/c', 'blobs.toc'])(
    '%s is one',
    (path) => {
      expect(problemOfFilePath(path)).toBeUndefined();
    },
  );
  test.each([
    '',
    '/etc/passwd',
    '../x',
    'a/../../x',
    'a//b',
    './a',
    '.hidden',
    'a/.hidden',
    'a\\b',
    'a\nb',
    'manifest.json',
    'proofs/x.json',
    'proofs',
    `${'x/'.repeat(600)}x`,
  ])('%j is none', (path) => {
    expect(problemOfFilePath(path)).toBeTypeOf('string');
  });
});
