/** The plan language with the step and check kinds that there really are. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { checkKinds } from '../../src/checks/index.ts';
import { notifierKinds } from '../../src/notify/index.ts';
import { planSchema } from '../../src/plan/editor-schema.ts';
import { loadPlan, parsePlan, type Vocabulary } from '../../src/plan/load.ts';
import type { JsonSchema } from '../../src/schema.ts';
import { expectation } from '../../src/schema-walk.ts';
import { stepKinds } from '../../src/steps/index.ts';
import { compileSchema } from '../../src/validator.ts';
import { undocumented } from './documentation.ts';
import { AJV_PHRASES } from './vocabulary.ts';

const vocabulary: Vocabulary = {
  steps: new Map(stepKinds.map((kind) => [kind.kind, kind])),
  checks: new Map(checkKinds.map((kind) => [kind.kind, kind])),
  notifiers: new Map(notifierKinds.map((kind) => [kind.kind, kind])),
};
const folder = join(import.meta.dirname, '..', '..', 'plans');
const plans = readdirSync(folder).filter((file) => file.endsWith('.yaml'));

/** With the table of words of ajv itself: what it does not know is a mistake in a schema. */
function strictly(schema: object) {
  const ajv = new Ajv2020({
    strict: true,
    strictRequired: false,
    strictTypes: false,
    validateFormats: false,
  });
  ajv.addVocabulary(['x-secret', 'x-ref', 'x-expected']);
  return ajv.compile(schema);
}

describe('the real kinds', () => {
  it.each(plans)('plans/%s is valid, without a warning, for validation and for editors', async (file) => {
    const path = join(folder, file);
    const { plan, diagnostics } = await loadPlan(path, vocabulary);
    expect(diagnostics).toEqual([]);
    expect(plan?.name).toBe(file.replace('.yaml', ''));
    const validate = strictly(planSchema(vocabulary));
    validate(parse(readFileSync(path, 'utf8'), { merge: true }));
    expect(validate.errors).toBeNull();
  });

  it('warns of a promotion after a failure', async () => {
    const steps = (condition: string) => `version: 1
name: p
databases: { crm: { url: "\${URL}" } }
repositories: { local: { path: ./b } }
jobs:
  restore:
    steps:
      stage: { uses: restore, with: { backup: latest, into: { staging: crm } } }
      promote: { uses: promote, needs: [stage], if: "${condition}", with: { staging: "\${{ steps.stage.outputs.database }}", database: crm } }
`;
    const told = async (condition: string) =>
      (await parsePlan('p.yaml', steps(condition), vocabulary)).diagnostics.map(
        ({ severity, message }) => `${severity} ${message}`,
      );
    expect(await told('always()')).toEqual(['warning "promote" may run after a failure']);
    expect(await told('success()')).toEqual([]);
  });

  it('explains every key: a description and an example', () => {
    expect(undocumented(planSchema(vocabulary))).toEqual([]);
  });

  it('has examples that are valid, and defaults too', async () => {
    const wrong: string[] = [];
    const visit = async (schema: JsonSchema, path: string): Promise<void> => {
      const check = await compileSchema(schema, {
        exempt: (value) => typeof value === 'string' && value.includes('${'),
      });
      for (const example of [...(schema.examples ?? []), ...('default' in schema ? [schema.default] : [])]) {
        for (const { message } of check(structuredClone(example)))
          wrong.push(`${path}: ${JSON.stringify(example)} ${message}`);
      }
      for (const [key, property] of Object.entries(schema.properties ?? {}))
        await visit(property, `${path}.${key}`);
      for (const branch of schema.oneOf ?? schema.anyOf ?? []) await visit(branch, path);
      if (schema.items !== undefined) await visit(schema.items, `${path}[]`);
    };
    for (const { kind, with: settings } of stepKinds) await visit(settings, kind);
    for (const { kind, params } of checkKinds) await visit(params, kind);
    for (const { kind, settings } of notifierKinds) await visit(settings, kind);
    expect(wrong).toEqual([]);
  });

  it.each([...stepKinds])('$kind: odd settings are explained in plain words', async ({ with: settings }) => {
    await plainWords(settings);
  });

  it.each([...checkKinds])('$kind: odd parameters are explained in plain words', async ({ params }) => {
    await plainWords(params);
  });

  it.each([...notifierKinds])('$kind: odd settings are explained in plain words', async ({ settings }) => {
    await plainWords(settings);
  });

  it('knows no two kinds of one name, and no key of all checks as a kind', () => {
    expect(vocabulary.steps.size).toBe(stepKinds.length);
    expect(vocabulary.checks.size).toBe(checkKinds.length);
    for (const shared of ['name', 'severity', 'timeout', 'sample'])
      expect(vocabulary.checks.has(shared)).toBe(false);
  });

  it('lets the kinds object to what a schema cannot say', async () => {
    const { diagnostics } = await parsePlan(
      'plan.yaml',
      `version: 1
name: x
databases: { crm: { url: "\${URL}" } }
jobs: { j: { steps: { a: { uses: drop, with: {} } } } }
`,
      vocabulary,
    );
    expect(diagnostics).toMatchObject([
      { path: 'jobs.j.steps.a.with', line: 4, message: 'names nothing to drop' },
    ]);
  });
});

async function plainWords(schema: JsonSchema): Promise<void> {
  const check = await compileSchema(schema);
  const keys = Object.keys(schema.properties ?? {});
  const odd: unknown[] = [null, 1, true, '', 'x', [], [1], {}, { nope: 1 }];
  const values = [
    ...odd,
    ...keys.flatMap((key) => odd.map((value) => ({ [key]: value }))),
    Object.fromEntries(keys.map((key) => [key, {}])),
  ];
  let problems = 0;
  for (const value of values) {
    for (const { message, hint } of check(structuredClone(value))) {
      problems++;
      expect(`${message} ${hint ?? ''}`).not.toMatch(AJV_PHRASES);
      expect(message).not.toContain('another value');
    }
  }
  expect(problems).toBeGreaterThan(3);
  expect(expectation(schema)).not.toBe('');
}
