/** constraint, view, materializedView, function, trigger, extension, schema, partition, rowLevelSecurity, role, grant. */
import { afterAll, expect, it } from 'vitest';
import { createDatabase, sql } from '../helpers/database.ts';
import { HARD_SCHEMA, told } from './fixture.ts';

const app = `objects "App" ${process.pid}`;
const group = `objects_group_${process.pid}`;
const quotedApp = `"${app.replaceAll('"', '""')}"`;
const database = createDatabase(
  'objects',
  `${HARD_SCHEMA}
  CREATE ROLE ${quotedApp} LOGIN CONNECTION LIMIT 5; CREATE ROLE ${group} CREATEDB; GRANT ${group} TO ${quotedApp};

  ALTER TABLE "User" ADD CONSTRAINT "Level ok" CHECK (level >= 0 AND level < 100);
  ALTER TABLE "User" ADD CONSTRAINT "Ratio ok" CHECK (ratio >= 0) NOT VALID;
  CREATE TABLE "odd.schema"."Room" (n int, during int4range, CONSTRAINT "No two" EXCLUDE USING gist (during WITH &&));
  ALTER DOMAIN "Label" ADD CONSTRAINT "Label short" CHECK (length(VALUE) < 10);

  CREATE VIEW "odd.schema"."Vi ew" WITH (security_barrier) AS SELECT id AS "I d", level FROM "User";
  CREATE MATERIALIZED VIEW "Empty mat" AS SELECT 1 AS one WITH NO DATA;

  CREATE FUNCTION "odd.schema"."Do It" (int, text[] DEFAULT NULL) RETURNS SETOF "User" LANGUAGE sql STABLE AS 'SELECT * FROM "User"';
  CREATE FUNCTION "odd.schema"."Do It" () RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN END';
  CREATE PROCEDURE "Proc" (n int) LANGUAGE sql AS 'SELECT 1';
  CREATE FUNCTION audit."log" () RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
  CREATE TRIGGER "Audit it" BEFORE INSERT OR UPDATE ON "User" FOR EACH ROW EXECUTE FUNCTION audit."log" ();
  CREATE TRIGGER "off" BEFORE DELETE ON "User" FOR EACH ROW EXECUTE FUNCTION audit."log" ();
  ALTER TABLE "User" DISABLE TRIGGER "off";
  CREATE TRIGGER "replica" BEFORE DELETE ON "User" FOR EACH ROW EXECUTE FUNCTION audit."log" ();
  ALTER TABLE "User" ENABLE REPLICA TRIGGER "replica";

  ALTER TABLE "Tenant" ENABLE ROW LEVEL SECURITY; ALTER TABLE "Tenant" FORCE ROW LEVEL SECURITY;
  CREATE POLICY "Own ten" ON "Tenant" FOR SELECT TO ${quotedApp} USING (id = current_user);
  CREATE POLICY "deny" ON "Tenant" AS RESTRICTIVE WITH CHECK (true);
  CREATE POLICY "unused" ON "Place" USING (true);

  GRANT SELECT, INSERT ON "User" TO ${quotedApp}; GRANT UPDATE (kind, "eMail") ON "User" TO ${quotedApp};
  GRANT DELETE ON "User" TO ${group}; GRANT USAGE ON SCHEMA audit TO PUBLIC; GRANT USAGE ON SEQUENCE audit."Log_id_seq" TO ${quotedApp};
  REVOKE EXECUTE ON FUNCTION audit."log" FROM PUBLIC;`,
);
afterAll(() => {
  sql(database, `DROP OWNED BY ${quotedApp}, ${group}; DROP ROLE ${quotedApp}, ${group}`);
});

it('constraint', async () => {
  expect(
    await told(database, 'constraint', [
      { table: 'User', name: 'Level ok', type: 'check', expression: '(level>=0) AND (level<100)' },
      { table: '"odd.schema"."Room"', name: 'No two', type: 'exclusion' },
      { domain: 'Label', name: 'Label short' },
      { table: 'User', name: 'Ratio ok', validated: false },
      { table: 'User', name: 'gone', exists: false },
      { table: 'User', name: 'Ratio ok', type: 'exclusion', expression: 'ratio > 0' },
      { table: 'User', name: 'level ok' },
      { table: 'User', name: 'new one', expression: 'level > 1' },
      { domain: 'label', name: 'Label short' },
      { domain: 'Label', name: 'Label short', exists: false },
      { table: 'Users', name: 'gone', exists: false },
      { name: 'Level ok' },
    ]),
  ).toMatchInlineSnapshot(`
    [
      "passed: constraint "Level ok" on "User": CHECK (((level >= 0) AND (level < 100)))",
      "passed: constraint "No two" on "odd.schema"."Room": EXCLUDE USING gist (during WITH &&)",
      "passed: constraint "Label short" on domain "Label": CHECK ((length(VALUE) < 10))",
      "passed: constraint "Ratio ok" on "User": CHECK ((ratio >= (0)::numeric)) NOT VALID",
      "passed: constraint "gone" on "User" does not exist",
      "failed: constraint "Ratio ok" on "User" is a check constraint, expected exclusion; does not say ratio > 0; is NOT VALID: older rows were never checked → It is: CHECK ((ratio >= (0)::numeric)) NOT VALID ALTER TABLE "public"."User" VALIDATE CONSTRAINT "Ratio ok";",
      "failed: constraint "level ok" on "User" does not exist → "Level ok" exists, wanted "level ok".",
      "failed: constraint "new one" on "User" does not exist → ALTER TABLE "public"."User" ADD CONSTRAINT "new one" CHECK (level > 1);",
      "failed: domain "label" does not exist → "Label" exists, wanted "label".",
      "failed: constraint "Label short" on domain "Label" exists and must not → ALTER DOMAIN "public"."Label" DROP CONSTRAINT "Label short";",
      "vacuous: table "Users" does not exist, so there was nothing to look at → "User" exists, wanted "Users".",
      "errored: the check names neither a table nor a domain → Write table: Name or domain: Name beside the name of the constraint.",
    ]
  `);
});

it('view', async () => {
  expect(
    await told(database, 'view', [
      { name: '"odd.schema"."Vi ew"', columns: ['level', 'I d'], securityInvoker: false },
      { name: 'gone', exists: false },
      { name: 'UserView', columns: ['ID'], securityInvoker: true },
      { name: 'userview' },
      { name: 'UserCount' },
      { name: 'UserView', exists: false },
      { name: 'a.b.c' },
    ]),
  ).toMatchInlineSnapshot(`
    [
      "passed: view "odd.schema"."Vi ew" exists with "I d", "level"",
      "passed: view gone does not exist",
      "failed: view "UserView" has no column "ID"; view "UserView" reads its tables with the rights of its owner → It has "id", "kind", "tenantId". ALTER VIEW "public"."UserView" SET (security_invoker = true);",
      "failed: view "userview" does not exist → "UserView" exists, wanted "userview".",
      "failed: view "UserCount" does not exist",
      "failed: view "UserView" exists and must not → DROP VIEW "public"."UserView";",
      "errored: "a.b.c" is not a table name → Write Table, schema.Table, or "odd.schema"."Odd Table" with double quotes around odd parts.",
    ]
  `);
});

it('materializedView', async () => {
  expect(
    await told(database, 'materializedView', [
      { name: 'UserCount', columns: ['n'] },
      { name: 'Empty mat', populated: false },
      { name: 'gone', exists: false },
      { name: 'Empty mat', columns: ['two'] },
      { name: 'other.UserCount' },
      { name: 'Empty mat', exists: false },
      { name: '""' },
    ]),
  ).toMatchInlineSnapshot(`
    [
      "passed: materialized view "UserCount" exists and was filled",
      "passed: materialized view "Empty mat" exists",
      "passed: materialized view gone does not exist",
      "failed: materialized view "Empty mat" has no column "two"; materialized view "Empty mat" was never filled: a query on it fails → It has "one". REFRESH MATERIALIZED VIEW "public"."Empty mat";",
      "failed: materialized view "other"."UserCount" does not exist → "UserCount" exists, wanted "other"."UserCount".",
      "failed: materialized view "Empty mat" exists and must not → DROP MATERIALIZED VIEW "public"."Empty mat";",
      "errored: "\\"\\"" is not a table name → Write Table, schema.Table, or "odd.schema"."Odd Table" with double quotes around odd parts.",
    ]
  `);
});

it('function', async () => {
  const doIt = '"odd.schema"."Do It"';
  expect(
    await told(database, 'function', [
      { name: doIt, arguments: ['int4', 'text[]'], returns: 'User', language: 'sql', volatility: 'stable' },
      { name: doIt, arguments: [], securityDefiner: true },
      { name: doIt, volatility: 'volatile' },
      { name: 'Proc', arguments: ['int'] },
      { name: doIt, arguments: ['text'], exists: false },
      { name: doIt, arguments: ['text'] },
      {
        name: doIt,
        arguments: [],
        returns: 'int',
        language: 'sql',
        volatility: 'immutable',
        securityDefiner: false,
      },
      { name: 'audit.Log' },
      { name: doIt, exists: false },
      { name: 'x.y.z' },
    ]),
  ).toMatchInlineSnapshot(`
    [
      "passed: function "odd.schema"."Do It"(integer, text[])",
      "passed: function "odd.schema"."Do It"()",
      "passed: function "odd.schema"."Do It"()",
      "passed: procedure "Proc"(integer)",
      "passed: "odd.schema"."Do It" has no form with the arguments (text)",
      "failed: "odd.schema"."Do It" has no form with the arguments (text) → There is "odd.schema"."Do It"(integer, text[]), "odd.schema"."Do It"().",
      "failed: function "odd.schema"."Do It"() returns void, expected int; is written in plpgsql, expected sql; is volatile, expected immutable; runs with the rights of its owner → ALTER FUNCTION "odd.schema"."Do It"() IMMUTABLE; ALTER ROUTINE "odd.schema"."Do It"() SECURITY INVOKER;",
      "failed: function "audit"."Log" does not exist → "audit"."log" exists, wanted "audit"."Log".",
      "failed: "odd.schema"."Do It"(integer, text[]) exists and must not → DROP ROUTINE "odd.schema"."Do It"(integer, text[]), "odd.schema"."Do It"();",
      "errored: "x.y.z" is not a table name → Write Table, schema.Table, or "odd.schema"."Odd Table" with double quotes around odd parts.",
    ]
  `);
});

it('trigger', async () => {
  expect(
    await told(database, 'trigger', [
      { table: 'User', name: 'Audit it', function: 'audit.log', definition: 'BEFORE INSERT  OR UPDATE' },
      { table: 'User', name: 'off', enabled: false },
      { table: 'User', name: 'replica', enabled: 'replica' },
      { table: 'User', name: 'gone', exists: false },
      { table: 'User', name: 'off' },
      { table: 'User', name: 'replica' },
      { table: 'User', name: 'Audit it', function: 'log2', definition: 'AFTER', enabled: 'always' },
      { table: 'User', name: 'audit it' },
      { table: 'Tenant', name: 'Audit it' },
      { table: 'User', name: 'off', exists: false },
      { table: 'Twice', name: 'off' },
    ]),
  ).toMatchInlineSnapshot(`
    [
      "passed: trigger "Audit it" on "User": CREATE TRIGGER "Audit it" BEFORE INSERT OR UPDATE ON public."User" FOR EACH ROW EXECUTE FUNCTION audit.log()",
      "passed: trigger "off" on "User": CREATE TRIGGER off BEFORE DELETE ON public."User" FOR EACH ROW EXECUTE FUNCTION audit.log()",
      "passed: trigger "replica" on "User": CREATE TRIGGER replica BEFORE DELETE ON public."User" FOR EACH ROW EXECUTE FUNCTION audit.log()",
      "passed: trigger "gone" on "User" does not exist",
      "failed: trigger "off" on "User" is disabled → ALTER TABLE "public"."User" ENABLE TRIGGER "off";",
      "failed: trigger "replica" on "User" fires only in replicas → ALTER TABLE "public"."User" ENABLE TRIGGER "replica";",
      "failed: trigger "Audit it" on "User" is enabled; calls "audit"."log", expected "log2"; is not defined with "AFTER" → ALTER TABLE "public"."User" ENABLE ALWAYS TRIGGER "Audit it"; It is: CREATE TRIGGER "Audit it" BEFORE INSERT OR UPDATE ON public."User" FOR EACH ROW EXECUTE FUNCTION audit.log()",
      "failed: trigger "audit it" on "User" does not exist → "Audit it" exists, wanted "audit it".",
      "failed: trigger "Audit it" on "Tenant" does not exist → "Tenant" has no trigger.",
      "failed: trigger "off" on "User" exists and must not → DROP TRIGGER "off" ON "public"."User";",
      "errored: table "Twice" is ambiguous: "audit"."Twice", "other"."Twice" → Write the schema too, for example audit.Twice.",
    ]
  `);
});

it('extension', async () => {
  expect(
    await told(database, 'extension', [
      { name: 'citext', version: '>= 1.2', schema: 'public' },
      { name: 'citext', version: '<1.100' },
      { name: 'no_such_thing', exists: false },
      { name: 'citext', version: '> 1.100', schema: 'audit' },
      { name: 'pgcrypto' },
      { name: 'Citext' },
      { name: 'no_such_thing' },
      { name: 'citext', exists: false },
      { name: 'citext', version: '>= ' },
    ]).then((lines) => lines.map((line) => line.replaceAll(/(?<=version |citext" |offers )\d+\.\d+/g, 'N'))),
  ).toMatchInlineSnapshot(`
    [
      "passed: extension "citext" N in schema "public"",
      "passed: extension "citext" N in schema "public"",
      "passed: extension "no_such_thing" does not exist",
      "failed: extension "citext" is version N, expected > 1.100; extension "citext" is in schema "public", expected "audit" → The server offers N: install another package on the server. ALTER EXTENSION "citext" SET SCHEMA "audit";",
      "failed: extension "pgcrypto" is not installed → CREATE EXTENSION "pgcrypto";",
      "failed: extension "Citext" is not installed → The server does not offer it, but it has "citext".",
      "failed: extension "no_such_thing" is not installed → The server does not offer it: install its package on the server. That is no fault of the backup.",
      "failed: extension "citext" exists and must not → DROP EXTENSION "citext";",
      "errored: ">= " is no version",
    ]
  `);
});

it('schema', async () => {
  expect(
    await told(database, 'schema', [
      { name: 'odd.schema', owner: 'postgres' },
      { name: 'gone', exists: false },
      { name: 'audit', owner: group },
      { name: 'Audit' },
      { name: 'entirely new' },
      { name: 'audit', exists: false },
    ]).then((lines) => lines.map((line) => line.replaceAll(String(process.pid), 'N'))),
  ).toMatchInlineSnapshot(`
    [
      "passed: schema "odd.schema" of "postgres"",
      "passed: schema "gone" does not exist",
      "failed: schema "audit" belongs to "postgres", expected "objects_group_N" → ALTER SCHEMA "audit" OWNER TO "objects_group_N";",
      "failed: schema "Audit" does not exist → "audit" exists, wanted "Audit".",
      "failed: schema "entirely new" does not exist → CREATE SCHEMA "entirely new";",
      "failed: schema "audit" exists and must not → DROP SCHEMA "audit";",
    ]
  `);
});

it('partition', async () => {
  expect(
    await told(database, 'partition', [
      {
        table: 'Event',
        by: 'range (AT)',
        default: true,
        minimum: 2,
        exact: true,
        partitions: ['Event_2026', 'public.Event_rest'],
      },
      {
        table: 'Event',
        partitions: { Event_2026: "from ('2026-01-01') to ('2027-01-01')", Event_rest: 'default' },
      },
      { table: 'Event', partitions: ['Event_2027'], exists: false },
      { table: 'User', exists: false },
      {
        table: 'Event',
        by: 'LIST (id)',
        default: false,
        minimum: 3,
        exact: true,
        partitions: { Event_2027: "FROM ('2027-01-01') TO ('2028-01-01')", event_2026: 'DEFAULT' },
      },
      { table: 'Event', partitions: { Event_2026: "FROM ('2026-01-01') TO ('2028-01-01')" } },
      { table: 'User', partitions: ['A'] },
      { table: 'Event', exists: false },
      { table: 'Event', partitions: ['Event_rest'], exists: false },
      { table: 'event', partitions: ['Event_rest'], exists: false },
      { table: 'Twice' },
    ]),
  ).toMatchInlineSnapshot(`
    [
      "passed: "Event" is partitioned by RANGE (at), 2 partitions attached",
      "passed: "Event" is partitioned by RANGE (at), 2 partitions attached",
      "passed: partition Event_2027 of "Event" does not exist",
      "passed: "User" is not partitioned",
      "failed: "Event" is partitioned by RANGE (at), expected LIST (id); "Event_2027" is not attached to "Event"; "event_2026" is not attached to "Event"; "Event" has the default partition "Event_rest" and must not; "Event_2026", "Event_rest" are attached to "Event" too; "Event" has 2 partitions, expected at least 3 → ALTER TABLE "public"."Event" ATTACH PARTITION "public"."Event_2027" FOR VALUES FROM ('2027-01-01') TO ('2028-01-01'); "Event_2026" is attached, wanted "event_2026".",
      "failed: "Event_2026" holds FOR VALUES FROM ('2026-01-01') TO ('2027-01-01'), expected FOR VALUES FROM ('2026-01-01') TO ('2028-01-01')",
      "failed: "User" is not partitioned → A table cannot be made partitioned: create another one and move the rows.",
      "failed: "Event" is partitioned by RANGE (at) and must not be",
      "failed: partition "Event_rest" of "Event" exists and must not → ALTER TABLE "public"."Event" DETACH PARTITION "public"."Event_rest";",
      "vacuous: table "event" does not exist, so there was nothing to look at → "Event" exists, wanted "event".",
      "errored: table "Twice" is ambiguous: "audit"."Twice", "other"."Twice" → Write the schema too, for example audit.Twice.",
    ]
  `);
});

it('rowLevelSecurity', async () => {
  expect(
    await told(database, 'rowLevelSecurity', [
      {
        table: 'Tenant',
        forced: true,
        exact: true,
        policies: [
          { name: 'Own ten', command: 'select', permissive: true, roles: [app], using: 'id = CURRENT_USER' },
          { name: 'deny', command: 'all', permissive: false, roles: ['public'], check: 'true' },
        ],
      },
      { table: 'User', exists: false },
      {
        table: 'Tenant',
        forced: false,
        exact: true,
        policies: [
          'own ten',
          'entirely new',
          { name: 'deny', command: 'insert', permissive: true, roles: [group], using: 'x', check: 'false' },
        ],
      },
      { table: 'Place', policies: ['unused'], forced: true },
      { table: 'Tenant', exists: false },
      { table: 'Twice' },
    ]).then((lines) => lines.map((line) => line.replaceAll(String(process.pid), 'N'))),
  ).toMatchInlineSnapshot(`
    [
      "passed: row-level security of "Tenant" is on and forced, policies "Own ten", "deny"",
      "passed: row-level security of "User" is off",
      "failed: row-level security of "Tenant" is forced; "Tenant" has no policy "own ten"; "Tenant" has no policy "entirely new"; policy "deny" is for all, expected insert; policy "deny" is restrictive; policy "deny" is for the roles "public", expected "objects_group_N"; policy "deny" says USING (nothing), expected x; policy "deny" says WITH CHECK true, expected false; "Tenant" has the policies "Own ten" too → ALTER TABLE "public"."Tenant" NO FORCE ROW LEVEL SECURITY; "Own ten" exists, wanted "own ten". CREATE POLICY "entirely new" ON "public"."Tenant" USING (…); The command of a policy cannot be changed: drop it and create it again. ALTER POLICY "deny" ON "public"."Tenant" TO "objects_group_N"; ALTER POLICY "deny" ON "public"."Tenant" USING (x); ALTER POLICY "deny" ON "public"."Tenant" WITH CHECK (false); DROP POLICY "Own ten" ON "public"."Tenant";",
      "failed: row-level security of "Place" is off: the policies on it hide nothing; row-level security of "Place" is not forced: the owner sees every row → ALTER TABLE "public"."Place" ENABLE ROW LEVEL SECURITY; ALTER TABLE "public"."Place" FORCE ROW LEVEL SECURITY;",
      "failed: row-level security of "Tenant" is on and must not be → ALTER TABLE "public"."Tenant" DISABLE ROW LEVEL SECURITY;",
      "errored: table "Twice" is ambiguous: "audit"."Twice", "other"."Twice" → Write the schema too, for example audit.Twice.",
    ]
  `);
});

it('role', async () => {
  expect(
    await told(database, 'role', [
      { name: app, login: true, superuser: false, memberOf: [group], exact: true, connectionLimit: 5 },
      { name: 'no such role', exists: false },
      {
        name: app,
        login: false,
        superuser: true,
        createDatabase: true,
        connectionLimit: -1,
        memberOf: ['pg_read_all_data'],
        exact: true,
      },
      { name: group.toUpperCase() },
      { name: 'no such role', login: true },
      { name: group, exists: false },
    ]).then((lines) => lines.map((line) => line.replaceAll(String(process.pid), 'N'))),
  ).toMatchInlineSnapshot(`
    [
      "passed: role "objects ""App"" N": LOGIN INHERIT, member of "objects_group_N"",
      "passed: role "no such role" does not exist",
      "failed: role "objects ""App"" N" is LOGIN and must not be; is not SUPERUSER; is not CREATEDB; has the connection limit 5, expected -1; is no member of "pg_read_all_data"; is a member of "objects_group_N" too → ALTER ROLE "objects ""App"" N" NOLOGIN; ALTER ROLE "objects ""App"" N" SUPERUSER; ALTER ROLE "objects ""App"" N" CREATEDB; ALTER ROLE "objects ""App"" N" CONNECTION LIMIT -1; GRANT "pg_read_all_data" TO "objects ""App"" N"; REVOKE "objects_group_N" FROM "objects ""App"" N";",
      "failed: role "OBJECTS_GROUP_N" does not exist on this server → "objects_group_N" exists, wanted "OBJECTS_GROUP_N".",
      "failed: role "no such role" does not exist on this server → Roles belong to the server, not to the backup of a database. CREATE ROLE "no such role" LOGIN;",
      "failed: role "objects_group_N" exists and must not → DROP ROLE "objects_group_N";",
    ]
  `);
});

it('grant', async () => {
  expect(
    await told(database, 'grant', [
      { role: app, privileges: ['SELECT', 'INSERT'], table: 'User', exact: true },
      { role: app, privileges: ['UPDATE'], table: 'User', columns: ['kind', 'eMail'] },
      { role: app, privileges: ['DELETE'], table: 'User', effective: true },
      { role: app, privileges: ['DELETE', 'UPDATE'], table: 'User', exists: false },
      { role: 'public', privileges: ['USAGE'], schema: 'audit' },
      { role: app, privileges: ['USAGE'], schema: 'audit' },
      { role: app, privileges: ['USAGE'], sequence: 'audit.Log_id_seq' },
      { role: app, privileges: ['EXECUTE'], function: '"odd.schema"."Do It"' },
      { role: 'public', privileges: ['USAGE'], type: 'Status' },
      { role: app, privileges: ['CONNECT', 'TEMPORARY'], database: true },
      { role: app, privileges: ['UPDATE', 'SELECT'], table: 'User', exact: true },
      { role: app, privileges: ['UPDATE'], table: 'User', columns: ['kind', 'level'] },
      { role: app, privileges: ['EXECUTE'], function: 'audit.log' },
      { role: app, privileges: ['SELECT'], table: 'User', exists: false, effective: true },
      { role: app, privileges: ['CREATE'], schema: 'Audit' },
      { role: 'no such role', privileges: ['SELECT'], table: 'User' },
      { role: 'no such role', privileges: ['SELECT'], table: 'User', exists: false },
      { role: app, privileges: ['CREATE'], database: true, effective: true },
      { role: app, privileges: ['SELECT'] },
      { role: app, privileges: ['USAGE'], table: 'User', effective: true },
    ]).then((lines) =>
      lines.map((line) => line.replaceAll(String(process.pid), 'N').replaceAll(database, 'DB')),
    ),
  ).toMatchInlineSnapshot(`
    [
      "passed: "objects ""App"" N" has SELECT, INSERT on "User"",
      "passed: "objects ""App"" N" has UPDATE on "User"."kind", "User"."eMail"",
      "passed: "objects ""App"" N" has DELETE on "User"",
      "passed: "objects ""App"" N" has none of DELETE, UPDATE on "User"",
      "passed: PUBLIC has USAGE on schema "audit"",
      "passed: "objects ""App"" N" has USAGE on schema "audit"",
      "passed: "objects ""App"" N" has USAGE on sequence "audit"."Log_id_seq"",
      "passed: "objects ""App"" N" has EXECUTE on function "odd.schema"."Do It"(integer, text[]), function "odd.schema"."Do It"()",
      "passed: PUBLIC has USAGE on type "Status"",
      "passed: "objects ""App"" N" has CONNECT, TEMPORARY on the database",
      "failed: "objects ""App"" N" lacks UPDATE on "User"; "objects ""App"" N" has INSERT on "User" too → GRANT UPDATE ON TABLE "public"."User" TO "objects ""App"" N"; REVOKE INSERT ON TABLE "public"."User" FROM "objects ""App"" N";",
      "failed: "objects ""App"" N" lacks UPDATE on "User"."level" → GRANT UPDATE ("level") ON TABLE "public"."User" TO "objects ""App"" N";",
      "failed: "objects ""App"" N" lacks EXECUTE on function "audit"."log"() → GRANT EXECUTE ON ROUTINE "audit"."log"() TO "objects ""App"" N";",
      "failed: "objects ""App"" N" has SELECT on "User" and must not → REVOKE SELECT ON TABLE "public"."User" FROM "objects ""App"" N";",
      "failed: schema "Audit" does not exist → "audit" exists, wanted "Audit".",
      "failed: role "no such role" does not exist on this server → CREATE ROLE "no such role"; restore the grants then: a restore leaves out those to roles that are missing.",
      "vacuous: role "no such role" does not exist on this server",
      "failed: "objects ""App"" N" lacks CREATE on the database → GRANT CREATE ON DATABASE "DB" TO "objects ""App"" N";",
      "errored: the check must name one of table, sequence, schema, function, type, database → Write a check of its own for each object.",
      "errored: unrecognized privilege type: "USAGE" (SQLSTATE 22023) in DB",
    ]
  `);
});
