import { execFileSync } from 'node:child_process';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { BackplanError } from '../../src/errors.ts';
import { backup } from '../../src/steps/backup.ts';
import { preflight } from '../../src/steps/preflight.ts';
import { restore } from '../../src/steps/restore.ts';
import { startCluster, type TestCluster } from '../helpers/cluster.ts';
import { makeContext, type TestContext } from '../helpers/context.ts';
import { createDatabase, sharedUrl, sql, temporaryFolder } from '../helpers/database.ts';
import { dumpText } from '../helpers/dump-text.ts';

const BACKUP = {
  database: 'crm',
  repository: 'local',
  fingerprint: 'counts',
  format: 'custom',
  lockTimeout: '60s',
};
const RESTORE = { noOwner: false, noPrivileges: false };

const SCHEMA = `
DO $$ BEGIN CREATE ROLE fault_owner; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
CREATE TABLE "Tenant" (id int PRIMARY KEY, name text); ALTER TABLE "Tenant" OWNER TO fault_owner;
CREATE TABLE big (id int PRIMARY KEY, "tenantId" int REFERENCES "Tenant", pad text);
INSERT INTO "Tenant" SELECT g, 'tenant ' || g FROM generate_series(1, 100) g;
INSERT INTO big SELECT g, 1 + g % 100, repeat(md5(g::text), 20) FROM generate_series(1, 60000) g;
CREATE INDEX ON big (pad);
GRANT SELECT ON big TO fault_owner;`;

let source: string;
let repositoryFolder: string;
let other: TestCluster;

beforeAll(async () => {
  source = createDatabase('fault', SCHEMA);
  repositoryFolder = temporaryFolder();
  await backup.run(BACKUP, makeContext({ databases: { crm: sharedUrl(source) }, repositoryFolder }));
  other = startCluster({ hba: 'local all restorer scram-sha-256\nlocal all all trust\n' });
});
afterAll(() => other.remove());

/** The plan's database is on the other server: disaster recovery onto a fresh machine. */
function elsewhere(url = other.url('crm'), settings = {}): TestContext {
  return makeContext({ databases: { crm: url }, repositoryFolder, settings });
}

async function failing(context: TestContext, params: Record<string, unknown>): Promise<BackplanError> {
  const failure = await restore.run({ backup: 'latest', ...RESTORE, ...params }, context).then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(failure).toBeInstanceOf(BackplanError);
  expect(context.owned()).toEqual([]);
  return failure as BackplanError;
}

async function proofs(): Promise<boolean[]> {
  const repository = await elsewhere().repository('local');
  return (await repository.backups('crm')).flatMap((each) => each.proofs.map(({ passed }) => passed));
}

function databases(): string {
  return other.psql('postgres', "SELECT datname FROM pg_database WHERE datname LIKE 'crm%' ORDER BY 1");
}

test('roles that the server lacks are named before anything is made; without owners and grants it works', async () => {
  const error = await failing(elsewhere(), { into: { staging: 'crm' } });
  expect(error).toMatchObject({ code: 'ROLE_MISSING', message: expect.stringContaining('"fault_owner"') });
  expect(databases()).toBe('');
  expect(await proofs()).toEqual([]);
  const context = elsewhere();
  const outputs = await restore.run(
    { backup: 'latest', into: { staging: 'crm' }, noOwner: true, noPrivileges: true },
    context,
  );
  const args = ['--no-owner', '--no-privileges'];
  expect(dumpText(other.url(String(outputs.name)), args)).toBe(dumpText(sharedUrl(source), args));
  expect(databases()).toBe(outputs.name);
  other.psql('postgres', `DROP DATABASE "${outputs.name}"`);
});

test('preflight says the same without failing, also where production is gone', async () => {
  const context = elsewhere();
  const outputs = await preflight.run({ database: 'crm', backup: 'latest', strict: false }, context);
  expect(outputs.serverVersion).toMatch(/^\d+\./);
  expect(outputs.freeBytes).toBeGreaterThan(0);
  expect(outputs.warnings).toEqual(
    expect.arrayContaining([expect.stringContaining('crm'), expect.stringContaining('fault_owner')]),
  );
  await expect(
    preflight.run({ database: 'crm', backup: 'latest', strict: true }, elsewhere()),
  ).rejects.toMatchObject({ code: 'STEP_FAILED' });
  await expect(preflight.run({ database: 'crm', strict: false }, elsewhere())).rejects.toMatchObject({
    code: 'CONNECTION_FAILED',
  });
});

test('a role that may only create databases', async () => {
  other.psql('postgres', 'CREATE ROLE plain LOGIN CREATEDB');
  const url = other.url('crm', 'plain');
  const context = elsewhere(url);
  const outputs = await restore.run(
    { backup: 'latest', into: { staging: 'crm' }, noOwner: true, noPrivileges: true },
    context,
  );
  expect(other.psql(String(outputs.name), 'SELECT count(*) FROM big')).toBe('60000');
  other.psql('postgres', `DROP DATABASE "${outputs.name}"`);
  const unable = other.url('crm', 'unable');
  other.psql('postgres', 'CREATE ROLE unable LOGIN');
  expect(
    await failing(elsewhere(unable), { into: { staging: 'crm' }, noOwner: true, noPrivileges: true }),
  ).toMatchObject({ code: 'PERMISSION_DENIED', hint: expect.stringContaining('CREATEDB') });
  await expect(
    preflight.run({ database: 'crm', backup: 'latest', strict: false }, elsewhere(unable)),
  ).rejects.toMatchObject({ code: 'PERMISSION_DENIED', hint: expect.stringContaining('CREATEDB') });
});

test('a wrong password fails at once and is not shown', async () => {
  other.psql('postgres', "CREATE ROLE restorer LOGIN CREATEDB PASSWORD 'right'");
  const url = other.url('postgres', 'restorer').replace('restorer@', 'restorer:wr0ng-pass@');
  const error = await failing(elsewhere(url), { into: { staging: 'crm' } });
  expect(error).toMatchObject({ code: 'CONNECTION_FAILED', hint: expect.stringContaining('password') });
  expect(JSON.stringify(error.toRecord())).not.toContain('wr0ng-pass');
  const right = elsewhere(url.replace('wr0ng-pass', 'right'));
  const outputs = await restore.run(
    { backup: 'latest', into: { staging: 'crm' }, noOwner: true, noPrivileges: true },
    right,
  );
  expect(outputs.tables).toBe(2);
  other.psql('postgres', `DROP DATABASE "${outputs.name}"`);
});

test('a server that stops in the middle: said as such, nothing proven, nothing left after recovery', async () => {
  other.psql('postgres', 'CREATE ROLE fault_owner');
  const context = elsewhere();
  let stopped = false;
  const watched: TestContext = {
    ...context,
    progress: ({ note }) => {
      if (stopped || note !== 'restoring') return;
      stopped = true;
      other.stop('immediate');
    },
  };
  const failure = await restore.run({ backup: 'latest', into: { staging: 'crm' }, ...RESTORE }, watched).then(
    (outputs) => outputs,
    (error: unknown) => error,
  );
  if (!stopped) {
    // Restored before the first look at its size: then it has to be whole.
    expect(failure).toMatchObject({ tables: 2 });
    other.psql('postgres', `DROP DATABASE "${(failure as { name: string }).name}"`);
    return;
  }
  expect(failure).toMatchObject({ code: 'CONNECTION_FAILED', transient: true });
  expect((await proofs()).every((passed) => passed)).toBe(true);
  other.start();
});

test('cancelled in the middle: the copy and all processes are gone', async () => {
  const context = makeContext({ databases: { crm: sharedUrl(source) }, repositoryFolder });
  const watched: TestContext = {
    ...context,
    own: (thing) => {
      // The name is written down just before the database is made.
      if (thing.kind === 'stagingDatabase') {
        setTimeout(() => context.abort(new BackplanError('CANCELLED', 'enough')), 400);
      }
      return context.own(thing);
    },
  };
  expect((await failing(watched, { into: { staging: 'crm' } })).code).toBe('CANCELLED');
  expect(sql('postgres', `SELECT datname FROM pg_database WHERE datname LIKE '${source}_staging%'`)).toBe('');
});

test('rows that break a constraint: the backup is shown to be bad', async () => {
  const name = createDatabase(
    'orphans',
    'CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE c (p int REFERENCES p); INSERT INTO p VALUES (1); INSERT INTO c VALUES (1)',
  );
  sql(
    name,
    "SET session_replication_role = replica; DELETE FROM p; UPDATE pg_constraint SET convalidated = true WHERE conname = 'c_p_fkey'",
  );
  const context = makeContext({ databases: { crm: sharedUrl(name) } });
  await backup.run(BACKUP, context);
  const error = await failing(context, { into: 'sandbox' });
  expect(error).toMatchObject({
    code: 'RESTORE_FAILED',
    message: expect.stringContaining('ADD CONSTRAINT c_p_fkey'),
  });
  const [found] = await (await context.repository('local')).backups('crm');
  expect(found?.proofs).toMatchObject([{ kind: 'restored', passed: false }]);
});

test('an extension that the target lacks is named with its package', async () => {
  const folder = temporaryFolder();
  const path = join(folder, 'needs.sql');
  writeFileSync(path, 'CREATE EXTENSION vector;\nCREATE TABLE t (a int);\n');
  const error = await failing(elsewhere(), { backup: undefined, path, into: 'sandbox' });
  expect(error).toMatchObject({
    code: 'EXTENSION_MISSING',
    exitCode: 6,
    hint: expect.stringMatching(/postgresql-\d+-pgvector/),
  });
});

test('no room: said before anything is read', async () => {
  const folder = temporaryFolder();
  const mount = join(folder, 'small');
  execFileSync('mkdir', [mount]);
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', mount]);
  } catch {
    // Only root can mount; elsewhere the check is covered by its own arithmetic.
    return;
  }
  try {
    const error = await failing(elsewhere(undefined, { scratchDirectory: mount }), {
      into: { staging: 'crm' },
    });
    expect(error).toMatchObject({ code: 'DISK_SPACE', message: expect.stringContaining(mount) });
    expect(readdirSync(mount)).toEqual([]);
  } finally {
    execFileSync('umount', [mount]);
  }
});
