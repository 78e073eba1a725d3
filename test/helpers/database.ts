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

/** A name that no other test uses. */
export function uniqueName(prefix: string): string {
  return `${prefix}_${randomBytes(4).toString('hex')}`;
}

/** Creates a database with a unique name and drops it (and everything named after it) at the end of the file. */
export function createDatabase(prefix = 'test', setup = ''): string {
  const name = uniqueName(prefix);
  sql('postgres', `CREATE DATABASE "${name}" TEMPLATE template0`);
  if (setup !== '') sql(name, setup);
  afterAll(() => {
    const names = sql('postgres', `SELECT datname FROM pg_database WHERE datname LIKE '${name}%'`);
    for (const each of names.split('\n').filter((line) => line !== '')) {
      sql('postgres', `DROP DATABASE IF EXISTS "${each.replaceAll('"', '""')}" WITH (FORCE)`);
    }
  });
  return name;
}

/** A temporary folder that is removed at the end of the file. */
export function temporaryFolder(prefix = 'backplan-test-'): string {
  const folder = mkdtempSync(join(tmpdir(), prefix));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
