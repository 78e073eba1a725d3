import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { beforeAll, describe, expect, inject, test } from 'vitest';
import { listArchive, parseListLine, readThrough } from '../../src/postgres/archive.ts';
import {
  countEntries,
  isListed,
  NeedMoreBytes,
  parseToc,
  TocCollector,
  UnreadableArchive,
} from '../../src/postgres/toc.ts';
import { findTools } from '../../src/postgres/tools.ts';
import { sharedUrl, temporaryFolder } from '../helpers/database.ts';
import { createHardDatabase } from '../helpers/hard-schema.ts';

const folder = temporaryFolder();
const paths = {
  custom: join(folder, 'custom'),
  tar: join(folder, 'tar'),
  directory: join(folder, 'directory'),
};
const signal = new AbortController().signal;
let bytes: Buffer;

beforeAll(() => {
  const url = sharedUrl(createHardDatabase());
  const bin = inject('cluster').binDirectory;
  for (const [format, path] of Object.entries(paths)) {
    execFileSync(join(bin, 'pg_dump'), ['--dbname', url, `--format=${format}`, '--file', path]);
  }
  bytes = readFileSync(paths.custom);
});

test('entries and counts are those of pg_restore --list, in every format', async () => {
  const tools = await findTools(undefined, {
    binDirectories: [inject('cluster').binDirectory],
    need: ['pg_restore'],
  });
  for (const path of Object.values(paths)) {
    const entries = await listArchive(tools, path, { signal });
    const listed = execFileSync(tools.path('pg_restore'), ['--list', path], { encoding: 'utf8' })
      .split('\n')
      .flatMap(parseListLine);
    const own = entries.filter(isListed);
    expect(own.map(({ id }) => id).sort()).toEqual(listed.map(({ id }) => id).sort());
    expect(countEntries(entries)).toEqual(countEntries(listed));
    await readThrough(tools, path, { signal });
  }
});

test('names, owners, definitions and dependencies are exact', () => {
  const { header, entries } = parseToc(bytes);
  expect(header).toMatchObject({ format: 'custom', compression: 'gzip' });
  const find = (type: string, name: string) => {
    const found = entries.find((entry) => entry.type === type && entry.name === name);
    if (found === undefined) throw new Error(`no ${type} ${name}`);
    return found;
  };
  const odd = find('TABLE', "Ta\"ble, with 'quotes' and % \\ 🎉");
  expect(odd).toMatchObject({ schema: 'Sales Ops', owner: 'hard_owner', section: 'preData' });
  expect(odd.dependencies).toContain(find('COLLATION', 'no_case').id);
  expect(find('TABLE DATA', odd.name)).toMatchObject({ hasData: true, section: 'data' });
  expect(find('FK CONSTRAINT', 'User User_tenantId_fkey').dependencies).toEqual(
    expect.arrayContaining([find('TABLE', 'User').id, find('TABLE', 'Tenant').id]),
  );
  expect(find('SEQUENCE', 'far_ahead').definition).toContain('CREATE SEQUENCE public.far_ahead');
});

describe('damage', () => {
  const allowed = (error: unknown) => error instanceof NeedMoreBytes || error instanceof UnreadableArchive;
  const tocBytes = () => {
    for (let size = 1024; ; size *= 2) {
      try {
        parseToc(bytes.subarray(0, size));
        return size;
      } catch {
        // Not whole yet.
      }
    }
  };

  test('an archive cut anywhere inside its table of contents is never taken for whole', () => {
    const size = Math.floor(tocBytes() / 2);
    fc.assert(
      fc.property(fc.integer({ min: 0, max: size }), (length) => {
        expect(() => parseToc(bytes.subarray(0, length))).toThrow(
          expect.toSatisfy((error: unknown) => allowed(error)),
        );
      }),
      { numRuns: 200 },
    );
  });

  test('flipped bits never end in anything but a clear error or a readable list', () => {
    const head = bytes.subarray(0, tocBytes());
    fc.assert(
      fc.property(fc.integer({ min: 0, max: head.length - 1 }), fc.integer({ min: 0, max: 7 }), (at, bit) => {
        const copy = Buffer.from(head);
        copy[at] = (copy[at] ?? 0) ^ (1 << bit);
        try {
          parseToc(copy);
        } catch (error) {
          expect(allowed(error)).toBe(true);
        }
      }),
      { numRuns: 300 },
    );
  });

  test('the collector needs only the head, however the stream is cut into chunks', () => {
    const whole = parseToc(bytes);
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 90_000 }), { minLength: 1, maxLength: 20 }), (sizes) => {
        const collector = new TocCollector();
        let at = 0;
        for (const size of [...sizes, bytes.length]) {
          collector.push(bytes.subarray(at, at + size));
          at += size;
        }
        expect(collector.finish().entries).toEqual(whole.entries);
      }),
      { numRuns: 20 },
    );
    const early = new TocCollector();
    early.push(bytes.subarray(0, 500));
    expect(() => early.finish()).toThrow(/ends inside/);
    const foreign = new TocCollector();
    foreign.push(Buffer.from('SELECT 1;'));
    expect(() => foreign.finish()).toThrow(UnreadableArchive);
  });
});
