/** tables, table, unique, index on real PostgreSQL with hard names. */
import { beforeEach, describe, expect, it } from 'vitest';
import { createDatabase, sql } from '../helpers/database.ts';
import { check, HARD_SCHEMA } from './fixture.ts';

const database = createDatabase('structure', HARD_SCHEMA);

describe('table', () => {
  it('passes with its columns, in any order', async () => {
    const result = await check(database, 'table', {
      name: '"odd.schema"."Odd ""Table"""',
      columns: ['é', 'a.b', 'C d'],
    });
    expect(result).toMatchObject({
      status: 'passed',
      name: 'table "odd.schema"."Odd ""Table""" with é, a.b, C d',
    });
  });

  it('fails for a column that only looks alike', async () => {
    const result = await check(database, 'table', { name: 'User', columns: ['id', 'tenantid'] });
    expect(result).toMatchObject({
      status: 'failed',
      message: '"User" has no column "tenantid"',
      hint: '"tenantId" exists, wanted "tenantid".',
    });
  });

  it('does not see a dropped column', async () => {
    sql(database, 'CREATE TABLE IF NOT EXISTS "Dropped" (a int, b int); ALTER TABLE "Dropped" DROP COLUMN b');
    expect((await check(database, 'table', { name: 'Dropped', columns: ['a'] })).status).toBe('passed');
    expect((await check(database, 'table', { name: 'Dropped', columns: ['b'] })).status).toBe('failed');
  });

  it('errs on a name that is none', async () => {
    const result = await check(database, 'table', { name: 'a.b.c' });
    expect(result).toMatchObject({ status: 'errored', error: '"a.b.c" is not a table name' });
  });
});

describe('unique', () => {
  const user = { table: 'User', columns: ['eMail', 'tenantId'] };
  beforeEach(() => {
    sql(
      database,
      `DROP TABLE IF EXISTS "Seat" CASCADE;
       CREATE TABLE "Seat" ("rowNo" int, "seatNo" int, n text, deleted boolean, gone int);
       ALTER TABLE "Seat" DROP COLUMN gone;
       INSERT INTO "Seat" SELECT i, i, 'n' || i, false FROM generate_series(1, 10) i;`,
    );
  });
  const seat = { table: 'Seat', columns: ['rowNo', 'seatNo'] };

  it('takes an index without a constraint, as Prisma makes it, whatever its name and order', async () => {
    expect(await check(database, 'unique', user)).toMatchObject({
      status: 'passed',
      name: 'unique User (eMail, tenantId)',
      message: 'unique index "User_tenantId_eMail_key"',
    });
    expect((await check(database, 'unique', { ...user, name: 'tenantId_eMail' })).message).toBe(
      'unique index "User_tenantId_eMail_key" (the plan calls it "tenantId_eMail")',
    );
  });

  it('takes a constraint in an odd schema, and a primary key', async () => {
    const odd = { table: '"odd.schema"."Odd ""Table"""', columns: ['C d', 'a.b'], name: 'Odd Key' };
    expect((await check(database, 'unique', odd)).message).toBe('unique constraint "Odd Key"');
    expect((await check(database, 'unique', { table: 'Place', columns: ['code', 'tenantId'] })).message).toBe(
      'primary key "Place_pkey"',
    );
    expect((await check(database, 'unique', { table: 'Event', columns: ['id', 'at'] })).status).toBe(
      'passed',
    );
  });

  it('says that a narrower key implies a wider one, and not the other way round', async () => {
    const wider = await check(database, 'unique', { table: 'User', columns: ['id', 'kind'] });
    expect(wider).toMatchObject({
      status: 'passed',
      message: 'primary key "User_pkey" (unique on ("id") alone, which implies it)',
    });
    expect((await check(database, 'unique', { table: 'User', columns: ['tenantId'] })).status).toBe('failed');
  });

  it('drops INCLUDE columns and notes deferrable constraints', async () => {
    sql(database, 'CREATE UNIQUE INDEX ON "Seat" ("rowNo", "seatNo") INCLUDE (n)');
    expect((await check(database, 'unique', seat)).status).toBe('passed');
    expect((await check(database, 'unique', { table: 'Seat', columns: ['rowNo', 'n'] })).status).toBe(
      'failed',
    );
    sql(database, 'ALTER TABLE "Seat" ADD CONSTRAINT later UNIQUE (n) DEFERRABLE INITIALLY DEFERRED');
    expect((await check(database, 'unique', { table: 'Seat', columns: ['n'] })).message).toBe(
      'unique constraint "later" (deferrable: checked only at commit)',
    );
  });

  it('fails with the duplicates and the DDL when nothing guards the columns', async () => {
    sql(database, `INSERT INTO "Seat" VALUES (1, 1), (1, 1), (2, 2), (NULL, 3), (NULL, 3)`);
    const result = await check(database, 'unique', { ...seat, name: 'seat_key' });
    expect(result).toMatchObject({
      status: 'failed',
      message:
        'nothing makes "Seat" ("rowNo", "seatNo") unique, and 2 keys are there more than once (5 rows)',
      hint: 'Resolve the duplicates, then: CREATE UNIQUE INDEX CONCURRENTLY "seat_key" ON "public"."Seat" ("rowNo", "seatNo");',
      count: 2,
      samples: [
        { rowNo: '1', seatNo: '1', rows: 3 },
        { rowNo: '2', seatNo: '2', rows: 2 },
      ],
    });
  });

  it('does not take partial, expression or plain indexes', async () => {
    sql(database, 'CREATE UNIQUE INDEX part ON "Seat" ("rowNo", "seatNo") WHERE NOT deleted');
    expect((await check(database, 'unique', seat)).message).toBe(
      '"part" makes "Seat" ("rowNo", "seatNo") unique only WHERE (NOT deleted)',
    );
    sql(database, 'DROP INDEX part; CREATE UNIQUE INDEX expr ON "Seat" ("rowNo", "seatNo", lower(n))');
    expect(await check(database, 'unique', seat)).toMatchObject({ status: 'failed' });
    sql(database, 'DROP INDEX expr; CREATE INDEX plain ON "Seat" ("rowNo", "seatNo")');
    expect((await check(database, 'unique', seat)).message).toBe(
      'nothing makes "Seat" ("rowNo", "seatNo") unique',
    );
  });

  it('sees that an index left by a failed CREATE INDEX CONCURRENTLY guards nothing', async () => {
    sql(database, 'INSERT INTO "Seat" VALUES (1, 1)');
    expect(() =>
      sql(database, 'CREATE UNIQUE INDEX CONCURRENTLY broken ON "Seat" ("rowNo", "seatNo")'),
    ).toThrow(/could not create unique index/);
    expect(await check(database, 'unique', seat)).toMatchObject({
      status: 'failed',
      message:
        '"broken" on "Seat" ("rowNo", "seatNo") is invalid and guards nothing, and 1 key is there more than once (2 rows)',
      hint: 'Resolve the duplicates, then: REINDEX INDEX CONCURRENTLY "public"."broken";',
    });
  });

  it('needs every partition to have its part', async () => {
    sql(
      database,
      `DROP TABLE IF EXISTS "Part"; CREATE TABLE "Part" (id int, "at" int) PARTITION BY LIST ("at");
       CREATE TABLE "Part_1" PARTITION OF "Part" FOR VALUES IN (1);
       CREATE UNIQUE INDEX "Part_key" ON ONLY "Part" (id, "at")`,
    );
    const part = { table: 'Part', columns: ['id', 'at'] };
    expect((await check(database, 'unique', part)).message).toContain('is invalid and guards nothing');
    sql(
      database,
      'CREATE UNIQUE INDEX "Part_1_key" ON "Part_1" (id, "at"); ALTER INDEX "Part_key" ATTACH PARTITION "Part_1_key"',
    );
    expect((await check(database, 'unique', part)).status).toBe('passed');
  });

  it('survives columns with the names it uses itself', async () => {
    sql(
      database,
      `DROP TABLE IF EXISTS "Own"; CREATE TABLE "Own" (n int, k0 int, rows int, "groups" int);
       INSERT INTO "Own" VALUES (1, 2, 3, 4), (1, 2, 3, 4)`,
    );
    expect(
      await check(database, 'unique', { table: 'Own', columns: ['n', 'k0', 'rows', 'groups'] }),
    ).toMatchObject({
      status: 'failed',
      samples: [{ n: '1', k0: '2', groups: '4' }],
    });
  });

  it('fails for a table or column that is not there, errs on an ambiguous one', async () => {
    expect((await check(database, 'unique', { table: 'user', columns: ['id'] })).hint).toBe(
      '"User" exists, wanted "user".',
    );
    expect((await check(database, 'unique', { table: 'User', columns: ['x'] })).status).toBe('failed');
    expect((await check(database, 'unique', { table: 'Twice', columns: ['id'] })).status).toBe('errored');
  });
});

describe('index', () => {
  it('finds an index by name, with its table', async () => {
    expect(await check(database, 'index', { name: 'User_Kind_idx' })).toMatchObject({
      status: 'passed',
      name: 'index User_Kind_idx',
      message: 'CREATE INDEX "User_Kind_idx" ON public."User" USING btree (kind)',
    });
    expect((await check(database, 'index', { name: 'Log_at_idx', table: 'audit.Log' })).status).toBe(
      'passed',
    );
    expect((await check(database, 'index', { name: 'Event_at_idx', table: 'Event' })).status).toBe('passed');
    expect(
      (
        await check(database, 'index', {
          name: '"Odd Key"',
          table: '"odd.schema"."Odd ""Table"""',
          unique: true,
        })
      ).status,
    ).toBe('passed');
  });

  it('fails when it is missing, elsewhere, or of the wrong sort', async () => {
    expect(await check(database, 'index', { name: 'user_kind_idx' })).toMatchObject({
      status: 'failed',
      message: 'index "user_kind_idx" does not exist',
      hint: '"User_Kind_idx" exists, wanted "user_kind_idx".',
    });
    expect((await check(database, 'index', { name: 'User_Kind_idx', table: 'Tenant' })).message).toBe(
      'index "User_Kind_idx" is on "User", not on "Tenant"',
    );
    expect((await check(database, 'index', { name: 'User_Kind_idx', unique: true })).message).toBe(
      'index "User_Kind_idx" on "User" is not unique',
    );
    expect((await check(database, 'index', { name: 'User' })).status).toBe('failed');
  });

  it('fails when it is invalid', async () => {
    sql(database, 'CREATE TABLE IF NOT EXISTS "Bad" (a int); INSERT INTO "Bad" VALUES (1), (1)');
    expect(() => sql(database, 'CREATE UNIQUE INDEX CONCURRENTLY "Bad_a" ON "Bad" (a)')).toThrow();
    expect(await check(database, 'index', { name: 'Bad_a' })).toMatchObject({
      status: 'failed',
      message: 'index "Bad_a" on "Bad" is invalid: the planner does not use it',
      hint: 'REINDEX INDEX CONCURRENTLY "public"."Bad_a";',
    });
  });

  it('errs on a name that fits two schemas', async () => {
    sql(database, 'CREATE INDEX "same" ON audit."Twice" (id); CREATE INDEX "same" ON other."Twice" (id)');
    expect((await check(database, 'index', { name: 'same' })).status).toBe('errored');
    expect((await check(database, 'index', { name: 'same', table: 'other.Twice' })).status).toBe('passed');
  });
});
