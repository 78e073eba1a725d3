/** `init` on a database with hard names: the plan is valid, its nightly job runs, and nothing is left out. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { createApp } from '../../src/app.ts';
import { valuesOf } from '../../src/init/live/values.ts';
import { parsePlan } from '../../src/plan/load.ts';
import { flowText } from '../../src/plan/write.ts';
import { cli } from '../helpers/cli.ts';
import { createDatabase, sharedUrl, temporaryFolder } from '../helpers/database.ts';
import { createHardDatabase } from '../helpers/hard-schema.ts';

const folder = temporaryFolder();
const env = (url: string) => ({
  DATABASE_URL: url,
  BACKUP_DIR: join(folder, 'backups'),
  BACKPLAN_STATE: join(folder, 'state'),
});
const run = (url: string, ...args: string[]) => cli(args, { cwd: folder, env: env(url), timeoutMs: 200_000 });

const SCHEMA = String.raw`
CREATE SCHEMA "odd.schema";
CREATE TYPE "odd.schema"."Mood" AS ENUM ('up', 'quo''te', '\${X}', 'no');
CREATE TABLE "Tenant" (id text PRIMARY KEY, "displayName" text NOT NULL);
CREATE TABLE "User" (
  id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "tenantId" text NOT NULL REFERENCES "Tenant" (id),
  email text, status varchar(20) NOT NULL CHECK (status IN ('active', 'it''s, off', 'pen"ding')),
  "parentId" int REFERENCES "User" (id), UNIQUE ("tenantId", email));
CREATE UNIQUE INDEX "one active" ON "User" ("tenantId") WHERE status = 'pen"ding';
CREATE INDEX "User_status:idx" ON "User" (lower(status));
CREATE TABLE "odd.schema"."Ta""ble $\{x} {y}" ("a.b" int, "C d" text, mood "odd.schema"."Mood" NOT NULL,
  CONSTRAINT "key #1" PRIMARY KEY ("C d", "a.b"));
CREATE TABLE "odd.schema".true (id int PRIMARY KEY, "a.b" int, "C d" text, state text CHECK (state IN ('x', 'y')),
  FOREIGN KEY ("a.b", "C d") REFERENCES "odd.schema"."Ta""ble $\{x} {y}" ("a.b", "C d"));
ALTER TABLE "odd.schema".true ADD CONSTRAINT "late one" FOREIGN KEY (id) REFERENCES "User" (id) NOT VALID;
CREATE TABLE part (id int, day date, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE part_2026 PARTITION OF part FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE INDEX ON part (day);
CREATE VIEW "User names" AS SELECT id FROM "User";
CREATE MATERIALIZED VIEW counted AS SELECT count(*) AS n FROM "User" WITH NO DATA;
CREATE TABLE "_prisma_migrations" (id text PRIMARY KEY, migration_name text, finished_at timestamptz, rolled_back_at timestamptz);
CREATE EXTENSION hstore;
CREATE TRIGGER "T ""1""" BEFORE UPDATE ON "User" FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();
ALTER TABLE "User" ENABLE ALWAYS TRIGGER "T ""1""";
INSERT INTO "Tenant" VALUES ('t', 'T');
INSERT INTO "User" ("tenantId", email, status) VALUES ('t', 'a', 'active'), ('t', 'b', 'it''s, off');
INSERT INTO "odd.schema"."Ta""ble $\{x} {y}" VALUES (1, 'c', 'up'), (2, 'c', '\${X}');
INSERT INTO part VALUES (1, '2026-05-05');
`
  .replaceAll('\\${', '${')
  .replaceAll('$\\{', '${');

const database = createDatabase('init it', SCHEMA);
let text = '';
let checks: { kind: string; with: unknown; shared?: unknown }[] = [];

beforeAll(async () => {
  const url = sharedUrl(database).replace('postgres@', 'postgres:s3cret@');
  const made = await run(url, 'init', '--out', 'plan.yaml', '--name', 'crm', '--timezone', 'Europe/Berlin');
  expect(made).toMatchObject({ code: 0, stderr: '' });
  expect(made.stdout).toContain('✓ plan.yaml');
  text = readFileSync(join(folder, 'plan.yaml'), 'utf8');
  const { plan, diagnostics } = await parsePlan('plan.yaml', text, createApp().vocabulary);
  expect(diagnostics).toEqual([]);
  checks = JSON.parse(JSON.stringify(plan?.suites.consistency?.checks ?? []));
});

const of = (kind: string) =>
  checks.filter((check) => check.kind === kind).map((check) => JSON.stringify(check.with));

describe('init', () => {
  it('writes a check for everything that the database has', () => {
    expect(checks.find(({ kind }) => kind === 'tables')?.with).toEqual([
      'Tenant',
      'User',
      'User names',
      '_prisma_migrations',
      'counted',
      'part',
      '"odd.schema"."Ta""ble $${x} {y}"',
      '"odd.schema".true',
    ]);
    expect(of('unique')).toContain('{"table":"User","columns":["tenantId","email"]}');
    expect(of('primaryKey')).toContain('{"table":"part","columns":["id","day"]}');
    expect(of('columns')).toContain(
      JSON.stringify({
        table: '"odd.schema"."Ta""ble $${x} {y}"',
        columns: {
          'a.b': { type: 'integer', nullable: false },
          'C d': { type: 'text', nullable: false },
          mood: { type: '"odd.schema"."Mood"', nullable: false },
        },
      }),
    );
    expect(of('constraint')).toEqual([
      JSON.stringify({ table: 'User', name: 'User_status_check' }),
      JSON.stringify({ table: '"odd.schema".true', name: 'true_state_check' }),
    ]);
    expect(of('trigger')).toEqual([
      JSON.stringify({
        table: 'User',
        name: 'T "1"',
        enabled: 'always',
        function: 'pg_catalog.suppress_redundant_updates_trigger',
        definition: 'BEFORE UPDATE',
      }),
    ]);
    expect(of('extension')).toEqual([JSON.stringify({ name: 'hstore' })]);
    expect(of('sequence')).toEqual([JSON.stringify({ name: 'User_id_seq', table: 'User', column: 'id' })]);
    expect(of('enumType')).toEqual([
      JSON.stringify({ name: '"odd.schema".Mood', labels: ['up', "quo'te", '$${X}', 'no'], ordered: true }),
    ]);
    expect(of('catalogHealth').join()).toContain('"warn":["unvalidatedConstraints","unpopulatedViews"');
    expect(of('foreignKey')).toHaveLength(4);
    expect(of('index').join()).toMatch(/one active.*unique":true/);
    expect(of('index').join()).toContain('User_status:idx');
    expect(of('acceptedValues')).toEqual([
      JSON.stringify({
        table: 'User',
        column: 'status',
        values: ['active', "it's, off", 'pen"ding'],
        nullable: false,
      }),
    ]);
    expect(of('rowCount')).toHaveLength(4);
    expect(text).toContain('schemaVersion: prisma');
    expect(text).toContain('# "late one" is NOT VALID');
  });

  it('never writes the password, nor over a file', async () => {
    expect(text).not.toContain('s3cret');
    const again = await run(sharedUrl(database), 'init', '--out', 'plan.yaml');
    expect(again.code).toBe(2);
    expect(again.stderr).toContain('plan.yaml is there already');
    expect(readFileSync(join(folder, 'plan.yaml'), 'utf8')).toBe(text);
  });

  it('refuses what would not be valid, and a database without tables', async () => {
    const bad = await run(sharedUrl(database), 'init', '--out', 'bad.yaml', '--cron', 'whenever');
    expect(bad.code).toBe(2);
    expect(bad.stderr).toContain('cron expression');
    const empty = await run(sharedUrl('template1'), 'init', '--out', 'bad.yaml');
    expect(empty.code).toBe(2);
    expect(empty.stderr).toContain('there is no table in template1');
    const none = await cli(['init', '--out', 'bad.yaml'], { cwd: folder });
    expect(none.stderr).toContain('neither a url nor $DATABASE_URL');
  });

  it('writes a plan whose nightly job runs at once, and warns of what is not valid yet', async () => {
    const night = await run(sharedUrl(database), 'run', 'plan.yaml', 'nightly', '-o', 'json');
    const record = JSON.parse(night.stdout.trim().split('\n').at(-1) ?? '{}');
    expect([night.code, night.stdout.includes('"rejected"')], JSON.stringify(record, null, 1)).toEqual([
      0,
      false,
    ]);
    const look = await run(sharedUrl(database), 'check', 'plan.yaml');
    expect(look.code).toBe(0);
    expect(look.stdout).toContain('2 warned');
  });
});

it('the hard database: every check holds in it', async () => {
  const hard = createHardDatabase();
  const made = await run(sharedUrl(hard), 'init', '--out', 'hard.yaml', '-o', 'json');
  expect(made).toMatchObject({ code: 0, stderr: '' });
  const look = await run(sharedUrl(hard), 'check', 'hard.yaml');
  expect(look.code, look.stdout + look.stderr).toBe(0);
});

it.each([
  [`(status = ANY (ARRAY['a'::text, 'b''c, d'::text]))`, ['a', "b'c, d"]],
  [`((status)::text = ANY ((ARRAY['a'::character varying, 'b'::character varying])::text[]))`, ['a', 'b']],
  [`((status)::text = ANY (ARRAY[('a'::character varying)::text, 'b'::text]))`, undefined],
  [`(other = ANY (ARRAY['a'::text]))`, undefined],
  [`((status = ANY (ARRAY['a'::text])) OR (status IS NULL))`, undefined],
  [`(status <> 'bad'::text)`, undefined],
])('values of %s', (expression, values) => {
  expect(valuesOf(expression, 'status')).toEqual(values);
});

it('texts on one line of YAML mean what they are', async () => {
  const { parseDocument } = await import('yaml');
  for (const text of [
    'a',
    'a b',
    'true',
    'No',
    '1',
    '-',
    'a: b',
    'a #b',
    '[x',
    '',
    ' x',
    '\u0085\u2028é',
    'a,b',
    "it's",
    '"q"',
    '0x1',
    '~',
    'null',
    '2026-01-01',
  ]) {
    expect(parseDocument(flowText([text])).toJS()).toEqual([text]);
  }
});
