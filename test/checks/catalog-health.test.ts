/** catalogHealth on real PostgreSQL: each ailment is found, named exactly and told with its cure. */
import { describe, expect, it } from 'vitest';
import { createDatabase, sql, uniqueName } from '../helpers/database.ts';
import { check, HARD_SCHEMA } from './fixture.ts';

const healthy = createDatabase(
  'healthy',
  `${HARD_SCHEMA}
  DROP TABLE audit."Twice", other."Twice", "odd.schema"."Odd ""Table""";
  CREATE INDEX ON "User" ("managerId"); CREATE INDEX ON audit."Log" ("userId"); CREATE INDEX ON "Event" ("userId", "at");
  CREATE INDEX ON "Visit" (code, "tenantId", id);`,
);
const ill = createDatabase(
  'ill',
  `CREATE SCHEMA "odd.schema";
  CREATE TABLE "odd.schema"."Pa ""rent""" (id int PRIMARY KEY);
  CREATE TABLE "Child" (id int PRIMARY KEY, "parentId" int CONSTRAINT "Child Fk" REFERENCES "odd.schema"."Pa ""rent""", n int);
  INSERT INTO "odd.schema"."Pa ""rent""" VALUES (1); INSERT INTO "Child" VALUES (1, 1, 1), (2, 1, 1);`,
);
const cleaned = { skip: ['withoutPrimaryKey', 'unindexedForeignKeys', 'emptiedUnloggedTables'] };

/** Does `damage` and tells what is found; then undoes it with `cure`. */
async function find(damage: string, cure: string, params: unknown = cleaned) {
  sql(ill, damage);
  try {
    return await check(ill, 'catalogHealth', params);
  } finally {
    sql(ill, cure);
  }
}

describe('catalogHealth', () => {
  it('passes on a whole database', async () => {
    expect(await check(healthy, 'catalogHealth', {})).toMatchObject({
      status: 'passed',
      name: 'catalogHealth',
      message: 'the catalog is healthy: 13 things looked for, none found',
    });
    expect((await check(ill, 'catalogHealth', cleaned)).status).toBe('passed');
  });

  it('finds invalid indexes', async () => {
    const result = await find(
      `DO $$ BEGIN CREATE INDEX "Child In" ON "Child" (n); UPDATE pg_index SET indisvalid = false WHERE indexrelid = '"Child In"'::regclass; END $$`,
      'DROP INDEX "Child In"',
    );
    expect(result).toMatchObject({
      status: 'failed',
      message: '1 invalid index: "Child"."Child In"',
      hint: 'REINDEX INDEX CONCURRENTLY "public"."Child In";'.replaceAll('"public"', 'public'),
      count: 1,
      samples: [{ item: 'invalidIndexes', object: '"Child"."Child In"' }],
    });
  });

  it('finds indexes that are not ready or half dropped', async () => {
    const result = await find(
      `DO $$ BEGIN CREATE INDEX "Child 1" ON "Child" (n); CREATE INDEX "Child 2" ON "Child" (n);
         UPDATE pg_index SET indisready = false, indisvalid = false WHERE indexrelid = '"Child 1"'::regclass;
         UPDATE pg_index SET indislive = false, indisready = false, indisvalid = false WHERE indexrelid = '"Child 2"'::regclass; END $$`,
      // DROP INDEX leaves alone what is not live.
      `UPDATE pg_index SET indislive = true, indisready = true, indisvalid = true WHERE indexrelid = '"Child 2"'::regclass;
       DROP INDEX "Child 1", "Child 2"`,
    );
    expect(result).toMatchObject({
      status: 'failed',
      samples: [
        { item: 'invalidIndexes', object: '"Child"."Child 1"', detail: 'is not ready' },
        { item: 'invalidIndexes', object: '"Child"."Child 2"', detail: 'is being dropped' },
      ],
    });
  });

  it('finds constraints that are NOT VALID, of tables and domains', async () => {
    const result = await find(
      `ALTER TABLE "Child" ADD CONSTRAINT "n small" CHECK (n < 100) NOT VALID;
       CREATE DOMAIN "odd.schema"."Do main" AS int; ALTER DOMAIN "odd.schema"."Do main" ADD CONSTRAINT "pos" CHECK (VALUE > 0) NOT VALID`,
      'ALTER TABLE "Child" DROP CONSTRAINT "n small"; DROP DOMAIN "odd.schema"."Do main"',
    );
    expect(result).toMatchObject({
      status: 'failed',
      message: '2 constraints that are NOT VALID ("Child"."n small", …)',
      hint: 'ALTER TABLE public."Child" VALIDATE CONSTRAINT "n small"; ALTER DOMAIN "odd.schema"."Do main" VALIDATE CONSTRAINT pos;',
    });
  });

  it('finds constraints that are NOT ENFORCED, where the server knows them', async () => {
    if (Number(sql('postgres', 'SHOW server_version_num')) < 180_000) return;
    const result = await find(
      'ALTER TABLE "Child" ADD CONSTRAINT "n ot" CHECK (n < 100) NOT ENFORCED',
      'ALTER TABLE "Child" DROP CONSTRAINT "n ot"',
    );
    expect(result.samples?.[0]?.detail).toBe('is NOT ENFORCED: no row is checked');
    expect(result.hint).toBe('ALTER TABLE public."Child" ALTER CONSTRAINT "n ot" ENFORCED;');
  });

  it('finds disabled triggers, those of foreign keys too, and disabled rules', async () => {
    const result = await find(
      `CREATE FUNCTION "Trig" () RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
       CREATE TRIGGER "my trig" BEFORE INSERT ON "Child" FOR EACH ROW EXECUTE FUNCTION "Trig" ();
       CREATE RULE "my rule" AS ON DELETE TO "Child" DO ALSO SELECT 1;
       ALTER TABLE "Child" DISABLE TRIGGER ALL; ALTER TABLE "Child" DISABLE RULE "my rule"`,
      `ALTER TABLE "Child" ENABLE TRIGGER ALL; DROP FUNCTION "Trig" CASCADE; DROP RULE "my rule" ON "Child"`,
    );
    expect(result.message).toBe(
      '2 disabled triggers ("Child"."Child Fk", …); 1 disabled rule: "Child"."my rule"',
    );
    expect(result.hint).toContain('drop and add "Child Fk" on public."Child".');
    expect(result.hint).toContain('ALTER TABLE public."Child" ENABLE TRIGGER "my trig";');
  });

  it('finds sequences behind their columns', async () => {
    const result = await find(
      'CREATE TABLE "Se q" (id serial PRIMARY KEY); INSERT INTO "Se q" VALUES (5)',
      'DROP TABLE "Se q"',
    );
    expect(result).toMatchObject({
      status: 'failed',
      message: '1 sequence behind its column: "Se q_id_seq"',
      hint: `SELECT pg_catalog.setval('"public"."Se q_id_seq"', 6, false);`,
      samples: [{ detail: 'sequence "Se q_id_seq" gives 1 next, "Se q"."id" already holds 5' }],
    });
  });

  it('finds materialized views without data', async () => {
    const result = await find(
      'CREATE MATERIALIZED VIEW "odd.schema"."Mat" AS SELECT 1 AS one WITH NO DATA',
      'DROP MATERIALIZED VIEW "odd.schema"."Mat"',
    );
    expect(result.message).toBe('1 materialized view without data: "odd.schema"."Mat"');
    expect(result.hint).toBe('REFRESH MATERIALIZED VIEW "odd.schema"."Mat";');
  });

  it('finds a database whose own collation is of another version', async () => {
    if (Number(sql('postgres', 'SHOW server_version_num')) < 150_000) return;
    const name = uniqueName('Aged db');
    sql(
      'postgres',
      `CREATE DATABASE "${name}" TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'de' LOCALE 'C'`,
    );
    try {
      expect(await check(name, 'catalogHealth', {})).toMatchObject({ status: 'passed' });
      sql('postgres', `UPDATE pg_database SET datcollversion = '0.1' WHERE datname = '${name}'`);
      const result = await check(name, 'catalogHealth', {});
      expect(result).toMatchObject({ status: 'failed', count: 1 });
      expect(result.hint).toContain(`ALTER DATABASE "${name}" REFRESH COLLATION VERSION;`);
    } finally {
      sql('postgres', `DROP DATABASE "${name}"`);
    }
  });

  it('finds collations of another version', async () => {
    const result = await find(
      `DO $$ BEGIN
         CREATE COLLATION "Ger man" (provider = icu, locale = 'de'); CREATE TABLE "Co" (id int PRIMARY KEY, n text COLLATE "Ger man");
         UPDATE pg_collation SET collversion = '0.1' WHERE collname = 'Ger man'; END $$`,
      'DROP TABLE "Co"; DROP COLLATION "Ger man"',
    );
    expect(result.message).toBe('1 collation of another version: "Ger man"');
    expect(result.hint).toContain('ALTER COLLATION public."Ger man" REFRESH VERSION;');
  });

  it('finds extensions and libraries that the server lacks', async () => {
    const result = await find(
      `DO $$ BEGIN CREATE EXTENSION citext; UPDATE pg_extension SET extname = 'no such' WHERE extname = 'citext';
         UPDATE pg_proc SET probin = '$libdir/no such lib' WHERE proname = 'citextin' OR probin LIKE '%citext'; END $$`,
      `UPDATE pg_extension SET extname = 'citext' WHERE extname = 'no such'; DROP EXTENSION citext`,
    );
    expect(result.message).toContain('missing extension librar');
    expect(result.samples?.map(({ object }) => object)).toContain('"no such"');
  });

  it('finds partitions that hang on a thread and indexes that not all of them have', async () => {
    const result = await find(
      `CREATE TABLE "Pa" (id int, k int, PRIMARY KEY (id, k)) PARTITION BY LIST (k);
       CREATE TABLE "Pa 1" PARTITION OF "Pa" FOR VALUES IN (1); CREATE TABLE "Pa 2" PARTITION OF "Pa" FOR VALUES IN (2);
       CREATE INDEX "Pa id" ON ONLY "Pa" (id);
       UPDATE pg_inherits SET inhdetachpending = true WHERE inhrelid = '"Pa 2"'::regclass`,
      `UPDATE pg_inherits SET inhdetachpending = false WHERE inhrelid = '"Pa 2"'::regclass; DROP TABLE "Pa"`,
    );
    expect(result.message).toBe(
      '1 index of a partitioned table that some partition lacks: "Pa"."Pa id"; 1 partition whose detaching was cut off: "Pa 2"',
    );
    expect(result.samples).toContainEqual({
      item: 'unattachedIndexes',
      object: '"Pa"."Pa id"',
      detail: 'is not attached on "Pa 1", "Pa 2"',
    });
    expect(result.hint).toContain('ALTER TABLE public."Pa" DETACH PARTITION public."Pa 2" FINALIZE;');
  });

  it('warns of what is unwise, and not at all where it is told to', async () => {
    const damage = 'CREATE UNLOGGED TABLE "Un" (id int)';
    const result = await find(damage, 'SELECT 1', {});
    expect(result).toMatchObject({
      status: 'warned',
      severity: 'error',
      message:
        'nothing is broken, but unwise: 1 unlogged table without a row: "Un"; 1 table without a primary key: "Un"; 1 foreign key without an index: "Child"."Child Fk"',
      hint: 'CREATE INDEX CONCURRENTLY ON public."Child" ("parentId");',
      count: 3,
    });
    expect((await check(ill, 'catalogHealth', { ignore: ['Un', 'Child Fk'] })).message).toContain(
      'is healthy',
    );
    expect((await check(ill, 'catalogHealth', { ignore: ['other.Un', 'Child Fk'] })).message).toBe(
      'nothing is broken, but unwise: 1 unlogged table without a row: "Un"; 1 table without a primary key: "Un"',
    );
    expect((await check(ill, 'catalogHealth', { warn: [] }, { shared: { severity: 'warn' } })).status).toBe(
      'warned',
    );
    expect((await check(ill, 'catalogHealth', { warn: ['invalidIndexes'] })).status).toBe('failed');
    sql(ill, 'DROP TABLE "Un"');
  });

  it('errs where it may not look', async () => {
    const role = `health_reader_${process.pid}`;
    sql(ill, `CREATE ROLE ${role} LOGIN; CREATE TABLE "Se q" (id serial PRIMARY KEY)`);
    try {
      expect(await check(ill, 'catalogHealth', cleaned, { user: role })).toMatchObject({
        status: 'errored',
        error: expect.stringContaining('permission denied'),
      });
      expect(
        (await check(ill, 'catalogHealth', { skip: [...cleaned.skip, 'sequencesBehind'] }, { user: role }))
          .status,
      ).toBe('passed');
    } finally {
      sql(ill, `DROP TABLE "Se q"; DROP ROLE ${role}`);
    }
  });
});
