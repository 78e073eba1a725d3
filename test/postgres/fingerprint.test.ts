/** Fingerprints survive pg_dump and pg_restore of hard types, and find one changed byte. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, inject, it } from 'vitest';
import { type Client, withClient } from '../../src/postgres/client.ts';
import { parseConnection } from '../../src/postgres/connection.ts';
import type { Selection } from '../../src/postgres/data-tables.ts';
import { takeFingerprint } from '../../src/postgres/fingerprint.ts';
import { type CompareOptions, compareFingerprint } from '../../src/postgres/fingerprint-compare.ts';
import { type Fingerprint, manifestSchema } from '../../src/repository/manifest.ts';
import { startCluster } from '../helpers/cluster.ts';
import { createDatabase, sharedUrl, sql, temporaryFolder, uniqueName } from '../helpers/database.ts';

const HARD = `
CREATE EXTENSION citext;
CREATE EXTENSION hstore;
CREATE SCHEMA "odd.schema";
CREATE SCHEMA audit;
CREATE TYPE "Status" AS ENUM ('active', 'disabled', 'with ''quote''');
CREATE TYPE point3 AS (x int, "Y y" numeric, s "Status");
CREATE DOMAIN "Positive" AS int CHECK (VALUE > 0);
CREATE DOMAIN "Code" AS citext;
CREATE TYPE "Span" AS RANGE (subtype = float8);

CREATE TABLE "odd.schema"."All ""Types""" (
  "Id" bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  "a.b" smallint, b boolean, ch char(5), vc varchar(10), t text, ci citext, code "Code", pos "Positive",
  e "Status", ea "Status"[], r real, d double precision, n numeric, n2 numeric(10, 2), m money,
  u uuid, ts timestamp(3), tz timestamptz, dt date, ti time, tt timetz, iv interval,
  j json, jb jsonb, x xml, by bytea, ia int[], ta text[][], comp point3, comps point3[], rg int4range, nr numrange,
  mr datemultirange, sp "Span", ip inet, cd cidr, mac macaddr, bt bit(5), vb bit varying, pt point, box box, poly polygon,
  tsv tsvector, tsq tsquery, hs hstore, ref oid, rc regclass, lsn pg_lsn,
  gen text GENERATED ALWAYS AS (lower(t)) STORED, "seed" int, "rows" int, "l0" int, "__proto__" text
);
INSERT INTO "odd.schema"."All ""Types""" (
  "a.b", b, ch, vc, t, ci, code, pos, e, ea, r, d, n, n2, m, u, ts, tz, dt, ti, tt, iv, j, jb, x, by, ia, ta, comp, comps, rg, nr,
  mr, sp, ip, cd, mac, bt, vb, pt, box, poly, tsv, tsq, hs, ref, rc, lsn, seed, rows, l0, "__proto__"
) VALUES
(1, true, 'ab', 'vc', E'line\\nbreak\\ttab \\\\ back 🎉 é', 'CiText', 'cOdE', 5, 'active', '{active,"with ''quote''"}',
  'NaN', 'Infinity', 1.0, 1.00, '12.34', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '2026-03-29 02:30:00.123', 'infinity', 'infinity', '24:00',
  '12:00+14', '1 mon -1 days 24:00:00', '{"b": 1,  "a": 1.0, "a": 2}', '{"b": 1.00, "a": [1e2, null, "🎉"]}', '<a b="c">é</a>',
  '\\x00ff0a5c', '{1,NULL,3}', '{{a,"b,c"},{"",NULL}}', '(1,2.50,active)', ARRAY['(1,,disabled)'::point3, NULL], '[1,10)', '(,1.50]',
  '{[2026-01-01,2026-02-01),[2026-03-01,)}', '[1.5,2.5]', '10.0.0.1/8', '10.0.0.0/8', '08:00:2b:01:02:03', '10101', '1', '(1.5,-0)', '(1,1),(0,0)',
  '((0,0),(1,1),(1,0))', 'a:1A fat:2,4C', 'fat & (rat | cat)', 'a=>1, "b c"=>NULL', 4000000000, 'pg_class', '16/B374D848', 1, 2, 3, 'p'),
(-32768, false, '', '', '', '', '', 1, 'with ''quote''', '{}', '-0', '-0', 'NaN', -1, '-0.01', NULL, '-infinity', '-infinity', '4713-01-01 BC', '00:00',
  '23:59:59.999999-15:59', '24:00:00', 'null', 'null', '', '', '{}', '{}', '(,,)', '{}', 'empty', 'empty', '{}', 'empty', '::1', '::/0', '00:00:00:00:00:00',
  '00000', '', '(Infinity,NaN)', '(0,0),(0,0)', '((0,0))', '', '', '', 0, NULL, '0/0', 1, 2, 3, ''),
(32767, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 3.4e38, 1.7976931348623157e308, 1e100, 99999999.99, '92233720368547758.07', NULL,
  '294276-12-31 23:59:59.999', '294276-12-31 23:59:59.999999+00', '5874897-12-31', NULL, NULL, '178000000 years', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
  NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
(0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 1e-45, 5e-324, 0.000, 0.1, NULL, NULL,
  NULL, '2026-10-25 02:30:00+02', NULL, NULL, NULL, '-1 year 2 mons -3 days 04:05:06.7', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
  NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);

CREATE TABLE "User" (id text PRIMARY KEY, "Name" text, status "Status" DEFAULT 'active', extra jsonb);
INSERT INTO "User" SELECT 'c' || md5(n::text), 'Name ' || n, 'disabled', jsonb_build_object('n', n) FROM generate_series(1, 200) n;
CREATE TABLE "Pair" ("A" text, "b" "Status", c timestamptz, v int, PRIMARY KEY ("A", "b", c));
INSERT INTO "Pair" SELECT 'a' || n, 'active', timestamptz '2026-01-01Z' + n * interval '1 h', n FROM generate_series(1, 50) n;
CREATE TABLE audit.nokey ("when" timestamp, who text);
INSERT INTO audit.nokey VALUES ('2026-01-01', 'x'), ('2026-01-01', 'x'), ('2026-01-02', 'y'), (NULL, NULL), (NULL, NULL);
CREATE TABLE audit.columnless ();
INSERT INTO audit.columnless DEFAULT VALUES;
CREATE TABLE audit.empty (id int PRIMARY KEY);
CREATE UNLOGGED TABLE audit.cache (k int PRIMARY KEY, v text);
INSERT INTO audit.cache VALUES (1, 'one');

CREATE TABLE "Event" (id int, "at" date, note text, PRIMARY KEY (id, "at")) PARTITION BY RANGE ("at");
CREATE TABLE "Event_1" PARTITION OF "Event" FOR VALUES FROM ('2026-01-01') TO ('2026-07-01') PARTITION BY HASH (id);
CREATE TABLE audit."Event_1_a" PARTITION OF "Event_1" FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE "Event_1_b" PARTITION OF "Event_1" FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE "Event_rest" PARTITION OF "Event" DEFAULT;
INSERT INTO "Event" SELECT n, date '2026-05-01' + n, 'note ' || n FROM generate_series(1, 100) n;
CREATE TABLE base (id int PRIMARY KEY, v text);
CREATE TABLE heir (w text) INHERITS (base);
INSERT INTO base VALUES (1, 'base'); INSERT INTO heir VALUES (2, 'heir', 'w');

CREATE SEQUENCE audit."Loose Seq" START 7;
SELECT nextval('audit."Loose Seq"'), nextval('audit."Loose Seq"');
CREATE SEQUENCE down INCREMENT -1; SELECT nextval('down'), nextval('down');
CREATE SEQUENCE fresh;
SELECT lo_from_bytea(0, 'large one'), lo_from_bytea(0, 'large two');
CREATE MATERIALIZED VIEW totals AS SELECT count(*) FROM "User";
`;

const source = createDatabase('fingerprint', HARD);

function run(tool: string, args: string[]) {
  const result = spawnSync(join(inject('cluster').binDirectory, tool), args, { encoding: 'utf8' });
  if (result.status !== 0) throw new Error(`${tool}: ${result.stderr}`);
}

/** A copy of a database made by pg_dump and pg_restore, so that OIDs and the order of rows differ. */
function copyOf(database: string, before = '', dumpArgs: string[] = []): string {
  const file = join(temporaryFolder(), 'dump');
  // OIDs are handed out by the cluster: a few types more, and those of the copy are others.
  const copy = createDatabase('copy', `CREATE TYPE burn1 AS ENUM ('a', 'b'); DROP TYPE burn1; ${before}`);
  run('pg_dump', ['-Fc', '-f', file, ...dumpArgs, '-d', sharedUrl(database)]);
  run('pg_restore', ['--exit-on-error', '-d', sharedUrl(copy), file]);
  return copy;
}

async function take(
  database: string,
  kind: Fingerprint['kind'] = 'content',
  selection: Selection = {},
  user?: string,
): Promise<Fingerprint> {
  return await withClient(parseConnection(sharedUrl(database, user)), {}, async (client) => {
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
    const fingerprint = await takeFingerprint(client, kind, selection);
    await client.query('COMMIT');
    // As it comes out of a manifest.
    return JSON.parse(JSON.stringify(fingerprint)) as Fingerprint;
  });
}

async function differences(database: string, fingerprint: Fingerprint, options: CompareOptions = {}) {
  return await withClient(parseConnection(sharedUrl(database)), {}, async (client) => {
    return (await compareFingerprint(client, fingerprint, options)).differences.map((each) => each.message);
  });
}

const tableOf = (fingerprint: Fingerprint, name: string) =>
  fingerprint.tables.find((table) => table.table === name);

describe('counts per tenant', () => {
  const tenants = createDatabase(
    'tenants',
    `CREATE TABLE "Order" (id int PRIMARY KEY, "tenant Id" text); CREATE TABLE "Plain" (id int);
     INSERT INTO "Order" SELECT n, nullif(n % 4, 0)::text FROM generate_series(1, 40) n; INSERT INTO "Plain" VALUES (1)`,
  );

  it('name the tenant whose rows are missing or moved', async () => {
    const fingerprint = await withClient(parseConnection(sharedUrl(tenants)), {}, async (client) => {
      await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
      return await takeFingerprint(client, 'counts', {}, { perTenant: 'tenant Id' });
    });
    expect(fingerprint.tables.map(({ tenants: each }) => each)).toEqual([
      { column: 'tenant Id', rows: { '1': 10, '2': 10, '3': 10, '(null)': 10 } },
      undefined,
    ]);
    expect(await differences(tenants, fingerprint)).toEqual([]);
    sql(tenants, `UPDATE "Order" SET "tenant Id" = '2' WHERE id = 1`);
    expect(await differences(tenants, fingerprint)).toEqual([
      'rows of "Order" by "tenant Id": 1 has 9, 10 in the backup; 2 has 11, 10 in the backup',
    ]);
    sql(tenants, `UPDATE "Order" SET "tenant Id" = '1' WHERE id = 1; DELETE FROM "Order" WHERE id = 3`);
    expect(await differences(tenants, fingerprint)).toEqual([
      '"Order" has 39 rows, 40 in the backup: 1 missing; by "tenant Id": 3 has 9, 10 in the backup',
    ]);
  });
});

describe('a fingerprint of hard types', () => {
  const copy = copyOf(source);

  it('is the same after pg_dump and pg_restore, though OIDs are not', async () => {
    const oids = (database: string) =>
      sql(database, `SELECT oid FROM pg_enum WHERE enumtypid = '"Status"'::regtype ORDER BY 1`);
    expect(oids(source)).not.toBe(oids(copy));
    const fingerprint = await take(source);
    expect(await differences(copy, fingerprint)).toEqual([]);
    expect(await take(copy)).toEqual(fingerprint);
  });

  it('fits the schema of manifests', async () => {
    const { Ajv2020 } = await import('ajv/dist/2020.js');
    const validate = new Ajv2020({ strict: false }).compile(manifestSchema.properties.fingerprint);
    for (const kind of ['content', 'counts', 'none'] as const) {
      expect(validate(await take(source, kind)), JSON.stringify(validate.errors)).toBe(true);
    }
  });

  it('counts each row once, partitions under their root, heirs for themselves', async () => {
    const fingerprint = await take(source, 'counts');
    const rows = Object.fromEntries(
      fingerprint.tables.map((table) => [`${table.schema}.${table.table}`, table.rows]),
    );
    expect(rows).toEqual({
      'audit.cache': 1,
      'audit.columnless': 1,
      'audit.empty': 0,
      'audit.nokey': 5,
      'odd.schema.All "Types"': 4,
      'public.Event': 100,
      'public.Pair': 50,
      'public.User': 200,
      'public.base': 1,
      'public.heir': 1,
    });
    expect(fingerprint.largeObjects).toBe(2);
    expect(fingerprint.sequences).toEqual([
      { schema: 'audit', name: 'Loose Seq', lastValue: '8', isCalled: true },
      { schema: 'odd.schema', name: 'All "Types"_Id_seq', lastValue: '4', isCalled: true },
      { schema: 'public', name: 'down', lastValue: '-2', isCalled: true },
      { schema: 'public', name: 'fresh', lastValue: '1', isCalled: false },
    ]);
    expect(fingerprint.tables[0]).not.toHaveProperty('lanes');
  });

  it('has a lane for every column, the odd ones too', async () => {
    const all = tableOf(await take(source), 'All "Types"');
    expect(all?.seed).toEqual(['Id']);
    const columns = sql(
      source,
      `SELECT attname FROM pg_attribute WHERE attrelid = '"odd.schema"."All ""Types"""'::regclass AND attnum > 0`,
    );
    expect(Object.keys(all?.lanes ?? {}).sort()).toEqual(columns.split('\n').sort());
    expect(Object.hasOwn(all?.lanes ?? {}, '__proto__')).toBe(true);
    expect(tableOf(await take(source), 'Pair')?.seed).toEqual(['A', 'b', 'c']);
    expect(Object.keys(tableOf(await take(source), 'nokey')?.lanes ?? {}).sort()).toEqual([
      '',
      'when',
      'who',
    ]);
    expect(tableOf(await take(source), 'columnless')?.lanes).toEqual({});
  });

  it('does not depend on the settings of role and database', async () => {
    const fingerprint = await take(source);
    const settings = {
      TimeZone: 'Asia/Kathmandu',
      DateStyle: 'German',
      IntervalStyle: 'sql_standard',
      bytea_output: 'escape',
      extra_float_digits: '-5',
      search_path: 'audit, pg_temp',
      xmloption: 'document',
      lc_monetary: 'C.UTF-8',
    };
    for (const [name, value] of Object.entries(settings)) {
      sql(
        'postgres',
        `ALTER DATABASE "${copy}" SET ${name} = '${value.replaceAll("'", "''")}'`.replace(
          `'audit, pg_temp'`,
          'audit, pg_temp',
        ),
      );
    }
    try {
      expect(await differences(copy, fingerprint)).toEqual([]);
      expect(await take(copy)).toEqual(fingerprint);
    } finally {
      for (const name of Object.keys(settings)) sql('postgres', `ALTER DATABASE "${copy}" RESET ${name}`);
    }
  });
});

describe('one changed value', () => {
  const copy = copyOf(source);
  const all = '"odd.schema"."All ""Types"""';

  it.each([
    ['t', `t = replace(t, 'tab', 'taB')`],
    ['ci', `ci = 'CITEXT'`],
    ['code', `code = 'CoDe'`],
    ['ch', `ch = 'aB'`],
    ['e', `e = 'disabled'`],
    ['ea', `ea = '{active}'`],
    ['n', 'n = 1.00'],
    ['d', `d = '1e308'`],
    ['iv', `iv = '1 mon 00:00:00'`],
    ['j', `j = '{"b": 1, "a": 1.0, "a": 2}'`],
    ['jb', `jb = '{"b": 1.0, "a": [1e2, null, "🎉"]}'`],
    ['x', `x = '<a b="C">é</a>'`],
    ['by', `by = '\\x00ff0a5d'`],
    ['m', `m = '12.35'`],
    ['ts', `ts = '2026-03-29 02:30:00.124'`],
    ['tz', `tz = '2026-01-01Z'`],
    ['comp', `comp = '(1,2.5,active)'`],
    ['vc', 'vc = NULL'],
    ['b', 'b = false'],
    ['__proto__', `"__proto__" = 'P'`],
    ['seed', 'seed = 9'],
  ])('is found and named: %s', async (column, assignment) => {
    const fingerprint = await take(source);
    // gen follows t where only case changes: lower() hides it, which is right.
    sql(copy, `BEGIN; CREATE TABLE IF NOT EXISTS public.keep AS TABLE ${all}; COMMIT`);
    sql(copy, `UPDATE ${all} SET ${assignment} WHERE "Id" = 1`);
    const found = await differences(copy, fingerprint, { except: ['keep'] });
    sql(
      copy,
      `UPDATE ${all} a SET "${column}" = k."${column}" FROM public.keep k WHERE k."Id" = a."Id"; DROP TABLE public.keep`,
    );
    expect(found).toEqual([`the content of "odd.schema"."All ""Types"""."${column}" differs`]);
    expect(await differences(copy, fingerprint)).toEqual([]);
  });

  it('NULL is not the empty text, -0 is not 0', async () => {
    const fingerprint = await take(source);
    sql(copy, `UPDATE ${all} SET t = NULL WHERE "Id" = 2; UPDATE ${all} SET d = 0 WHERE "Id" = 2`);
    const found = await differences(copy, fingerprint);
    sql(copy, `UPDATE ${all} SET t = '', d = '-0' WHERE "Id" = 2`);
    expect(found).toEqual([
      `the content of "odd.schema"."All ""Types"""."t", "odd.schema"."All ""Types"""."d", "odd.schema"."All ""Types"""."gen" differs`,
    ]);
  });
});

describe('rows', () => {
  const fresh = (change: string) => {
    const copy = copyOf(source);
    sql(copy, change);
    return copy;
  };

  it('missing, more, other tables, sequences behind, large objects', async () => {
    const fingerprint = await take(source);
    const copy = fresh(`
      DELETE FROM "User" WHERE id = (SELECT min(id) FROM "User");
      INSERT INTO audit.nokey VALUES ('2027-01-01', 'new');
      DROP TABLE audit.empty;
      CREATE TABLE extra (id int);
      SELECT setval('audit."Loose Seq"', 8, false);
      SELECT setval('down', -1);
      DROP SEQUENCE fresh;
      SELECT lo_unlink(min(oid)) FROM pg_largeobject_metadata;
      UPDATE "Event" SET note = 'changed' WHERE id = 7;
      ALTER TABLE "Pair" RENAME v TO w`);
    expect(await differences(copy, fingerprint)).toEqual([
      'table "audit"."empty" is missing',
      '"audit"."nokey" has 6 rows, 5 in the backup: 1 more',
      'the content of "Event"."note" differs',
      '"Pair": column "v" is missing; column "w" is not in the backup',
      '"User" has 199 rows, 200 in the backup: 1 missing',
      'table "extra" is not in the backup',
      'sequence "audit"."Loose Seq" stands at 8 (not yet used), in the backup at 8: it is behind',
      'sequence "down" stands at -1, in the backup at -2: it is behind',
      'sequence "fresh" is missing',
      '1 large objects, 2 in the backup',
    ]);
    const except = [
      'empty',
      'audit.nokey',
      'Event',
      'Pair',
      '"User"',
      'extra',
      'audit."Loose Seq"',
      'down',
      'fresh',
    ];
    expect(await differences(copy, fingerprint, { except })).toEqual(['1 large objects, 2 in the backup']);
    expect(await differences(copy, fingerprint, { extras: false, except: ['extra'] })).toHaveLength(9);
  });

  it('under swapped keys, and cells that swapped rows', async () => {
    const fingerprint = await take(source);
    const copy = fresh(`
      UPDATE "User" SET id = CASE id WHEN 'c' || md5('1') THEN 'x' ELSE id END;
      UPDATE "Pair" p SET v = q.v FROM (VALUES (1, 2), (2, 1)) AS q (was, v) WHERE p.v = q.was;
      UPDATE audit.nokey SET who = CASE who WHEN 'x' THEN 'x' ELSE who END;
      DELETE FROM audit.nokey;
      INSERT INTO audit.nokey VALUES ('2026-01-01', 'x'), ('2026-01-01', 'y'), ('2026-01-02', 'x'), (NULL, NULL), (NULL, NULL)`);
    expect(await differences(copy, fingerprint)).toEqual([
      '"audit"."nokey" holds the same values in every column, but in other rows',
      'the content of "Pair"."v" differs',
      'the keys in "User"."id" differ: other rows, or rows under other keys',
    ]);
  });

  it('equal rows do not cancel out', async () => {
    const fingerprint = await take(source);
    const copy = fresh(`
      DELETE FROM audit.nokey;
      INSERT INTO audit.nokey VALUES (NULL, NULL), (NULL, NULL), ('2026-01-03', 'z'), ('2026-01-03', 'z'), ('2026-01-02', 'y')`);
    expect(await differences(copy, fingerprint)).toEqual([
      'the content of "audit"."nokey"."when", "audit"."nokey"."who" differs',
    ]);
  });

  it('does not need the primary key to be there, nor columns in the same order', async () => {
    const fingerprint = await take(source);
    const copy = fresh(
      `
      ALTER TABLE "User" DROP CONSTRAINT "User_pkey";
      ALTER TABLE audit.nokey ADD junk int; ALTER TABLE audit.nokey DROP junk;
      ALTER TABLE audit.nokey RENAME TO old; CREATE TABLE audit.nokey AS SELECT who, "when" FROM audit.old; DROP TABLE audit.old;
      VACUUM FULL "Pair"`.replace('VACUUM FULL "Pair"', 'CLUSTER "Pair" USING "Pair_pkey"'),
    );
    expect(await differences(copy, fingerprint)).toEqual([]);
  });

  it('a sequence further on is fine', async () => {
    const fingerprint = await take(source);
    const copy = fresh(`SELECT nextval('audit."Loose Seq"'), nextval('down'), nextval('fresh')`);
    expect(await differences(copy, fingerprint)).toEqual([]);
  });

  it('differ from the snapshot that a writer left behind', async () => {
    const copy = copyOf(source);
    await withClient(parseConnection(sharedUrl(copy)), {}, async (client: Client) => {
      await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
      const before = await takeFingerprint(client, 'content');
      sql(copy, `DELETE FROM "User"; INSERT INTO "User" VALUES ('new')`);
      expect(await takeFingerprint(client, 'content')).toEqual(before);
      await client.query('COMMIT');
      expect(await differences(copy, before)).toEqual(['"User" has 1 row, 200 in the backup: 199 missing']);
    });
  });
});

describe('selection', () => {
  const names = async (selection: Selection) =>
    (await take(source, 'counts', selection)).tables.map((table) => `${table.schema}.${table.table}`);

  it('by schemas, tables and what is left out', async () => {
    expect(await names({ schemas: ['audit'] })).toEqual([
      'audit.Event_1_a',
      'audit.cache',
      'audit.columnless',
      'audit.empty',
      'audit.nokey',
    ]);
    expect(await names({ tables: ['User', 'audit.nokey'] })).toEqual(['audit.nokey', 'public.User']);
    expect(await names({ tables: ['Event'] })).toEqual(['public.Event']);
    expect(await names({ tables: ['Event_rest'] })).toEqual(['public.Event_rest']);
    expect(await names({ schemas: ['public'], exclude: ['User'], excludeData: ['Event_1'] })).toEqual([
      'public.Event_rest',
      'public.Pair',
      'public.base',
      'public.heir',
    ]);
    expect(await names({ tables: ['audit.c*'] })).toEqual(['audit.cache', 'audit.columnless']);
  });

  it('carries the sequences and large objects that belong', async () => {
    const part = await take(source, 'counts', { tables: ['"odd.schema"."All ""Types"""'] });
    expect(part.sequences?.map((sequence) => sequence.name)).toEqual(['All "Types"_Id_seq']);
    expect(part).not.toHaveProperty('largeObjects');
  });

  it('is nothing for a dump without data', async () => {
    expect(await take(source, 'content', { only: 'schema' })).toEqual({ kind: 'none', tables: [] });
    expect(await take(source, 'none')).toEqual({ kind: 'none', tables: [] });
  });

  it('agrees with what pg_dump leaves out', async () => {
    const fingerprint = await take(source, 'content', { excludeData: ['User', 'audit.nokey'] });
    const copy = copyOf(source, '', [
      '--exclude-table-data=public."User"',
      '--exclude-table-data=audit.nokey',
    ]);
    expect(await differences(copy, fingerprint, { extras: false })).toEqual([]);
  });
});

describe('who may take it', () => {
  it('a role that can read everything, without being superuser', async () => {
    const role = uniqueName('taker');
    sql(source, `CREATE ROLE ${role} LOGIN; GRANT pg_read_all_data TO ${role}`);
    try {
      expect(await take(source, 'content', {}, role)).toEqual(await take(source));
    } finally {
      sql(source, `DROP ROLE ${role}`);
    }
  });

  it('not one from whom row-level security hides rows', async () => {
    const role = uniqueName('taker');
    const database = createDatabase(
      'rls',
      `CREATE TABLE "Mine" (id int PRIMARY KEY); INSERT INTO "Mine" VALUES (1), (2);
      ALTER TABLE "Mine" ENABLE ROW LEVEL SECURITY; CREATE POLICY one ON "Mine" USING (id = 1);
      CREATE ROLE ${role} LOGIN; GRANT SELECT ON "Mine" TO ${role}`,
    );
    try {
      await expect(take(database, 'counts', {}, role)).rejects.toThrow(/row-level security/);
    } finally {
      sql(database, `DROP OWNED BY ${role}; DROP ROLE ${role}`);
    }
  });

  it('leaves the settings of the transaction as they were', async () => {
    await withClient(parseConnection(sharedUrl(source)), {}, async (client) => {
      await client.query(`BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL search_path = audit`);
      await takeFingerprint(client, 'content');
      expect(await client.query('SHOW search_path')).toEqual([{ search_path: 'audit' }]);
    });
  });

  it('needs an open transaction', async () => {
    await withClient(parseConnection(sharedUrl(source)), {}, async (client) => {
      await expect(takeFingerprint(client, 'counts')).rejects.toThrow(/transaction block/);
    });
  });
});

describe('limits', () => {
  it('counts what there is no time to hash', async () => {
    await withClient(parseConnection(sharedUrl(source)), {}, async (client) => {
      await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
      const skipped: string[] = [];
      const fingerprint = await takeFingerprint(
        client,
        'content',
        {},
        { budget: 0, onSkipped: (table) => skipped.push(table) },
      );
      expect(skipped).toHaveLength(fingerprint.tables.length + 1);
      expect(skipped.at(-1)).toBe('large objects');
      expect(fingerprint).not.toHaveProperty('largeObjectContent');
      expect(fingerprint.tables.every((table) => table.lanes === undefined)).toBe(true);
      expect(tableOf(fingerprint, 'User')?.rows).toBe(200);
    });
  });

  it('counts a table whose values are too large for text', async () => {
    // A type whose output fails as a value of over a gigabyte does.
    const database = createDatabase(
      'huge',
      `
      CREATE TABLE "Huge" (id int PRIMARY KEY, v int4range);
      CREATE TABLE "Small" (id int PRIMARY KEY);
      INSERT INTO "Huge" VALUES (1, '[1,2)');
      CREATE FUNCTION too_large(int4range) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
        BEGIN RAISE EXCEPTION 'invalid memory alloc request size 1073741824' USING ERRCODE = '54000'; END $$;
      CREATE CAST (int4range AS text) WITH FUNCTION too_large(int4range)`,
    );
    const fingerprint = await take(database);
    expect(tableOf(fingerprint, 'Huge')).toEqual({ schema: 'public', table: 'Huge', rows: 1 });
    expect(tableOf(fingerprint, 'Small')?.lanes).toEqual({ id: '0' });
  });

  it('says which content it could not read when comparing', async () => {
    const database = createDatabase(
      'unread',
      `CREATE TABLE "T" (id int PRIMARY KEY, v int4range); INSERT INTO "T" VALUES (1, '[1,2)')`,
    );
    const fingerprint = await take(database);
    sql(
      database,
      `CREATE SCHEMA hidden; CREATE FUNCTION hidden.too_large(int4range) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
        BEGIN RAISE EXCEPTION 'too large' USING ERRCODE = '54000'; END $$;
       CREATE CAST (int4range AS text) WITH FUNCTION hidden.too_large(int4range)`,
    );
    await withClient(parseConnection(sharedUrl(database)), {}, async (client) => {
      const comparison = await compareFingerprint(client, fingerprint);
      expect(comparison).toMatchObject({ differences: [], tables: 1, content: 0 });
      expect(comparison.unread).toEqual([{ object: '"T"', reason: expect.stringContaining('too large') }]);
    });
  });

  it('does not fill the lock table of a server with many tables', async () => {
    const cluster = startCluster({
      parameters: { max_connections: '10', max_prepared_transactions: '0', max_locks_per_transaction: '10' },
    });
    try {
      const tables = Array.from(
        { length: 400 },
        (_, n) => `CREATE TABLE "t${n}" (id serial PRIMARY KEY, a int UNIQUE, b int UNIQUE, c int UNIQUE);`,
      );
      cluster.psql('postgres', tables.join('\n'));
      await withClient(parseConnection(cluster.url('postgres')), {}, async (client) => {
        await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
        // Holding on to all of them would not work here.
        await client.query('SAVEPOINT probe');
        const all = tables.map((_, n) => `SELECT count(*) FROM "t${n}"`);
        await expect(client.query(all.join(' UNION ALL '))).rejects.toThrow(/out of shared memory/);
        await client.query('ROLLBACK TO SAVEPOINT probe');
        for (const kind of ['counts', 'content'] as const) {
          expect((await takeFingerprint(client, kind)).tables).toHaveLength(400);
        }
      });
    } finally {
      cluster.remove();
    }
  });

  it('hashes a table with as many columns as there can be', async () => {
    const columns = Array.from({ length: 1600 }, (_, n) => `c${n} bool`).join(', ');
    const database = createDatabase(
      'wide',
      `CREATE TABLE "Wide" (${columns}); INSERT INTO "Wide" (c0, c1599) VALUES (true, false);
      CREATE TABLE "WideKey" (${columns.replace('c7 bool', 'c7 text PRIMARY KEY')}); INSERT INTO "WideKey" (c7) VALUES ('k')`,
    );
    const fingerprint = await take(database);
    expect(Object.keys(tableOf(fingerprint, 'Wide')?.lanes ?? {})).toHaveLength(1601);
    expect(Object.keys(tableOf(fingerprint, 'WideKey')?.lanes ?? {})).toHaveLength(1600);
    expect(await differences(database, fingerprint)).toEqual([]);
  });

  it('counts more tables than one statement takes', async () => {
    const many = Array.from(
      { length: 120 },
      (_, n) => `CREATE TABLE "t${n}" (id int); INSERT INTO "t${n}" SELECT generate_series(1, ${n});`,
    );
    const database = createDatabase('many', many.join(''));
    const fingerprint = await take(database, 'counts');
    expect(fingerprint.tables).toHaveLength(120);
    for (const { table, rows } of fingerprint.tables) expect(rows).toBe(Number(table.slice(1)));
    expect(await differences(database, fingerprint)).toEqual([]);
  });

  it('says that there is nothing to compare with', async () => {
    await expect(differences(source, { kind: 'none', tables: [] })).rejects.toMatchObject({
      code: 'CHECKS_INCONCLUSIVE',
    });
    await expect(differences(source, { kind: 'content', laneVersion: 99, tables: [] })).rejects.toThrow(
      /lane version 99/,
    );
  });
});

describe('any two different rows', () => {
  it('have different lanes', async () => {
    const database = createDatabase('lanes', 'CREATE TABLE "T" (id int PRIMARY KEY, a text, b jsonb)');
    const text = fc.string({ unit: 'grapheme', maxLength: 8 }).filter((value) => !value.includes('\0'));
    await withClient(parseConnection(sharedUrl(database)), {}, async (client) => {
      const lanes = async (a: string, b: string) => {
        await client.query('TRUNCATE "T"');
        await client.query('INSERT INTO "T" VALUES (1, $1, to_jsonb($2::text))', [a, b]);
        await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
        const fingerprint = await takeFingerprint(client, 'content');
        await client.query('COMMIT');
        return fingerprint.tables[0]?.lanes ?? {};
      };
      await fc.assert(
        fc.asyncProperty(text, text, async (one, two) => {
          const [x, y] = [await lanes(one, two), await lanes(two, one)];
          expect(x.a === y.a).toBe(one === two);
          expect(x.b === y.b).toBe(one === two);
        }),
        { numRuns: 30 },
      );
    });
  });
});
