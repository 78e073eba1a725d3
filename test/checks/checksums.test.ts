/** checksums on a server that has them and on one that has not: on, off, a damaged page, no right to look. */
import { spawnSync } from 'node:child_process';
import { closeSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import type { CheckResult } from '../../src/checks/check-kind.ts';
import { runSuite } from '../../src/checks/suite.ts';
import { parseConnection } from '../../src/postgres/connection.ts';
import { startCluster, unprivileged } from '../helpers/cluster.ts';
import { FILE_COPY } from '../helpers/database.ts';
import { kinds } from './fixture.ts';

const server = startCluster();
afterAll(() => server.remove());

async function look(
  database = 'postgres',
  options: { user?: string; sandbox?: boolean } = {},
): Promise<{ result: CheckResult | undefined; verdict: string }> {
  const { results, verdict } = await runSuite({
    connection: parseConnection(server.url(database, options.user)),
    definitions: [
      { kind: 'checksums', with: {} },
      { kind: 'sql', with: { query: 'select 1', expect: { value: 1 } } },
    ],
    kinds,
    signal: new AbortController().signal,
    ...(options.sandbox === undefined ? {} : { sandbox: options.sandbox }),
  });
  return { result: results[0], verdict };
}

/** Switches checksums of the stopped server. Source: https://www.postgresql.org/docs/current/app-pgchecksums.html */
function turn(word: 'enable' | 'disable'): void {
  const on = server.psql('postgres', 'SHOW data_checksums') === 'on';
  if (on === (word === 'enable')) return;
  server.stop();
  const tool = join(server.binDirectory, 'pg_checksums');
  const { status, stderr } = spawnSync(tool, [`--${word}`, '-D', server.dataDirectory], {
    ...unprivileged(),
    cwd: '/',
    encoding: 'utf8',
  });
  expect(status, stderr).toBe(0);
  server.start();
}

it('checksums', { timeout: 60_000 }, async () => {
  turn('disable');
  expect((await look()).result).toMatchObject({
    status: 'failed',
    message: 'page checksums are off: a damaged page would be read as if it were whole',
  });
  // How a sandbox was made says nothing of the data in it, and must not hold up its proof.
  expect(await look('postgres', { sandbox: true })).toMatchObject({
    verdict: 'verified',
    result: {
      status: 'skipped',
      severity: 'warn',
      message: expect.stringContaining('does not apply to a sandbox'),
    },
  });
  turn('enable');
  expect(await look()).toMatchObject({ result: { status: 'passed' }, verdict: 'verified' });

  server.psql(
    'postgres',
    'CREATE ROLE "blind one" LOGIN; REVOKE SELECT ON pg_catalog.pg_stat_database FROM PUBLIC',
  );
  expect(await look('postgres', { user: encodeURIComponent('blind one') })).toMatchObject({
    verdict: 'inconclusive',
    result: {
      status: 'errored',
      error: expect.stringContaining('permission denied for view pg_stat_database'),
    },
  });

  server.psql('postgres', 'CREATE DATABASE "Who le"');
  server.psql('Who le', 'CREATE TABLE "Ta ble" AS SELECT n FROM generate_series(1, 1000) n; CHECKPOINT');
  // A copy of files: no page of it is in memory yet.
  server.psql('postgres', `CREATE DATABASE "Da mage" TEMPLATE "Who le" ${FILE_COPY}`);
  const [oid, node] = [
    server.psql('postgres', `SELECT oid FROM pg_database WHERE datname = 'Da mage'`),
    server.psql('Who le', `SELECT pg_relation_filenode('"Ta ble"')`),
  ];
  const file = openSync(join(server.dataDirectory, 'base', oid, node), 'r+');
  writeSync(file, 'rubbish', 5000);
  closeSync(file);
  expect(() => server.psql('Da mage', 'SELECT count(*) FROM "Ta ble"')).toThrow('invalid page');
  await expect
    .poll(async () => (await look('Da mage')).result, { timeout: 10_000 })
    .toMatchObject({
      status: 'failed',
      message: expect.stringMatching(/^1 page failed the checksum, the last at /),
    });
  expect((await look('Who le')).result?.status).toBe('passed');
});
