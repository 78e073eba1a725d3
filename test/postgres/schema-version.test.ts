import { expect, test } from 'vitest';
import { withClient } from '../../src/postgres/client.ts';
import { parseConnection } from '../../src/postgres/connection.ts';
import { SCHEMA_VERSION_PRESETS, schemaVersion } from '../../src/postgres/schema-version.ts';
import { createDatabase, sharedUrl } from '../helpers/database.ts';

/** The tables as the tools make them, with an older and a newer row. */
const TOOLS: Record<string, [string, string]> = {
  prisma: [
    `CREATE TABLE _prisma_migrations (id text PRIMARY KEY, finished_at timestamptz, migration_name text, rolled_back_at timestamptz);
     INSERT INTO _prisma_migrations VALUES ('1', '2026-01-01', '2026_init', NULL), ('2', '2026-02-01', '2026_second', NULL), ('3', '2026-03-01', 'bad', '2026-03-02'), ('4', NULL, 'open', NULL)`,
    '2026_second',
  ],
  flyway: [
    `CREATE TABLE flyway_schema_history (installed_rank int, version text, success bool); INSERT INTO flyway_schema_history VALUES (1, '1', true), (2, '1.10', true), (3, '2', false), (4, NULL, true)`,
    '1.10',
  ],
  liquibase: [
    `CREATE TABLE databasechangelog (id text, dateexecuted timestamp, orderexecuted int); INSERT INTO databasechangelog VALUES ('a', '2026-01-01', 1), ('b', '2026-01-01', 2)`,
    'b',
  ],
  knex: [
    `CREATE TABLE knex_migrations (id int, name text); INSERT INTO knex_migrations VALUES (1, 'a'), (2, 'b.js')`,
    'b.js',
  ],
  alembic: [
    `CREATE TABLE alembic_version (version_num text); INSERT INTO alembic_version VALUES ('b2'), ('a1')`,
    'a1, b2',
  ],
  rails: [
    `CREATE TABLE schema_migrations (version varchar); INSERT INTO schema_migrations VALUES ('20260102'), ('20251231')`,
    '20260102',
  ],
  django: [
    `CREATE TABLE django_migrations (id int, app text, name text); INSERT INTO django_migrations VALUES (1, 'auth', '0001'), (2, 'crm', '0002')`,
    'crm.0002',
  ],
  typeorm: [
    `CREATE TABLE migrations (id int, "timestamp" bigint, name text); INSERT INTO migrations VALUES (1, 2, 'late'), (2, 1, 'early')`,
    'late',
  ],
  sequelize: [
    `CREATE TABLE "SequelizeMeta" (name text); INSERT INTO "SequelizeMeta" VALUES ('1-a.js'), ('2-b.js')`,
    '2-b.js',
  ],
  drizzle: [
    `CREATE SCHEMA drizzle; CREATE TABLE drizzle.__drizzle_migrations (id int, hash text, created_at bigint); INSERT INTO drizzle.__drizzle_migrations VALUES (1, 'abcdefabcdefabcdef', 5)`,
    '5 abcdefabcdef',
  ],
  goose: [
    `CREATE TABLE goose_db_version (id int, version_id bigint, is_applied bool); INSERT INTO goose_db_version VALUES (1, 0, true), (2, 1, true), (3, 2, true), (4, 2, false)`,
    '1',
  ],
  'golang-migrate': [
    `CREATE TABLE schema_migrations (version bigint, dirty bool); INSERT INTO schema_migrations VALUES (7, true)`,
    '7 (dirty)',
  ],
};

test('every preset has a test', () => {
  expect(Object.keys(TOOLS).sort()).toEqual([...SCHEMA_VERSION_PRESETS].sort());
});

test.each(Object.entries(TOOLS))('%s', async (preset, [setup, version]) => {
  const name = createDatabase('schemaversion');
  const problems: string[] = [];
  await withClient(parseConnection(sharedUrl(name)), {}, async (client) => {
    await client.query('BEGIN');
    // Nothing there, nothing recorded, then two rows; in a schema that is not on the search_path as well.
    expect(await schemaVersion(client, preset, (problem) => problems.push(problem))).toBeNull();
    await client.query(
      `CREATE SCHEMA elsewhere; SET LOCAL search_path = elsewhere; ${setup}; SET LOCAL search_path = ''`,
    );
    expect(await schemaVersion(client, preset, (problem) => problems.push(problem))).toBe(version);
    await client.query('ROLLBACK');
  });
  expect(problems).toEqual([]);
});

test('a query of the plan; one that fails costs the version, not the transaction', async () => {
  const problems: string[] = [];
  await withClient(
    parseConnection(
      sharedUrl(createDatabase('schemaversion', 'CREATE TABLE v (n int); INSERT INTO v VALUES (42)')),
    ),
    {},
    async (client) => {
      await client.query("BEGIN; SET LOCAL search_path = ''");
      expect(await schemaVersion(client, { sql: 'SELECT n FROM v' }, () => {})).toBe('42');
      expect(
        await schemaVersion(client, { sql: 'SELECT n FROM missing' }, (problem) => problems.push(problem)),
      ).toBeNull();
      expect(await schemaVersion(client, { sql: 'SELECT n FROM v WHERE false' }, () => {})).toBeNull();
      expect(await schemaVersion(client, undefined, () => {})).toBeNull();
      expect(await client.query('SELECT 1 AS one')).toEqual([{ one: 1 }]);
    },
  );
  expect(problems).toEqual([expect.stringContaining('missing')]);
});
