/** foreignKey and orphans on real PostgreSQL with hard names. */
import { beforeEach, describe, expect, it } from 'vitest';
import { createDatabase, sql } from '../helpers/database.ts';
import { check, HARD_SCHEMA } from './fixture.ts';

const database = createDatabase('references', HARD_SCHEMA);
const userTenant = {
  table: 'User',
  columns: ['tenantId'],
  references: { table: 'Tenant', columns: ['id'] },
};
const visitPlace = {
  table: 'Visit',
  columns: ['tenantId', 'code'],
  references: { table: 'Place', columns: ['tenantId', 'code'] },
};

/** A child and a parent of its own for each test. */
function pair(options: { match?: string; keys?: string } = {}) {
  sql(
    database,
    `DROP TABLE IF EXISTS "Child", "Parent" CASCADE;
     CREATE TABLE "Parent" ("pA" int, "pB" int, PRIMARY KEY ("pA", "pB"));
     CREATE TABLE "Child" (id int, "cA" int, "cB" int);
     INSERT INTO "Parent" VALUES (1, 1), (1, 2), (2, 1);
     ${options.keys ?? `ALTER TABLE "Child" ADD CONSTRAINT "Child fk" FOREIGN KEY ("cA", "cB") REFERENCES "Parent" ("pA", "pB") ${options.match ?? ''};`}
     INSERT INTO "Child" VALUES (1, 1, 1), (2, 1, 2);`,
  );
}
const childParent = {
  table: 'Child',
  columns: ['cA', 'cB'],
  references: { table: 'Parent', columns: ['pA', 'pB'] },
};
/** Rows that the constraint would refuse. */
function smuggle(text: string) {
  sql(database, `SET session_replication_role = replica; ${text}`);
}

describe('foreignKey', () => {
  beforeEach(() => pair());

  it('passes for what exists, is validated, enforced and true', async () => {
    expect(await check(database, 'foreignKey', userTenant)).toMatchObject({
      status: 'passed',
      name: 'foreignKey User (tenantId) → Tenant (id)',
      message:
        'foreign key "User_tenantId_fkey" validated, enforced, no orphans: "tenantId" → "Tenant" ("id")',
    });
  });

  it('handles composite keys in any order of pairs, and NULLs by MATCH SIMPLE', async () => {
    expect((await check(database, 'foreignKey', visitPlace)).status).toBe('passed');
    const swapped = {
      ...visitPlace,
      columns: ['code', 'tenantId'],
      references: { table: 'Place', columns: ['code', 'tenantId'] },
    };
    expect((await check(database, 'foreignKey', swapped)).status).toBe('passed');
    const crossed = { ...visitPlace, references: { table: 'Place', columns: ['code', 'tenantId'] } };
    expect((await check(database, 'foreignKey', crossed)).status).toBe('failed');
  });

  it('handles self-references, other schemas and partitioned tables', async () => {
    const self = { table: 'User', columns: ['managerId'], references: { table: 'User', columns: ['id'] } };
    expect((await check(database, 'foreignKey', self)).status).toBe('passed');
    const log = { table: 'audit.Log', columns: ['userId'], references: { table: 'User', columns: ['id'] } };
    expect((await check(database, 'foreignKey', log)).status).toBe('passed');
    const event = { table: 'Event', columns: ['userId'], references: { table: 'User', columns: ['id'] } };
    expect((await check(database, 'foreignKey', event)).status).toBe('passed');
    expect((await check(database, 'foreignKey', { ...event, table: 'Event_2026' })).status).toBe('passed');
  });

  it('handles a partitioned parent', async () => {
    sql(
      database,
      `DROP TABLE IF EXISTS "Seen"; CREATE TABLE "Seen" ("eventId" int, "eventAt" date,
       CONSTRAINT "Seen_event_fkey" FOREIGN KEY ("eventId", "eventAt") REFERENCES "Event" (id, "at"));
       INSERT INTO "Seen" SELECT id, "at" FROM "Event"`,
    );
    const seen = {
      table: 'Seen',
      columns: ['eventId', 'eventAt'],
      references: { table: 'Event', columns: ['id', 'at'] },
    };
    expect((await check(database, 'foreignKey', seen)).status).toBe('passed');
    smuggle(`INSERT INTO "Seen" VALUES (999, '2026-01-05')`);
    expect(await check(database, 'foreignKey', seen)).toMatchObject({
      status: 'failed',
      samples: [{ eventId: '999', eventAt: '2026-01-05', rows: 1 }],
    });
  });

  it('fails when it is absent, with DDL and the orphans that came in', async () => {
    sql(
      database,
      `ALTER TABLE "Child" DROP CONSTRAINT "Child fk"; INSERT INTO "Child" VALUES (3, 9, 9), (4, 9, 9), (5, NULL, 9)`,
    );
    expect(await check(database, 'foreignKey', { ...childParent, name: 'Child fk' })).toMatchObject({
      status: 'failed',
      message:
        '"Child" has no foreign key "cA", "cB" → "Parent" ("pA", "pB"); 2 orphans (1 missing key): "cA", "cB" → "Parent" ("pA", "pB")',
      hint: 'Resolve the orphans, then: ALTER TABLE "public"."Child" ADD CONSTRAINT "Child fk" FOREIGN KEY ("cA", "cB") REFERENCES "public"."Parent" ("pA", "pB") NOT VALID; ALTER TABLE "public"."Child" VALIDATE CONSTRAINT "Child fk";',
      count: 2,
      samples: [{ cA: '9', cB: '9', rows: 2 }],
    });
  });

  it('says where the one that exists leads', async () => {
    const wrong = { ...userTenant, references: { table: 'Place', columns: ['code'] } };
    expect((await check(database, 'foreignKey', wrong)).message).toContain(
      '"User_tenantId_fkey" leads from "tenantId" to "Tenant" ("id")',
    );
  });

  it('sees that triggers are disabled although the constraint calls itself validated', async () => {
    sql(database, 'ALTER TABLE "Child" DISABLE TRIGGER ALL');
    const result = await check(database, 'foreignKey', childParent);
    expect(result).toMatchObject({
      status: 'failed',
      message: 'foreign key "Child fk" is not enforced: its triggers are disabled on public."Child"',
    });
    expect(result.hint).toContain('DROP CONSTRAINT "Child fk"');
    sql(database, 'INSERT INTO "Child" VALUES (3, 7, 7); ALTER TABLE "Child" ENABLE TRIGGER ALL');
    expect(await check(database, 'foreignKey', childParent)).toMatchObject({
      status: 'failed',
      message: '1 orphan (1 missing key): "cA", "cB" → "Parent" ("pA", "pB")',
      samples: [{ cA: '7', cB: '7', rows: 1 }],
    });
  });

  it('sees triggers disabled on the parent, and those that fire only in replicas', async () => {
    sql(database, 'ALTER TABLE "Parent" DISABLE TRIGGER ALL');
    expect((await check(database, 'foreignKey', childParent)).message).toContain(
      'disabled on public."Parent"',
    );
    const trigger = sql(
      database,
      `SELECT tgname FROM pg_trigger WHERE tgrelid = '"Child"'::regclass AND tgisinternal ORDER BY 1 LIMIT 1`,
    );
    sql(
      database,
      `ALTER TABLE "Parent" ENABLE TRIGGER ALL; ALTER TABLE "Child" ENABLE REPLICA TRIGGER "${trigger}"`,
    );
    expect((await check(database, 'foreignKey', childParent)).message).toContain(
      'disabled on public."Child"',
    );
    sql(database, `ALTER TABLE "Child" ENABLE ALWAYS TRIGGER "${trigger}"`);
    expect((await check(database, 'foreignKey', childParent)).status).toBe('passed');
  });

  it('sees triggers disabled on a single partition', async () => {
    sql(database, 'ALTER TABLE "Event_rest" DISABLE TRIGGER ALL');
    const event = { table: 'Event', columns: ['userId'], references: { table: 'User', columns: ['id'] } };
    expect((await check(database, 'foreignKey', event)).message).toContain('disabled on public."Event_rest"');
    sql(database, 'ALTER TABLE "Event_rest" ENABLE TRIGGER ALL');
  });

  it('fails when it is NOT VALID, with or without orphans', async () => {
    sql(
      database,
      `ALTER TABLE "Child" DROP CONSTRAINT "Child fk"; INSERT INTO "Child" VALUES (3, 8, 8);
       ALTER TABLE "Child" ADD CONSTRAINT late FOREIGN KEY ("cA", "cB") REFERENCES "Parent" NOT VALID`,
    );
    expect((await check(database, 'foreignKey', childParent)).message).toBe(
      'foreign key "late" is NOT VALID: older rows were never checked; 1 orphan (1 missing key): "cA", "cB" → "Parent" ("pA", "pB")',
    );
    sql(database, 'DELETE FROM "Child" WHERE id = 3');
    expect(await check(database, 'foreignKey', childParent)).toMatchObject({
      status: 'failed',
      message: 'foreign key "late" is NOT VALID: older rows were never checked',
      hint: 'ALTER TABLE "public"."Child" VALIDATE CONSTRAINT "late";',
    });
  });

  it('holds MATCH FULL to all or none', async () => {
    pair({ match: 'MATCH FULL' });
    sql(database, 'INSERT INTO "Child" VALUES (3, NULL, NULL)');
    expect((await check(database, 'foreignKey', childParent)).status).toBe('passed');
    smuggle('INSERT INTO "Child" VALUES (4, NULL, 1), (5, 1, NULL), (6, 6, 6)');
    expect(await check(database, 'foreignKey', childParent)).toMatchObject({
      status: 'failed',
      message: '1 orphan and 2 rows with a partly NULL key (MATCH FULL): "cA", "cB" → "Parent" ("pA", "pB")',
      count: 3,
    });
  });

  it('does not count rows of inheriting tables, on which the constraint has no say', async () => {
    sql(database, 'CREATE TABLE "Heir" () INHERITS ("Child"); INSERT INTO "Heir" VALUES (1, 5, 5)');
    expect((await check(database, 'foreignKey', childParent)).status).toBe('passed');
    // A parent row that only an heir of the parent has does not satisfy it either.
    sql(database, 'CREATE TABLE "ParentHeir" () INHERITS ("Parent"); INSERT INTO "ParentHeir" VALUES (6, 6)');
    smuggle('INSERT INTO "Child" VALUES (4, 6, 6)');
    expect((await check(database, 'foreignKey', childParent)).status).toBe('failed');
  });

  it('compares as the constraint does: citext, other collations', async () => {
    sql(
      database,
      `DROP TABLE IF EXISTS "CiChild", "CiParent"; CREATE TABLE "CiParent" (c citext PRIMARY KEY, t text COLLATE "C" UNIQUE);
       CREATE TABLE "CiChild" (c citext REFERENCES "CiParent", t text COLLATE "POSIX" REFERENCES "CiParent" (t));
       INSERT INTO "CiParent" VALUES ('Abc', 'Abc'); INSERT INTO "CiChild" VALUES ('aBC', 'Abc')`,
    );
    for (const column of ['c', 't']) {
      const reference = {
        table: 'CiChild',
        columns: [column],
        references: { table: 'CiParent', columns: [column] },
      };
      expect((await check(database, 'foreignKey', reference)).status).toBe('passed');
      expect((await check(database, 'orphans', reference)).status).toBe('passed');
    }
  });

  it('fails for missing tables and columns, errs on what makes no sense', async () => {
    expect((await check(database, 'foreignKey', { ...userTenant, table: 'user' })).hint).toBe(
      '"User" exists, wanted "user".',
    );
    expect((await check(database, 'foreignKey', { ...userTenant, columns: ['tenantID'] })).hint).toBe(
      '"tenantId" exists, wanted "tenantID".',
    );
    expect((await check(database, 'foreignKey', { ...childParent, columns: ['cA'] })).error).toBe(
      '1 columns cannot refer to 2',
    );
    expect((await check(database, 'foreignKey', { ...userTenant, table: 'Twice' })).status).toBe('errored');
  });
});

describe('orphans', () => {
  beforeEach(() => pair({ keys: ' ' }));

  it('needs no constraint', async () => {
    expect(await check(database, 'orphans', childParent)).toMatchObject({
      status: 'passed',
      name: 'orphans Child (cA, cB) → Parent (pA, pB)',
      message: 'no orphans: "cA", "cB" → "Parent" ("pA", "pB")',
    });
    const view = {
      table: 'UserView',
      columns: ['tenantId'],
      references: { table: 'Tenant', columns: ['id'] },
    };
    expect((await check(database, 'orphans', view)).status).toBe('passed');
  });

  it('counts rows, shows keys, those with most rows first', async () => {
    sql(
      database,
      'INSERT INTO "Child" SELECT n, 7, n % 2 FROM generate_series(10, 14) n; INSERT INTO "Child" VALUES (20, 8, NULL)',
    );
    expect(await check(database, 'orphans', childParent)).toMatchObject({
      status: 'failed',
      message: '5 orphans (2 missing keys): "cA", "cB" → "Parent" ("pA", "pB")',
      count: 5,
      samples: [
        { cA: '7', cB: '0', rows: 3 },
        { cA: '7', cB: '1', rows: 2 },
      ],
    });
    expect((await check(database, 'orphans', { ...childParent, sample: 1 })).samples).toHaveLength(1);
    expect((await check(database, 'orphans', { ...childParent, match: 'full' })).message).toContain(
      '1 row with a partly NULL key',
    );
  });

  it('is not fooled by NULL among the parents', async () => {
    sql(
      database,
      `DROP TABLE IF EXISTS "NullParent"; CREATE TABLE "NullParent" (id int); INSERT INTO "NullParent" VALUES (1), (NULL);
       INSERT INTO "Child" VALUES (30, 5, 1)`,
    );
    const reference = {
      table: 'Child',
      columns: ['cA'],
      references: { table: 'NullParent', columns: ['id'] },
    };
    expect((await check(database, 'orphans', reference)).samples).toEqual([{ cA: '5', rows: 1 }]);
  });

  it('compares int with bigint, enum with enum, domain with its base', async () => {
    sql(
      database,
      `DROP TABLE IF EXISTS "Wide", "Narrow"; CREATE TABLE "Wide" (id bigint, s "Status", l "Label");
       CREATE TABLE "Narrow" (id int, s "Status", l text); INSERT INTO "Wide" VALUES (1, 'active', 'x'); INSERT INTO "Narrow" VALUES (1, 'active', 'x')`,
    );
    for (const column of ['id', 's', 'l']) {
      const reference = {
        table: 'Narrow',
        columns: [column],
        references: { table: 'Wide', columns: [column] },
      };
      expect(await check(database, 'orphans', reference)).toMatchObject({ status: 'passed' });
    }
  });

  it('shows nothing on an empty table', async () => {
    const empty = { table: 'Empty', columns: ['userId'], references: { table: 'User', columns: ['id'] } };
    expect(await check(database, 'orphans', empty)).toMatchObject({
      status: 'vacuous',
      message: '"Empty" is empty: there was no reference to follow',
    });
    sql(database, 'INSERT INTO "Empty" (id) VALUES (1)');
    expect((await check(database, 'orphans', empty)).status).toBe('passed');
  });

  it('errs when it cannot look', async () => {
    expect((await check(database, 'orphans', { ...childParent, table: 'child' })).status).toBe('errored');
    expect(
      (
        await check(database, 'orphans', {
          ...childParent,
          references: { table: 'Parent', columns: ['pA', 'nope'] },
        })
      ).status,
    ).toBe('errored');
    const types = { table: 'Child', columns: ['cA'], references: { table: 'User', columns: ['id'] } };
    expect((await check(database, 'orphans', types)).error).toContain('operator does not exist');
  });

  it('finds orphans however they are spelled: quoted schema, odd columns, names it uses itself', async () => {
    sql(
      database,
      `DROP TABLE IF EXISTS "odd.schema"."c p"; CREATE TABLE "odd.schema"."c p" ("k0" int, n int, "rows" int, c int, p int);
       INSERT INTO "odd.schema"."c p" VALUES (1, 2, 3, 4, 5)`,
    );
    for (const column of ['k0', 'n', 'rows', 'c', 'p']) {
      const reference = {
        table: '"odd.schema"."c p"',
        columns: [column],
        references: { table: 'Parent', columns: ['pA'] },
      };
      const result = await check(database, 'orphans', reference);
      expect(['passed', 'failed']).toContain(result.status);
    }
  });
});
