/** `suite --refresh`: what the live schema has that the suite does not, applied to the file as a person would. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { editSuite } from '../../src/plan/edit.ts';
import { cli } from '../helpers/cli.ts';
import { createDatabase, sharedUrl, sql, temporaryFolder } from '../helpers/database.ts';

const folder = temporaryFolder();
const database = createDatabase(
  'refresh',
  `CREATE SCHEMA odd;
   CREATE TYPE kind AS ENUM ('a', 'b');
   CREATE TABLE "User" (id int PRIMARY KEY, kind kind);
   CREATE TABLE odd."New ""One""" (id int PRIMARY KEY, "userId" int REFERENCES "User" (id));
   CREATE INDEX "user idx" ON odd."New ""One""" ("userId");
   INSERT INTO "User" VALUES (1, 'a');`,
);

const PLAN = `# the plan
version: 1
name: x
databases: { crm: { url: "\${DATABASE_URL}" } }
suites:
  other: [ { tables: [User] } ]
  main:
    # what must be there
    - tables:   # all of them
        - User
        - Gone   # not any more

    # keys
    - unique: { table: User, columns:   [id] }   # id

    - acceptedValues: { table: User, column: kind, values: [a] } # what there is
    - sql:
        name: mine
        query: |
          select 1
          where false

    # the last word
    - index: { name: gone_idx, table: User }
  # after it
  third:
    - rowCount: { table: User, min: 1 }
`;
const file = join(folder, 'plan.yaml');
const run = (...args: string[]) =>
  cli(['suite', file, ...args], { env: { DATABASE_URL: sharedUrl(database), BACKPLAN_STATE: folder } });

beforeAll(() => writeFileSync(file, PLAN));

describe('suite --refresh', () => {
  it('shows a diff and changes nothing', async () => {
    const result = await run('main', '--refresh', '--exit-code');
    expect(result.code).toBe(3);
    expect(result.stdout).toContain(`+        - 'odd."New ""One"""'\n`);
    expect(result.stdout).toContain(`+    - primaryKey: { table: 'odd."New ""One"""', columns: [id] }\n`);
    expect(result.stdout).toContain('main: 11 to add, 1 changed, 2 lost; nothing was written');
    expect(result.stderr).toContain('crm has lost what "table Gone" checks');
    expect(readFileSync(file, 'utf8')).toBe(PLAN);
  });

  it('applies it, and leaves every other line as it is', async () => {
    const result = await run('main', '--refresh', '--apply');
    expect(result.code, result.stderr).toBe(0);
    const text = readFileSync(file, 'utf8');
    expect(text).toBe(
      PLAN.replace('not any more\n', `not any more\n        - 'odd."New ""One"""'\n`)
        .replace('[a] }', '[a, b] }')
        .replace(
          'gone_idx, table: User }\n',
          `gone_idx, table: User }
    - index: { name: user idx, table: 'odd."New ""One"""', columns: [userId] }

    # Schemas and whom they belong to.
    - schema: { name: odd }

    # Columns have their types, and NOT NULL where it was.
    - columns: { table: User, columns: { id: { type: integer, nullable: false }, kind: public.kind } }
    - columns: { table: 'odd."New ""One"""', columns: { id: { type: integer, nullable: false }, userId: integer } }

    # Primary keys.
    - primaryKey: { table: 'odd."New ""One"""', columns: [id] }

    # References: each exists, is validated and enforced, and no row contradicts it.
    - foreignKey: { table: 'odd."New ""One"""', columns: [userId], references: { table: User, columns: [id] } }

    # Enum types have these labels, in this order, and no others.
    - enumType: { name: kind, labels: [a, b], ordered: true }

    # Grants: what roles may do, and what everybody may not.
    - grant: { role: public, privileges: [CREATE], schema: public, exists: false }

    # Nothing anywhere is invalid, disabled, unfilled, behind or half done.
    - catalogHealth: {}

    # These had rows. An empty table restores without an error, too.
    - rowCount: { table: User, min: 1 }
`,
        ),
    );
    const again = JSON.parse((await run('main', '--refresh', '-o', 'json')).stdout);
    expect(again).toMatchObject({ missing: [], changed: [], applied: false });
    expect(again.lost.map(({ title }: { title: string }) => title)).toEqual(['table Gone', 'index gone_idx']);
  });

  it('takes out what is lost only when told so', async () => {
    const before = readFileSync(file, 'utf8');
    const result = await run('main', '--refresh', '--apply', '--remove-lost');
    expect(result.code, result.stderr).toBe(0);
    expect(readFileSync(file, 'utf8')).toBe(
      before
        .replace('        - Gone   # not any more\n', '')
        .replace('    - index: { name: gone_idx, table: User }\n', ''),
    );
    const check = await cli(['check', file, 'main'], {
      env: { DATABASE_URL: sharedUrl(database), BACKPLAN_STATE: folder },
    });
    expect(check.code, check.stdout + check.stderr).toBe(0);
    expect((await run('main', '--refresh', '--exit-code')).stdout).toContain('✓ main checks everything');
  });

  it('sees what was dropped later', async () => {
    sql(database, 'ALTER TABLE odd."New ""One""" DROP COLUMN "userId"');
    const result = await run('main', '--refresh');
    expect(result.stderr.match(/has lost what/g)).toHaveLength(3);
  });

  it('says so where it cannot change a suite', async () => {
    const result = await run('other', '--refresh', '--apply');
    expect(result.code).toBe(2);
    expect(result.stderr).toContain('the suite other is written in brackets');
  });

  it('lists a suite', async () => {
    expect((await run('third')).stdout).toBe('rows of User ≥ 1\n1 check in third\n');
  });
});

describe('editSuite', () => {
  const suite = (body: string) => `suites:\n  s:\n${body}`;

  it('writes lists in brackets anew, and lists behind dashes line by line', () => {
    const text = suite(
      `    - tables: [ A,\n        "B", C ] # ok\n    - x: { values:   [1, 2] }\n    - y:\n        values:\n          - 1 # one\n          - 2`,
    );
    const { text: edited } = editSuite(text, 's', [
      { edit: 'addItem', kind: 'tables', item: 'D d' },
      { edit: 'removeItem', index: 0, kind: 'tables', item: 1 },
      { edit: 'setList', index: 1, kind: 'x', key: 'values', values: ['y', 3] },
      { edit: 'setList', index: 2, kind: 'y', key: 'values', values: ['z'] },
    ]);
    expect(edited).toBe(
      suite(
        `    - tables: [A, C, D d] # ok\n    - x: { values:   ["y", 3] }\n    - y:\n        values:\n          - z`,
      ),
    );
  });

  it('keeps the line ends of Windows, and files without one at the end', () => {
    const text = suite('    - a: {}').replaceAll('\n', '\r\n');
    const { text: edited } = editSuite(text, 's', [
      { edit: 'add', kind: 'a', heading: '', render: (indent) => `${indent}- a: { b: 1 }\n` },
    ]);
    expect(edited).toBe(`${text}\r\n    - a: { b: 1 }`);
  });
});
