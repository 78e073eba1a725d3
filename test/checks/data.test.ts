/** acceptedValues, rowCount, sql on real PostgreSQL with hard names. */
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { visible } from '../../src/checks/accepted-values.ts';
import { createDatabase, sql } from '../helpers/database.ts';
import { check, HARD_SCHEMA } from './fixture.ts';

const database = createDatabase('data', HARD_SCHEMA);

describe('acceptedValues', () => {
  const kind = { table: 'User', column: 'kind', values: ['HUMAN', 'AI', 'SERVICE'] };
  afterEach(() => {
    sql(database, `UPDATE "User" SET kind = 'HUMAN', label = 'one'`);
  });

  it('passes on text, enums, domains and through views', async () => {
    expect(await check(database, 'acceptedValues', kind)).toMatchObject({
      status: 'passed',
      name: 'acceptedValues User.kind',
      message: '30 rows of "User"."kind" hold accepted values',
    });
    expect((await check(database, 'acceptedValues', { ...kind, table: 'UserView' })).status).toBe('passed');
    expect(
      (await check(database, 'acceptedValues', { table: 'User', column: 'label', values: ['one'] })).status,
    ).toBe('passed');
    const status = { table: 'User', column: 'status', values: ['active', 'disabled', 'pending'] };
    expect((await check(database, 'acceptedValues', status)).message).toBe(
      '30 rows of "User"."status" hold accepted values',
    );
  });

  it('tells what an enum allows beyond the list, and lacks of it', async () => {
    const result = await check(database, 'acceptedValues', {
      table: 'User',
      column: 'status',
      values: ['active', 'retired'],
    });
    expect(result.status).toBe('passed');
    expect(result.message).toContain('would also allow "disabled", "pending"');
    expect(result.message).toContain('has no label "retired"');
    expect(
      (await check(database, 'acceptedValues', { table: 'User', column: 'status', values: ['pending'] }))
        .message,
    ).toContain('30 of 30 rows of "User"."status" hold other values: "active" (30)');
  });

  it('shows a histogram in which white space can be seen', async () => {
    sql(
      database,
      `UPDATE "User" SET kind = 'HUMAN ' WHERE id IN ('u1', 'u2', 'u3');
       UPDATE "User" SET kind = '' WHERE id IN ('u4', 'u5');
       UPDATE "User" SET kind = E'AI\\u00a0' WHERE id = 'u6';
       UPDATE "User" SET kind = 'human' WHERE id = 'u7'`,
    );
    expect(await check(database, 'acceptedValues', kind)).toMatchObject({
      status: 'failed',
      message:
        '7 of 30 rows of "User"."kind" hold other values: "HUMAN " (3), "" (2), "AI\\u00a0" (1), "human" (1)',
      hint: 'Accepted are "HUMAN", "AI", "SERVICE" and NULL.',
      count: 7,
      samples: [
        { value: 'HUMAN ', count: 3 },
        { value: '', count: 2 },
        { value: 'AI\u00a0', count: 1 },
        { value: 'human', count: 1 },
      ],
    });
  });

  it('keeps to its NULL policy', async () => {
    sql(database, `UPDATE "User" SET kind = NULL WHERE id = 'u1'`);
    expect((await check(database, 'acceptedValues', kind)).message).toContain('1 NULL accepted');
    expect(await check(database, 'acceptedValues', { ...kind, nullable: false })).toMatchObject({
      status: 'failed',
      message: '1 of 30 rows of "User"."kind" hold other values: NULL (1)',
      samples: [{ value: null, count: 1 }],
    });
  });

  it('limits what it shows to `sample`', async () => {
    sql(database, `UPDATE "User" SET kind = id`);
    const result = await check(database, 'acceptedValues', { ...kind, sample: 2 });
    expect(result.samples).toHaveLength(2);
    expect(result.message).toMatch(/, …$/);
    expect((await check(database, 'acceptedValues', { ...kind, sample: 0 })).samples).toEqual([]);
  });

  it('does not carry whole documents into the report', async () => {
    sql(database, `UPDATE "User" SET kind = repeat('long ', 500) WHERE id = 'u1'`);
    const values = await check(database, 'acceptedValues', kind);
    expect(values.message.length).toBeLessThan(400);
    const rows = await check(database, 'sql', {
      query: `select kind, jsonb_build_object('k', kind) as j from "User" where id = 'u1'`,
    });
    expect(JSON.stringify(rows.samples).length).toBeLessThan(800);
  });

  it('compares numbers as numbers, booleans as booleans', async () => {
    expect(
      (await check(database, 'acceptedValues', { table: 'User', column: 'ratio', values: [0, 1, 2] })).status,
    ).toBe('passed');
    expect(
      (await check(database, 'acceptedValues', { table: 'User', column: 'level', values: [0, 1] })).message,
    ).toContain('"2" (10)');
    sql(
      database,
      'DROP TABLE IF EXISTS "Flag"; CREATE TABLE "Flag" (f boolean); INSERT INTO "Flag" VALUES (true)',
    );
    expect(
      (await check(database, 'acceptedValues', { table: 'Flag', column: 'f', values: [true] })).status,
    ).toBe('passed');
    expect(
      (await check(database, 'acceptedValues', { table: 'Flag', column: 'f', values: [false] })).status,
    ).toBe('failed');
  });

  it('is not fooled by a collation that calls different texts equal', async () => {
    sql(
      database,
      `CREATE COLLATION IF NOT EXISTS blind (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
       DROP TABLE IF EXISTS "Folded"; CREATE TABLE "Folded" (s text COLLATE blind, e citext);
       INSERT INTO "Folded" VALUES ('Active', 'Active')`,
    );
    for (const column of ['s', 'e']) {
      const result = await check(database, 'acceptedValues', { table: 'Folded', column, values: ['active'] });
      expect(result.message).toContain('"Active" (1)');
    }
  });

  it('shows nothing on an empty table, unless the type itself does', async () => {
    expect(await check(database, 'acceptedValues', { ...kind, table: 'Empty' })).toMatchObject({
      status: 'vacuous',
      message: '"Empty" is empty: there was no row to look at',
    });
    sql(database, 'CREATE TABLE IF NOT EXISTS "NoUser" (status "Status")');
    expect(
      (
        await check(database, 'acceptedValues', {
          table: 'NoUser',
          column: 'status',
          values: ['active', 'disabled', 'pending'],
        })
      ).status,
    ).toBe('passed');
    expect(
      (await check(database, 'acceptedValues', { table: 'NoUser', column: 'status', values: ['active'] }))
        .status,
    ).toBe('vacuous');
  });

  it('errs without table or column', async () => {
    expect(await check(database, 'acceptedValues', { ...kind, column: 'Kind' })).toMatchObject({
      status: 'errored',
      error: '"User" has no column "Kind"',
      hint: '"kind" exists, wanted "Kind".',
    });
    expect((await check(database, 'acceptedValues', { ...kind, table: 'Users' })).hint).toBe(
      '"User" exists, wanted "Users".',
    );
  });

  it('writes what cannot be seen as escapes', () => {
    expect(visible('a\tb\u200bc\u2028"')).toBe('"a\\tb\\u200bc\\u2028\\""');
    expect(visible(null)).toBe('NULL');
    expect(visible('é 漢 🎉')).toBe('"é 漢 🎉"');
  });
});

describe('rowCount', () => {
  it.each([
    [{ min: 1 }, 'passed'],
    [{ min: 30, max: 30 }, 'passed'],
    [{ equals: 30 }, 'passed'],
    [{ min: 31 }, 'failed'],
    [{ max: 29 }, 'failed'],
    [{ equals: 29 }, 'failed'],
    [{ min: 0 }, 'passed'],
  ])('User %j: %s', async (bounds, status) => {
    expect((await check(database, 'rowCount', { table: 'User', ...bounds })).status).toBe(status);
  });

  it('counts every partition, and odd names', async () => {
    expect((await check(database, 'rowCount', { table: 'Event', equals: 10 })).message).toBe(
      '"Event" has 10 rows',
    );
    expect(
      (await check(database, 'rowCount', { table: '"odd.schema"."Odd ""Table"""', equals: 5 })).status,
    ).toBe('passed');
    expect((await check(database, 'rowCount', { table: 'UserView', equals: 30 })).status).toBe('passed');
  });

  it('says what it expected', async () => {
    expect(await check(database, 'rowCount', { table: 'Empty', min: 1 })).toMatchObject({
      name: 'rows of Empty ≥ 1',
      status: 'failed',
      message: '"Empty" has 0 rows, expected at least 1',
    });
  });

  it('shows nothing where anything would do', async () => {
    expect((await check(database, 'rowCount', { table: 'Empty', min: 0 })).status).toBe('vacuous');
    expect((await check(database, 'rowCount', { table: 'Empty', equals: 0 })).status).toBe('passed');
    expect((await check(database, 'rowCount', { table: 'Empty', max: 5 })).status).toBe('passed');
  });

  it('errs on a missing table and without bounds', async () => {
    expect((await check(database, 'rowCount', { table: 'user', min: 1 })).status).toBe('errored');
    expect((await check(database, 'rowCount', { table: 'User' })).error).toBe(
      'the row count of User has no bound',
    );
  });
});

describe('sql', () => {
  beforeAll(() => {
    sql(database, 'CREATE TABLE scratch (n int); INSERT INTO scratch VALUES (1)');
  });
  const run = (query: string, expected?: unknown) =>
    check(database, 'sql', expected === undefined ? { query } : { query, expect: expected });

  it.each([
    ['select id from "User" where level < 0', undefined],
    ['select id from "User" where level < 0;  \n', 'empty'],
    ['select 1 -- the end', 'rows'],
    ['table "Tenant"', { rows: 3 }],
    ['values (1), (2)', { rows: 2 }],
    ['with x as (select 1 as a) select a from x', 'rows'],
    ['select count(*) from "User"', { value: 30 }],
    ['select count(*) > 5 from "User"', true],
    ['select false', false],
    ['select null::int', { value: null }],
    [`select 'x', 'y'`, { value: 'x' }],
    ['select 5 as "2", 6 as "1"', { value: 5 }],
    ['select 1.50', { value: 1.5 }],
    ['select 12345678901234567890::numeric', { value: '12345678901234567890' }],
    ['select id, id, id from "Tenant" order by id desc', { value: 't3' }],
    ['select 1 as "backplan value", 2 as a', { value: 1 }],
  ])('passes: %s', async (query, expected) => {
    const result = await run(query, expected);
    expect(result, JSON.stringify(result)).toMatchObject({ status: 'passed' });
  });

  it.each([
    ['select 1', 'empty', 'the query yields 1 row, expected none'],
    ['select generate_series(1, 100)', 'empty', 'the query yields 100 rows, expected none'],
    ['select 1 where false', 'rows', 'the query yields no row, expected some'],
    ['select 1', { rows: 2 }, 'the query yields 1 row, expected 2'],
    ['select 7', { value: 5 }, 'the query yields 7, expected 5'],
    [`select ' x'`, { value: 'x' }, 'the query yields " x", expected "x"'],
    ['select null::int', { value: 5 }, 'the query yields NULL, expected 5'],
    ['select 0', { value: null }, 'the query yields 0, expected null'],
    ['select 1 where false', { value: null }, 'the query yields no row, expected null'],
    ['select false', true, 'the query yields false, expected true'],
    ['select null::boolean', false, 'the query yields NULL, expected false'],
    ['select 1 where false', true, 'the query yields no row, expected true'],
  ])('fails: %s, expect %j', async (query, expected, message) => {
    expect(await run(query, expected)).toMatchObject({ status: 'failed', message });
  });

  it('shows offending rows as plain JSON, at most `sample`', async () => {
    const result = await check(database, 'sql', {
      query: `select n, '\\x00ff'::bytea as b, 'infinity'::timestamptz as t, timestamptz '2026-01-01Z' as u, '{"a":1}'::jsonb as j
              from generate_series(1, 9) n`,
      sample: 2,
    });
    expect(result.count).toBe(9);
    expect(JSON.parse(JSON.stringify(result.samples))).toEqual([
      { n: 1, b: '\\x00ff', t: 'Infinity', u: '2026-01-01T00:00:00.000Z', j: { a: 1 } },
      { n: 2, b: '\\x00ff', t: 'Infinity', u: '2026-01-01T00:00:00.000Z', j: { a: 1 } },
    ]);
  });

  it.each([
    'insert into scratch values (2)',
    'delete from scratch',
    'with gone as (delete from scratch returning n) select n from gone',
    'select n from scratch for update',
    'commit',
    'rollback; drop table scratch',
    'select 1; drop table scratch',
    'select 1) as x; drop table scratch; select * from (select 1',
    `copy scratch to '/dev/null'`,
    'set row_security = on',
    'drop table scratch',
    `select nextval('audit."Log_id_seq"')`,
    'select 1 /* open',
    '',
    'select "Tenant".nothing from "Tenant"',
    'select * from missing_table',
    'select 1/0',
  ])('errs and changes nothing: %s', async (query) => {
    for (const expected of ['empty', 'rows', { value: 1 }, { rows: 1 }]) {
      const result = await run(query, expected);
      expect(result, JSON.stringify(result)).toMatchObject({ status: 'errored' });
    }
    expect(sql(database, 'SELECT * FROM scratch')).toBe('1');
  });

  it('does not let a setting reach the next check', async () => {
    const first = await run(`select set_config('row_security', 'on', false)`, 'rows');
    expect(first.status).toBe('passed');
    expect((await run(`select current_setting('row_security')`, { value: 'off' })).status).toBe('passed');
  });

  it('says that true and false need a boolean', async () => {
    expect((await run('select 1', true)).error).toBe('the query yields "1", which is neither true nor false');
  });

  it('sees tables by the search_path of the database', async () => {
    sql('postgres', `ALTER DATABASE "${database}" SET search_path = audit, public`);
    expect((await run('select "userId" from "Log"', 'rows')).status).toBe('passed');
    sql('postgres', `ALTER DATABASE "${database}" RESET search_path`);
    expect((await run('select "userId" from "Log"', 'rows')).status).toBe('errored');
  });

  it('has a name of its own or a short title', async () => {
    expect(
      (await check(database, 'sql', { name: 'no licence without seats', query: 'select 1 where false' }))
        .name,
    ).toBe('no licence without seats');
    expect((await run('select  1\n where false')).name).toBe('sql select 1 where false');
  });
});
