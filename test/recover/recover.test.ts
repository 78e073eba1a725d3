/** Rows that were deleted come back with all that belongs to them, exactly; or nothing is changed. */
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { BackplanError } from '../../src/errors.ts';
import { recoverRows } from '../../src/steps/recover-rows.ts';
import { cli } from '../helpers/cli.ts';
import { makeContext } from '../helpers/context.ts';
import {
  createDatabase,
  FILE_COPY,
  sharedUrl,
  sql,
  temporaryFolder,
  uniqueName,
} from '../helpers/database.ts';

const SCHEMA = String.raw`
CREATE SCHEMA "odd.schema";
CREATE TYPE "odd.schema".mood AS ENUM ('up', 'quo''te');
CREATE TYPE pair AS (a int, b text);
CREATE TABLE "Tenant" (id text PRIMARY KEY, "mainUser" bigint, name text UNIQUE);
CREATE TABLE "odd.schema"."Us""er" (
  "i d" bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "tenantId" text NOT NULL REFERENCES "Tenant" (id) ON DELETE CASCADE,
  "e-mail" text UNIQUE, boss bigint REFERENCES "odd.schema"."Us""er" ("i d"), mood "odd.schema".mood,
  shout text GENERATED ALWAYS AS (upper("e-mail")) STORED, doc json, pic bytea, f float8, list text[], p pair, "at" timestamptz, span interval);
ALTER TABLE "Tenant" ADD CONSTRAINT "main user" FOREIGN KEY ("mainUser") REFERENCES "odd.schema"."Us""er" ("i d") ON DELETE SET NULL;
CREATE TABLE "Note" (a int, b int, "userId" bigint REFERENCES "odd.schema"."Us""er" ("i d") ON DELETE CASCADE, text text, PRIMARY KEY (a, b));
CREATE TABLE "Task" (id serial PRIMARY KEY, owner bigint REFERENCES "odd.schema"."Us""er" ("i d") ON DELETE SET NULL, title text);
CREATE TABLE part (id int, day date, "noteA" int, "noteB" int, PRIMARY KEY (id, day),
  FOREIGN KEY ("noteA", "noteB") REFERENCES "Note" (a, b) ON DELETE CASCADE) PARTITION BY RANGE (day);
CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE audit (n int);
CREATE FUNCTION log() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.audit VALUES (1); NEW.f := 0; RETURN NEW; END';
CREATE TRIGGER "log it" BEFORE INSERT OR UPDATE ON "odd.schema"."Us""er" FOR EACH ROW EXECUTE FUNCTION log();
ALTER TABLE "odd.schema"."Us""er" DISABLE TRIGGER "log it";
INSERT INTO "Tenant" (id, name) VALUES ('a', 'A'), ('b', 'B');
INSERT INTO "odd.schema"."Us""er" ("tenantId", "e-mail", boss, mood, doc, pic, f, list, p, "at", span)
  SELECT CASE WHEN n > 8 THEN 'b' ELSE 'a' END, 'm\''' || n || E'\n☃', nullif(n - 1, 0), 'quo''te', '{"a": 1.00, "a":2}', '\x00ff', 0.1::float8 + 0.2,
    ARRAY['x,"y', NULL], CASE n % 3 WHEN 0 THEN ROW(NULL, NULL)::pair WHEN 1 THEN ROW(1, 'q"')::pair END, '2026-05-05 05:05:05.123456+02', '1 mon -3 days'
  FROM generate_series(1, 10) n;
UPDATE "Tenant" SET "mainUser" = 5 WHERE id = 'a'; UPDATE "Tenant" SET "mainUser" = 9 WHERE id = 'b';
INSERT INTO "Note" SELECT n, n, n, 'note' FROM generate_series(1, 10) n;
INSERT INTO "Task" (owner, title) SELECT n, 't' FROM generate_series(1, 10) n;
INSERT INTO part SELECT n, '2026-05-05', n, n FROM generate_series(1, 10) n;
ALTER TABLE "odd.schema"."Us""er" ENABLE TRIGGER "log it";
`;
const USER = `"odd.schema"."Us""er"`;
const copy = createDatabase('rows', SCHEMA);
let database = '';
let context: ReturnType<typeof makeContext>;

beforeEach(() => {
  database = uniqueName(copy);
  sql('postgres', `CREATE DATABASE "${database}" TEMPLATE "${copy}" ${FILE_COPY}`);
  context = makeContext({ databases: { crm: sharedUrl(database), copy: sharedUrl(copy) } });
});

type Params = Parameters<typeof recoverRows.run>[0];
const run = async (params: Record<string, unknown>) =>
  (await recoverRows.run(
    {
      database: 'crm',
      from: 'copy',
      table: USER,
      children: true,
      overwrite: false,
      triggers: 'off',
      limit: 100,
      lockTimeout: '1s',
      apply: true,
      ...params,
    } as Params,
    context,
  )) as { missing: number; inserted: number; differing: number; statements: number; summary: string };

const state = (name: string) =>
  sql(
    name,
    [
      ...['"Tenant"', USER, '"Note"', '"Task"', 'part'].map(
        (table) => `SELECT format('%s', t) FROM ${table} t ORDER BY 1`,
      ),
      'SELECT tgname, tgenabled FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1, tgrelid::regclass::text',
    ].join(';'),
  );

async function failure(work: Promise<unknown>): Promise<BackplanError> {
  const thrown = await work.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (!(thrown instanceof BackplanError)) throw new Error(`expected a BackplanError, got ${thrown}`);
  return thrown;
}

describe('recoverRows', () => {
  it('brings a row back with what was deleted along and what lost its reference', async () => {
    const damage = `ALTER TABLE ${USER} DISABLE TRIGGER "log it"; UPDATE ${USER} SET boss = NULL WHERE "i d" = 6;
      DELETE FROM ${USER} WHERE "i d" = 5; UPDATE "Task" SET title = 'newer' WHERE id = 5; ALTER TABLE ${USER} ENABLE TRIGGER "log it"`;
    // What was changed by hand, and is not to come back.
    const rest = `ALTER TABLE ${USER} DISABLE TRIGGER "log it"; UPDATE ${USER} SET boss = 5 WHERE "i d" = 6;
      UPDATE "Task" SET owner = 5, title = 't' WHERE id = 5; ALTER TABLE ${USER} ENABLE TRIGGER "log it"`;
    sql(database, damage);
    const before = state(database);
    const file = join(context.baseDirectory, 'sql', 'back.sql');
    const dry = await run({ where: '"i d" = 5', apply: false, file: 'sql/back.sql' });
    expect(dry).toMatchObject({ missing: 3, inserted: 0, differing: 0 });
    expect(dry.summary).toContain('"odd.schema"."Us""er": 1 to insert: i d = "5"');
    expect(dry.summary).toContain('"Tenant": 1 to attach again (ON DELETE SET NULL): id = "a"');
    expect(dry.summary).not.toContain('"Task"');
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(state(database)).toBe(before);
    expect(await run({ where: '"i d" = 5' })).toMatchObject({ missing: 3, inserted: 3 });
    sql(database, rest);
    expect(state(database)).toBe(state(copy));
    expect(await run({ where: '"i d" = 5' })).toMatchObject({ missing: 0, statements: 0 });
    // The file does the same.
    sql(database, damage);
    sql(database, `ALTER TABLE ${USER} DISABLE TRIGGER "log it"`);
    sql(database, readFileSync(file, 'utf8'));
    sql(database, rest);
    expect(state(database)).toBe(state(copy));
  });

  it('brings a whole tenant back, in a circle of references', async () => {
    sql(database, `DELETE FROM "Tenant" WHERE id = 'b'; SELECT setval('"odd.schema"."Us""er_i d_seq"', 4)`);
    const done = await run({ table: 'Tenant', where: `id = 'b'` });
    expect(done.inserted).toBe(7);
    expect(state(database)).toBe(state(copy));
    expect(sql(database, `SELECT nextval('"odd.schema"."Us""er_i d_seq"')`)).toBe('11');
  });

  it('brings the parents that a row needs', async () => {
    sql(database, `DELETE FROM "Tenant" WHERE id = 'b'`);
    const done = await run({ table: 'part', where: 'id = 10', children: false });
    // part → Note → User → its boss and the tenant.
    expect(done.summary).toContain('"Tenant": 1 to insert');
    expect(sql(database, `SELECT count(*) FROM ${USER} WHERE "tenantId" = 'b'`)).toBe('2');
    expect(sql(database, 'SELECT count(*) FROM part')).toBe('9');
  });

  it('leaves rows that differ, unless told otherwise', async () => {
    sql(
      database,
      `UPDATE "Note" SET text = 'newer' WHERE a = 1; DELETE FROM part WHERE id = 2; DELETE FROM "Note" WHERE a = 2`,
    );
    const done = await run({ table: 'Note', where: 'a < 4' });
    expect(done).toMatchObject({ missing: 2, inserted: 2, differing: 1 });
    expect(done.summary).toContain(
      '"Note": 1 in both that differ, left as they are: a = "1", b = "1" (text)',
    );
    expect(sql(database, 'SELECT text FROM "Note" WHERE a = 1')).toBe('newer');
    await run({ table: 'Note', where: 'a < 4', overwrite: true });
    expect(state(database)).toBe(state(copy));
  });

  it('changes nothing where production has taken a unique value, and says which', async () => {
    sql(database, `UPDATE ${USER} SET boss = NULL; DELETE FROM ${USER} WHERE "i d" = 7`);
    sql(
      database,
      `INSERT INTO ${USER} ("tenantId", "e-mail") SELECT 'a', "e-mail" FROM (VALUES (E'm\\\\''7\\n☃')) v("e-mail")`,
    );
    const before = state(database);
    const refused = await failure(run({ where: '"i d" = 7' }));
    expect(refused.code).toBe('RECOVERY_REFUSED');
    expect(refused.message).toContain('production has another row with e-mail');
    expect(state(database)).toBe(before);
  });

  it('lets triggers fire when told so, and undoes everything when one refuses', async () => {
    sql(database, `DELETE FROM "Tenant" WHERE id = 'b'; DELETE FROM audit`);
    await run({ table: 'Tenant', where: `id = 'b'`, triggers: 'fire' });
    expect(sql(database, 'SELECT count(*) > 0 FROM audit')).toBe('t');
    expect(context.logged.map(({ message }) => message).join()).toContain('not as in the backup');
    sql(
      database,
      `DELETE FROM "Tenant" WHERE id = 'b';
       CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''not this one''; END';
       CREATE TRIGGER no BEFORE INSERT ON part FOR EACH ROW EXECUTE FUNCTION no()`,
    );
    const before = state(database);
    const refused = await failure(run({ table: 'Tenant', where: `id = 'b'`, triggers: 'fire' }));
    expect(refused.message).toContain('nothing was changed: not this one');
    expect(state(database)).toBe(before);
    await run({ table: 'Tenant', where: `id = 'b'` });
    expect(state(database)).toBe(`${state(copy)}\nno|O\nno|O`);
  });

  it('needs the owner of the tables, no superuser, and says so to others', async () => {
    const [owner, guest, managed] = [uniqueName('odd owner'), uniqueName('odd guest'), uniqueName(copy)];
    sql('postgres', `CREATE ROLE "${owner}" LOGIN; CREATE ROLE "${guest}" LOGIN`);
    sql('postgres', `CREATE DATABASE "${managed}" OWNER "${owner}" TEMPLATE template0 ${FILE_COPY}`);
    try {
      sql(
        managed,
        `SET SESSION AUTHORIZATION "${owner}"; ${SCHEMA}
         GRANT USAGE ON SCHEMA "odd.schema" TO "${guest}"; GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public, "odd.schema" TO "${guest}";
         DELETE FROM "Tenant" WHERE id = 'b'`,
      );
      const as = (role: string) => {
        const url = sharedUrl(managed, encodeURIComponent(role));
        context = makeContext({ databases: { crm: url, copy: sharedUrl(copy) } });
        return run({ table: 'Tenant', where: `id = 'b'` });
      };
      const before = state(managed);
      const refused = await failure(as(guest));
      expect(refused.message).toContain('nothing was changed: must be owner of');
      expect(refused.hint).toContain('by the owner of the tables');
      expect(state(managed)).toBe(before);
      expect((await as(owner)).inserted).toBe(7);
      expect(state(managed)).toBe(state(copy));
    } finally {
      sql('postgres', `DROP DATABASE "${managed}" WITH (FORCE)`);
      sql('postgres', `DROP ROLE "${owner}", "${guest}"`);
    }
  });

  it('refuses too many rows, wrong conditions and what is not there', async () => {
    expect((await failure(run({ where: 'true', limit: 3 }))).message).toContain('more than 3 rows');
    expect((await failure(run({ where: 'nothing = 1' }))).code).toBe('QUERY_FAILED');
    expect((await failure(run({ table: 'Nope', where: 'true' }))).message).toContain('does not exist');
    expect((await failure(run({ table: 'audit', where: 'true' }))).message).toContain('no key');
  });
});

describe('backplan recover', () => {
  it('restores the tables, shows the rows and inserts them with --apply --yes', async () => {
    const folder = temporaryFolder();
    const plan = join(folder, 'plan.yaml');
    writeFileSync(
      plan,
      `version: 1\nname: r\ndatabases: { crm: { url: "\${DATABASE_URL}" } }\nrepositories: { local: { path: ./backups } }\n`,
    );
    const call = (...args: string[]) =>
      cli(args, {
        env: { DATABASE_URL: sharedUrl(database), BACKPLAN_STATE: join(folder, 'state') },
        timeoutMs: 200_000,
      });
    expect((await call('backup', plan)).code).toBe(0);
    sql(database, `DELETE FROM "Tenant" WHERE id = 'b'`);
    const question = ['recover', plan, '-t', 'Tenant', '-w', "id = 'b'", '-b', 'latest'];
    const dry = await call(...question);
    expect([dry.code, dry.stderr], dry.stdout).toEqual([0, 'Nothing was changed; --apply brings it back.\n']);
    expect(dry.stdout).toContain('"Tenant": 1 to insert: id = "b"');
    const done = await call(...question, '--apply', '--yes', '-o', 'json');
    expect(done.code, done.stdout + done.stderr).toBe(0);
    expect(state(database)).toBe(state(copy));
  });
});
