import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { describe, expect, inject, it, vi } from 'vitest';
import { checkKinds } from '../../src/checks/index.ts';
import { type CheckReport, checkReportSchema } from '../../src/checks/report-schema.ts';
import { BackplanError } from '../../src/errors.ts';
import { parseConnection } from '../../src/postgres/connection.ts';
import { PROOFS_FOLDER } from '../../src/repository/layout.ts';
import { isProven, newestProof } from '../../src/repository/manifest.ts';
import { backup } from '../../src/steps/backup.ts';
import { check } from '../../src/steps/check.ts';
import type { DatabaseTarget } from '../../src/steps/step-kind.ts';
import { makeContext, suitesOf } from '../helpers/context.ts';
import { createDatabase, sharedUrl, sql, temporaryFolder } from '../helpers/database.ts';

const source = createDatabase(
  'checkstep',
  `CREATE TABLE "User" (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "Name" text);
   CREATE TABLE "Session" (id int PRIMARY KEY, note text);
   INSERT INTO "User" ("Name") SELECT 'user ' || n FROM generate_series(1, 50) n;
   INSERT INTO "Session" SELECT n, 's' FROM generate_series(1, 5) n;`,
);

const suites = suitesOf({
  good: [
    { kind: 'tables', with: ['User', 'Session'] },
    { kind: 'rowCount', with: { table: 'User', min: 1 } },
  ],
  bad: [
    { kind: 'tables', with: ['User', 'Nope'] },
    { kind: 'rowCount', with: { table: 'User', max: 10 }, shared: { name: 'few users' } },
  ],
  blind: [{ kind: 'sql', with: { query: 'select * from nowhere' } }],
  pages: [{ kind: 'amcheck', with: {} }],
  warns: [
    { kind: 'tables', with: ['User'] },
    { kind: 'rowCount', with: { table: 'User', max: 10 }, shared: { severity: 'warn' } },
  ],
});

const defaults = { compareFingerprint: false, timeout: '5m', jobs: 2 };

/** A context with the suites, a backup in its repository, and a copy of the source made from a dump. */
async function world(fingerprint: 'none' | 'counts' | 'content' = 'content') {
  const base = makeContext({ databases: { crm: sharedUrl(source) } });
  const context = {
    ...base,
    plan: { ...base.plan, suites },
    checkKinds: new Map(checkKinds.map((kind) => [kind.kind, kind])),
  };
  const { id } = await backup.run(
    { database: 'crm', repository: 'local', fingerprint, format: 'custom', lockTimeout: '60s' },
    context,
  );
  const repository = await context.repository('local');
  const find = () => repository.find(String(id));
  const file = join(temporaryFolder(), 'dump');
  const copy = createDatabase('checkcopy');
  const tool = (name: string, args: string[]) => {
    const result = spawnSync(join(inject('cluster').binDirectory, name), args, { encoding: 'utf8' });
    if (result.status !== 0) throw new Error(result.stderr);
  };
  tool('pg_dump', ['-Fc', '-f', file, '-d', sharedUrl(source)]);
  tool('pg_restore', ['-e', '-d', sharedUrl(copy), file]);
  const target: DatabaseTarget = {
    handle: `staging:crm/${copy}`,
    kind: 'staging',
    database: 'crm',
    connection: parseConnection(sharedUrl(copy)),
    restoredFrom: { backup: { repository: 'local', id: String(id) }, whole: true },
  };
  context.addDatabase(target);
  const run = (params: Record<string, unknown>) =>
    check.run({ ...defaults, database: target.handle, ...params }, context);
  return { context, target, copy, id: String(id), find, run };
}

async function error(work: Promise<unknown>): Promise<BackplanError> {
  const caught = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(caught instanceof BackplanError)) throw new Error(`expected a BackplanError, got ${caught}`);
  return caught;
}

const validReport = new Ajv2020({ strict: false }).compile(checkReportSchema);

describe('suites', () => {
  it('puts out counts, reports every check and notes the proof', async () => {
    const { run, context, find, target, id } = await world();
    expect(await run({ suite: 'good' })).toEqual({
      verdict: 'verified',
      passed: 3,
      warned: 0,
      failed: 0,
      errored: 0,
      total: 3,
      summary: '3/3 checks passed',
    });
    const [report] = context.reports as CheckReport[];
    expect(validReport(report), JSON.stringify(validReport.errors)).toBe(true);
    expect(report).toMatchObject({
      kind: 'check',
      suites: ['good'],
      database: target.handle,
      verdict: 'verified',
    });
    expect(newestProof(await find(), 'checked')).toMatchObject({
      passed: true,
      suite: 'good',
      summary: '3/3 checks passed',
      run: context.run.id,
      backup: id,
    });
    expect(newestProof(await find(), 'identical')).toBeUndefined();
    expect(context.progressed.at(-1)).toMatchObject({ done: 3, total: 3, unit: 'checks' });
  });

  it('notes that a part of a suite failed, not that it passed', async () => {
    const { run, find } = await world();
    expect(await run({ suite: 'good', only: ['rows of User ≥ 1'] })).toMatchObject({ passed: 1, total: 1 });
    expect((await find()).proofs).toEqual([]);
    await error(run({ suite: 'bad', only: ['few users'] }));
    expect(newestProof(await find(), 'checked')).toMatchObject({ passed: false, suite: 'bad' });
  });

  it('runs several suites as one', async () => {
    const { run, find } = await world();
    expect((await run({ suite: ['good', 'warns'] })).summary).toBe('4/5 passed, 1 warned');
    expect(newestProof(await find(), 'checked')).toMatchObject({ passed: true, suite: 'good, warns' });
  });

  it('fails with the first failures in the message, all in the detail, and notes that too', async () => {
    const { run, context, find } = await world();
    const failed = await error(run({ suite: 'bad' }));
    expect(failed).toMatchObject({ code: 'CHECKS_FAILED', exitCode: 3 });
    expect(failed.message).toBe(
      '1/3 passed, 2 failed: table Nope: table "Nope" does not exist; few users: "User" has 50 rows, expected at most 10',
    );
    expect(failed.detail).toContain('failed: few users');
    expect((context.reports[0] as CheckReport).verdict).toBe('rejected');
    expect(newestProof(await find(), 'checked')).toMatchObject({
      passed: false,
      summary: '1/3 passed, 2 failed',
    });
    expect(isProven(await find())).toBe(false);
  });

  it('is inconclusive when it could not look, and notes nothing', async () => {
    const { run, find } = await world();
    // What this server lacks says nothing of the data.
    expect(await error(run({ suite: ['good', 'pages'] }))).toMatchObject({
      code: 'CHECKS_ENVIRONMENT',
      exitCode: 6,
    });
    const failed = await error(run({ suite: ['good', 'blind'] }));
    expect(failed).toMatchObject({ code: 'CHECKS_INCONCLUSIVE', exitCode: 5 });
    expect(failed.message).toContain('relation "nowhere" does not exist');
    expect((await find()).proofs).toEqual([]);
  });

  it('tolerates by name and warns of names that no check has', async () => {
    const { run, context } = await world();
    const outputs = await run({ suite: 'bad', tolerate: ['few users', 'table Nope', 'table Nopee'] });
    expect(outputs).toMatchObject({ verdict: 'verifiedWithWarnings', warned: 2, failed: 0 });
    expect(context.logged).toContainEqual({
      level: 'warn',
      message: 'tolerate names "table Nopee", but no check is called so',
    });
  });

  it('notes nothing of copies that are partial, written to, or of no backup', async () => {
    const { run, find, target, context } = await world();
    context.addDatabase({ ...target, modified: true });
    await run({ suite: 'good', compareFingerprint: true });
    context.addDatabase({ ...target, restoredFrom: { backup: target.restoredFrom?.backup, whole: false } });
    await run({ suite: 'good', compareFingerprint: true });
    context.addDatabase({ ...target, restoredFrom: { whole: true } });
    await run({ suite: 'good' });
    await run({ suite: 'good', database: 'crm' });
    expect((await find()).proofs).toEqual([]);
  });

  it('refuses a suite that the plan does not have', async () => {
    const { run } = await world();
    expect((await error(run({ suite: 'goood' }))).message).toBe('there is no suite "goood"');
  });

  it('stops when the step is cancelled', async () => {
    const { run, context } = await world();
    Object.assign(
      context.plan.suites,
      suitesOf({ slow: [{ kind: 'sql', with: { query: 'select pg_sleep(60)' } }] }),
    );
    const running = run({ suite: 'slow', compareFingerprint: true });
    setTimeout(() => context.abort(new BackplanError('CANCELLED', 'stop')), 200);
    expect(await error(running)).toMatchObject({ code: 'CANCELLED', message: 'stop' });
    delete context.plan.suites.slow;
  });
});

describe('compareFingerprint', () => {
  it('is one more passed check and proves the copy identical', async () => {
    const { run, find, id } = await world();
    expect(await run({ suite: 'good', compareFingerprint: true })).toMatchObject({
      summary: '4/4 checks passed',
    });
    expect(newestProof(await find(), 'identical')).toMatchObject({
      passed: true,
      summary: `content of 2 tables, 1 sequences and 14 objects of the schema as in ${id}`,
    });
  });

  it('makes every difference a failed check', async () => {
    const { run, find, copy, context } = await world();
    sql(
      copy,
      `UPDATE "User" SET "Name" = 'USER 7' WHERE id = 7; DELETE FROM "Session" WHERE id = 1; CREATE TABLE extra ()`,
    );
    const failed = await error(run({ suite: 'good', compareFingerprint: true }));
    expect(failed).toMatchObject({ code: 'CHECKS_FAILED' });
    expect(failed.message).toBe(
      '3/6 passed, 3 failed: compareFingerprint "Session": "Session" has 4 rows, 5 in the backup: 1 missing (1 row: "id" 1); ' +
        'compareFingerprint "User": the content of "User"."Name" differs (1 row: "id" 7); compareFingerprint "extra": table "extra" is not in the backup',
    );
    expect(validReport(context.reports[0]), JSON.stringify(validReport.errors)).toBe(true);
    expect(newestProof(await find(), 'identical')?.passed).toBe(false);
    // The suite itself passed, and that is what was checked.
    expect(newestProof(await find(), 'checked')?.passed).toBe(true);
    expect(isProven(await find())).toBe(false);
  });

  it('leaves out what may differ, and then proves nothing', async () => {
    const { run, find, copy } = await world();
    sql(copy, 'DELETE FROM "Session"');
    const outputs = await run({ suite: 'good', compareFingerprint: { except: ['Session'] } });
    expect(outputs.summary).toBe('4/4 checks passed');
    expect(newestProof(await find(), 'identical')).toBeUndefined();
    const tolerated = await run({
      suite: 'good',
      compareFingerprint: true,
      tolerate: ['compareFingerprint "Session"'],
    });
    expect(tolerated).toMatchObject({ verdict: 'verifiedWithWarnings', warned: 1 });
    expect(newestProof(await find(), 'identical')).toBeUndefined();
  });

  it('does not call equal row counts identical', async () => {
    const { run, find, context } = await world('counts');
    await run({ suite: 'good', compareFingerprint: true });
    const report = context.reports[0] as CheckReport;
    expect(report.results.at(-1)?.message).toContain(
      'row counts of 2 tables, 1 sequences and 14 objects of the schema as in',
    );
    expect(newestProof(await find(), 'identical')).toBeUndefined();
  });

  it('compares with the archive itself where the backup has no fingerprint, and proves nothing', async () => {
    const { run, find, copy, context } = await world('none');
    const passed = await run({ suite: 'good', compareFingerprint: true });
    expect(passed).toMatchObject({ verdict: 'verified', total: 4 });
    const report = context.reports.at(-1) as CheckReport;
    expect(report.results.at(-1)?.message).toContain(
      '55 rows of 2 tables and 1 sequences as in the archive of backup',
    );
    expect(newestProof(await find(), 'identical')).toBeUndefined();
    sql(copy, `UPDATE "User" SET "Name" = 'User 1' WHERE id = 1; DELETE FROM "Session" WHERE id = 1`);
    const failed = await error(run({ suite: 'good', compareFingerprint: { except: ['Session'] } }));
    expect(failed.code).toBe('CHECKS_FAILED');
    expect(failed.message).toContain('the content of "User"."Name" differs from the archive (1 row: "id" 1)');
    expect(failed.detail).toContain('the restore lost it');
    expect(failed.detail).not.toContain('Session');
    const { results } = context.reports.at(-1) as CheckReport;
    expect(results.find(({ status }) => status === 'failed')).toMatchObject({
      count: 1,
      samples: [{ id: '1', row: 'changed' }],
    });
  });

  it('compares with an archive from elsewhere, whatever it is packed in', async () => {
    const { run, target, context, copy } = await world('none');
    const archive = join(temporaryFolder(), 'foreign.sql');
    const pgDump = join(inject('cluster').binDirectory, 'pg_dump');
    expect(spawnSync(pgDump, ['-f', archive, '-d', sharedUrl(source)]).status).toBe(0);
    context.addDatabase({ ...target, restoredFrom: { archive, whole: true } });
    expect(await run({ suite: 'good', compareFingerprint: true })).toMatchObject({ verdict: 'verified' });
    sql(
      copy,
      'DELETE FROM "Session" WHERE id IN (2, 4); UPDATE "User" SET "Name" = NULL WHERE id BETWEEN 9 AND 40',
    );
    const { message } = await error(run({ suite: 'good', compareFingerprint: true }));
    expect(message).toContain('"Session" has 3 rows, 5 in the archive: 2 missing (2 rows: "id" 2 to 4)');
    expect(message).toContain(
      'the content of "User"."Name" differs from the archive (32 rows: "id" 9 to 40)',
    );
  });

  it('says whether the backup or the restore is at fault', async () => {
    const { run, copy, find, context, id } = await world();
    sql(copy, 'DELETE FROM "Session" WHERE id = 1');
    const restore = await error(run({ suite: 'good', compareFingerprint: true }));
    expect(restore.detail).toContain('the restore lost it');
    sql(copy, `INSERT INTO "Session" VALUES (1, 's')`);
    // A fingerprint that says something else than the archive that was made beside it.
    const { manifest } = await find();
    const lying = structuredClone(manifest);
    const session = lying.fingerprint.tables.find(({ table }) => table === 'Session');
    if (session !== undefined) session.rows += 1;
    const repository = await context.repository('local');
    const find2 = repository.find.bind(repository);
    const spy = vi
      .spyOn(repository, 'find')
      .mockImplementation(async (...args) => ({ ...(await find2(...args)), manifest: lying }));
    const backup = await error(run({ suite: 'good', compareFingerprint: true }));
    spy.mockRestore();
    expect(backup.message).toContain('"Session" has 5 rows, 6 in the backup: 1 missing');
    expect(backup.detail).toContain('the backup is not what its source was');
    expect(newestProof(await find(), 'identical')).toMatchObject({ passed: false, backup: id });
  });

  it('is inconclusive when nothing says which backup, or when that is gone', async () => {
    const { run, target, context } = await world();
    expect(
      (await error(run({ suite: 'good', database: 'crm', compareFingerprint: true }))).message,
    ).toContain('nothing says which backup to compare the database with');
    context.addDatabase({
      ...target,
      restoredFrom: { backup: { repository: 'local', id: 'crm-gone' }, whole: true },
    });
    expect(await error(run({ suite: 'good', compareFingerprint: true }))).toMatchObject({
      code: 'CHECKS_INCONCLUSIVE',
    });
  });

  it('compares production with a backup that is named', async () => {
    const { run, id, find } = await world();
    for (const named of ['latest', id, `local:${id}`, id.slice(0, -2)]) {
      const outputs = await run({ suite: 'good', database: 'crm', compareFingerprint: true, backup: named });
      expect(outputs.summary).toBe('4/4 checks passed');
    }
    expect((await find()).proofs).toEqual([]);
  });

  it('skips what a partial restore left out', async () => {
    const { run, copy, target, context } = await world();
    sql(copy, 'DROP TABLE "Session"');
    context.addDatabase({ ...target, restoredFrom: { backup: target.restoredFrom?.backup, whole: false } });
    Object.assign(context.plan.suites, suitesOf({ user: [{ kind: 'tables', with: ['User'] }] }));
    const outputs = await run({ suite: 'user', compareFingerprint: true });
    expect(outputs).toMatchObject({ verdict: 'verified', summary: '2/3 passed, 1 skipped' });
    delete context.plan.suites.user;
  });

  it('does not fail where the repository cannot be written to', async () => {
    const { context, run, find } = await world();
    // A file where the folder of proofs belongs: root may write everywhere, but not into a file.
    writeFileSync(join(context.repositoryFolder, (await find()).folder, PROOFS_FOLDER), '');
    const outputs = await run({ suite: 'good' });
    expect(outputs.verdict).toBe('verified');
    expect(context.logged.at(-2)).toMatchObject({
      level: 'warn',
      message: expect.stringContaining('could not be noted beside it'),
    });
    expect((await find()).proofs).toEqual([]);
  });
});
