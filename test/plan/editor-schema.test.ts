import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { planSchema } from '../../src/plan/editor-schema.ts';
import { parsePlan } from '../../src/plan/load.ts';
import { planDocumentSchema } from '../../src/plan/schema.ts';
import { undocumented } from './documentation.ts';
import { vocabulary } from './vocabulary.ts';

function compile(schema: object) {
  const ajv = new Ajv2020({
    strict: true,
    strictRequired: false,
    strictTypes: false,
    validateFormats: false,
  });
  ajv.addVocabulary(['x-secret', 'x-ref', 'x-expected']);
  return ajv.compile(schema);
}

const schema = planSchema(vocabulary);
const validate = compile(schema);

/** The same plan with its YAML anchors unfolded. */
const plainOf = (text: string): unknown => parse(text, { merge: true });

const GOOD = `version: 1
name: crm
x-own: { anything: [1] }
settings: { sandbox: { directory: "\${DIR}", parameters: { work_mem: 64MB } } }
databases: { crm: { url: "\${URL}", schemaVersion: prisma } }
repositories: { local: { path: ./b } }
suites:
  s:
    - tables: [A]
    - rowCount: { table: A, min: "\${MIN}", severity: warn, name: some rows }
      timeout: 5s
    - sql: { query: select 1, expect: { value: 1 } }
jobs:
  j:
    inputs: { n: { type: number, default: 1 } }
    steps:
      a:
        uses: backup
        with: { database: crm, repository: local, jobs: "\${{ inputs.n }}", compress: { method: zstd, level: "\${L}" } }
        retry: { attempts: 2 }
      b: { uses: restore, needs: [a], if: true, with: { backup: "\${{ steps.a.outputs.backup }}", into: "\${INTO}" } }
    onFailure:
      c: { uses: command, with: { run: "true" } }
`;

describe('planSchema', () => {
  it('takes good plans, templates included', async () => {
    expect((await parsePlan('p', GOOD, vocabulary)).diagnostics).toEqual([]);
    validate(plainOf(GOOD));
    expect(validate.errors).toBeNull();
    const minimal = readFileSync(join(import.meta.dirname, '..', '..', 'plans', 'minimal.yaml'), 'utf8');
    expect(validate(plainOf(minimal))).toBe(true);
  });

  it.each([
    ['an unknown key', 'repository: local,', 'repositroy: local,'],
    ['a missing setting', 'database: crm, ', ''],
    ['an unknown step kind', 'uses: command', 'uses: comand'],
    ['an unknown check kind', 'tables: [A]', 'tabels: [A]'],
    ['two checks in one entry', 'tables: [A]', 'tables: [A]\n      sql: { query: select 1 }'],
    ['no settings where some are needed', ', with: { run: "true" }', ''],
    ['a wrong severity', 'severity: warn', 'severity: warning'],
    ['a bad duration', 'timeout: 5s', 'timeout: 5'],
    ['a bad name', '  s:\n', '  s t:\n'],
    ['an environment variable where none is read', 'attempts: 2', 'attempts: "${N}"'],
  ])('refuses %s, as validation does', async (_what, good, bad) => {
    const text = GOOD.replace(good, bad);
    expect(text).not.toBe(GOOD);
    expect(validate(plainOf(text))).toBe(false);
    expect((await parsePlan('p', text, vocabulary)).plan).toBeUndefined();
  });

  it('refuses the golden plans with wrong shapes', () => {
    const folder = join(import.meta.dirname, '..', 'golden');
    expect(readdirSync(folder)).toContain('types.yaml');
    for (const file of ['types.yaml', 'keys-and-kinds.yaml']) {
      expect(validate(plainOf(readFileSync(join(folder, file), 'utf8')))).toBe(false);
    }
  });

  it('has a description and an example for every key of the plan language', () => {
    expect(undocumented(schema)).toEqual([]);
  });

  it('is made of the schema that validation uses', () => {
    expect(Object.keys(schema.properties ?? {})).toEqual(Object.keys(planDocumentSchema.properties));
    expect(compile(planDocumentSchema)(plainOf(GOOD))).toBe(true);
  });
});
