/** Whatever is in the file: diagnostics with places that exist, or a plan; never an exception. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { BackplanError } from '../../src/errors.ts';
import { formatDiagnostics } from '../../src/plan/diagnostic.ts';
import { loadPlan, parsePlan } from '../../src/plan/load.ts';
import { AJV_PHRASES, vocabulary } from './vocabulary.ts';

const folder = mkdtempSync(join(tmpdir(), 'backplan-fuzz-'));
afterAll(() => rmSync(folder, { recursive: true }));

async function check(text: string): Promise<'valid' | 'invalid'> {
  const { plan, diagnostics } = await parsePlan('plan.yaml', text, vocabulary);
  const lines = text.split('\n');
  for (const { line, column, message } of diagnostics) {
    expect(line).toBeGreaterThanOrEqual(1);
    expect(line).toBeLessThanOrEqual(lines.length);
    expect(column).toBeGreaterThanOrEqual(1);
    expect(column).toBeLessThanOrEqual((lines[line - 1] ?? '').length + 1);
    expect(message).not.toBe('');
  }
  expect(formatDiagnostics(diagnostics, text, false)).not.toMatch(AJV_PHRASES);
  const errors = diagnostics.some(({ severity }) => severity === 'error');
  expect(plan === undefined).toBe(errors);
  return errors ? 'invalid' : 'valid';
}

const BASE = {
  version: 1,
  name: 'crm',
  timezone: 'UTC',
  settings: { binDirectories: ['/x'], sandbox: { parameters: { a: 1 } } },
  databases: { crm: { url: '${URL}', schemaVersion: 'prisma' } },
  repositories: { local: { path: './b' } },
  suites: { s: [{ tables: ['A'] }, { sql: { query: 'select 1', severity: 'warn' } }] },
  notifiers: { ops: { webhook: '${HOOK}', on: ['failure'] } },
  jobs: {
    j: {
      schedule: { cron: '0 2 * * *', jitter: '5m' },
      timeout: '2h',
      notify: ['ops'],
      inputs: { b: { type: 'backup', default: 'latest' } },
      steps: {
        dump: {
          uses: 'backup',
          with: { database: 'crm', repository: 'local', compress: { method: 'zstd' } },
        },
        stage: {
          uses: 'restore',
          needs: ['dump'],
          if: '${{ always() }}',
          retry: { attempts: 2 },
          with: { backup: '${{ steps.dump.outputs.backup }}', into: { staging: 'crm' } },
        },
      },
      onFailure: { tell: { uses: 'command', with: { run: 'echo ${{ steps.stage.status }}' } } },
    },
  },
};

/** All paths in plain data. */
function paths(value: unknown, path: (string | number)[] = []): (string | number)[][] {
  if (value === null || typeof value !== 'object') return [path];
  return [
    path,
    ...Object.entries(value).flatMap(([key, item]) =>
      paths(item, [...path, Array.isArray(value) ? Number(key) : key]),
    ),
  ];
}

const ODD: readonly unknown[] = [
  null,
  true,
  0,
  -1,
  1.5,
  Number.MAX_VALUE,
  '',
  ' ',
  'crm',
  '${{ }}',
  '${{ steps',
  '${X',
  '${{ steps.dump.outputs.backup }}',
  [],
  {},
  [[]],
  [null],
  { a: null },
  ['dump', 'dump'],
  { constructor: { prototype: 1 } },
  'constructor',
  'x'.repeat(10_000),
  '\u0000\u001b[31m\u202e',
  '😀 wide',
];

describe('the loader never fails', () => {
  it('on random bytes', async () => {
    let count = 0;
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 400 }), async (bytes) => {
        const file = join(folder, `${count++ % 10}.yaml`);
        writeFileSync(file, bytes);
        try {
          await loadPlan(file, vocabulary);
        } catch (error) {
          expect(error).toBeInstanceOf(BackplanError);
          expect((error as BackplanError).code).toBe('PLAN_UNREADABLE');
        }
      }),
      { numRuns: 300 },
    );
  });

  it('on YAML-like text', async () => {
    const piece = fc.constantFrom(
      ...[
        'a',
        ': ',
        '- ',
        '\n',
        '  ',
        '\t',
        '[',
        ']',
        '{',
        '}',
        ',',
        '&x ',
        '*x',
        '<<',
        '|',
        '>',
        '!',
        '!!str ',
        '#',
        '"',
        "'",
        '? ',
      ],
      ...[
        'version',
        '1',
        'jobs',
        'steps',
        '${{',
        '}}',
        '${A}',
        '---',
        '...',
        '%',
        '@',
        '\r\n',
        '😀',
        'null',
        '~',
        '\\',
        '\u00a0',
        '0x',
      ],
    );
    await fc.assert(
      fc.asyncProperty(fc.array(piece, { maxLength: 40 }), async (list) => {
        await check(list.join(''));
      }),
      { numRuns: 800 },
    );
  });

  it('on a good plan with one or two odd values', async () => {
    expect(await check(JSON.stringify(BASE))).toBe('valid');
    const all = paths(BASE).filter((path) => path.length > 0);
    const change = fc.record({
      path: fc.constantFrom(...all),
      odd: fc.constantFrom(...ODD),
      how: fc.constantFrom('replace', 'remove', 'rename', 'add'),
      name: fc.constantFrom('constructor', 'x y', 'datbase', '', '$', 'toString', 'with'),
    });
    const seen = { valid: 0, invalid: 0 };
    await fc.assert(
      fc.asyncProperty(
        fc.array(change, { minLength: 1, maxLength: 2 }),
        fc.boolean(),
        async (changes, pretty) => {
          const plan = structuredClone(BASE);
          for (const { path, odd, how, name } of changes) mutate(plan, path, odd, how, name);
          seen[await check(JSON.stringify(plan, undefined, pretty ? 1 : undefined))]++;
        },
      ),
      { numRuns: 300 },
    );
    expect(seen.invalid).toBeGreaterThan(120);
    expect(seen.valid).toBeGreaterThan(5);
  });

  it('on a good plan cut anywhere', async () => {
    const text = JSON.stringify(BASE, undefined, 2);
    for (let length = 0; length < text.length; length += 37) await check(text.slice(0, length));
  });
});

function mutate(plan: unknown, path: (string | number)[], odd: unknown, how: string, name: string): void {
  let parent: unknown = plan;
  for (const key of path.slice(0, -1)) {
    if (parent === null || typeof parent !== 'object') return;
    parent = (parent as Record<string | number, unknown>)[key];
  }
  const last = path.at(-1);
  if (parent === null || typeof parent !== 'object' || last === undefined || !(last in parent)) return;
  const target = parent as Record<string | number, unknown>;
  if (how === 'remove') delete target[last];
  else if (how === 'replace') target[last] = odd;
  else if (how === 'add') target[name] = odd;
  else {
    target[name] = target[last];
    delete target[last];
  }
}
