import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, describe, expect, it } from 'vitest';
import { BackplanError } from '../../src/errors.ts';
import { readPlanText } from '../../src/plan/read.ts';
import { parseSource } from '../../src/plan/source.ts';

const folder = mkdtempSync(join(tmpdir(), 'backplan-source-'));
afterAll(() => rmSync(folder, { recursive: true }));

function write(name: string, content: string | Uint8Array): string {
  const file = join(folder, name);
  writeFileSync(file, content);
  return file;
}

async function failure(file: string): Promise<BackplanError> {
  const error: unknown = await readPlanText(file).catch((reason: unknown) => reason);
  if (!(error instanceof BackplanError)) throw new Error(`expected a failure, got ${String(error)}`);
  return error;
}

const UTF16 = Buffer.from('\ufeffversion: 1\n', 'utf16le');
const noise = Uint8Array.from({ length: 4096 }, (_each, index) => (index * 7919) % 256);

describe('readPlanText', () => {
  it.each([
    ['a missing file', join(folder, 'missing.yaml'), 'no such file'],
    ['a path through a file', join(write('plain.yaml', 'a'), 'x.yaml'), 'no such file'],
    ['a folder', folder, 'is a folder'],
    ['10 MB', write('big.yaml', 'a: b\n'.repeat(2_000_000)), 'bigger than 1 MB'],
    ['a file without end', '/dev/zero', 'bigger than 1 MB'],
    ['UTF-16, little endian', write('utf16le.yaml', UTF16), 'is UTF-16'],
    ['UTF-16, big endian', write('utf16be.yaml', Buffer.from(UTF16).swap16()), 'is UTF-16'],
    ['UTF-16 without a mark', write('utf16.yaml', UTF16.subarray(2)), 'binary file'],
    ['a binary file', write('binary.yaml', noise), 'binary file'],
    [
      'Latin-1',
      write('latin1.yaml', Buffer.from('a: 1\nname: M\xfcller\n', 'latin1')),
      'not UTF-8 text (line 2)',
    ],
  ])('refuses %s with one clear error', async (_what, file, message) => {
    const error = await failure(file);
    expect(error.code).toBe('PLAN_UNREADABLE');
    expect(error.exitCode).toBe(2);
    expect(error.message).toContain(message);
    expect(error.message.startsWith(file)).toBe(true);
    expect(error.hint).toBeTruthy();
  });

  it('takes a byte order mark of UTF-8 off', async () => {
    expect(await readPlanText(write('bom.yaml', '\ufeffversion: 1\n'))).toBe('version: 1\n');
  });

  it('reads standard input', async () => {
    const script = `import { readPlanText } from ${JSON.stringify(join(import.meta.dirname, '../../src/plan/read.ts'))}; process.stdout.write(await readPlanText('-'));`;
    const child = promisify(execFile)(process.execPath, ['--input-type=module', '-e', script]);
    child.child.stdin?.end('version: 1\n');
    expect((await child).stdout).toBe('version: 1\n');
  });
});

describe('parseSource: what YAML gets wrong', () => {
  it.each<[string, string, string, number, number]>([
    ['a tab', 'a:\n\tb: 1', 'indented with a tab', 2, 1],
    ['an open list', 'a: [1, 2', 'a "]" is missing', 1, 9],
    ['an open map', 'a: {b: 1\nc: 2', 'a "}" is missing', 2, 1],
    ['an open quote', 'a: "b\nc: 2\n', 'closing " of a text is missing', 3, 1],
    ['an apostrophe in single quotes', "a: 'it's'", 'is not expected here', 1, 8],
    ['two colons', 'a: b: c', 'a map or list cannot start here', 1, 4],
    ['indentation that goes astray', 'a:\n  b: 1\n c: 2', 'indentation does not fit', 3, 1],
    ['a list and a map mixed', '- a\nb: 1', 'is not expected here', 2, 1],
    ['a reserved character', 'a: @b', 'cannot start with @', 1, 4],
    ['a percent sign', 'a: %b', 'cannot start with %', 1, 4],
    ['a bad escape', 'a: "\\q"', 'unknown escape \\q', 1, 5],
    ['an unknown tag', 'a: !foo b', 'unknown tag !foo', 1, 4],
    ['several documents', 'a: 1\n---\nb: 2', 'a second document starts here', 2, 1],
    ['YAML 1.1', '%YAML 1.1\n---\na: no', 'a plan is YAML 1.2', 1, 1],
    ['a duplicate key', 'a: 1\nb: 2\na: 3', 'duplicate key, line 1 has it already', 3, 1],
    ['a duplicate key in a flow map', 'x: {a: 1, a: 2}', 'duplicate key, line 1 has it already', 1, 11],
    ['the same key as number and text', '1: a\n"1": b', 'duplicate key, line 1 has it already', 2, 1],
    ['a list as key', '? [a]\n: b', 'a key must be plain text', 1, 3],
    ['no key', ': b', 'a key is missing', 1, 1],
    ['__proto__', 'a:\n  __proto__: 1', 'this name is reserved', 2, 3],
    ['an unknown alias', 'x: &name 1\na: *nmae', 'unknown alias "*nmae", did you mean "*name"?', 2, 4],
    ['an alias in itself', 'a: &a [*a]', 'stands inside the value that it repeats', 1, 8],
    ['a merge into itself', 'a: &a\n  <<: *a', 'stands inside the value that it repeats', 2, 7],
    ['a merge of text', 'a: {<<: b}', 'only a map', 1, 9],
    ['deep nesting', `a: ${'['.repeat(100)}${']'.repeat(100)}`, 'nested more than 64 levels', 1, 68],
    ['very deep nesting', '['.repeat(50_000), 'nested', 1, 1],
  ])('%s', (_what, text, message, line, column) => {
    const { problems, source } = parseSource('plan.yaml', text);
    expect(problems).toHaveLength(1);
    expect(problems[0]?.message).toContain(message);
    if (!text.startsWith('[[['))
      expect([problems[0]?.span.line, problems[0]?.span.column]).toEqual([line, column]);
    expect(source.text).toBe(text);
  });

  it('stops aliases that multiply', () => {
    const levels = 'abcdefgh'
      .split('')
      .map((name, index, all) =>
        index === 0
          ? `${name}: &${name} [x, x, x, x, x, x, x, x, x]`
          : `${name}: &${name} [${`*${all[index - 1]}, `.repeat(9)}]`,
      );
    const { problems, source } = parseSource('plan.yaml', levels.join('\n'));
    expect(problems).toHaveLength(1);
    expect(problems[0]?.message).toContain('unfolds to more than 200,000 values');
    expect(problems[0]?.hint).toContain('multiply');
    expect(source.value).toBeUndefined();
  });

  it('takes many uses of one anchor', () => {
    const text = `x-a: &a {k: [1, 2]}\nlist: [${'*a, '.repeat(500)}]`;
    const { problems, source } = parseSource('plan.yaml', text);
    expect(problems).toEqual([]);
    expect((source.value as { list: unknown[] }).list).toHaveLength(500);
  });
});

describe('parseSource: values', () => {
  it('is YAML 1.2: on, no and times are text; empty is null', () => {
    const { source } = parseSource('p', 'on: [on, no, yes, 12:30, 2026-01-01, true, 022, 1e3]\nempty:\n');
    expect(source.value).toEqual({
      on: ['on', 'no', 'yes', '12:30', '2026-01-01', true, 22, 1000],
      empty: null,
    });
    expect(source.written(['on', 6])).toBe('022');
    expect(parseSource('p', '# nothing\n').source.value).toBeNull();
    expect(parseSource('p', '').source.value).toBeNull();
  });

  it('merges as YAML 1.1 did: own keys first, then earlier sources', () => {
    const text = `
base: &base {a: 1, b: 1}
more: &more {b: 2, c: 2, <<: {d: 4, a: 9}}
result: {<<: [*base, *more], c: 3}
quoted: {"<<": plain}
`;
    const { source, problems } = parseSource('p', text);
    expect(problems).toEqual([]);
    expect(source.value).toMatchObject({ result: { a: 1, b: 1, c: 3, d: 4 }, quoted: { '<<': 'plain' } });
    expect(source.keySpan(['result', 'd'])).toEqual({ line: 3, column: 31, length: 1 });
    expect(source.valueSpan(['result', 'c'])).toEqual({ line: 4, column: 33, length: 1 });
  });

  it('keeps copies of what aliases repeat apart', () => {
    const { source } = parseSource('p', 'a: &a {k: 1}\nb: *a');
    const value = source.value as { a: { k: number }; b: { k: number } };
    value.a.k = 2;
    expect(value.b.k).toBe(1);
  });

  it('has keys that objects inherit', () => {
    const { source } = parseSource('p', 'constructor: 1\ntoString: {hasOwnProperty: 2}');
    expect(Object.keys(source.value as object)).toEqual(['constructor', 'toString']);
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
  });

  it('finds offsets inside texts of every style', () => {
    const text = [
      'plain: say ${{ a }} and ${{ b }}',
      'double: "tab\\t ${{ b }}"',
      "single: 'it''s ${{ b }}'",
      'block: |',
      '  first',
      '  second ${{ b }}',
      'folded: >-',
      '  one',
      '  two ${{ b }}',
    ].join('\r\n');
    const { source } = parseSource('p', text);
    const value = source.value as Record<string, string>;
    const places = Object.entries(value).map(([key, content]) => {
      const start = content.lastIndexOf('${{ b');
      const { line, column, length } = source.insideSpan([key], start, start + 8);
      return text.split('\r\n')[line - 1]?.slice(column - 1, column - 1 + length);
    });
    expect(places).toEqual(['${{ b }}', '${{ b }}', '${{ b }}', '${{ b }}', '${{ b }}']);
  });
});
