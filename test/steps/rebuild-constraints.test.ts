import { spawn } from 'node:child_process';
import { beforeEach, describe, expect, inject, it } from 'vitest';
import { BackplanError } from '../../src/errors.ts';
import { parseConnection } from '../../src/postgres/connection.ts';
import { rebuildConstraints } from '../../src/steps/rebuild-constraints.ts';
import { makeContext } from '../helpers/context.ts';
import { createDatabase, sharedUrl, sql, uniqueName } from '../helpers/database.ts';

const database = createDatabase('rebuild', 'CREATE SCHEMA "odd.schema"');
const context = makeContext({ databases: { crm: sharedUrl(database) } });

interface Wanted {
  table: string;
  columns: string[];
  name?: string;
  form?: 'constraint' | 'index';
}

const run = (constraints: Wanted[], params: Record<string, unknown> = {}) =>
  rebuildConstraints.run(
    { database: 'crm', constraints, concurrently: false, lockTimeout: '10s', sample: 5, ...params },
    context,
  );

async function error(work: Promise<unknown>): Promise<BackplanError> {
  const caught = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(caught instanceof BackplanError)) throw new Error(`expected a BackplanError, got ${caught}`);
  return caught;
}

/** Everything about the unique indexes of the test tables that must survive, and their storage, which must not. */
function state() {
  const rows = sql(
    database,
    `SELECT json_build_object(
       'definition', pg_get_indexdef(i.indexrelid), 'valid', i.indisvalid, 'immediate', i.indimmediate,
       'clustered', i.indisclustered, 'identity', i.indisreplident, 'replident', t.relreplident,
       'constraint', pg_get_constraintdef(con.oid), 'comment', obj_description(i.indexrelid, 'pg_class'),
       'constraintComment', obj_description(con.oid, 'pg_constraint'))
     FROM pg_index i JOIN pg_class t ON t.oid = i.indrelid JOIN pg_namespace n ON n.oid = t.relnamespace
     LEFT JOIN pg_constraint con ON con.conindid = i.indexrelid AND con.contype IN ('p', 'u')
     WHERE n.nspname IN ('public', 'odd.schema') AND i.indisunique
     ORDER BY i.indexrelid::regclass::text`,
  );
  return rows
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line));
}

/** File on disk of an index: changes when it is built anew. */
const storage = (index: string) =>
  sql(database, `SELECT pg_relation_filenode('${index.replaceAll("'", "''")}')`);

beforeEach(() => {
  context.logged.length = 0;
  context.reports.length = 0;
  sql(
    database,
    `DROP TABLE IF EXISTS "TenantLicense", "Seat", "odd.schema"."Odd ""T""", "Part", _prisma_migrations CASCADE;
     CREATE TABLE "TenantLicense" (id text PRIMARY KEY, "tenantId" text NOT NULL, "licenseType" text NOT NULL, seats int);
     CREATE UNIQUE INDEX "tenantId_licenseType" ON "TenantLicense" ("tenantId", "licenseType");
     CREATE UNIQUE INDEX "partial" ON "TenantLicense" ("tenantId", "licenseType") WHERE seats > 0;
     INSERT INTO "TenantLicense" SELECT 'l' || n, 't' || n % 10, 'type' || n / 10, n FROM generate_series(0, 99) n;
     CREATE TABLE "odd.schema"."Odd ""T""" ("a.b" int, "C d" text COLLATE "POSIX", x int,
       CONSTRAINT "Odd ""Key""" UNIQUE NULLS NOT DISTINCT ("C d", "a.b") INCLUDE (x) WITH (fillfactor = 70) DEFERRABLE INITIALLY DEFERRED);
     COMMENT ON CONSTRAINT "Odd ""Key""" ON "odd.schema"."Odd ""T""" IS 'it''s the \\key';
     INSERT INTO "odd.schema"."Odd ""T""" VALUES (1, 'x', 1), (NULL, 'y', 2);`,
  );
});

const license = { table: 'TenantLicense', columns: ['tenantId', 'licenseType'] };
const odd = { table: '"odd.schema"."Odd ""T"""', columns: ['a.b', 'C d'] };

describe.each([false, true])('concurrently: %s', (concurrently) => {
  it('builds a plain unique index anew and keeps its form', async () => {
    const [before, file] = [state(), storage('"tenantId_licenseType"')];
    expect(await run([{ ...license, name: 'tenantId_licenseType' }], { concurrently })).toEqual({
      rebuilt: ['tenantId_licenseType'],
    });
    expect(state()).toEqual(before);
    expect(storage('"tenantId_licenseType"')).not.toBe(file);
    expect(context.logged.map((line) => line.message)).toContain(
      '"tenantId_licenseType" on "TenantLicense" ("tenantId", "licenseType") was dropped and re-added',
    );
  });

  it('builds a constraint anew with everything about it', async () => {
    const [before, file] = [state(), storage('"odd.schema"."Odd ""Key"""')];
    expect(await run([odd], { concurrently })).toEqual({ rebuilt: ['Odd "Key"'] });
    expect(state()).toEqual(before);
    expect(storage('"odd.schema"."Odd ""Key"""')).not.toBe(file);
  });

  it('keeps comments, CLUSTER and replica identity', async () => {
    sql(
      database,
      `COMMENT ON INDEX "tenantId_licenseType" IS 'by Prisma';
       ALTER TABLE "TenantLicense" CLUSTER ON "tenantId_licenseType";
       ALTER TABLE "TenantLicense" REPLICA IDENTITY USING INDEX "tenantId_licenseType"`,
    );
    const before = state();
    await run([license], { concurrently });
    expect(state()).toEqual(before);
    expect(before).toContainEqual(
      expect.objectContaining({ clustered: true, identity: true, replident: 'i', comment: 'by Prisma' }),
    );
  });

  it('builds in place what a foreign key or view depends on', async () => {
    sql(
      database,
      `CREATE TABLE "Seat" ("tenantId" text, "licenseType" text,
         FOREIGN KEY ("tenantId", "licenseType") REFERENCES "TenantLicense" ("tenantId", "licenseType"));
       INSERT INTO "Seat" VALUES ('t1', 'type1')`,
    );
    const [before, file] = [state(), storage('"tenantId_licenseType"')];
    expect(await run([license], { concurrently })).toEqual({ rebuilt: ['tenantId_licenseType'] });
    expect(state()).toEqual(before);
    expect(storage('"tenantId_licenseType"')).not.toBe(file);
    expect(context.logged.at(-1)?.message).toMatch(
      /was rebuilt in place, because constraint .* depends on it/,
    );
    expect(() => sql(database, `INSERT INTO "Seat" VALUES ('t1', 'nope')`)).toThrow(/foreign key/);
  });

  it('builds a primary key in place', async () => {
    const before = state();
    await run([{ table: 'TenantLicense', columns: ['id'] }], { concurrently });
    expect(state()).toEqual(before);
    expect(context.logged.at(-1)?.message).toContain('because it is the primary key');
  });

  it('mends an index that a failed CREATE INDEX CONCURRENTLY left invalid', async () => {
    sql(
      database,
      `DROP INDEX "tenantId_licenseType"; INSERT INTO "TenantLicense" VALUES ('dup', 't1', 'type1')`,
    );
    expect(() =>
      sql(
        database,
        'CREATE UNIQUE INDEX CONCURRENTLY "tenantId_licenseType" ON "TenantLicense" ("tenantId", "licenseType")',
      ),
    ).toThrow();
    sql(database, `DELETE FROM "TenantLicense" WHERE id = 'dup'`);
    await run([license], { concurrently });
    expect(state().every((index) => index.valid)).toBe(true);
    expect(context.logged.at(-1)?.message).toContain('had been invalid');
  });

  it('refuses with the duplicates when the rows do not allow it, and changes nothing', async () => {
    // What an index that was damaged on disk lets through: rows that it does not know of.
    sql(
      database,
      `UPDATE pg_index SET indisready = false, indisvalid = false WHERE indexrelid = '"tenantId_licenseType"'::regclass;
       INSERT INTO "TenantLicense" VALUES ('d1', 't1', 'type1'), ('d2', 't1', 'type1'), ('d3', 't2', 'type2');
       UPDATE pg_index SET indisready = true, indisvalid = true WHERE indexrelid = '"tenantId_licenseType"'::regclass`,
    );
    const [before, file] = [state(), storage('"tenantId_licenseType"')];
    const refused = await error(run([license], { concurrently }));
    expect(refused).toMatchObject({ code: 'REBUILD_REFUSED', exitCode: 1 });
    expect(refused.message).toBe(
      'the rows do not allow it: "TenantLicense" ("tenantId", "licenseType"): 2 keys are there more than once (5 rows): ' +
        'tenantId = "t1", licenseType = "type1" (3 rows); tenantId = "t2", licenseType = "type2" (2 rows)',
    );
    expect(refused.hint).toContain('Nothing was changed');
    expect(context.reports).toEqual([
      {
        kind: 'rebuildConstraints',
        refused: [
          {
            table: '"TenantLicense"',
            columns: ['tenantId', 'licenseType'],
            duplicates: {
              groups: 2,
              rows: 5,
              top: [
                { key: { tenantId: 't1', licenseType: 'type1' }, rows: 3 },
                { key: { tenantId: 't2', licenseType: 'type2' }, rows: 2 },
              ],
            },
          },
        ],
      },
    ]);
    expect(state()).toEqual(before);
    expect(storage('"tenantId_licenseType"')).toBe(file);
    expect((await error(run([license], { concurrently, sample: 1 }))).message).toMatch(
      /\(3 rows\); and 1 more$/,
    );
  });

  it('refuses duplicates of what depends on it as well', async () => {
    sql(
      database,
      `CREATE TABLE "Seat" ("tenantId" text, "licenseType" text,
         FOREIGN KEY ("tenantId", "licenseType") REFERENCES "TenantLicense" ("tenantId", "licenseType"));
       UPDATE pg_index SET indisready = false WHERE indexrelid = '"tenantId_licenseType"'::regclass;
       INSERT INTO "TenantLicense" VALUES ('d1', 't1', 'type1');
       UPDATE pg_index SET indisready = true WHERE indexrelid = '"tenantId_licenseType"'::regclass`,
    );
    const before = state();
    expect((await error(run([license], { concurrently }))).code).toBe('REBUILD_REFUSED');
    expect(state()).toEqual(before);
  });

  it('treats NULL as the constraint does', async () => {
    const file = storage('"odd.schema"."Odd ""Key"""');
    sql(
      database,
      `UPDATE pg_index SET indisready = false WHERE indexrelid = '"odd.schema"."Odd ""Key"""'::regclass;
       INSERT INTO "odd.schema"."Odd ""T""" VALUES (NULL, 'y', 3);
       UPDATE pg_index SET indisready = true WHERE indexrelid = '"odd.schema"."Odd ""Key"""'::regclass`,
    );
    expect((await error(run([odd], { concurrently }))).message).toContain('a.b = NULL, C d = "y" (2 rows)');
    expect(storage('"odd.schema"."Odd ""Key"""')).toBe(file);
  });

  it('adds what is missing: a constraint, or an index where Prisma migrates', async () => {
    sql(database, 'DROP INDEX "tenantId_licenseType"');
    await run([{ ...license, name: 'tenantId_licenseType' }], { concurrently });
    expect(state().map((index) => index.constraint)).toContain('UNIQUE ("tenantId", "licenseType")');
    sql(
      database,
      'ALTER TABLE "TenantLicense" DROP CONSTRAINT "tenantId_licenseType"; CREATE TABLE _prisma_migrations ()',
    );
    expect(await run([license], { concurrently })).toEqual({
      rebuilt: ['TenantLicense_tenantId_licenseType_key'],
    });
    const added = state().find((index) =>
      index.definition.includes('TenantLicense_tenantId_licenseType_key'),
    );
    expect(added).toMatchObject({ constraint: null, valid: true });
    expect(context.logged.at(-1)).toMatchObject({
      level: 'warn',
      message: expect.stringContaining('was missing and is added as index'),
    });
    sql(database, 'DROP INDEX "TenantLicense_tenantId_licenseType_key"');
    await run([{ ...license, form: 'constraint' }], { concurrently });
    expect(state().map((index) => index.constraint)).toContain('UNIQUE ("tenantId", "licenseType")');
  });

  it('does not add what the rows do not allow', async () => {
    sql(
      database,
      `DROP INDEX "tenantId_licenseType"; INSERT INTO "TenantLicense" VALUES ('d1', 't1', 'type1')`,
    );
    const before = state();
    expect((await error(run([license], { concurrently }))).message).toContain(
      '1 key is there more than once (2 rows)',
    );
    expect(state()).toEqual(before);
  });

  it('handles partitioned tables', async () => {
    sql(
      database,
      `CREATE TABLE "Part" (id int, "at" int, CONSTRAINT "Part key" UNIQUE (id, "at")) PARTITION BY LIST ("at");
       CREATE TABLE "Part_1" PARTITION OF "Part" FOR VALUES IN (1); CREATE TABLE "Part_2" PARTITION OF "Part" FOR VALUES IN (2);
       INSERT INTO "Part" SELECT n, n % 2 + 1 FROM generate_series(1, 10) n`,
    );
    const before = state();
    expect(await run([{ table: 'Part', columns: ['at', 'id'] }], { concurrently })).toEqual({
      rebuilt: ['Part key'],
    });
    expect(state()).toEqual(before);
  });

  it('waits only so long for a table in use', async () => {
    const name = uniqueName('holder');
    const holder = spawn(
      `${inject('cluster').binDirectory}/psql`,
      ['-Xq', '-d', `${sharedUrl(database)}&application_name=${name}`],
      { stdio: ['pipe', 'ignore', 'ignore'] },
    );
    holder.stdin.write('BEGIN; SELECT 1 FROM "TenantLicense" LIMIT 1;\n');
    const idle = () =>
      sql(
        database,
        `SELECT count(*) FROM pg_stat_activity WHERE application_name = '${name}' AND state = 'idle in transaction'`,
      );
    while (idle() === '0') await new Promise((resolve) => setTimeout(resolve, 20));
    const before = state();
    try {
      const failed = await error(run([license], { concurrently, lockTimeout: '200ms' }));
      expect(failed.transient).toBe(true);
      expect(failed.message).toContain('a table was in use for longer than 200ms; nothing was changed');
      const rest = (index: { definition: string }) => !index.definition.includes('backplan_rebuild');
      expect(state().filter(rest)).toEqual(before);
      const warned = context.logged.filter(({ message }) => message.includes('could not be dropped yet'));
      expect(warned).toHaveLength(concurrently ? 1 : 0);
    } finally {
      sql(
        database,
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '${name}'`,
      );
      holder.kill();
    }
    await run([license], { concurrently });
    expect(state()).toEqual(before);
  });
});

describe('in one transaction', () => {
  it('changes nothing when one of several is refused, and names all that are', async () => {
    sql(
      database,
      `CREATE TABLE "Seat" (id int, "rowNo" int); INSERT INTO "Seat" VALUES (1, 1), (1, 1);
       DROP INDEX "tenantId_licenseType"; INSERT INTO "TenantLicense" VALUES ('d1', 't1', 'type1')`,
    );
    const [before, file] = [state(), storage('"odd.schema"."Odd ""Key"""')];
    const refused = await error(run([odd, license, { table: 'Seat', columns: ['id', 'rowNo'] }]));
    expect(refused.detail?.split('\n')).toHaveLength(2);
    expect(state()).toEqual(before);
    expect(storage('"odd.schema"."Odd ""Key"""')).toBe(file);
  });

  it('mends a partitioned index that lacks a part', async () => {
    sql(
      database,
      `CREATE TABLE "Part" (id int, "at" int) PARTITION BY LIST ("at"); CREATE TABLE "Part_1" PARTITION OF "Part" FOR VALUES IN (1);
       CREATE UNIQUE INDEX "Part_key" ON ONLY "Part" (id, "at")`,
    );
    await run([{ table: 'Part', columns: ['id', 'at'] }]);
    expect(state().filter((index) => index.definition.includes('Part'))).toEqual([
      expect.objectContaining({ valid: true }),
      expect.objectContaining({ valid: true }),
    ]);
  });

  it('never shows others a table without its constraint', async () => {
    // A writer that tries to insert a duplicate all the time must never succeed.
    const writer = spawn(
      `${inject('cluster').binDirectory}/psql`,
      [
        '-Xq',
        '-d',
        sharedUrl(database),
        '-c',
        `DO $$ BEGIN FOR i IN 1..3000 LOOP
           BEGIN INSERT INTO "TenantLicense" VALUES ('w' || i, 't1', 'type1'); EXCEPTION WHEN unique_violation THEN NULL; END;
           COMMIT; END LOOP; END $$`,
      ],
      { stdio: 'ignore' },
    );
    const ended = new Promise((resolve) => writer.on('close', resolve));
    for (let round = 0; round < 8; round++) await run([license], { concurrently: round % 2 === 1 });
    await ended;
    expect(
      sql(
        database,
        `SELECT count(*) FROM "TenantLicense" WHERE "tenantId" = 't1' AND "licenseType" = 'type1'`,
      ),
    ).toBe('1');
  });
});

describe('refusals before anything happens', () => {
  it.each([
    [{ table: 'tenantlicense', columns: ['id'] }, 'table "tenantlicense" does not exist'],
    [
      { table: 'TenantLicense', columns: ['tenantID', 'licenseType'] },
      '"TenantLicense" has no column "tenantID"',
    ],
    [
      { table: 'TenantLicense', columns: ['tenantId', 'seats'], name: 'tenantId_licenseType' },
      '"tenantId_licenseType" on "TenantLicense" is on ("tenantId", "licenseType"), not on ("tenantId", "seats")',
    ],
    [
      { table: 'odd_view', columns: ['id'] },
      '"odd_view" is not a table, so it cannot have a unique constraint',
    ],
    [
      { table: 'TenantLicense', columns: ['seats'], name: 'odd_view' },
      'nothing was changed: relation "odd_view" already exists',
    ],
  ])('%j', async (wanted, message) => {
    sql(database, 'CREATE OR REPLACE VIEW odd_view AS SELECT 1 AS id');
    const refused = await error(run([wanted]));
    expect(refused.code).toBe('REBUILD_REFUSED');
    expect(refused.message).toContain(message);
  });

  it('a role that does not own the table', async () => {
    const role = uniqueName('guest');
    sql(database, `CREATE ROLE ${role} LOGIN; GRANT SELECT, UPDATE ON "TenantLicense" TO ${role}`);
    context.addDatabase({
      handle: 'named:crm/guest',
      kind: 'named',
      connection: parseConnection(sharedUrl(database, role)),
    });
    const refused = await error(run([license], { database: 'named:crm/guest' }));
    sql(database, `DROP OWNED BY ${role}; DROP ROLE ${role}`);
    expect(refused).toMatchObject({ code: 'PERMISSION_DENIED', exitCode: 6 });
  });
});

it('marks a copy as modified, a database of the plan not', async () => {
  const copy = context.addDatabase({
    handle: 'sandbox:rehearse/crm',
    kind: 'sandbox',
    connection: parseConnection(sharedUrl(database)),
    restoredFrom: { whole: true },
  });
  await error(run([{ table: 'nope', columns: ['id'] }], { database: copy.handle }));
  expect(copy.modified).toBeUndefined();
  await run([license], { database: copy.handle });
  expect(copy.modified).toBe(true);
  await run([license]);
  expect(context.database('crm').modified).toBeUndefined();
});
