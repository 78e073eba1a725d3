/** Kinds that look at rows: a passing, a failing and an erroring case of each, on hard names and types. */
import { describe, expect, it } from 'vitest';
import { backupFacts } from '../../src/checks/backup-facts.ts';
import type { CheckResult } from '../../src/checks/check-kind.ts';
import { runSuite, type SuiteOptions } from '../../src/checks/suite.ts';
import { parseConnection } from '../../src/postgres/connection.ts';
import { createDatabase, sharedUrl, sql, uniqueName } from '../helpers/database.ts';
import { kinds } from './fixture.ts';

const database = createDatabase(
  'rows',
  `CREATE EXTENSION citext;
CREATE SCHEMA "odd.schema";
CREATE TYPE "odd.schema"."Mood" AS ENUM ('sad', 'ok', 'Happy "!"');
CREATE DOMAIN "Seats" AS numeric(6, 2);
CREATE TABLE "odd.schema"."Ta""ble" (
  "Id" int PRIMARY KEY, "e Mail" citext, "a.b" text, n "Seats", ratio float8, day date,
  "at" timestamptz, mood "odd.schema"."Mood", doc jsonb, raw json, "parent Id" int, "deletedAt" timestamptz
);
INSERT INTO "odd.schema"."Ta""ble"
  SELECT n, 'User' || n || '@example.com', 'x' || n, n, n / 2.0, date '2026-01-01' + n,
    timestamptz '2026-03-01 00:00Z' + n * interval '1 hour', 'ok', jsonb_build_object('seats', n, 'user', jsonb_build_object('id', n)),
    '{"a":1}', nullif(n - 1, 0), CASE WHEN n > 18 THEN now() END
  FROM generate_series(1, 20) n;
UPDATE "odd.schema"."Ta""ble" SET "e Mail" = 'user1@EXAMPLE.com ', "a.b" = NULL, n = NULL, ratio = 'NaN', doc = '{"seats": 0}' WHERE "Id" = 2;
UPDATE "odd.schema"."Ta""ble" SET "a.b" = E' \\t\\u00a0' WHERE "Id" = 3;
CREATE INDEX ON "odd.schema"."Ta""ble" ("at");
CREATE TABLE "Empty" ("Id" int, "at" timestamptz, doc jsonb, "parentId" int);
CREATE TABLE "Ring" ("Id" int PRIMARY KEY, "tenant Id" int, "parent Id" int);
INSERT INTO "Ring" VALUES (1, 1, NULL), (2, 1, 1), (3, 1, 5), (4, 1, 3), (5, 1, 4), (6, 1, 5);
CREATE TABLE "Tenant" (id int PRIMARY KEY);
CREATE TABLE "Account" (id int PRIMARY KEY, "tenantId" int);
CREATE TABLE "Contact" (id int PRIMARY KEY, "tenantId" text, "accountId" bigint);
INSERT INTO "Tenant" VALUES (1), (2);
INSERT INTO "Account" VALUES (10, 1), (20, 2), (30, NULL);
INSERT INTO "Contact" VALUES (1, '1', 10), (2, '2', 20), (3, '1', 20), (4, '1', 30), (5, '1', NULL), (6, '1', 99);
CREATE TABLE "Note" (id int PRIMARY KEY, "subject Type" text, "subjectId" int);
INSERT INTO "Note" VALUES (1, 'acc''t', 10), (2, 'tenant', 2), (3, 'tenant', 9), (4, 'other', 1), (5, NULL, 1), (6, 'tenant', NULL);
CREATE TABLE canary (name text, planted timestamptz, token text);
INSERT INTO canary VALUES ('nightly', '2026-03-01 20:00Z', 'si''ng'), ('twice', now(), 'a'), ('twice', now(), 'b');
CREATE FUNCTION fine(int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT $1 > 0';`,
);

const reader = uniqueName('odd reader');
const T = '"odd.schema"."Ta""ble"';
/** As a plan names it. */
const table = T;
const backup = backupFacts({
  id: 'crm-1',
  startedAt: '2026-03-01T21:00:00Z',
  fingerprint: { kind: 'counts', tables: [{ schema: 'odd.schema', table: 'Ta"ble', rows: 21 }] },
});

async function run(definitions: SuiteOptions['definitions'], options: Partial<SuiteOptions> = {}) {
  const report = await runSuite({
    connection: parseConnection(sharedUrl(database)),
    definitions,
    kinds,
    signal: new AbortController().signal,
    ...options,
  });
  return report.results;
}

type Case = readonly [params: object, expected: Partial<CheckResult>, shared?: Record<string, unknown>];

/** All cases of a kind in one run, so that they share scans as well. */
async function cases(kind: string, list: readonly Case[], options: Partial<SuiteOptions> = {}) {
  const results = await run(
    list.map(([params, , shared = {}]) => ({ kind, with: params, shared })),
    options,
  );
  expect(
    results.map(({ status, message, count, samples }, index) => {
      const wanted = list[index]?.[1] ?? {};
      return {
        status,
        ...('message' in wanted ? { message } : {}),
        ...('count' in wanted ? { count } : {}),
        ...('samples' in wanted ? { samples } : {}),
      };
    }),
  ).toEqual(list.map(([, expected]) => expected));
  return results;
}

const has = (text: string) => expect.stringContaining(text);

describe('kinds that look at rows', () => {
  it('notNull', async () => {
    await cases('notNull', [
      [
        { table, columns: ['Id', 'e Mail'] },
        { status: 'passed', message: has('20 rows of') },
      ],
      [
        { table, columns: ['a.b'] },
        { status: 'failed', message: has('1 of 20 rows'), count: 1, samples: [{ Id: 2 }] },
      ],
      [
        { table, columns: ['a.b'], blank: 'missing' },
        { status: 'failed', count: 2 },
      ],
      [{ table, columns: ['a.b'] }, { status: 'passed' }, { where: '"Id" > 2 -- a comment' }],
      [
        { table, columns: ['deletedAt'] },
        { status: 'failed', count: 18 },
      ],
      [
        { table, columns: ['nope'] },
        { status: 'errored', message: has('has no column "nope"') },
      ],
      [
        { table, columns: ['Id'] },
        { status: 'errored', message: has('SQLSTATE 42703') },
        { where: 'nope = 1' },
      ],
      [{ table, columns: ['Id'] }, { status: 'vacuous' }, { where: 'false' }],
      [{ table: 'Empty', columns: ['Id'] }, { status: 'vacuous' }],
      // Names of the plan are looked up as applications do.
      [{ table, columns: ['Id'] }, { status: 'passed' }, { where: 'fine("Id")' }],
    ]);
  });

  it('pattern', async () => {
    const column = 'e Mail';
    await cases('pattern', [
      [{ table, column, matches: '^user', ignoreCase: true }, { status: 'passed' }],
      [
        { table, column, matches: "^[^@']+@example\\.com$" },
        { status: 'failed', count: 1, samples: [{ Id: 2 }] },
      ],
      [{ table, column: 'mood', matches: '^(sad|ok)$' }, { status: 'passed' }],
      [
        { table, column: 'a.b', matches: '^\\s', not: true },
        { status: 'failed', samples: [{ Id: 3 }] },
      ],
      [
        { table, column, matches: '(' },
        { status: 'errored', message: has('invalid regular expression') },
      ],
    ]);
  });

  it('range', async () => {
    await cases('range', [
      [{ table, column: 'n', min: 1, max: 100000 }, { status: 'passed' }],
      [
        { table, column: 'n', above: 1.5, below: 20 },
        { status: 'failed', count: 2, samples: [{ Id: 1 }, { Id: 20 }] },
      ],
      [
        { table, column: 'ratio', min: 0 },
        { status: 'failed', count: 1 },
      ],
      [{ table, column: 'day', min: '2026-01-02', below: '2026-01-22' }, { status: 'passed' }],
      [
        { table, column: 'at', max: '2026-03-01T19:00:00Z' },
        { status: 'failed', count: 1 },
      ],
      [{ table, column: 'mood', max: 'ok' }, { status: 'passed' }],
      [
        { table, column: 'day', min: 'soon' },
        { status: 'errored', message: has('invalid input syntax') },
      ],
      [{ table: 'Empty', column: 'Id', min: 1 }, { status: 'vacuous' }],
    ]);
  });

  it('acceptedValues, with a condition and whole rows', async () => {
    const [, failed] = await cases('acceptedValues', [
      [{ table, column: 'mood', values: ['ok'] }, { status: 'passed' }],
      [
        { table, column: 'Id', values: [1] },
        { status: 'failed', count: 1 },
        { where: '"Id" < 3', rows: true },
      ],
      [{ table, column: 'Id', values: [1] }, { status: 'errored' }, { where: '1/0 = 1' }],
    ]);
    expect(failed?.samples?.[0]).toMatchObject({ Id: 2, 'e Mail': 'user1@EXAMPLE.com ', doc: { seats: 0 } });
  });

  it('aggregate', async () => {
    await cases('aggregate', [
      [
        { table, value: 'sum("Id")', equals: 210, min: 1 },
        { status: 'passed', message: has('is 210') },
      ],
      [
        { table, value: 'avg(n)', max: '3.5' },
        { status: 'failed', message: has('expected at most 3.5') },
      ],
      [{ table, value: 'count(*)', equals: 2 }, { status: 'passed' }, { where: '"deletedAt" is not null' }],
      [
        { table, value: 'n', min: 0 },
        { status: 'errored', message: has('GROUP BY') },
      ],
      [{ table: 'Empty', value: 'max("Id")', min: 0 }, { status: 'vacuous' }],
    ]);
  });

  it('rowCount, also as the backup counted', async () => {
    await cases(
      'rowCount',
      [
        [{ table, equals: 20 }, { status: 'passed' }],
        [
          { table, min: 3 },
          { status: 'failed', message: has('has 2 rows that meet "where"') },
          { where: '"Id" < 3' },
        ],
        [
          { table, asBackup: true },
          { status: 'failed', message: has('expected 21 as in backup crm-1') },
        ],
        [{ table, asBackup: { within: '5%' } }, { status: 'passed' }],
        [{ table, asBackup: { within: 0 } }, { status: 'failed' }],
        [
          { table: 'Tenant', asBackup: true },
          { status: 'errored', message: has('did not count "Tenant"') },
        ],
      ],
      { backup },
    );
    await cases('rowCount', [
      [
        { table, asBackup: true },
        { status: 'errored', message: has('which backup') },
      ],
    ]);
  });

  it('jsonPath', async () => {
    await cases('jsonPath', [
      [{ table, column: 'doc', exists: '$.seats' }, { status: 'passed' }],
      [
        { table, column: 'doc', matches: '$.seats > 0' },
        { status: 'failed', count: 1, samples: [{ Id: 2 }] },
      ],
      [{ table, column: 'raw', missing: '$.password' }, { status: 'passed' }],
      [
        { table, column: 'doc', missing: '$.user.id ? (@ > 19)' },
        { status: 'failed', count: 1 },
      ],
      [
        { table, column: 'doc', exists: '$.[' },
        { status: 'errored', message: has('jsonpath') },
      ],
      [
        { table, column: 'day', exists: '$' },
        { status: 'errored', message: has('not json') },
      ],
      [{ table: 'Empty', column: 'doc', exists: '$' }, { status: 'vacuous' }],
    ]);
  });

  it('freshness, seen from the snapshot of the backup', async () => {
    await cases(
      'freshness',
      [
        [
          { table, column: 'at', within: '1h' },
          { status: 'passed', message: has('1h before the snapshot of backup') },
        ],
        [
          { table, column: 'at', within: '59m' },
          { status: 'failed', message: has('expected at most 59m') },
        ],
        [{ table, column: 'at', within: '2h' }, { status: 'failed' }, { where: '"Id" < 19' }],
        [{ table, column: 'day', within: '50d' }, { status: 'passed' }],
        [
          { table, column: 'n', within: '1h' },
          { status: 'errored', message: has('not a time') },
        ],
        [{ table: 'Empty', column: 'at', within: '1h' }, { status: 'vacuous' }],
      ],
      { backup },
    );
    await cases('freshness', [
      [
        { table: 'canary', column: 'planted', within: '1h' },
        { status: 'passed', message: has('before now') },
      ],
      [
        { table, column: 'at', within: '1h' },
        {
          status: sql(
            database,
            `SELECT CASE WHEN now() - interval '1h' > '2026-03-01 20:00Z' THEN 'failed' ELSE 'passed' END`,
          ) as CheckResult['status'],
        },
      ],
    ]);
  });

  it('uniqueValues', async () => {
    await cases('uniqueValues', [
      [
        { table, columns: ['Id'] },
        { status: 'passed', message: has('_pkey" keeps') },
      ],
      [{ table, columns: ['e Mail', 'day'] }, { status: 'passed' }],
      [
        { table, columns: ['e Mail'], ignore: ['case', 'space'] },
        { status: 'failed', count: 2, samples: [{ 'e Mail': 'user1@example.com', rows: 2 }] },
      ],
      [{ table, columns: ['parent Id'], nulls: 'same' }, { status: 'passed' }],
      [
        { table: 'Contact', columns: ['tenantId'] },
        { status: 'failed', count: 5 },
      ],
      [{ table: 'Contact', columns: ['tenantId'] }, { status: 'passed' }, { where: 'id < 3' }],
      [
        { table: 'Contact', columns: ['tenantId'] },
        { status: 'warned' },
        { warnAbove: '50%', failAbove: '90%' },
      ],
      [
        { table: 'Contact', columns: ['accountId'] },
        { status: 'errored', message: has('division by zero') },
        { where: 'id / 0 > 1' },
      ],
      [{ table: 'Empty', columns: ['at'] }, { status: 'vacuous' }],
    ]);
  });

  it('part: a share of a table can fail, and is never a pass', async () => {
    sql(
      database,
      'CREATE TABLE IF NOT EXISTS "Large" AS SELECT n AS id, n % 2 AS odd FROM generate_series(1, 50000) n',
    );
    const parted = (shared: Record<string, unknown>, params: object) => ({
      kind: 'range',
      with: { table: 'Large', ...params },
      shared,
    });
    const results = await run([
      parted({ part: '50%' }, { column: 'odd', max: 0 }),
      parted({ part: '50%', severity: 'warn' }, { column: 'odd', max: 0 }),
      parted({ part: '50%' }, { column: 'odd', max: 1 }),
      parted({ part: '50%', failAbove: '90%' }, { column: 'odd', max: 0 }),
      parted({ part: '50%', warnAbove: 0, failAbove: '90%' }, { column: 'odd', max: 0 }),
      parted({}, { column: 'odd', max: 1 }),
      parted({ part: '0%' }, { column: 'odd', max: 1 }),
      { kind: 'rowCount', with: { table: 'Large', min: 1 }, shared: { part: '1%' } },
    ]);
    expect(results.map(({ status }) => status)).toEqual([
      ...['failed', 'warned', 'vacuous', 'vacuous', 'vacuous', 'passed', 'errored', 'errored'],
    ]);
    expect(results[0]?.count).toBeLessThan(25_000);
    expect(results[2]?.message).toContain('only 50% of its pages were read');
    expect(results[7]?.message).toBe('"part" is not possible for rowCount');
  });

  it('cycles', async () => {
    await cases('cycles', [
      [{ table, columns: ['parent Id'], references: ['Id'] }, { status: 'passed' }],
      [
        { table: 'Ring', columns: ['parent Id'], references: ['Id'] },
        { status: 'failed', count: 4, message: has('3 → 5 → 4 → 3') },
      ],
      [{ table: 'Ring', columns: ['parent Id'], references: ['Id', 'tenant Id'] }, { status: 'errored' }],
      [{ table: 'Empty', columns: ['parentId'], references: ['Id'] }, { status: 'vacuous' }],
      [
        { table: 'Ring', columns: ['parent Id'], references: ['Id'] },
        { status: 'failed', count: 1, samples: [{ Id: 6, 'tenant Id': 1, 'parent Id': 5 }] },
        { where: '"Id" > 5', rows: true },
      ],
      [
        { table: 'Ring', columns: ['parent Id'], references: ['Id'] },
        { status: 'passed' },
        { where: '"Id" < 3 -- roots' },
      ],
      [
        { table: 'Ring', columns: ['parent Id'], references: ['Id'] },
        { status: 'vacuous', message: has('that meets "where"') },
        { where: 'fine(-1)' },
      ],
    ]);
  });

  it('tenantConsistency', async () => {
    const reference = { columns: ['accountId'], references: { table: 'Account', columns: ['id'] } };
    await cases('tenantConsistency', [
      [
        { table: 'Contact', ...reference, tenant: 'tenantId' },
        {
          status: 'failed',
          count: 2,
          samples: [
            { id: 3, 'its tenant': '1', 'tenant there': '2' },
            { id: 4, 'its tenant': '1', 'tenant there': null },
          ],
        },
      ],
      [
        {
          table: 'Ring',
          columns: ['parent Id'],
          references: { table: 'Ring', columns: ['Id'] },
          tenant: 'tenant Id',
        },
        { status: 'passed' },
      ],
      [{ table: 'Contact', ...reference, tenant: 'tenantId' }, { status: 'passed' }, { failAbove: '50%' }],
      [{ table: 'Contact', ...reference, tenant: 'nope' }, { status: 'errored' }],
      [
        { table: 'Contact', ...reference, tenant: 'tenantId' },
        {
          status: 'failed',
          count: 1,
          samples: [{ id: 4, tenantId: '1', accountId: '30', 'its tenant': '1', 'tenant there': null }],
        },
        { where: 'id = 4 or id = 1', rows: true },
      ],
      [
        { table: 'Contact', ...reference, tenant: 'tenantId' },
        { status: 'passed' },
        { where: 'fine(3 - id)' },
      ],
      [
        { table: 'Contact', ...reference, tenant: 'tenantId' },
        { status: 'vacuous', message: has('that meets "where"') },
        { where: 'id > 4' },
      ],
      [
        {
          table: 'Empty',
          columns: ['parentId'],
          references: { table: 'Empty', columns: ['Id'] },
          tenant: 'Id',
        },
        { status: 'vacuous' },
      ],
    ]);
  });

  it('orphans by discriminator and with a condition', async () => {
    const references = {
      "acc't": { table: 'Account', columns: ['id'] },
      tenant: { table: 'Tenant', columns: ['id'] },
    };
    const by = (others?: string) => ({
      table: 'Note',
      columns: ['subjectId'],
      discriminator: { column: 'subject Type', references, ...(others === undefined ? {} : { others }) },
    });
    await cases('orphans', [
      [by(), { status: 'failed', count: 3, message: has('2 rows with another "subject Type": ') }],
      [
        by('accepted'),
        { status: 'failed', count: 1, samples: [{ 'subject Type': 'tenant', subjectId: '9', rows: 1 }] },
      ],
      [by('accepted'), { status: 'passed' }, { where: 'id <> 3' }],
      [
        { table: 'Contact', columns: ['accountId'], references: { table: 'Account', columns: ['id'] } },
        { status: 'passed' },
        { where: '"accountId" < 50' },
      ],
      [{ table: 'Contact', columns: ['accountId'], match: 'full' }, { status: 'errored' }],
    ]);
  });

  it('sql: sets of rows', async () => {
    const query = 'select id, "tenantId" as "T" from "Account"';
    const row = (id: unknown, T: unknown) => ({ id, T });
    await cases('sql', [
      [{ query, expect: { set: [row(30, null), row('10', 1), row(20, 2)] } }, { status: 'passed' }],
      [
        { query, expect: { set: [row(10, 1), row(10, 1), row(20, 2)] } },
        {
          status: 'failed',
          count: 2,
          samples: [{ expected: '{"id":10,"T":1}' }, { found: '{"T":null,"id":30}' }],
        },
      ],
      [{ query: 'select nope', expect: { set: [] } }, { status: 'errored' }],
      [{ query, expect: 'empty' }, { status: 'passed' }, { failAbove: 3 }],
      [
        { query, expect: 'empty' },
        { status: 'errored', message: has('not of how many') },
        { failAbove: '10%' },
      ],
    ]);
  });

  it('recoveryPoint', async () => {
    const there = { table, where: '"Id" = 20' };
    const gone = { table, where: '"Id" = 21' };
    await cases('recoveryPoint', [
      [{ present: there, absent: gone }, { status: 'passed' }],
      [
        { present: gone, absent: there },
        { status: 'failed', count: 2, message: has('the moment was passed') },
      ],
      [{ present: there, absent: { table, where: 'nope' } }, { status: 'errored' }],
    ]);
  });

  it('canary', async () => {
    const nightly = { table: 'canary', where: "name = 'nightly'" };
    await cases(
      'canary',
      [
        [{ ...nightly, column: 'token', equals: "si'ng", at: 'planted', within: '2h' }, { status: 'passed' }],
        [nightly, { status: 'passed' }],
        [
          { ...nightly, at: 'planted', within: '30m' },
          { status: 'failed', message: has('before the snapshot') },
        ],
        [
          { ...nightly, column: 'token', equals: 'song' },
          { status: 'failed', message: has('has another "token"') },
        ],
        [
          { table: 'canary', where: "name = 'gone'" },
          { status: 'failed', message: has('is gone') },
        ],
        [
          { table: 'canary', where: "name = 'twice'" },
          { status: 'failed', message: has('more than once') },
        ],
        [{ table: 'canary', where: 'nope' }, { status: 'errored' }],
      ],
      { backup },
    );
  });

  it('amcheck: without the extension it says so, and it is the environment; with it, it looks', async () => {
    const [without] = await run([{ kind: 'amcheck', with: {} }]);
    expect(without).toMatchObject({
      status: 'errored',
      environment: true,
      hint: has('CREATE EXTENSION amcheck'),
    });
    sql(database, 'CREATE EXTENSION amcheck SCHEMA "odd.schema"');
    // An index whose order changed under it, as a new version of a collation leaves it.
    sql(
      database,
      `CREATE FUNCTION odd_cmp(int, int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT btint4cmp($1, $2)';
       CREATE OPERATOR CLASS odd_ops FOR TYPE int USING btree AS
         OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 odd_cmp(int, int);
       CREATE TABLE "Da mage" (v int); CREATE UNIQUE INDEX "Broken ix" ON "Da mage" (v odd_ops);
       INSERT INTO "Da mage" SELECT n FROM generate_series(1, 30) n;
       CREATE OR REPLACE FUNCTION odd_cmp(int, int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT btint4cmp($2, $1)';
       INSERT INTO "Da mage" VALUES (30), (1)`,
    );
    await cases('amcheck', [
      [{ tables: [T, 'Ring'] }, { status: 'passed', message: has('are whole (both)') }],
      [{ tables: ['Ring'], level: 'heapallindexed' }, { status: 'passed' }],
      [
        { tables: ['Da mage'], level: 'index' },
        { status: 'failed', message: has('"Broken ix"') },
      ],
      [{ tables: ['nope'] }, { status: 'errored' }],
    ]);
    sql(
      database,
      `CREATE ROLE "${reader}" LOGIN; GRANT USAGE ON SCHEMA "odd.schema" TO "${reader}"; GRANT SELECT ON ALL TABLES IN SCHEMA public TO "${reader}"`,
    );
    const [forbidden] = await run([{ kind: 'amcheck', with: {} }], {
      connection: parseConnection(sharedUrl(database, encodeURIComponent(reader))),
    });
    sql(database, `DROP OWNED BY "${reader}"; DROP ROLE "${reader}"`);
    expect(forbidden).toMatchObject({
      status: 'errored',
      environment: true,
      error: has('permission denied for function'),
      hint: has('GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA "odd.schema"'),
    });
    // Such an index is valid by the catalog; only the rows tell.
    const unique = { kind: 'unique', with: { table: 'Da mage', columns: ['v'] } };
    const values = { ...unique, kind: 'uniqueValues' };
    expect((await run([unique, values])).map(({ status }) => status)).toEqual(['passed', 'passed']);
    const limits = { trustIndexes: false };
    const suspected = await run([unique, values].map((definition) => ({ ...definition, limits })));
    expect(suspected.map(({ status }) => status)).toEqual(['failed', 'failed']);
    expect(suspected[0]?.message).toContain('is damaged: 2 keys are there more than once');
  });
});
