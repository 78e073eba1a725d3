/** Absence of tables, keys and indexes, how indexes are made, and the truth table of foreign keys. */
import { expect, it } from 'vitest';
import { createDatabase, sql } from '../helpers/database.ts';
import { HARD_SCHEMA, told } from './fixture.ts';

const database = createDatabase(
  'presence',
  `${HARD_SCHEMA}
  CREATE INDEX "Many in" ON "odd.schema"."Odd ""Table""" USING btree (lower(note), "C d" DESC) INCLUDE ("é") WHERE "a.b" > 1;
  CREATE TABLE "Parent" (id int PRIMARY KEY); INSERT INTO "Parent" VALUES (1);
  CREATE TABLE "Refs" (a int REFERENCES "Parent" ON DELETE CASCADE ON UPDATE SET NULL DEFERRABLE);`,
);

it('tables', async () => {
  const names = [
    'Tenant',
    'User',
    'audit.Log',
    '"odd.schema"."Odd ""Table"""',
    'Empty',
    'audit.Twice',
    'other.Twice',
    'Event',
    'Place',
    'Visit',
    'Parent',
    'Refs',
  ];
  expect((await told(database, 'tables', [{ names, exact: true }])).at(-1)).toBe(
    'passed: no other tables than the 12 of the plan',
  );
  expect(
    await told(database, 'tables', [
      { names: ['User'], exact: true, schema: 'audit' },
      { names: ['Old', 'UserView'], exists: false },
      { names: ['user'] },
      ['Twice'],
    ]),
  ).toMatchInlineSnapshot(`
    [
      "passed: table "User" exists",
      "failed: table "audit"."Log" is not in the plan; table "audit"."Twice" is not in the plan",
      "passed: table Old does not exist",
      "failed: view "UserView" exists and must not → DROP VIEW "public"."UserView";",
      "failed: table "user" does not exist → "User" exists, wanted "user".",
      "errored: table "Twice" is ambiguous: "audit"."Twice", "other"."Twice" → Write the schema too, for example audit.Twice.",
    ]
  `);
});

it('table', async () => {
  expect(
    await told(database, 'table', [
      { name: 'Old', exists: false },
      { name: 'UserView', kind: 'view' },
      { name: 'User', exists: false },
      { name: 'UserView', kind: 'table' },
      { name: 'Twice' },
    ]),
  ).toMatchInlineSnapshot(`
    [
      "passed: table Old does not exist",
      "passed: view "UserView" exists",
      "failed: table "User" exists and must not → DROP TABLE "public"."User";",
      "failed: "UserView" is a view, expected a table",
      "errored: table "Twice" is ambiguous: "audit"."Twice", "other"."Twice" → Write the schema too, for example audit.Twice.",
    ]
  `);
});

it('unique', async () => {
  expect(
    await told(database, 'unique', [
      { table: 'User', columns: ['kind'], exists: false },
      { table: 'User', columns: ['id', 'kind'], exists: false },
      { table: 'User', columns: ['eMail', 'tenantId'], exists: false },
      { table: '"odd.schema"."Odd ""Table"""', columns: ['a.b', 'C d'], exists: false },
      { table: 'User', columns: ['none'], exists: false },
    ]),
  ).toMatchInlineSnapshot(`
    [
      "passed: what makes "User" ("kind") unique does not exist",
      "passed: what makes "User" ("id", "kind") unique does not exist",
      "failed: what makes "User" ("eMail", "tenantId") unique exists and must not → DROP INDEX CONCURRENTLY "public"."User_tenantId_eMail_key";",
      "failed: what makes "odd.schema"."Odd ""Table""" ("a.b", "C d") unique exists and must not → ALTER TABLE "odd.schema"."Odd ""Table""" DROP CONSTRAINT "Odd Key";",
      "vacuous: "User" has no column "none", so there was nothing to look at → It has "id", "tenantId", "eMail", "status", "kind", "label", "level", "ratio", "managerId".",
    ]
  `);
});

it('index', async () => {
  const many = {
    name: '"odd.schema"."Many in"',
    columns: ['lower(note)', 'C d'],
    include: ['é'],
    unique: false,
    method: 'btree',
    where: '"a.b" > 1',
  };
  expect(
    await told(database, 'index', [
      many,
      { name: 'User_Kind_idx', where: false, columns: ['kind'] },
      { name: 'Old_idx', table: 'User', exists: false },
      { name: 'Event_at_idx', table: 'Event' },
      { ...many, columns: ['C d'], include: ['note'], unique: true, method: 'gin', where: false },
      { name: 'User_Kind_idx', where: 'kind IS NULL' },
      { name: 'User_Kind_idx', exists: false },
      { name: 'Old_idx', table: 'Users', exists: false },
      { name: 'User_Kind_idx', table: 'Tenant' },
      { name: 'user_kind_idx' },
      { name: 'a.b.c' },
    ]),
  ).toMatchInlineSnapshot(`
    [
      "passed: CREATE INDEX "Many in" ON "odd.schema"."Odd ""Table""" USING btree (lower(note), "C d" DESC) INCLUDE ("é") WHERE ("a.b" > 1)",
      "passed: CREATE INDEX "User_Kind_idx" ON public."User" USING btree (kind)",
      "passed: index Old_idx does not exist",
      "passed: CREATE INDEX "Event_at_idx" ON ONLY public."Event" USING btree (at)",
      "failed: index "odd.schema"."Many in" on "odd.schema"."Odd ""Table""" is not unique; index "odd.schema"."Many in" on "odd.schema"."Odd ""Table""" is on (lower(note), "C d"), expected ("C d"); index "odd.schema"."Many in" on "odd.schema"."Odd ""Table""" carries ("é") along, expected ("note"); index "odd.schema"."Many in" on "odd.schema"."Odd ""Table""" is a btree index, expected gin; index "odd.schema"."Many in" on "odd.schema"."Odd ""Table""" is only for rows WHERE ("a.b" > 1), expected all rows → It is: CREATE INDEX "Many in" ON "odd.schema"."Odd ""Table""" USING btree (lower(note), "C d" DESC) INCLUDE ("é") WHERE ("a.b" > 1)",
      "failed: index "User_Kind_idx" on "User" is not partial, expected kind IS NULL → It is: CREATE INDEX "User_Kind_idx" ON public."User" USING btree (kind)",
      "failed: index "User_Kind_idx" exists and must not → DROP INDEX CONCURRENTLY "public"."User_Kind_idx";",
      "vacuous: table "Users" does not exist, so there was nothing to look at → "User" exists, wanted "Users".",
      "failed: index "User_Kind_idx" is on "User", not on "Tenant"",
      "failed: index "user_kind_idx" does not exist → "User_Kind_idx" exists, wanted "user_kind_idx".",
      "errored: "a.b.c" is not a table name → Write Table, schema.Table, or "odd.schema"."Odd Table" with double quotes around odd parts.",
    ]
  `);
});

it('foreignKey: actions, absence and rows that are not read', async () => {
  const refs = { table: 'Refs', columns: ['a'], references: { table: 'Parent', columns: ['id'] } };
  expect(
    await told(database, 'foreignKey', [
      { ...refs, onDelete: 'cascade', onUpdate: 'setNull', deferrable: true, data: false },
      { ...refs, onDelete: 'noAction', onUpdate: 'restrict', deferrable: false },
      { ...refs, exists: false },
      { table: 'User', columns: ['kind'], references: { table: 'Tenant', columns: ['id'] }, exists: false },
      { table: 'User', columns: ['Kind'], references: { table: 'Tenant', columns: ['id'] }, exists: false },
    ]),
  ).toMatchInlineSnapshot(`
    [
      "passed: foreign key "Refs_a_fkey" validated, enforced, its rows not read: "a" → "Parent" ("id")",
      "failed: foreign key "Refs_a_fkey" says ON DELETE CASCADE, expected NO ACTION; says ON UPDATE SET NULL, expected RESTRICT; is deferrable → That cannot be altered: drop it and add it again with ON DELETE NO ACTION. That cannot be altered: drop it and add it again with ON UPDATE RESTRICT. ALTER TABLE "public"."Refs" ALTER CONSTRAINT "Refs_a_fkey" NOT DEFERRABLE;",
      "failed: a foreign key "a" → "Parent" ("id") of "Refs" exists and must not → ALTER TABLE "public"."Refs" DROP CONSTRAINT "Refs_a_fkey";",
      "passed: a foreign key "kind" → "Tenant" ("id") of "User" does not exist",
      "vacuous: "User" has no column "Kind", so there was nothing to look at → "kind" exists, wanted "Kind".",
    ]
  `);
});

it('foreignKey: present × validated × triggers enabled × data clean', async () => {
  const yes = [true, false];
  const states = yes.flatMap((present) =>
    yes.flatMap((validated) =>
      yes.flatMap((enabled) => yes.map((clean) => ({ present, validated, enabled, clean }))),
    ),
  );
  const wanted = states.map((state, number) => ({ ...state, table: `Child ${number}` }));
  sql(
    database,
    wanted
      .map(({ table, present, validated, enabled, clean }) => {
        const add = `ALTER TABLE "${table}" ADD CONSTRAINT fk FOREIGN KEY (p) REFERENCES "Parent"${validated ? '' : ' NOT VALID'};`;
        const off = `ALTER TABLE "${table}" DISABLE TRIGGER ALL;`;
        return `CREATE TABLE "${table}" (p int); INSERT INTO "${table}" VALUES (1), (NULL); ${present ? add : ''}
          ${off} ${clean ? '' : `INSERT INTO "${table}" VALUES (2);`}
          ${enabled ? off.replace('DISABLE', 'ENABLE') : ''}`;
      })
      .join('\n'),
  );
  const lines = await told(
    database,
    'foreignKey',
    wanted.map(({ table }) => ({ table, columns: ['p'], references: { table: 'Parent', columns: ['id'] } })),
  );
  const shown = lines.map((line, number) => {
    const { present, validated, enabled, clean } = states[number] as (typeof states)[number];
    const state = [present, validated, enabled, clean].map((each) => (each ? 'T' : 'F')).join('');
    return `${state} ${line
      .replaceAll(' → "Parent" ("id")', '')
      .replace(/ → .*/, '')
      .replaceAll(/Child \d+/g, 'Child')}`;
  });
  expect(shown).toMatchInlineSnapshot(`
    [
      "TTTT passed: foreign key "fk" validated, enforced, no orphans: "p"",
      "TTTF failed: 1 orphan (1 missing key): "p"",
      "TTFT failed: foreign key "fk" is not enforced: its triggers are disabled on public."Child"",
      "TTFF failed: foreign key "fk" is not enforced: its triggers are disabled on public."Child"; 1 orphan (1 missing key): "p"",
      "TFTT failed: foreign key "fk" is NOT VALID: older rows were never checked",
      "TFTF failed: foreign key "fk" is NOT VALID: older rows were never checked; 1 orphan (1 missing key): "p"",
      "TFFT failed: foreign key "fk" is not enforced: its triggers are disabled on public."Child"; is NOT VALID: older rows were never checked",
      "TFFF failed: foreign key "fk" is not enforced: its triggers are disabled on public."Child"; is NOT VALID: older rows were never checked; 1 orphan (1 missing key): "p"",
      "FTTT failed: "Child" has no foreign key "p"",
      "FTTF failed: "Child" has no foreign key "p"; 1 orphan (1 missing key): "p"",
      "FTFT failed: "Child" has no foreign key "p"",
      "FTFF failed: "Child" has no foreign key "p"; 1 orphan (1 missing key): "p"",
      "FFTT failed: "Child" has no foreign key "p"",
      "FFTF failed: "Child" has no foreign key "p"; 1 orphan (1 missing key): "p"",
      "FFFT failed: "Child" has no foreign key "p"",
      "FFFF failed: "Child" has no foreign key "p"; 1 orphan (1 missing key): "p"",
    ]
  `);
});
