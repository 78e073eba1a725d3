/** What backplan drops is what it made: never a database that a person made or named, whatever its mark once said. */
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import { createApp } from '../../src/app.ts';
import { adopt } from '../../src/cli/adopt.ts';
import { literal } from '../../src/postgres/client.ts';
import { openJournal } from '../../src/runs/store.ts';
import { backup } from '../../src/steps/backup.ts';
import { drop } from '../../src/steps/drop.ts';
import { promote } from '../../src/steps/promote.ts';
import { restore } from '../../src/steps/restore.ts';
import { rollback } from '../../src/steps/rollback.ts';
import { makeContext, type TestContext } from '../helpers/context.ts';
import { createDatabase, sharedUrl, sql, temporaryFolder, uniqueName } from '../helpers/database.ts';

const BACKUP = {
  database: 'crm',
  repository: 'local',
  fingerprint: 'none',
  format: 'custom',
  lockTimeout: '60s',
};
const PROMOTE = { database: 'crm', keepPrevious: '1s', settings: 'production', timeout: '20s' };
const RESTORE = { backup: 'latest', noOwner: false, noPrivileges: false };

let production: string;
let repositoryFolder: string;

const context = (): TestContext =>
  makeContext({ databases: { crm: sharedUrl(production) }, repositoryFolder });
const names = (like: string) =>
  sql(
    'postgres',
    `SELECT datname FROM pg_database WHERE datname LIKE ${literal(`${like}%`)} ORDER BY 1`,
  ).split('\n');

beforeAll(async () => {
  production = createDatabase(
    'own',
    `CREATE TABLE t (v int); INSERT INTO t SELECT generate_series(1, 1000);
     CREATE MATERIALIZED VIEW mark AS SELECT pg_catalog.shobj_description(oid, 'pg_database') AS mark
       FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()`,
  );
  repositoryFolder = temporaryFolder();
  await backup.run(BACKUP, context());
});

async function promoted(): Promise<string> {
  const run = context();
  const { database } = await restore.run({ ...RESTORE, into: { staging: 'crm' } }, run);
  const { previous } = await promote.run({ ...PROMOTE, staging: database }, run);
  return String(previous);
}

describe('a previous database that a person renamed back by hand', () => {
  it('is production: it is neither dropped when its time is over nor offered for a rollback', async () => {
    const previous = await promoted();
    const bad = `${production}_bad`;
    sql(
      'postgres',
      `ALTER DATABASE "${production}" RENAME TO "${bad}"; ALTER DATABASE "${previous}" RENAME TO "${production}"`,
    );
    await sleep(1100);
    const outputs = await drop.run({ previous: 'crm', all: true }, context());
    expect(names(production)).toContain(production);
    expect(outputs).toEqual({ dropped: [] });
    await expect(
      rollback.run({ database: 'crm', keepPrevious: '1h', timeout: '5s' }, context()),
    ).rejects.toMatchObject({ code: 'DATABASE_MISSING' });
    // The next promotion does not hand the old mark on to what is production then.
    const next = await promoted();
    expect(
      sql(
        'postgres',
        `SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = '${production}'`,
      ),
    ).toBe('');
    expect(names(production)).toContain(next);
    expect(await drop.run({ previous: 'crm', all: true }, context())).toEqual({ dropped: [next] });
    sql('postgres', `DROP DATABASE "${bad}"`);
  });

  it('a staging database that a person made production is not dropped as one', async () => {
    const run = context();
    const { name } = await restore.run({ ...RESTORE, into: { staging: 'crm' } }, run);
    const bad = `${production}_bad`;
    sql(
      'postgres',
      `ALTER DATABASE "${production}" RENAME TO "${bad}"; ALTER DATABASE "${name}" RENAME TO "${production}"`,
    );
    await expect(adopt.run({ database: 'crm', name: production }, context())).rejects.toMatchObject({
      code: 'DATABASE_MISSING',
    });
    sql('postgres', `COMMENT ON DATABASE "${production}" IS NULL; DROP DATABASE "${bad}"`);
  });
});

describe('a restore that fails', () => {
  it('leaves a database alone that somebody made meanwhile under the same name', async () => {
    const name = `${production}_copy`;
    const run = context();
    const own = run.own.bind(run);
    const racing: TestContext = {
      ...run,
      own: (thing) => {
        const owned = own(thing);
        // Somebody restores by hand just now.
        if (thing.kind === 'stagingDatabase') {
          sql('postgres', `CREATE DATABASE "${name}"`);
          sql(name, 'CREATE TABLE precious AS SELECT 1 AS v');
        }
        return owned;
      },
    };
    await expect(restore.run({ ...RESTORE, into: { database: name } }, racing)).rejects.toMatchObject({
      code: 'RESTORE_FAILED',
    });
    expect(sql(name, 'SELECT v FROM precious')).toBe('1');
  });
});

describe('a restore that has not come to its end', () => {
  it('is no staging database that can be promoted', async () => {
    const run = context();
    const { name } = await restore.run({ ...RESTORE, into: { staging: 'crm' } }, run);
    const now = sql(
      'postgres',
      `SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = '${name}'`,
    );
    expect(now).toContain('"stagingFor"');
    // The view was filled by the restore itself.
    expect(sql(String(name), 'SELECT mark FROM mark')).toMatch(/^backplan:\{"filling"/);
    const half = `${production}_staging_half`;
    sql(
      'postgres',
      `CREATE DATABASE "${half}"; COMMENT ON DATABASE "${half}" IS 'backplan:{"filling":"${half}","run":"r"}'`,
    );
    await expect(adopt.run({ database: 'crm', name: half }, context())).rejects.toMatchObject({
      code: 'DATABASE_MISSING',
    });
  });
});

describe('recovery', () => {
  const RUN = {
    planFile: '/plan.yaml',
    job: 'j',
    status: 'failed',
    trigger: 'manual',
    inputs: {},
    startedAt: '2026-01-01T00:00:00Z',
    endedAt: '2026-01-01T00:00:01Z',
    host: 'h',
    pid: 1,
    steps: [],
  } as const;

  async function recovered(plan: string, run: string, name: string) {
    const journal = await openJournal(temporaryFolder());
    journal.startRun({ ...RUN, id: run, plan });
    journal.own(run, { kind: 'stagingDatabase', database: 'crm', name });
    journal.finishRun({ ...RUN, id: run, plan });
    const report = await createApp().recover(context().plan, journal);
    const open = journal.orphans().length;
    journal.close();
    return { report, open };
  }

  it('leaves a database alone that a person made under the name that a dead run was to use', async () => {
    const name = `${production}_byhand`;
    sql('postgres', `CREATE DATABASE "${name}"`);
    sql(name, 'CREATE TABLE precious AS SELECT 1 AS v');
    await recovered('test-plan', uniqueName('r'), name);
    expect(sql(name, 'SELECT v FROM precious')).toBe('1');
  });

  it('touches nothing on the server of another plan, and leaves it to that plan', async () => {
    const { name } = await restore.run({ ...RESTORE, into: { staging: 'crm' } }, context());
    const { report, open } = await recovered('another-plan', uniqueName('r'), String(name));
    expect(names(production)).toContain(name);
    expect(report.left).toHaveLength(1);
    expect(open).toBe(1);
  });
});
