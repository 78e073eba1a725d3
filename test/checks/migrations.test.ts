/** migrations: what each tool records, compared with files. */
import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, it } from 'vitest';
import { createDatabase, sql, temporaryFolder } from '../helpers/database.ts';
import { told } from './fixture.ts';

const folder = temporaryFolder();
const sha = (text: string) => createHash('sha256').update(text).digest('hex');

/** Writes files below the folder and returns where `base` is. */
function files(base: string, all: Readonly<Record<string, string>>): string {
  for (const [name, content] of Object.entries(all)) {
    const path = join(folder, base, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
  }
  return join(folder, base);
}

const database = createDatabase(
  'migrations',
  `CREATE SCHEMA "odd.schema"; CREATE SCHEMA drizzle; CREATE SCHEMA flyway; CREATE SCHEMA knex; CREATE SCHEMA broken;
  CREATE TABLE "_prisma_migrations" (id text, checksum text, finished_at timestamptz, migration_name text, logs text,
    rolled_back_at timestamptz, started_at timestamptz DEFAULT clock_timestamp(), applied_steps_count int);
  INSERT INTO "_prisma_migrations" (checksum, finished_at, migration_name, logs, rolled_back_at) VALUES
    ('${sha('one')}', now(), '1_one', NULL, NULL), ('x', NULL, '2_two', 'boom', now()), ('${sha('two')}', now(), '2_two', NULL, NULL);
  CREATE TABLE "odd.schema"."my prisma" (LIKE "_prisma_migrations" INCLUDING DEFAULTS);
  INSERT INTO "odd.schema"."my prisma" (checksum, finished_at, migration_name, logs) VALUES
    ('edited', now(), '1_one', NULL), ('x', NULL, '2_two', 'boom'), ('x', NULL, '2b', NULL), ('y', now(), '0_gone', NULL);
  CREATE TABLE "odd.schema".none (LIKE "_prisma_migrations");
  CREATE TABLE broken."_prisma_migrations_" (id int);

  CREATE TABLE flyway.flyway_schema_history (installed_rank int, version text, description text, type text, script text,
    checksum int, installed_by text, installed_on timestamp, execution_time int, success bool);
  INSERT INTO flyway.flyway_schema_history (installed_rank, version, type, script, checksum, success) VALUES
    (1, '1', 'SQL', 'V1__a.sql', -593479011, true), (2, '2', 'SQL', 'V2__b.sql', 1, true), (3, '3', 'SQL', 'V3__c.sql', 1, false),
    (4, NULL, 'BASELINE', '<< Flyway Baseline >>', NULL, true);
  CREATE TABLE databasechangelog (id text, author text, filename text, dateexecuted timestamp, orderexecuted int, exectype text, md5sum text);
  INSERT INTO databasechangelog VALUES ('1', 'me', 'c.xml', now(), 1, 'EXECUTED', '9:x');
  CREATE TABLE databasechangeloglock (id int, locked bool); INSERT INTO databasechangeloglock VALUES (1, true);
  CREATE TABLE knex.knex_migrations (id serial, name text, batch int); INSERT INTO knex.knex_migrations (name) VALUES ('1_a.js'), ('2_b.js');
  CREATE TABLE alembic_version (version_num text); INSERT INTO alembic_version VALUES ('bbb');
  CREATE TABLE schema_migrations (version text); INSERT INTO schema_migrations VALUES ('20240101000000'), ('20240102000000');
  CREATE TABLE django_migrations (id serial, app text, name text); INSERT INTO django_migrations (app, name) VALUES ('auth', '0001_initial'), ('shop', '0001_initial'), ('shop', '0002_gone');
  CREATE TABLE migrations (id serial, "timestamp" bigint, name text); INSERT INTO migrations ("timestamp", name) VALUES (1700000000000, 'A1700000000000');
  CREATE TABLE drizzle."__drizzle_migrations" (id serial, hash text, created_at bigint);
  INSERT INTO drizzle."__drizzle_migrations" (hash, created_at) VALUES ('${sha('one')}', 1), ('old', 2);
  CREATE TABLE "SequelizeMeta" (name text); INSERT INTO "SequelizeMeta" VALUES ('1-a.js');
  CREATE TABLE goose_db_version (id serial, version_id bigint, is_applied bool); INSERT INTO goose_db_version (version_id, is_applied) VALUES (0, true), (1, true), (2, true), (2, false);
  CREATE TABLE broken.golang (version bigint, dirty bool); INSERT INTO broken.golang VALUES (7, true);`,
);

const shown = (lines: readonly string[]) =>
  lines.map((line) => line.replaceAll(folder, '…').replaceAll(database, 'DB'));

it('prisma', async () => {
  const whole = files('prisma', {
    '1_one/migration.sql': 'one',
    '2_two/migration.sql': 'two',
    'migration_lock.toml': '',
  });
  const more = files('more', {
    '1_one/migration.sql': 'one',
    '2_two/migration.sql': 'two',
    '3/migration.sql': '',
  });
  expect(
    shown(
      await told(database, 'migrations', [
        { tool: 'prisma', folder: whole },
        { tool: 'prisma' },
        { tool: 'prisma', folder: more, pending: true },
        { tool: 'prisma', folder: more },
        { tool: 'prisma', folder: whole, table: '"odd.schema"."my prisma"' },
        { tool: 'prisma', table: '"odd.schema".none' },
        { tool: 'prisma', table: '_Prisma_migrations' },
        { tool: 'prisma', folder: join(folder, 'nowhere') },
        { tool: 'prisma', table: 'broken._prisma_migrations_' },
      ]),
    ),
  ).toMatchInlineSnapshot(`
    [
      "passed: 2 migrations run by prisma, the last 2_two, compared with 2 in …/prisma",
      "passed: 2 migrations run by prisma, the last 2_two",
      "passed: 2 migrations run by prisma, the last 2_two, compared with 3 in …/more",
      "failed: in the folder, but not run: 3 → The backup is older than the project: run the migrations after the restore.",
      "failed: migration 2_two failed; migration 2b was begun and never finished; edited after it was run: 1_one; run, but not in the folder: 0_gone → Look at what it did, then: prisma migrate resolve --applied or --rolled-back NAME. Put the file back as it was and write a new migration; the database was made by the old one. The database belongs to another state of the project: a newer release, or another branch.",
      "vacuous: "odd.schema"."none" holds no migration that was run",
      "failed: table "_Prisma_migrations" does not exist → "_prisma_migrations" exists, wanted "_Prisma_migrations".",
      "errored: the folder …/nowhere of the migrations cannot be read → A relative one starts at the folder of the plan. Check the path, or leave folder out to look at the table alone.",
      "errored: column "migration_name" does not exist (SQLSTATE 42703) in DB",
    ]
  `);
});

it('a relative folder starts at the folder of the plan', async () => {
  expect(
    await told(database, 'migrations', [{ tool: 'prisma', folder: './prisma' }], undefined, folder),
  ).toEqual(['passed: 2 migrations run by prisma, the last 2_two, compared with 2 in ./prisma']);
});

it('the others, as far as their tables say it', async () => {
  const flyway = files('flyway', {
    'V1__a.sql': '\uFEFFselect 1;\r\nselect 2;\n',
    'V2__b.sql': 'x',
    'R__view.sql': '',
    'notes.txt': '',
  });
  const knex = files('knex', { '1_a.js': '', '2_b.js': '', '2_b.d.ts': '' });
  const alembic = files('alembic', {
    'a.py': "revision = 'aaa'\ndown_revision = None\n",
    'b.py': "revision: str = 'bbb'\ndown_revision: str = 'aaa'\n",
    'env.py': '',
  });
  const ahead = files('ahead', {
    'b.py': "revision = 'bbb'\n",
    'c.py': "revision = 'ccc'\ndown_revision = ('bbb', 'x')\n",
  });
  const foreign = files('foreign', { 'z.py': "revision = 'zzz'\n" });
  const rails = files('rails', {
    '20240101000000_a.rb': '',
    '20240102000000_b.rb': '',
    '20240103000000_c.rb': '',
  });
  const django = files('django', {
    'shop/migrations/0001_initial.py': '',
    'shop/migrations/__init__.py': '',
  });
  const typeorm = files('typeorm', { '1700000000000-A.ts': '', 'helper.ts': '' });
  const drizzle = files('drizzle', {
    'meta/_journal.json': JSON.stringify({
      entries: [
        { when: 1, tag: 'a' },
        { when: 2, tag: 'b' },
      ],
    }),
    'a.sql': 'one',
    'b.sql': 'two',
  });
  const goose = files('goose', { '00001_a.sql': '', '00002_b.sql': '' });
  expect(
    shown(
      await told(database, 'migrations', [
        { tool: 'flyway', folder: flyway },
        { tool: 'liquibase' },
        { tool: 'knex', folder: knex },
        { tool: 'sequelize', folder: knex },
        { tool: 'alembic', folder: alembic },
        { tool: 'alembic', folder: ahead },
        { tool: 'alembic', folder: ahead, pending: true },
        { tool: 'alembic', folder: foreign },
        { tool: 'rails', folder: rails },
        { tool: 'django', folder: django },
        { tool: 'typeorm', folder: typeorm },
        { tool: 'drizzle', folder: drizzle },
        { tool: 'drizzle', folder: typeorm },
        { tool: 'goose', folder: goose },
        { tool: 'golang-migrate', table: 'broken.golang' },
        { tool: 'golang-migrate' },
      ]),
    ),
  ).toMatchInlineSnapshot(`
    [
      "failed: migration V3__c.sql failed; edited after it was run: V2__b.sql; in the folder, but not run: R__view.sql → Look at what it did, then: flyway repair. Put the file back as it was and write a new migration; the database was made by the old one. The backup is older than the project: run the migrations after the restore.",
      "failed: "databasechangeloglock" holds the lock of a run that never ended → If no migration is running, release it with the tool.",
      "passed: 2 migrations run by knex, the last 2_b.js, compared with 2 in …/knex",
      "failed: run, but not in the folder: 1-a.js; in the folder, but not run: 1_a.js, 2_b.js → The database belongs to another state of the project: a newer release, or another branch. The backup is older than the project: run the migrations after the restore.",
      "passed: 1 migration run by alembic, the last bbb, compared with 2 in …/alembic",
      "failed: the database is at bbb, the folder at ccc → The backup is older than the project: run the migrations after the restore.",
      "passed: 1 migration run by alembic, the last bbb, compared with 2 in …/ahead",
      "failed: run, but not in the folder: bbb → The database belongs to another state of the project: a newer release, or another branch.",
      "failed: in the folder, but not run: 20240103000000 → The backup is older than the project: run the migrations after the restore.",
      "failed: run, but not in the folder: shop.0002_gone → The database belongs to another state of the project: a newer release, or another branch.",
      "passed: 1 migration run by typeorm, the last 1700000000000, compared with 1 in …/typeorm",
      "failed: edited after it was run: 2 → Put the file back as it was and write a new migration; the database was made by the old one.",
      "errored: …/typeorm has no readable meta/_journal.json → Give the folder that drizzle-kit writes to (out).",
      "failed: in the folder, but not run: 2 → The backup is older than the project: run the migrations after the restore.",
      "failed: migration 7 was begun and never finished → Look at what it did, then: migrate force VERSION.",
      "errored: column "dirty" does not exist (SQLSTATE 42703) in DB",
    ]
  `);
  sql(
    database,
    'DROP TABLE alembic_version; CREATE TABLE knex.knex_migrations_lock (is_locked int); INSERT INTO knex.knex_migrations_lock VALUES (1)',
  );
  expect(await told(database, 'migrations', [{ tool: 'alembic' }])).toMatchInlineSnapshot(`
    [
      "failed: there is no table "alembic_version": nothing was migrated here → If the tool was given another table, name it under table.",
    ]
  `);
  expect(await told(database, 'migrations', [{ tool: 'knex' }])).toMatchInlineSnapshot(`
    [
      "failed: "knex"."knex_migrations_lock" holds the lock of a run that never ended → If no migration is running, release it with the tool.",
    ]
  `);
});
