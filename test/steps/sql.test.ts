import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { BackplanError } from '../../src/errors.ts';
import type { Plan } from '../../src/plan/model.ts';
import { parseConnection } from '../../src/postgres/connection.ts';
import { sql as step } from '../../src/steps/sql.ts';
import type { DatabaseTarget } from '../../src/steps/step-kind.ts';
import { makeContext } from '../helpers/context.ts';
import { createDatabase, sharedUrl, sql } from '../helpers/database.ts';

const database = createDatabase('sqlstep', 'CREATE TABLE "User" (id int PRIMARY KEY, "eMail" text)');
const context = makeContext({ databases: { crm: sharedUrl(database) } });

function copyTarget(): DatabaseTarget {
  return context.addDatabase({
    handle: 'sandbox:rehearse/crm',
    kind: 'sandbox',
    connection: parseConnection(sharedUrl(database)),
    restoredFrom: { whole: true },
  });
}

const run = (params: Record<string, unknown>) =>
  step.run({ database: 'crm', transaction: true, ...params }, context);
const users = () => sql(database, 'SELECT count(*) FROM "User"');

async function error(work: Promise<unknown>): Promise<BackplanError> {
  const caught = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(caught instanceof BackplanError)) throw new Error(`expected a BackplanError, got ${caught}`);
  return caught;
}

describe('sql', () => {
  it('puts out the rows of the last statement as plain values', async () => {
    const query = `INSERT INTO "User" VALUES (1, 'a'), (2, 'b');
      SELECT count(*) AS n, timestamptz '2026-01-01Z' AS at, '\\x00'::bytea AS b, NULL AS nothing FROM "User"`;
    expect(await run({ query })).toEqual({
      rows: 1,
      first: { n: '2', at: '2026-01-01T00:00:00.000Z', b: '\\x00', nothing: null },
      value: '2',
    });
    expect(users()).toBe('2');
    expect(await run({ query: 'SELECT 1 WHERE false' })).toEqual({ rows: 0, first: null, value: null });
    expect(await run({ query: 'SELECT true AS ok, 1' })).toMatchObject({ rows: 1, value: true });
  });

  it('reads a file relative to the plan', async () => {
    mkdirSync(join(context.baseDirectory, 'sql'), { recursive: true });
    writeFileSync(join(context.baseDirectory, 'sql', 'two.sql'), 'SELECT 1;\n-- two\nSELECT 2 AS n;\n');
    expect(await run({ file: './sql/two.sql' })).toMatchObject({ first: { n: 2 } });
    expect(await run({ file: join(context.baseDirectory, 'sql', 'two.sql') })).toMatchObject({
      first: { n: 2 },
    });
    expect(await error(run({ file: 'nope.sql' }))).toMatchObject({
      code: 'INPUT_INVALID',
      message: expect.stringContaining('cannot read nope.sql: ENOENT'),
    });
  });

  it('undoes everything when one statement fails, and says where', async () => {
    const before = users();
    writeFileSync(
      join(context.baseDirectory, 'bad.sql'),
      'INSERT INTO "User" VALUES (99);\n-- 🎉 é\n  SELECT nope FROM "User";',
    );
    const failed = await error(run({ file: 'bad.sql' }));
    expect(failed).toMatchObject({ code: 'QUERY_FAILED' });
    expect(failed.message).toContain('bad.sql:3:10: column "nope" does not exist');
    expect(users()).toBe(before);
    expect((await error(run({ query: 'SELECT 1,\nFROM x' }))).message).toContain('query:2:1: syntax error');
    expect((await error(run({ query: 'INSERT INTO "User" VALUES (1)' }))).message).toContain(
      'duplicate key value',
    );
  });

  it('undoes everything when the number of rows is not as expected', async () => {
    const before = users();
    const query = 'INSERT INTO "User" SELECT generate_series(200, 204) RETURNING id';
    for (const [expectRows, message] of [
      [4, 'returned 5 rows, expected 4'],
      [{ min: 6 }, 'expected at least 6'],
      [{ min: 1, max: 4 }, 'expected at least 1 and at most 4'],
      [{ max: 4 }, 'expected at most 4'],
    ] as const) {
      const failed = await error(run({ query, expectRows }));
      expect(failed.code).toBe('STEP_FAILED');
      expect(failed.message).toContain(message);
    }
    expect(users()).toBe(before);
    expect((await run({ query, expectRows: { min: 5, max: 5 } })).rows).toBe(5);
    expect(users()).toBe(String(Number(before) + 5));
  });

  it('catches what fails only at commit', async () => {
    sql(database, 'CREATE TABLE later (id int UNIQUE DEFERRABLE INITIALLY DEFERRED)');
    expect((await error(run({ query: 'INSERT INTO later VALUES (1), (1)' }))).message).toContain(
      'duplicate key',
    );
  });

  it('runs what cannot run in a transaction', async () => {
    const failed = await error(run({ query: 'VACUUM "User"' }));
    expect(failed.hint).toContain('transaction: false');
    expect(await run({ query: 'VACUUM (ANALYZE) "User"', transaction: false })).toMatchObject({ rows: 0 });
    await run({ query: 'CREATE INDEX CONCURRENTLY ON "User" ("eMail")', transaction: false });
  });

  it('explains psql commands and COPY from stdin', async () => {
    expect((await error(run({ query: '\\connect other\nSELECT 1' }))).hint).toContain('commands of psql');
    expect(await error(run({ query: 'COPY "User" FROM STDIN' }))).toMatchObject({ code: 'QUERY_FAILED' });
  });

  it('passes on what the server has to say', async () => {
    await run({ query: `DO $$ BEGIN RAISE NOTICE 'half way'; END $$` });
    expect(context.logged).toContainEqual({ level: 'info', message: 'half way' });
  });

  it('stops when the step is cancelled', async () => {
    const other = makeContext({ databases: { crm: sharedUrl(database) } });
    const running = step.run({ database: 'crm', transaction: true, query: 'SELECT pg_sleep(60)' }, other);
    setTimeout(() => other.abort(new BackplanError('CANCELLED', 'stop')), 200);
    expect(await error(running)).toMatchObject({ code: 'CANCELLED' });
  });
});

describe('modified', () => {
  const on = async (params: Record<string, unknown>) => {
    const target = copyTarget();
    await run({ database: target.handle, ...params }).catch(() => {});
    return target.modified ?? false;
  };

  it.each([
    ['SELECT count(*) FROM "User"', true, false],
    ['UPDATE "User" SET "eMail" = NULL', true, true],
    ['CREATE TABLE made_by_step (id int)', true, true],
    ['UPDATE "User" SET "eMail" = NULL; SELECT 1/0', true, false],
    ['UPDATE "User" SET "eMail" = NULL WHERE false', true, false],
    ['UPDATE "User" SET "eMail" = NULL; COMMIT; SELECT 1', true, true],
    ['UPDATE "User" SET "eMail" = NULL; COMMIT; SELECT 1/0', true, true],
    ['VACUUM (ANALYZE)', false, false],
    ['ANALYZE "User";', false, false],
    ['UPDATE "User" SET "eMail" = NULL', false, true],
    ['VACUUM; UPDATE "User" SET "eMail" = NULL', false, true],
  ])('%s (transaction: %s): %s', async (query, transaction, modified) => {
    expect(await on({ query, transaction })).toBe(modified);
  });

  it('is nothing that a database of the plan could be', async () => {
    await run({ query: 'UPDATE "User" SET "eMail" = NULL' });
    expect(context.database('crm').modified).toBeUndefined();
  });
});

describe('before it runs', () => {
  it('needs either query or file', () => {
    const plan = {} as Plan;
    const validate = (params: object) =>
      step.validate?.({ database: 'crm', transaction: true, ...params }, plan);
    expect(validate({ query: 'SELECT 1' })).toEqual([]);
    expect(validate({ file: 'a.sql' })).toEqual([]);
    expect(validate({})?.[0]?.message).toBe('has neither query nor file');
    expect(validate({ query: 'SELECT 1', file: 'a.sql' })?.[0]?.message).toBe('has both query and file');
  });

  it('locks databases of the plan, not copies', () => {
    expect(step.writes?.({ database: 'crm' })).toEqual([{ database: 'crm' }]);
    expect(step.writes?.({ database: 'staging:crm/crm_staging_1' })).toEqual([]);
    expect(step.writes?.({ database: '${{ steps.stage.outputs.database }}' })).toEqual([]);
  });
});
