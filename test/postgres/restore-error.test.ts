import { expect, test } from 'vitest';
import { BackplanError } from '../../src/errors.ts';
import { blamesBackup, restoreError } from '../../src/postgres/restore-error.ts';

function said(detail: string, message = 'pg_restore ended with exit code 1') {
  return restoreError(new BackplanError('RESTORE_FAILED', message, { detail }), 'backup local:x', 'app');
}

test('the object and the first error are named', () => {
  const error = said(`pg_restore: while PROCESSING TOC:
pg_restore: from TOC entry 3970; 2606 16405 CONSTRAINT User User_pkey postgres
pg_restore: error: could not execute query: ERROR:  could not create unique index "User_pkey"
DETAIL:  Key (id)=(7) is duplicated.
Command was: ALTER TABLE ONLY public."User" ADD CONSTRAINT "User_pkey" PRIMARY KEY (id);
pg_restore: error: a worker process died unexpectedly`);
  expect(error.message).toBe(
    'restoring backup local:x failed at CONSTRAINT User User_pkey: ERROR: could not create unique index "User_pkey"',
  );
  expect(error).toMatchObject({ code: 'RESTORE_FAILED', transient: false });
  expect(error.detail).toContain('(id)=(7)');
  expect(blamesBackup(error)).toBe(true);
});

test.each([
  [
    'pg_restore: error: could not execute query: ERROR:  extension "vector" is not available',
    'EXTENSION_MISSING',
    'vector',
  ],
  [
    'pg_restore: error: could not execute query: ERROR:  role "App Owner" does not exist',
    'ROLE_MISSING',
    'App Owner',
  ],
  [
    'pg_restore: error: could not execute query: ERROR:  must be owner of schema public',
    'PERMISSION_DENIED',
    'app',
  ],
  [
    'pg_restore: error: COPY failed for table "t": ERROR:  could not extend file "base/1/2": No space left on device',
    'DISK_SPACE',
    'space',
  ],
  [
    'pg_restore: error: could not execute query: ERROR:  collation "pg_catalog.de_DE" for encoding "UTF8" does not exist',
    'LOCALE_MISSING',
    'locale',
  ],
  [
    'pg_restore: error: could not execute query: server closed the connection unexpectedly',
    'CONNECTION_FAILED',
    'log',
  ],
  [
    'pg_restore: error: could not execute query: ERROR:  unrecognized configuration parameter "transaction_timeout"',
    'VERSION_UNSUPPORTED',
    'transaction_timeout',
  ],
  ['pg_restore: error: could not execute query: ERROR:  deadlock detected', 'RESTORE_FAILED', 'jobs: 1'],
])('%s is about the surroundings, not about the backup', (detail, code, hint) => {
  const error = said(detail);
  expect(error).toMatchObject({ code, hint: expect.stringContaining(hint) });
  expect(blamesBackup(error)).toBe(false);
});

test('rows that hold such words do not change what the error is', () => {
  const error =
    said(`pg_restore: error: COPY failed for table "t": ERROR:  invalid input syntax for type integer: "x"
CONTEXT:  COPY t, line 1, column a: "permission denied, no space left on device"`);
  expect(error.code).not.toBe('DISK_SPACE');
});

test('a damaged archive is the backup’s fault, a killed program nobody’s', () => {
  const cut = said('pg_restore: error: could not read from input file: end of file');
  expect(cut.code).toBe('BACKUP_CORRUPT');
  expect(blamesBackup(cut)).toBe(true);
  expect(blamesBackup(said('', 'pg_restore was killed by SIGKILL'))).toBe(false);
  expect(blamesBackup(new BackplanError('CANCELLED', 'cancelled'))).toBe(false);
});
