import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import fc from 'fast-check';
import { beforeAll, expect, inject, test } from 'vitest';
import { BlockScanner, locateBlocks, notePositions } from '../../src/postgres/custom-offsets.ts';
import { parseToc } from '../../src/postgres/toc.ts';
import { sharedUrl, temporaryFolder } from '../helpers/database.ts';
import { createHardDatabase } from '../helpers/hard-schema.ts';

const folder = temporaryFolder();
let piped: Buffer;
let seekable: Buffer;

beforeAll(() => {
  const url = sharedUrl(createHardDatabase());
  const dump = join(inject('cluster').binDirectory, 'pg_dump');
  const args = ['--dbname', url, '-Fc', '-Z0'];
  piped = execFileSync(dump, args, { maxBuffer: 1e9 });
  execFileSync(dump, [...args, '--file', join(folder, 'seekable')]);
  seekable = readFileSync(join(folder, 'seekable'));
});

async function locate(bytes: Buffer, size: number) {
  const parts: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += size) parts.push(bytes.subarray(at, at + size));
  const blocks = locateBlocks('the archive');
  const out: Buffer[] = [];
  await pipeline(Readable.from(parts, { objectMode: false }), blocks.stream, async (stream) => {
    for await (const chunk of stream) out.push(chunk as Buffer);
  });
  return { located: blocks.located(), out: Buffer.concat(out) };
}

test('a piped archive becomes what pg_dump writes when it can go back, but for the time', async () => {
  const { located, out } = await locate(piped, 777);
  expect(out).toEqual(piped);
  const path = join(folder, 'copy');
  writeFileSync(path, piped);
  if (located === undefined) throw new Error('not located');
  await notePositions(path, located);
  const copy = readFileSync(path);
  const note = (bytes: Buffer, noteAt: number | undefined) => bytes.subarray(noteAt ?? 0, (noteAt ?? 0) + 9);
  const theirs = new Map(parseToc(seekable).entries.map((entry) => [entry.id, entry]));
  for (const { id, noteAt, hasData } of parseToc(copy).entries) {
    expect(hasData).toBe(theirs.get(id)?.hasData);
    if (hasData) expect(note(copy, noteAt)).toEqual(note(seekable, theirs.get(id)?.noteAt));
  }
  expect(copy.subarray(located.toc.end)).toEqual(piped.subarray(located.toc.end));
});

test('positions do not depend on how the bytes arrive', async () => {
  const whole = (await locate(piped, piped.length)).located?.positions;
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 13, max: 5000 }), async (size) => {
      expect((await locate(piped, size)).located?.positions).toEqual(whole);
    }),
    { numRuns: 15 },
  );
});

test('an archive cut anywhere in its data is noticed', async () => {
  const { end } = parseToc(piped);
  const scan = (length: number) => {
    const scanner = new BlockScanner(end, 4);
    scanner.push(piped.subarray(end, length));
    return scanner;
  };
  const ends = new Set<number>();
  fc.assert(
    fc.property(fc.integer({ min: end + 1, max: piped.length - 1 }), (length) => {
      if (scan(length).complete) ends.add(length);
    }),
    { numRuns: 500 },
  );
  // Only between two blocks can a cut look like an end; the entries then lack data, which pg_restore reports.
  for (const length of ends) expect([...scan(piped.length).positions.values()]).toContain(length);
  expect(scan(piped.length).complete).toBe(true);
  await expect(locate(piped.subarray(0, end + 10), 100)).rejects.toMatchObject({ code: 'BACKUP_CORRUPT' });
  await expect(locate(piped.subarray(0, end - 10), 100)).rejects.toMatchObject({ code: 'BACKUP_CORRUPT' });
});
