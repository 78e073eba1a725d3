/** isolation, databaseSettings, sequences. */
import { afterAll, expect, it } from 'vitest';
import { createDatabase, sql } from '../helpers/database.ts';
import { told } from './fixture.ts';

const quiet = createDatabase('quiet');
const loud = createDatabase('loud', 'CREATE TABLE a (id smallserial); CREATE SEQUENCE "odd Seq"');
const role = `surroundings_${process.pid}`;
const plain = (lines: readonly string[]) =>
  lines.map((line) => line.replaceAll(loud, 'LOUD').replaceAll(String(process.pid), 'N'));
sql('postgres', `CREATE ROLE ${role} LOGIN`);
afterAll(() => {
  sql(
    loud,
    `ALTER SUBSCRIPTION "Sub Scription" DISABLE; ALTER SUBSCRIPTION "Sub Scription" SET (slot_name = NONE); DROP SUBSCRIPTION "Sub Scription"`,
  );
  sql(loud, `DROP OWNED BY ${role}; DROP ROLE ${role}`);
});

it('isolation', async () => {
  sql(
    loud,
    `CREATE SUBSCRIPTION "Sub Scription" CONNECTION 'dbname=nowhere' PUBLICATION p WITH (connect = false);
     UPDATE pg_subscription SET subenabled = true WHERE subname = 'Sub Scription';
     CREATE SCHEMA cron; CREATE TABLE cron.job (jobid bigint, jobname text, active bool); INSERT INTO cron.job VALUES (1, 'night ly', true), (2, NULL, true), (3, 'off', false);
     CREATE SCHEMA pgagent; CREATE TABLE pgagent.pga_job (jobid int, jobname text, jobenabled bool); INSERT INTO pgagent.pga_job VALUES (7, 'agent', true);
     CREATE FOREIGN DATA WRAPPER "Wrap"; CREATE SERVER "Ser ver" FOREIGN DATA WRAPPER "Wrap"; CREATE FOREIGN TABLE far (a int) SERVER "Ser ver";
     CREATE FUNCTION "Ev" () RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'; CREATE EVENT TRIGGER "Ev ent" ON ddl_command_end EXECUTE FUNCTION "Ev" ();`,
  );
  const skip = ['subscriptions', 'foreignServers', 'eventTriggers'];
  expect(await told(quiet, 'isolation', [{}])).toEqual([
    'passed: nothing acts by itself (subscriptions, cronJobs, foreignServers, eventTriggers)',
  ]);
  expect(
    await told(loud, 'isolation', [
      {},
      { skip, ignore: ['agent', '2', 'night ly'] },
      { skip: ['cronJobs'], ignore: ['Ser ver', 'Ev ent'] },
    ]),
  ).toMatchInlineSnapshot(`
    [
      "failed: subscription "Sub Scription" is enabled; job "night ly" of pg_cron is active; job "2" of pg_cron is active; job "agent" of pgAgent is active; foreign server "Ser ver" (Wrap) with 1 table; event trigger "Ev ent" fires on ddl_command_end → ALTER SUBSCRIPTION "Sub Scription" DISABLE; UPDATE "cron"."job" SET active = false WHERE jobid = 1; UPDATE "cron"."job" SET active = false WHERE jobid = 2; UPDATE "pgagent"."pga_job" SET jobenabled = false WHERE jobid = 7; DROP SERVER "Ser ver" CASCADE; ALTER EVENT TRIGGER "Ev ent" DISABLE;",
      "passed: nothing acts by itself (cronJobs)",
      "failed: subscription "Sub Scription" is enabled → ALTER SUBSCRIPTION "Sub Scription" DISABLE;",
    ]
  `);
  expect(plain(await told(loud, 'isolation', [{}], role))).toEqual([
    'errored: permission denied for schema cron (SQLSTATE 42501) in LOUD → Grant SELECT on the table (and USAGE on its schema) to the role that checks.',
  ]);
});

it('databaseSettings', async () => {
  sql(
    loud,
    `ALTER DATABASE "${loud}" SET search_path = app, "odd Schema"; ALTER DATABASE "${loud}" SET statement_timeout = '30s';
     ALTER DATABASE "${loud}" SET jit = off; ALTER ROLE ${role} IN DATABASE "${loud}" SET work_mem = '64MB'; ALTER ROLE ${role} SET work_mem = '1MB'`,
  );
  const roles = { [role]: { work_mem: '64MB' } };
  expect(
    plain(
      await told(loud, 'databaseSettings', [
        {
          settings: {
            search_path: 'app,"odd Schema"',
            statement_timeout: '30s',
            JIT: false,
            lock_timeout: null,
          },
          roles,
          exact: true,
        },
        {
          settings: { search_path: 'app, other', jit: null, lock_timeout: 500, statement_timeout: '30s' },
          roles: { [role]: { work_mem: '1MB' } },
        },
        { settings: {}, exact: true },
        {},
      ]),
    ),
  ).toMatchInlineSnapshot(`
    [
      "passed: 5 settings as declared",
      "failed: search_path is app, "odd Schema", expected app, other; jit is set to off and must not be set; lock_timeout is not set, expected 500; work_mem of role "surroundings_N" is 64MB, expected 1MB → ALTER DATABASE "LOUD" SET "search_path" = 'app', 'other'; ALTER DATABASE "LOUD" RESET "jit"; ALTER DATABASE "LOUD" SET "lock_timeout" = 500; ALTER ROLE "surroundings_N" IN DATABASE "LOUD" SET "work_mem" = '1MB';",
      "failed: search_path is set to app, "odd Schema" and not in the plan; statement_timeout is set to 30s and not in the plan; jit is set to off and not in the plan; work_mem of role "surroundings_N" is set to 64MB and not in the plan → ALTER DATABASE "LOUD" RESET "search_path"; ALTER DATABASE "LOUD" RESET "statement_timeout"; ALTER DATABASE "LOUD" RESET "jit"; ALTER ROLE "surroundings_N" IN DATABASE "LOUD" RESET "work_mem";",
      "errored: the check names no setting → Write settings: {name: value}, or exact: true where there must be none.",
    ]
  `);
  expect(await told(quiet, 'databaseSettings', [{ exact: true }])).toEqual([
    'passed: 0 settings as declared',
  ]);
});

it('sequences', async () => {
  sql(loud, `SELECT setval('public.a_id_seq', 30000)`);
  expect(
    await told(loud, 'sequences', [
      {},
      { headroom: '20%' },
      { headroom: '20%', ignore: ['a_id_seq', 'other.odd Seq'] },
      { ignore: ['a_id_seq', 'public.odd Seq'] },
    ]),
  ).toMatchInlineSnapshot(`
    [
      "passed: all 2 sequences are ahead of their columns",
      "failed: sequence "a_id_seq" has 8.4% of its values left, expected 20% → Make the column and the sequence bigint before it runs out.",
      "passed: the only sequence is ahead of its columns",
      "vacuous: the database has no sequence to look at",
    ]
  `);
  sql(loud, `INSERT INTO public.a VALUES (30001)`);
  expect(await told(loud, 'sequences', [{ headroom: '20%' }])).toMatchInlineSnapshot(`
    [
      "failed: sequence "a_id_seq" gives 30001 next, "a"."id" already holds 30001; sequence "a_id_seq" has 8.4% of its values left, expected 20% → SELECT pg_catalog.setval('"public"."a_id_seq"', 30002, false); Make the column and the sequence bigint before it runs out.",
    ]
  `);
  expect((await told(loud, 'sequences', [{}], role))[0]).toContain('errored: permission denied for');
});
