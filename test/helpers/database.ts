/** Databases on the shared test server, removed when the test file ends. */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, inject } from 'vitest';
import { psql } from './cluster.ts';

/** Url of a database on the shared server. */
export function sharedUrl(database: string, user = 'postgres'): string {
  const { socket, port } = inject('cluster');
  return `postgresql://${user}@/${encodeURIComponent(database)}?host=${encodeURIComponent(socket)}&port=${port}`;
}

/** Runs SQL on the shared server through psql. */
export function sql(database: string, text: string): string {
  return psql(join(inject('cluster').binDirectory, 'psql'), sharedUrl(database), text);
}

/** Twice as fast as what is the default since 15, on a server that syncs nothing. */
export const FILE_COPY = /\/1[0-4]\/bin/.test(process.env.BACKPLAN_TEST_PG_BIN ?? '')
  ? ''
  : 'STRATEGY file_copy';

/** A name that no other test uses. */
export function uniqueName(prefix: string): string {
  return `${prefix}_${randomBytes(4).toString('hex')}`;
}

/** Creates a database with a unique name and drops it (and everything named after it) at the end of the file. */
export function createDatabase(prefix = 'test', setup = ''): string {
  const name = uniqueName(prefix);
  sql('postgres', `CREATE DATABASE "${name}" TEMPLATE template0 ${FILE_COPY}`);
  if (setup !== '') sql(name, setup);
  afterAll(() => {
    sql(
      'postgres',
      `SELECT format('DROP DATABASE IF EXISTS %I WITH (FORCE)', datname) FROM pg_database WHERE datname LIKE '${name}%' \\gexec`,
    );
  });
  return name;
}

/** A temporary folder that is removed at the end of the file. */
export function temporaryFolder(prefix = 'backplan-test-'): string {
  const folder = mkdtempSync(join(tmpdir(), prefix));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
