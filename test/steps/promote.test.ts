/** What `promote` lets become production. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { checkKinds } from '../../src/checks/index.ts';
import { seal } from '../../src/repository/seal.ts';
import { backup } from '../../src/steps/backup.ts';
import { check } from '../../src/steps/check.ts';
import { promote } from '../../src/steps/promote.ts';
import { restore } from '../../src/steps/restore.ts';
import type { StepContext } from '../../src/steps/step-kind.ts';
import { makeContext } from '../helpers/context.ts';
import { createDatabase, sharedUrl, sql, temporaryFolder } from '../helpers/database.ts';

const BACKUP = {
  database: 'crm',
  repository: 'local',
  fingerprint: 'none',
  format: 'custom',
  lockTimeout: '60s',
};
const PROMOTE = {
  database: 'crm',
  keepPrevious: '1h',
  settings: 'production',
  timeout: '20s',
  allowPartial: false,
};
const RESTORE = { noOwner: false, noPrivileges: false, into: { staging: 'crm' } };

let production: string;
let repositoryFolder: string;

beforeAll(async () => {
  production = createDatabase('promo', 'CREATE TABLE a AS SELECT 1 AS v; CREATE TABLE b AS SELECT 2 AS v');
  repositoryFolder = temporaryFolder();
  await backup.run(BACKUP, context());
  await backup.run({ ...BACKUP, tables: ['a'], label: 'part' }, context());
});

function context(): StepContext {
  const made = makeContext({ databases: { crm: sharedUrl(production) }, repositoryFolder });
  return { ...made, checkKinds: new Map(checkKinds.map((kind) => [kind.kind, kind])) };
}

const tables = () =>
  sql(
    production,
    "SELECT string_agg(relname, ',' ORDER BY relname) FROM pg_class WHERE relname IN ('a', 'b')",
  );

describe('a part of a database', () => {
  it.each([
    ['a restore of some tables', { backup: 'latest', tables: ['a'] }],
    ['a backup of some tables', { backup: 'label:part' }],
  ])('does not become production: %s', async (_what, params) => {
    const run = context();
    const { database } = await restore.run({ ...RESTORE, ...params }, run);
    await expect(promote.run({ ...PROMOTE, staging: database }, run)).rejects.toMatchObject({
      code: 'PROMOTE_REFUSED',
      message: expect.stringContaining('part'),
    });
    expect(tables()).toBe('a,b');
  });

  it('does where the plan says so', async () => {
    const run = context();
    const { database } = await restore.run({ ...RESTORE, backup: 'label:part' }, run);
    await promote.run({ ...PROMOTE, staging: database, allowPartial: true }, run);
    expect(tables()).toBe('a');
    sql(production, 'CREATE TABLE b AS SELECT 2 AS v');
  });
});

it('replaces what a DROP DATABASE that was cut has left of production', async () => {
  const run = context();
  const { database } = await restore.run({ ...RESTORE, backup: 'latest' }, run);
  sql('postgres', `UPDATE pg_database SET datconnlimit = -2 WHERE datname = '${production}'`);
  await promote.run({ ...PROMOTE, staging: database }, run);
  expect(tables()).toBe('a,b');
});

describe('a copy that failed its checks', () => {
  it('does not become production, even where the failure is tolerated, until they pass', async () => {
    const run = context();
    (run.plan.suites as Record<string, unknown>).full = {
      name: 'full',
      extends: [],
      params: {},
      checks: [{ kind: 'rowCount', with: { table: 'a', min: 2 }, severity: 'error' }],
    };
    const { database } = await restore.run({ ...RESTORE, backup: 'latest' }, run);
    const checking = () =>
      check.run({ suite: 'full', database, compareFingerprint: false, timeout: '1m', jobs: 1 }, run);
    await expect(checking()).rejects.toMatchObject({ code: 'CHECKS_FAILED' });
    await expect(promote.run({ ...PROMOTE, staging: database }, run)).rejects.toMatchObject({
      code: 'PROMOTE_REFUSED',
      message: expect.stringContaining('full'),
    });
    sql(run.database(String(database)).connection.database, 'INSERT INTO a VALUES (2)');
    await checking();
    await promote.run({ ...PROMOTE, staging: database }, run);
    expect(sql(production, 'SELECT count(*) FROM a')).toBe('2');
  });
});

it('drops what earlier promotions kept, once its time is over', async () => {
  const kept = () =>
    sql('postgres', `SELECT count(*) FROM pg_database WHERE datname LIKE '${production}_previous%'`);
  const before = Number(kept());
  for (const [keepPrevious, more] of [
    ['1h', 1],
    ['0s', 2],
    ['1h', 2],
  ] as const) {
    const run = context();
    const { database } = await restore.run({ ...RESTORE, backup: 'latest' }, run);
    await promote.run({ ...PROMOTE, keepPrevious, staging: database }, run);
    expect(Number(kept()) - before).toBe(more);
  }
});

it('is not called a failure when it is cancelled after production was replaced', async () => {
  const run = makeContext({ databases: { crm: sharedUrl(production) }, repositoryFolder });
  const { database } = await restore.run({ ...RESTORE, backup: 'latest' }, run);
  const info = (message: string) => {
    run.log.info(message);
    if (message.includes('is replaced')) run.abort();
  };
  const { previous } = await promote.run(
    { ...PROMOTE, staging: database },
    { ...run, log: { ...run.log, info } },
  );
  expect(run.signal.aborted).toBe(true);
  expect(previous).toMatch(/_previous_/);
  expect(run.logged.at(-1)).toMatchObject({ level: 'warn', message: expect.stringContaining('stay') });
});

it('says that backups under one name come from two servers', async () => {
  const run = makeContext({ databases: { crm: sharedUrl(production) }, repositoryFolder: temporaryFolder() });
  const { folder } = (await backup.run(BACKUP, run)) as { folder: string };
  const file = join(run.repositoryFolder, folder, 'manifest.json');
  const manifest = JSON.parse(readFileSync(file, 'utf8'));
  manifest.source.systemIdentifier = '12345';
  writeFileSync(file, JSON.stringify(seal(manifest)));
  await restore.run({ ...RESTORE, backup: 'latest' }, run);
  await backup.run(BACKUP, run);
  const [restored, backedUp, ...more] = run.logged.filter(({ level }) => level === 'warn');
  expect(restored?.message).toMatch(/was taken from another server .*12345/);
  expect(backedUp?.message).toMatch(/backups of crm in local so far were taken from another server .*12345/);
  expect(more).toEqual([]);
  // From then on it is the one server.
  await backup.run(BACKUP, run);
  expect(run.logged.filter(({ level }) => level === 'warn')).toHaveLength(2);
});
