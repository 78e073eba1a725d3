import { Readable } from 'node:stream';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type PlainOptions, PlainScript } from '../../src/postgres/plain.ts';
import { rolesIn } from '../../src/postgres/role-names.ts';

async function run(text: string, sizes: readonly number[] = [1 << 20], options: PlainOptions = {}) {
  const bytes = Buffer.from(text);
  const chunks: Buffer[] = [];
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const size = sizes[turn % sizes.length] ?? 1;
    chunks.push(bytes.subarray(at, at + size));
    at += size;
  }
  const script = new PlainScript(options);
  const out: Buffer[] = [];
  for await (const part of script.filter(Readable.from(chunks))) out.push(part);
  return { script, facts: script.facts, out: Buffer.concat(out).toString('utf8') };
}

const DUMP = String.raw`--
-- PostgreSQL database dump
--
\restrict abc
-- Dumped from database version 15.18 (Debian)
-- Dumped by pg_dump version 17.2
SET transaction_timeout = 0;
DROP DATABASE IF EXISTS crm;
CREATE DATABASE crm WITH TEMPLATE = template0 ENCODING = 'UTF8' LOCALE = 'C';
\connect -reuse-previous=on "dbname='crm'"
CREATE EXTENSION IF NOT EXISTS "uuid-ossp" WITH SCHEMA public;
CREATE FUNCTION f() RETURNS text LANGUAGE plpgsql AS $fn$
BEGIN -- \! not a command; DROP DATABASE crm;
  RETURN 'DROP DATABASE crm;' || $q$ \connect elsewhere $q$;
END $fn$;
CREATE TABLE "odd;name" (a text DEFAULT E'it\'s \\; \\! x', "b\c" text DEFAULT '\! literal' /* ; \! /* nested */ */);
COPY "odd;name" (a, "b\c") FROM stdin;
\\N	DROP DATABASE crm;
\.x	\\.
\connect not a command
\.

ALTER TABLE "odd;name" OWNER TO "App Owner";
GRANT SELECT ON TABLE "odd;name" TO reader, "Other Role" WITH GRANT OPTION;
ALTER DATABASE crm SET work_mem TO '7MB';
ALTER ROLE "x y" IN DATABASE crm SET work_mem TO '7MB';
INSERT INTO t VALUES ('a;b', $$;$$, 'COPY x FROM stdin;');
\unrestrict abc
--
-- PostgreSQL database dump complete
--
`;

test('what must not run is taken out, everything else stays to the byte', async () => {
  const { facts, out, script } = await run(DUMP, [1 << 20], {
    unknownSettings: new Set(['transaction_timeout']),
  });
  const gone = [
    '\\restrict abc\n',
    'SET transaction_timeout = 0;',
    'DROP DATABASE IF EXISTS crm;',
    "CREATE DATABASE crm WITH TEMPLATE = template0 ENCODING = 'UTF8' LOCALE = 'C';",
    '\\connect -reuse-previous=on "dbname=\'crm\'"\n',
    "ALTER DATABASE crm SET work_mem TO '7MB';",
    `ALTER ROLE "x y" IN DATABASE crm SET work_mem TO '7MB';`,
    '\\unrestrict abc\n',
  ];
  const squeeze = (text: string) => text.replace(/\n+/g, '\n').replace(/--[^\n]*\n/g, '');
  expect(squeeze(out)).toBe(squeeze(gone.reduce((text, part) => text.replace(part, ''), DUMP)));
  expect(facts).toMatchObject({
    byPgDump: true,
    complete: true,
    cluster: false,
    serverVersion: '15.18',
    dumpVersion: '17.2',
    refused: [],
    tables: 1,
  });
  expect([...facts.roles].sort()).toEqual(['App Owner', 'Other Role', 'reader']);
  expect([...facts.extensions]).toEqual(['uuid-ossp']);
  expect([...facts.databases]).toEqual(['crm']);
  expect(() => script.assertWhole('x')).not.toThrow();
});

test('the outcome does not depend on how the bytes arrive', async () => {
  const whole = await run(DUMP);
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1, maxLength: 8 }),
      async (sizes) => {
        const other = await run(DUMP, sizes);
        expect(other.out).toBe(whole.out);
        expect(other.facts).toEqual(whole.facts);
      },
    ),
    { numRuns: 60 },
  );
});

describe('a script that was cut', () => {
  test.each([
    ['in the rows of a table', DUMP.indexOf('\\connect not')],
    ['in a function', DUMP.indexOf('RETURN ')],
    ['before its closing line', DUMP.indexOf('INSERT INTO')],
    ['to nothing', 3],
  ])('%s is not whole', async (_where, length) => {
    const { script } = await run(DUMP.slice(0, length));
    expect(() => script.assertWhole('dump.sql')).toThrow(/dump.sql is not a whole dump/);
  });
});

test('commands for psql that no dump needs are reported, wherever they stand', async () => {
  const { facts } = await run('SELECT 1 \\! rm -rf x\n;\\i other.sql\n\\copy t from f\nSELECT $a$ \\! $a$;');
  expect(facts.refused).toEqual(['\\! rm -rf x', '\\i other.sql', '\\copy t from f']);
  expect((await run('\\c one\n\\connect two\n')).facts.databases.size).toBe(2);
  expect((await run('-- PostgreSQL database cluster dump\nCREATE ROLE x;')).facts.cluster).toBe(true);
});

test('owners and grants can be left out', async () => {
  const { out } = await run(
    "ALTER TABLE t OWNER TO a;\nGRANT SELECT ON t TO b;\nALTER TABLE t ADD c text DEFAULT 'x OWNER TO y';\nREVOKE ALL ON t FROM c;\n",
    [7],
    { noOwner: true, noPrivileges: true },
  );
  expect(out.trim()).toBe("ALTER TABLE t ADD c text DEFAULT 'x OWNER TO y';");
});

test.each([
  ['ALTER TABLE public."x TO y" OWNER TO "We""ird";', ['We"ird']],
  [
    'REVOKE ALL ON TABLE t FROM PUBLIC;\nGRANT SELECT ON TABLE t TO a;\nGRANT ALL ON TABLE t TO "B b" WITH GRANT OPTION;',
    ['a', 'B b'],
  ],
  ['ALTER DEFAULT PRIVILEGES FOR ROLE a IN SCHEMA s GRANT SELECT ON TABLES TO b;', ['a', 'b']],
  ["CREATE POLICY p ON t TO r, PUBLIC USING ((x = 'GRANT TO z'::text));", ['r']],
  ['CREATE USER MAPPING FOR someone SERVER s;', ['someone']],
  ['CREATE SCHEMA s AUTHORIZATION o;', ['o']],
  ["SET SESSION AUTHORIZATION 'it''s';", ["it's"]],
  ['ALTER TEXT SEARCH CONFIGURATION c ADD MAPPING FOR asciiword WITH d;', []],
  ['CREATE FUNCTION f() RETURNS void AS $$ GRANT x TO y $$;', []],
  ['GRANT SELECT ON t TO pg_monitor, CURRENT_USER;', []],
])('roles named by %s', (statement, roles) => {
  expect(rolesIn(statement).sort()).toEqual([...roles].sort());
});
