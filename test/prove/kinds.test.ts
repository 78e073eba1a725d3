/** For every check kind: on a database with hard names a sound check passes, goes red under its mutation, and errs for who may not look. */
import { describe, expect, it } from 'vitest';
import type { CheckKind } from '../../src/checks/check-kind.ts';
import { checkKinds } from '../../src/checks/index.ts';
import { runSuite } from '../../src/checks/suite.ts';
import { parseConnection } from '../../src/postgres/connection.ts';
import { mutations } from '../../src/prove/index.ts';
import { proveSuite } from '../../src/prove/suite.ts';
import { createDatabase, sharedUrl, sql, uniqueName } from '../helpers/database.ts';

const role = uniqueName('Odd role');
const SCHEMA = `
CREATE ROLE "${role}";
CREATE EXTENSION citext;
CREATE SCHEMA "odd.schema";
CREATE TYPE "odd.schema"."Mo od" AS ENUM ('up', 'quo''te');
CREATE DOMAIN "Label" AS text CONSTRAINT "not ""empty""" CHECK (VALUE <> '');
CREATE TABLE "odd.schema"."Te nant" (
  id int PRIMARY KEY, "na""me" text NOT NULL CHECK ("na""me" <> ''), mood "odd.schema"."Mo od" NOT NULL DEFAULT 'up',
  doc jsonb NOT NULL, "at" timestamptz NOT NULL DEFAULT now(), boss int REFERENCES "odd.schema"."Te nant",
  seats int NOT NULL CONSTRAINT "sea ts" CHECK (seats BETWEEN 1 AND 10), twice int GENERATED ALWAYS AS (seats * 2) STORED,
  UNIQUE ("na""me", mood));
CREATE TABLE "User" ("i d" bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  "tenantId" int NOT NULL REFERENCES "odd.schema"."Te nant" ON DELETE CASCADE, "e-mail" varchar(30) NOT NULL,
  status text NOT NULL CHECK (status IN ('active', 'off')));
CREATE UNIQUE INDEX "User e-mail" ON "User" ("e-mail");
CREATE INDEX "User tenant" ON "User" ("tenantId");
CREATE TABLE "Note" (id serial PRIMARY KEY, "userId" bigint, "tenantId" int, "te xt" text);
CREATE INDEX "Note some" ON "Note" (lower("te xt")) INCLUDE (id) WHERE "userId" > 0;
CREATE TABLE part (id int, day date, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE "part 1" PARTITION OF part FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE VIEW "Vi ew" AS SELECT "i d" FROM "User";
CREATE MATERIALIZED VIEW "odd.schema"."Mat" AS SELECT count(*) FROM "User";
CREATE FUNCTION "Fu nc"() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER "Tri g" BEFORE INSERT OR UPDATE OR DELETE ON "User" FOR EACH ROW EXECUTE FUNCTION "Fu nc"();
ALTER TABLE "User" ENABLE ROW LEVEL SECURITY;
CREATE POLICY mine ON "User" USING (true);
GRANT SELECT ON "User" TO "${role}"; GRANT SELECT, UPDATE ON "Note" TO "${role}"; GRANT pg_monitor TO "${role}";
CREATE TABLE "_prisma_migrations" (id text PRIMARY KEY, checksum text, finished_at timestamptz, migration_name text NOT NULL,
  logs text, rolled_back_at timestamptz, started_at timestamptz NOT NULL DEFAULT now(), applied_steps_count int NOT NULL DEFAULT 1);
INSERT INTO "_prisma_migrations" (id, checksum, finished_at, migration_name) VALUES ('1', 'x', now(), '1_init');
INSERT INTO "odd.schema"."Te nant" (id, "na""me", doc, boss, seats) SELECT n, 'n' || n, '{"a": {"b": 1}}', nullif(n - 1, 0), n FROM generate_series(1, 5) n;
INSERT INTO "User" ("tenantId", "e-mail", status) SELECT 1 + n % 5, 'u' || n || '@x.de', 'active' FROM generate_series(1, 20) n;
INSERT INTO "Note" ("userId", "tenantId") SELECT "i d", "tenantId" FROM "User";
INSERT INTO part SELECT n, '2026-05-05' FROM generate_series(1, 5) n;
REFRESH MATERIALIZED VIEW "odd.schema"."Mat";
DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET work_mem = ''5MB''', current_database()); END $$;
`;

const TENANT = '"odd.schema"."Te nant"';
const there: readonly (readonly [string, unknown, Record<string, unknown>?])[] = [
  ['tables', ['User', TENANT]],
  ['table', { name: TENANT, columns: ['id'] }],
  ['columns', { table: 'User', columns: { 'e-mail': 'character varying(30)' } }],
  [
    'columns',
    {
      table: TENANT,
      columns: {
        'na"me': { type: 'text', nullable: false, default: false, identity: false, collation: 'default' },
        mood: { type: '"odd.schema"."Mo od"', default: true, generated: false },
        twice: { generated: true, nullable: true },
        gone: { exists: false },
      },
    },
  ],
  ['columns', { table: 'User', columns: { 'i d': { identity: 'always', nullable: false } } }],
  ['primaryKey', { table: 'User', columns: ['i d'] }],
  ['unique', { table: 'User', columns: ['e-mail'] }],
  ['unique', { table: TENANT, columns: ['na"me', 'mood'] }],
  ['foreignKey', { table: 'User', columns: ['tenantId'], references: { table: TENANT, columns: ['id'] } }],
  [
    'foreignKey',
    {
      table: TENANT,
      columns: ['boss'],
      references: { table: TENANT, columns: ['id'] },
      onDelete: 'noAction',
      onUpdate: 'noAction',
      deferrable: false,
    },
  ],
  ['constraint', { table: TENANT, name: 'sea ts' }],
  ['constraint', { domain: 'Label', name: 'not "empty"' }],
  ['index', { name: 'User tenant', table: 'User', columns: ['tenantId'] }],
  ['index', { name: 'User e-mail', columns: ['e-mail'], unique: true, method: 'btree', where: false }],
  ['index', { name: 'Note some', columns: ['lower("te xt")'], include: ['id'], where: '"userId" > 0' }],
  ['view', { name: 'Vi ew' }],
  ['materializedView', { name: '"odd.schema"."Mat"' }],
  ['sequence', { name: 'Note_id_seq' }],
  ['sequence', { name: 'Note_id_seq', table: 'Note', column: 'id', increment: 1, type: 'integer' }],
  ['sequences', {}],
  ['function', { name: 'Fu nc' }],
  ['trigger', { table: 'User', name: 'Tri g' }],
  [
    'trigger',
    { table: 'User', name: 'Tri g', function: 'Fu nc', definition: 'BEFORE INSERT OR DELETE OR UPDATE' },
  ],
  ['trigger', { table: 'User', name: 'Tri g', definition: 'FOR EACH ROW' }],
  ['enumType', { name: '"odd.schema"."Mo od"', labels: ['up', "quo'te"] }],
  ['extension', { name: 'citext' }],
  ['schema', { name: 'odd.schema' }],
  ['partition', { table: 'part', partitions: ['part 1'] }],
  ['rowLevelSecurity', { table: 'User' }],
  ['rowLevelSecurity', { table: 'User', forced: false, policies: ['mine'] }],
  ['extension', { name: 'citext', version: '>= 1.0' }],
  ['role', { name: role }],
  [
    'role',
    {
      name: role,
      login: false,
      superuser: false,
      inherit: true,
      connectionLimit: -1,
      memberOf: ['pg_monitor'],
    },
  ],
  ['grant', { role, privileges: ['SELECT'], table: 'User' }],
  ['grant', { role, privileges: ['SELECT', 'UPDATE'], table: 'Note' }],
  ['databaseSettings', { settings: { work_mem: '5MB' } }],
  ['migrations', { tool: 'prisma' }],
  ['isolation', {}],
  ['catalogHealth', {}],
  ['acceptedValues', { table: TENANT, column: 'mood', values: ['up', "quo'te"] }],
  ['acceptedValues', { table: 'User', column: 'status', values: ['active', 'off'], nullable: false }],
  ['notNull', { table: TENANT, columns: ['na"me'] }, { where: 'id = 3' }],
  ['uniqueValues', { table: 'User', columns: ['e-mail'] }],
  ['pattern', { table: 'User', column: 'e-mail', matches: '^u\\d+@' }],
  ['pattern', { table: 'User', column: 'e-mail', matches: '^admin$', not: true }],
  ['range', { table: TENANT, column: 'seats', min: 1, max: 10 }],
  ['range', { table: TENANT, column: 'twice', max: 20 }, { failAbove: 2 }],
  ['range', { table: 'part', column: 'day', min: '2026-01-01' }],
  ['jsonPath', { table: TENANT, column: 'doc', exists: '$.a.b' }],
  ['jsonPath', { table: TENANT, column: 'doc', missing: '$."pass word".x' }],
  ['freshness', { table: TENANT, column: 'at', within: '1d' }],
  ['aggregate', { table: TENANT, value: 'sum(seats)', equals: 15 }],
  ['orphans', { table: 'Note', columns: ['userId'], references: { table: 'User', columns: ['i d'] } }],
  ['cycles', { table: TENANT, columns: ['boss'], references: ['id'] }],
  [
    'tenantConsistency',
    {
      table: 'Note',
      columns: ['userId'],
      references: { table: 'User', columns: ['i d'] },
      tenant: 'tenantId',
    },
  ],
  ['rowCount', { table: 'User', min: 1 }],
  ['rowCount', { table: 'User', max: 30 }],
  ['rowCount', { table: 'part', equals: 5 }],
  [
    'recoveryPoint',
    { present: { table: 'User', where: '"i d" = 4' }, absent: { table: 'User', where: '"i d" = 400' } },
  ],
  ['canary', { table: TENANT, where: 'id = 2' }],
  ['sql', { query: `select count(*) from ${TENANT}`, expect: { value: 5 } }],
  ['sql', { query: `select * from ${TENANT} where seats > 10` }],
];
const absent: typeof there = [
  ['table', { name: 'Gone', exists: false }],
  ['view', { name: 'Gone', exists: false }],
  ['sequence', { name: '"odd.schema"."Gone"', exists: false }],
  ['schema', { name: 'gone', exists: false }],
  ['role', { name: uniqueName('gone'), exists: false }],
  ['index', { name: 'gone', table: 'User', exists: false }],
  ['constraint', { table: 'User', name: 'go"ne', exists: false }],
  ['trigger', { table: 'User', name: 'gone', exists: false }],
  ['function', { name: 'Gone', exists: false }],
  ['enumType', { name: 'Gone', exists: false }],
  ['columns', { table: 'User', columns: { gone: { exists: false } } }],
  ['unique', { table: 'User', columns: ['status', 'i d'], exists: false }],
  ['grant', { role, privileges: ['DELETE'], table: 'User', exists: false }],
];

/** Pages cannot be broken by statements. */
const WITHOUT = ['amcheck', 'checksums'];

describe('mutations', () => {
  it('are known for every check kind but those that read pages', () => {
    const open = checkKinds.map(({ kind }) => kind).filter((kind) => !mutations.has(kind));
    expect(open.sort()).toEqual(WITHOUT);
    expect([...mutations.keys()].filter((kind) => !checkKinds.some((each) => each.kind === kind))).toEqual(
      [],
    );
    expect([...new Set(there.map(([kind]) => kind))].sort()).toEqual([...mutations.keys()].sort());
  });

  it('turn every sound check red and leave nothing behind', { timeout: 60_000 }, async () => {
    const database = createDatabase('prove', SCHEMA);
    const state = () =>
      sql(
        database,
        `SELECT count(*), max("i d") FROM "User"; SELECT sum(seats) FROM ${TENANT}; SELECT count(*), max(xmin::text::int8) FROM pg_class;
         SELECT count(*) FROM pg_attribute; SELECT last_value FROM "Note_id_seq"; SELECT setconfig FROM pg_db_role_setting WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database());`,
      );
    const before = state();
    const proofs = await prove(database, [...there, ...absent]);
    expect(proofs.filter(({ outcome }) => outcome !== 'proved')).toEqual([]);
    expect(proofs.length).toBe(there.length + absent.length + 1);
    expect(state()).toBe(before);
    await expectErrors(database);
    // Each part of what a check asserts is broken by itself: one that does not see it stays green.
    for (const [kind, params, blind, damage] of BLIND) {
      const [proof] = await prove(database, [[kind, params]], blind);
      expect(proof, `${kind} ${damage}`).toMatchObject({ outcome: 'stayedGreen', damage });
    }
  });
});

/**
 * Every kind that there is, asked as a role that may not look: errored, whatever it would have found. With the above
 * each kind but those that read pages (test/checks/rows.test.ts, checksums.test.ts) has passed, failed and erred.
 */
async function expectErrors(database: string): Promise<void> {
  const blind = uniqueName('blind one');
  const catalogs =
    'pg_class, pg_namespace, pg_extension, pg_roles, pg_db_role_setting, pg_stat_database, pg_attribute, pg_proc, pg_type';
  sql(database, `CREATE ROLE "${blind}" LOGIN; REVOKE SELECT ON ${catalogs} FROM PUBLIC`);
  try {
    const asked = [...there, ['amcheck', {}], ['checksums', {}]] as typeof there;
    const { results, verdict } = await runSuite({
      connection: parseConnection(sharedUrl(database, encodeURIComponent(blind))),
      definitions: asked.map(([kind, params]) => ({ kind, with: params })),
      kinds: new Map(checkKinds.map((kind) => [kind.kind, kind])),
      signal: new AbortController().signal,
    });
    expect(new Set(results.map(({ kind }) => kind))).toEqual(new Set(checkKinds.map(({ kind }) => kind)));
    expect(results.filter(({ status }) => status !== 'errored')).toEqual([]);
    expect(results.filter(({ error }) => !/permission denied/.test(error ?? ''))).toEqual([]);
    expect(verdict).toBe('inconclusive');
  } finally {
    sql(database, `GRANT SELECT ON ${catalogs} TO PUBLIC; DROP ROLE "${blind}"`);
  }
}

type Facts = Record<string, unknown>;
const column = (name: string, facts: Facts, table = TENANT) => ({ table, columns: { [name]: facts } });
const withoutFact =
  (...facts: readonly string[]) =>
  (params: unknown) => {
    const only = (all: Facts) =>
      Object.fromEntries(Object.entries(all).filter(([key]) => !facts.includes(key)));
    const { columns, ...rest } = params as Facts;
    if (columns === undefined || Array.isArray(columns)) return only(params as Facts);
    return {
      ...rest,
      columns: Object.fromEntries(
        Object.entries(columns as Facts).map(([name, each]) => [name, only(each as Facts)]),
      ),
    };
  };
const also = (more: Facts) => (params: unknown) => ({ ...(params as Facts), ...more });
const boss = { table: TENANT, columns: ['boss'], references: { table: TENANT, columns: ['id'] } };
const mail = { name: 'User e-mail', columns: ['e-mail'], unique: true, method: 'btree', where: false };
const note = { name: 'Note_id_seq', table: 'Note', column: 'id', increment: 1, type: 'integer' };

/** A check, what makes it blind for one part of it, and the damage that tells. */
const BLIND: readonly (readonly [string, object, (params: unknown) => unknown, unknown])[] = [
  ['columns', column('seats', { type: 'int' }), withoutFact('type'), 'type of seats'],
  ['columns', column('id', { type: 'int', nullable: false }), withoutFact('nullable'), 'nullability of id'],
  ['columns', column('at', { default: 'now()' }), withoutFact('default'), 'no default of at'],
  ['columns', column('seats', { default: false }), withoutFact('default'), 'a default of seats'],
  ['columns', column('twice', { generated: true }), withoutFact('generated'), 'generation of twice'],
  ['columns', column('i d', { identity: 'always' }, 'User'), withoutFact('identity'), 'identity of i d'],
  ['columns', column('na"me', { collation: 'default' }), withoutFact('collation'), 'collation of na"me'],
  ['index', mail, withoutFact('columns'), 'its first column has another name'],
  ['index', mail, withoutFact('unique'), 'uniqueness'],
  ['index', mail, withoutFact('method'), 'method'],
  ['index', mail, withoutFact('where'), 'a partial index'],
  ['foreignKey', { ...boss }, also({ validated: false }), 'validity'],
  ['foreignKey', { ...boss }, also({ data: false }), expect.stringContaining('delete rows of')],
  ['foreignKey', { ...boss, onDelete: 'noAction' }, withoutFact('onDelete'), 'ON DELETE'],
  ['foreignKey', { ...boss, onUpdate: 'noAction' }, withoutFact('onUpdate'), 'ON UPDATE'],
  ['foreignKey', { ...boss, deferrable: false }, withoutFact('deferrable'), 'deferrability'],
  ['constraint', { table: TENANT, name: 'sea ts' }, also({ validated: false }), 'validity'],
  ['trigger', { table: 'User', name: 'Tri g', function: 'Fu nc' }, withoutFact('function'), 'function'],
  ['sequence', note, withoutFact('increment'), 'increment'],
  ['sequence', note, withoutFact('type'), 'type'],
  ['sequence', note, withoutFact('table', 'column'), 'owned by no column'],
  ['sequence', note, also({ ahead: false }), 'Note_id_seq starts anew'],
  ['materializedView', { name: '"odd.schema"."Mat"' }, also({ populated: false }), 'rows in it'],
  ['rowLevelSecurity', { table: 'User', policies: ['mine'] }, withoutFact('policies'), 'drop policy mine'],
  ['role', { name: role, login: false }, withoutFact('login'), 'login'],
  ['extension', { name: 'citext', version: '>= 1.0' }, withoutFact('version'), 'version'],
  [
    'grant',
    { role, privileges: ['SELECT', 'UPDATE'], table: 'Note' },
    also({ privileges: ['SELECT'] }),
    'revoke UPDATE from all',
  ],
];

/** @param blind what the kind sees of its parameters */
async function prove(
  database: string,
  checks: typeof there | readonly (readonly [string, object])[],
  blind: (params: unknown) => unknown = (params) => params,
) {
  const shared = {
    connection: parseConnection(sharedUrl(database)),
    definitions: checks.map(([kind, params, keys]) => ({
      kind,
      with: params,
      ...(keys === undefined ? {} : { shared: keys }),
    })),
    kinds: new Map(
      checkKinds.map((kind) => [
        kind.kind,
        {
          ...kind,
          run: (client, params, options) => kind.run(client, blind(params), options),
          ...(kind.runAll === undefined
            ? {}
            : { runAll: (client, all, options) => kind.runAll?.(client, all.map(blind), options) }),
        } as CheckKind,
      ]),
    ),
    signal: new AbortController().signal,
  };
  const green = await runSuite(shared);
  return await proveSuite({
    ...shared,
    mutations,
    before: new Map(green.results.map((result) => [result.name, result])),
    applicationName: 'prove test',
    timeoutMs: 60_000,
    only: [],
    skip: [],
    onProof: () => {},
  });
}
