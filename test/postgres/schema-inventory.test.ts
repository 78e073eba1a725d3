/** The inventory of a schema survives pg_dump and pg_restore, and finds what was lost or changed. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { describe, expect, inject, it } from 'vitest';
import { type Client, withClient } from '../../src/postgres/client.ts';
import { parseConnection } from '../../src/postgres/connection.ts';
import type { Selection } from '../../src/postgres/data-tables.ts';
import { takeInventory } from '../../src/postgres/schema-inventory.ts';
import { compareInventory, type ObjectCompareOptions } from '../../src/postgres/schema-inventory-compare.ts';
import { beginSnapshot, CANONICAL_SETTINGS } from '../../src/postgres/snapshot.ts';
import { type Inventory, inventorySchema } from '../../src/repository/inventory.ts';
import { createDatabase, sharedUrl, sql, temporaryFolder } from '../helpers/database.ts';
import { createHardDatabase } from '../helpers/hard-schema.ts';

const source = createHardDatabase('inventory');
// Expressions that PostgreSQL writes back in another form after a dump, and states that a dump cannot keep.
sql(
  source,
  `CREATE SCHEMA inv;
   CREATE TABLE inv.rewritten (
     id bigserial PRIMARY KEY, status varchar(20) DEFAULT 'new' CHECK (status IN ('new', 'old', 'a::b')),
     kind varchar(9) CONSTRAINT "kind's" CHECK (kind = ANY (ARRAY['x', 'y']::varchar[])), amount numeric(9,2) CHECK ((amount + 1) * 2 > 0),
     long text DEFAULT repeat('x', 10) || '${'long '.repeat(60)}', parent bigint REFERENCES inv.rewritten);
   CREATE VIEW inv.looks AS SELECT id, status FROM inv.rewritten WHERE status IN ('new', 'old') AND kind NOT IN ('x', 'z');
   CREATE INDEX "part Index" ON inv.rewritten (status) WHERE status IN ('new', 'old');
   CREATE TABLE inv.dup (id int, v int, CONSTRAINT later CHECK (v > 0) NOT VALID);
   INSERT INTO inv.dup VALUES (1, 1), (1, 1);
   ALTER TABLE inv.rewritten ADD CONSTRAINT soft FOREIGN KEY (parent) REFERENCES inv.rewritten NOT VALID;
   CREATE TRIGGER t AFTER INSERT ON inv.dup FOR EACH ROW EXECUTE FUNCTION audit.check_later();
   CREATE SEQUENCE inv.apart CACHE 5;
   COMMENT ON TABLE inv.dup IS 'twice';
   GRANT SELECT (v), INSERT ON inv.dup TO "Hard Reader" WITH GRANT OPTION;
   ALTER TABLE inv.dup ALTER v SET STATISTICS 500;
   CREATE FUNCTION inv.f(a int) RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT a + 1; END;`,
);
try {
  sql(source, 'CREATE UNIQUE INDEX CONCURRENTLY broken ON inv.dup (id)');
} catch {
  // It stays, invalid.
}

function run(tool: string, args: string[]) {
  const result = spawnSync(join(inject('cluster').binDirectory, tool), args, { encoding: 'utf8' });
  if (result.status !== 0) throw new Error(`${tool}: ${result.stderr}`);
}

const file = join(temporaryFolder(), 'dump');
run('pg_dump', ['-Fc', '-f', file, '-d', sharedUrl(source)]);

function restored(args: string[] = []): string {
  const copy = createDatabase('inventorycopy');
  run('pg_restore', ['--exit-on-error', ...args, '-d', sharedUrl(copy), file]);
  return copy;
}

async function take(database: string, selection?: Selection): Promise<Inventory> {
  return await withClient(parseConnection(sharedUrl(database)), {}, async (client) => {
    await beginSnapshot(client);
    return JSON.parse(JSON.stringify(await takeInventory(client, selection))) as Inventory;
  });
}

const plain: ObjectCompareOptions = { extras: true, excepted: () => false };
const messages = (expected: Inventory, actual: Inventory, options: Partial<ObjectCompareOptions> = {}) =>
  compareInventory(withoutSettings(expected), withoutSettings(actual), { ...plain, ...options }).map(
    ({ message }) => message,
  );

/** pg_dump of one database does not carry them; the restore step puts them back. */
function withoutSettings(inventory: Inventory): Inventory {
  const { setting: _, database: __, ...objects } = inventory.objects;
  return { ...inventory, objects };
}

const expected = await take(source);
const copy = restored();

describe('an inventory', () => {
  it('is the same after pg_dump and pg_restore of the hard schema', async () => {
    expect(messages(expected, await take(copy))).toEqual([]);
  });

  it('fits its schema and knows every kind of object', () => {
    const validate = new Ajv2020({ strict: false }).compile(inventorySchema);
    expect(validate(expected), JSON.stringify(validate.errors)).toBe(true);
    expect(Object.keys(expected.objects)).toEqual(
      expect.arrayContaining(['table', 'column', 'constraint', 'index', 'trigger', 'rule', 'policy', 'view']),
    );
    expect(Object.keys(expected.objects)).toEqual(
      expect.arrayContaining([
        'sequence',
        'function',
        'procedure',
        'aggregate',
        'enum',
        'domain',
        'type',
        'schema',
      ]),
    );
    expect(Object.keys(expected.objects)).toEqual(
      expect.arrayContaining([
        'extension',
        'event trigger',
        'publication',
        'foreign server',
        'setting',
        'comment',
      ]),
    );
    expect(expected.objects.index?.['inv.dup'] ?? expected.objects.index?.['"inv"."dup"']).toMatchObject({
      '"broken"': { invalid: true },
    });
  });

  it('of a restore without owners and grants differs in these alone', async () => {
    const bare = await take(restored(['--no-owner', '--no-privileges']));
    expect(messages(expected, bare).length).toBeGreaterThan(3);
    expect(messages(expected, bare, { ignoreOwners: true, ignoreGrants: true })).toEqual([]);
    const ownerless = await take(restored(['--no-owner']));
    expect(messages(expected, ownerless, { ignoreOwners: true })).toEqual([]);
  });

  it('of another major version compares no expressions', async () => {
    const newer = { ...(await take(copy)), serverVersionNum: expected.serverVersionNum + 20_000 };
    sql(
      copy,
      `CREATE OR REPLACE VIEW inv.looks AS SELECT id, status FROM inv.rewritten WHERE status = 'odd'`,
    );
    const changed = { ...(await take(copy)), serverVersionNum: newer.serverVersionNum };
    expect(messages(expected, newer)).toEqual([]);
    expect(messages(expected, changed)).toEqual([]);
    expect(messages(expected, { ...changed, serverVersionNum: expected.serverVersionNum })).toEqual([
      'view "inv"."looks": its definition differs',
    ]);
    sql(
      copy,
      `CREATE OR REPLACE VIEW inv.looks AS SELECT id, status FROM inv.rewritten WHERE status IN ('new', 'old') AND kind NOT IN ('x', 'z')`,
    );
  });
});

/** What is done to the copy → what is told of it. */
const DAMAGE: readonly (readonly [string, string | RegExp])[] = [
  [
    'ALTER TABLE inv.dup ALTER v TYPE bigint',
    /column "inv"."dup"."v": type is bigint, in the backup integer/,
  ],
  [
    'ALTER TABLE inv.dup ALTER id SET NOT NULL',
    'column "inv"."dup"."id": is NOT NULL, in the backup it is not',
  ],
  [
    'ALTER TABLE inv.rewritten ALTER status DROP DEFAULT',
    /"status": default is the default, in the backup 'new'/,
  ],
  ['ALTER TABLE inv.rewritten ALTER long SET DEFAULT 1', /"long": its default differs/],
  ['ALTER TABLE inv.dup RENAME v TO w', /column "inv"."dup"."v" is missing/],
  ['ALTER TABLE inv.dup ADD x int', 'column "inv"."dup"."x" is not in the backup'],
  ['DROP TABLE inv.dup', 'table "inv"."dup" is missing'],
  ['CREATE TABLE inv.more (id int PRIMARY KEY)', 'table "inv"."more" is not in the backup'],
  ['ALTER TABLE inv.rewritten DROP CONSTRAINT soft', 'constraint "soft" of "inv"."rewritten" is missing'],
  [
    'ALTER TABLE inv.rewritten VALIDATE CONSTRAINT soft',
    'constraint "soft" of "inv"."rewritten": is not NOT VALID, in the backup it is',
  ],
  [
    `ALTER TABLE inv.rewritten DROP CONSTRAINT "kind's", ADD CONSTRAINT "kind's" CHECK (kind IN ('x', 'z'))`,
    /constraint "kind's" of "inv"."rewritten": (its )?definition/,
  ],
  [
    'ALTER TABLE inv.rewritten DROP CONSTRAINT rewritten_amount_check, ADD CONSTRAINT rewritten_amount_check CHECK (amount + (1 * 2) > 0)',
    /definition is CHECK/,
  ],
  [
    'ALTER TABLE inv.rewritten DISABLE TRIGGER ALL',
    'table "inv"."rewritten": disabled triggers of foreign keys is 8, in the backup the default',
  ],
  ['DROP INDEX inv."part Index"', 'index "part Index" of "inv"."rewritten" is missing'],
  [
    `DROP INDEX inv."part Index"; CREATE INDEX "part Index" ON inv.rewritten (status) WHERE status IN ('new', 'olf')`,
    /index "part Index" .*: (its )?definition/,
  ],
  [
    `UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'inv."part Index"'::regclass`,
    /index "part Index" of "inv"."rewritten": is invalid/,
  ],
  [
    'ALTER TABLE inv.dup DISABLE TRIGGER t',
    'trigger "t" of "inv"."dup": enabled is no, in the backup the default',
  ],
  ['DROP TRIGGER t ON inv.dup', 'trigger "t" of "inv"."dup" is missing'],
  ['ALTER SEQUENCE inv.apart CACHE 1', 'sequence "inv"."apart": cache is 1, in the backup 5'],
  [
    'ALTER SEQUENCE inv.rewritten_id_seq OWNED BY NONE',
    /sequence "inv"."rewritten_id_seq": owned by is the default/,
  ],
  [
    `ALTER TYPE "UserType" ADD VALUE 'new one'`,
    /enum "UserType": labels is \(HUMAN, .*new one\), in the backup/,
  ],
  [`ALTER TYPE "UserType" RENAME VALUE 'AI' TO 'MACHINE'`, /enum "UserType": labels is/],
  [
    'ALTER TABLE secret_notes DISABLE ROW LEVEL SECURITY',
    'table "secret_notes": is not row-level security, in the backup it is',
  ],
  ['DROP POLICY blocked ON secret_notes', 'policy "blocked" of "secret_notes" is missing'],
  [
    'ALTER POLICY "own rows" ON secret_notes TO PUBLIC',
    /policy "own rows" of "secret_notes": roles is PUBLIC/,
  ],
  [
    'REVOKE INSERT ON inv.dup FROM "Hard Reader"',
    /table "inv"."dup": grants is the default, in the backup "Hard Reader": INSERT\*; postgres: /,
  ],
  ['REVOKE SELECT (v) ON inv.dup FROM "Hard Reader"', /column "inv"."dup"."v": grants/],
  [
    'ALTER TABLE inv.dup OWNER TO hard_owner',
    /table "inv"."dup": owner is hard_owner, in the backup postgres/,
  ],
  [
    'CREATE OR REPLACE FUNCTION inv.f(a int) RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT a + 2; END',
    /function "inv"."f"\(a integer\): /,
  ],
  ['ALTER FUNCTION audit.touch() SECURITY DEFINER', /function "audit"."touch"\(\): /],
  ['DROP RULE "log it" ON ruled', 'rule "log it" of "ruled" is missing'],
  ['REFRESH MATERIALIZED VIEW audit.unfilled', /materialized view "audit"."unfilled": is not unpopulated/],
  [
    'REFRESH MATERIALIZED VIEW audit.nested WITH NO DATA',
    /materialized view "audit"."nested": is unpopulated/,
  ],
  ['DROP EXTENSION postgres_fdw CASCADE', 'extension "postgres_fdw" is missing'],
  [`COMMENT ON TABLE inv.dup IS 'once'`, 'comment on table inv.dup: text is once, in the backup twice'],
  ['ALTER TABLE inv.dup ALTER v SET STATISTICS -1', /statistics is the default, in the backup 500/],
  ['ALTER TABLE inv.dup SET UNLOGGED', 'table "inv"."dup": is unlogged, in the backup it is not'],
  ['DROP EVENT TRIGGER "watch ddl"', 'event trigger "watch ddl" is missing'],
  ['DROP PUBLICATION pub_some', 'publication "pub_some" is missing'],
];

describe('damage to a schema', () => {
  it('is told, each kind of it', async () => {
    await withClient(parseConnection(sharedUrl(copy)), {}, async (client: Client) => {
      for (const [statement, told] of DAMAGE) {
        await client.query(`BEGIN; SET client_min_messages = error`);
        await client.query(statement);
        await client.query(CANONICAL_SETTINGS);
        const found = messages(expected, await takeInventory(client));
        await client.query('ROLLBACK');
        expect(found, statement).toContainEqual(
          typeof told === 'string' ? told : expect.stringMatching(told),
        );
        expect(found.length, `${statement}: ${found.join('\n')}`).toBeLessThanOrEqual(5);
      }
    });
  });

  it('may be excepted by table', async () => {
    await withClient(parseConnection(sharedUrl(copy)), {}, async (client: Client) => {
      await client.query('BEGIN');
      await client.query('ALTER TABLE inv.dup ADD x int; DROP TRIGGER t ON inv.dup');
      await client.query(CANONICAL_SETTINGS);
      const changed = await takeInventory(client);
      await client.query('ROLLBACK');
      expect(messages(expected, changed, { excepted: (table) => table === '"inv"."dup"' })).toEqual([]);
    });
  });
});

describe('of part of a database', () => {
  it('holds what pg_dump carries', async () => {
    const parts: [Selection, string[]][] = [
      [{ schemas: ['inv'] }, ['-n', 'inv']],
      [{ tables: ['User'] }, ['-t', '"User"']],
    ];
    for (const [selection, args] of parts) {
      const part = join(temporaryFolder(), 'part');
      run('pg_dump', ['-Fc', '-f', part, ...args, '-d', sharedUrl(source)]);
      const target = createDatabase('inventorypart');
      // What it refers to is not there: what can be restored is.
      spawnSync(join(inject('cluster').binDirectory, 'pg_restore'), ['-d', sharedUrl(target), part]);
      const inventory = await take(source, selection);
      const missing = messages(inventory, await take(target), { extras: false });
      expect(
        missing.filter(
          (each) => !/constraint|trigger|default|function|view|sequence|table "User"|"User"/.test(each),
        ),
      ).toEqual([]);
    }
    const excluded = await take(source, { exclude: ['audit.*'], only: 'schema' });
    expect(JSON.stringify(excluded.objects.column)).not.toContain('AuditLog');
    expect(await take(source, { only: 'data' })).toMatchObject({ objects: {} });
  });
});
