/** What an archive's own rows say: the same for every format and for a restored copy, and one changed byte shows. */
import { spawnSync } from 'node:child_process';
import { createReadStream, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Readable as Stream } from 'node:stream';
import { Readable } from 'node:stream';
import { describe, expect, inject, it } from 'vitest';
import { readArchiveRows, readDatabaseRows } from '../../src/postgres/archive-rows.ts';
import { parseConnection } from '../../src/postgres/connection.ts';
import { type CopyLanes, compareCopyLanes, readCopyLanes } from '../../src/postgres/copy-lanes.ts';
import { findDifferingRows, type ReadRows } from '../../src/postgres/copy-rows.ts';
import { findTools } from '../../src/postgres/tools.ts';
import { createDatabase, sharedUrl, sql, temporaryFolder } from '../helpers/database.ts';
import { createHardDatabase } from '../helpers/hard-schema.ts';

const source = createHardDatabase('copylanes');
sql(
  source,
  String.raw`CREATE TABLE "odd ""t"", (x" ("a ""b""" text, "c,d" text, e int);
   INSERT INTO "odd ""t"", (x" VALUES ('\.', E'tab\there\nline', 1), (NULL, '', 2), (E'\\N', '\N', NULL), ('x', 'y', 3), ('y', 'x', 3);
   CREATE TABLE only_one (v text); INSERT INTO only_one VALUES ('\.'), (''), (NULL), (E'\\.');
   CREATE TABLE columnless (); INSERT INTO columnless DEFAULT VALUES; INSERT INTO columnless DEFAULT VALUES;
   CREATE FUNCTION trap() RETURNS text LANGUAGE sql AS $$ SELECT '
COPY only_one (v) FROM stdin;
' $$;`,
);

const folder = temporaryFolder();
function run(tool: string, args: string[]) {
  const result = spawnSync(join(inject('cluster').binDirectory, tool), args, { encoding: 'utf8' });
  if (result.status !== 0) throw new Error(`${tool}: ${result.stderr}`);
}
const dump = (name: string, ...args: string[]) => {
  const file = join(folder, name);
  run('pg_dump', ['-f', file, '-d', sharedUrl(source), ...args]);
  return file;
};

const context = { signal: new AbortController().signal };
const tools = await findTools(undefined, {
  binDirectories: [inject('cluster').binDirectory],
  need: ['pg_restore'],
});
const archiveLanes = (_tools: typeof tools, input: string | Stream, _context: typeof context) =>
  readArchiveRows(tools, input, context, readCopyLanes);
const lanesOf = (database: string) =>
  readDatabaseRows(
    tools,
    parseConnection(sharedUrl(database)),
    { ...context, applicationName: 'test' },
    readCopyLanes,
  );
const differences = (a: CopyLanes, b: CopyLanes) => compareCopyLanes(a, b).map(({ message }) => message);

const custom = dump('custom', '-Fc');
const archive = await archiveLanes(tools, custom, context);
const copy = createDatabase('copylanescopy');
run('pg_restore', ['-e', '-d', sharedUrl(copy), custom]);

describe('lanes of COPY lines', () => {
  it('are the same from every format of archive, and count what is there', async () => {
    const others = [
      await archiveLanes(tools, createReadStream(custom), context),
      await archiveLanes(tools, dump('tar', '-Ft'), context),
      await archiveLanes(tools, dump('directory', '-Fd', '-j2'), context),
      await readCopyLanes(createReadStream(dump('plain.sql'))),
      await readCopyLanes(Readable.from(cut(readFileSync(dump('data.sql', '--data-only')), 7))),
      await lanesOf(source),
    ];
    for (const other of others) {
      expect(differences(archive, other)).toEqual([]);
      expect([...other.tables.keys()].sort()).toEqual([...archive.tables.keys()].sort());
      expect(other.sequences.size).toBe(archive.sequences.size);
    }
    const rows = (name: string) => archive.tables.get(name)?.rows;
    expect(archive.tables.get(`"odd ""t"", (x"`)?.columns).toEqual(['a "b"', 'c,d', 'e']);
    expect([rows(`"odd ""t"", (x"`), rows('"only_one"'), rows('"columnless"')]).toEqual([5, 4, 2]);
    expect(rows('"User"')).toBe(Number(sql(source, 'SELECT count(*) FROM "User"')));
  });

  it('are the same from a restored copy, and show each kind of damage', async () => {
    expect(differences(archive, await lanesOf(copy))).toEqual([]);
    sql(
      copy,
      `DROP PUBLICATION "pub all";
       ALTER TABLE "User" DISABLE TRIGGER ALL;
       UPDATE "User" SET note = coalesce(note, '') || ' ' WHERE id = (SELECT min(id) FROM "User");
       DELETE FROM only_one WHERE v = '';
       INSERT INTO columnless DEFAULT VALUES;
       UPDATE "odd ""t"", (x" SET "c,d" = "a ""b""" WHERE e = 3;
       SELECT setval('far_ahead', 7);
       DROP TABLE secret_notes;`,
    );
    expect(differences(archive, await lanesOf(copy)).sort()).toEqual([
      '"columnless" has 3 rows, 2 in the archive: 1 more',
      `"odd ""t"", (x" holds the same values in every column, but in other rows`,
      '"only_one" has 3 rows, 4 in the archive: 1 missing',
      'sequence "far_ahead" stands at 7, in the archive at 9007199254740993',
      'table "secret_notes" is missing',
      'the content of "User"."note" differs from the archive',
    ]);
  });

  it('lead to the rows that differ, by key', async () => {
    const ofArchive: ReadRows = (consume, table) =>
      readArchiveRows(tools, custom, { ...context, ...(table === undefined ? {} : { table }) }, consume);
    const ofCopy: ReadRows = (consume, table) =>
      readDatabaseRows(
        tools,
        parseConnection(sharedUrl(copy)),
        { ...context, applicationName: 'test', ...(table === undefined ? {} : { table }) },
        consume,
      );
    const ids = sql(source, 'SELECT id FROM "User" ORDER BY id LIMIT 3').split('\n');
    sql(copy, `SET session_replication_role = replica; DELETE FROM "User" WHERE id = '${ids[2]}'`);
    const { count, samples } = await findDifferingRows(ofArchive, ofCopy, '"User"', ['id']);
    expect(count).toBe(2);
    expect(samples).toEqual(
      expect.arrayContaining([
        { id: ids[0], row: 'changed' },
        { id: ids[2], row: 'missing' },
      ]),
    );
    expect(await findDifferingRows(ofArchive, ofCopy, '"only_one"', [])).toEqual({
      count: 1,
      more: false,
      samples: [],
    });
    const plain = dump('rows.sql', '-t', '"User"');
    const ofPlain: ReadRows = async (consume) =>
      await consume(createReadStream(plain, { highWaterMark: 50 }));
    expect((await findDifferingRows(ofPlain, ofCopy, '"User"', ['id'])).count).toBe(2);
  });

  it('are unknown where rows are INSERT statements', async () => {
    expect((await archiveLanes(tools, dump('inserts', '-Fc', '--inserts'), context)).inserts).toBe(true);
    expect(archive.inserts).toBe(false);
  });

  it('of a damaged archive are an error', async () => {
    const bytes = readFileSync(custom);
    const half = Readable.from([bytes.subarray(0, bytes.length / 2)]);
    await expect(archiveLanes(tools, half, context)).rejects.toMatchObject({ code: 'BACKUP_CORRUPT' });
  });

  it('read at a useful speed', async () => {
    const line = `${'some text of a row\t'.repeat(8)}end\n`;
    const lines = Buffer.from(line.repeat(Math.ceil(4e6 / line.length)));
    const head =
      '-- Data for Name: t; Type: TABLE DATA\nCOPY public.t (a, b, c, d, e, f, g, h, i) FROM stdin;\n';
    const started = performance.now();
    const lanes = await readCopyLanes(
      Readable.from([Buffer.from(head), ...Array(10).fill(lines), Buffer.from('\\.\n')]),
    );
    expect(lanes.tables.get('"t"')?.rows).toBe((lines.length / line.length) * 10);
    // 40 MB; a loaded machine gets ten times the time.
    expect(performance.now() - started).toBeLessThan(10_000);
  });
});

function* cut(bytes: Buffer, size: number): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}
