/** Suites that extend suites and take parameters. */
import { describe, expect, it } from 'vitest';
import { checkKinds } from '../../src/checks/index.ts';
import { parsePlan } from '../../src/plan/load.ts';
import type { Plan } from '../../src/plan/model.ts';
import { resolveEnvironment } from '../../src/plan/resolve.ts';
import { suiteChecks, suiteClosure } from '../../src/plan/suites.ts';
import { Masker } from '../../src/secret.ts';
import { stepKinds } from '../../src/steps/index.ts';

const kinds = new Map(checkKinds.map((kind) => [kind.kind, kind]));
const vocabulary = {
  steps: new Map(stepKinds.map((kind) => [kind.kind, kind])),
  checks: kinds,
  notifiers: new Map(),
};

async function load(suites: string, step = 'suite: top'): Promise<{ plan: Plan; problems: string[] }> {
  const text = `version: 1
name: x
databases: { d: { url: postgres:///d } }
suites:
${suites}
jobs: { j: { steps: { s: { uses: check, with: { database: d, ${step} } } } } }
`;
  const { plan, diagnostics } = await parsePlan('plan.yaml', text, vocabulary);
  return {
    plan: plan as Plan,
    problems: diagnostics.map(({ line, column, message }) => `${line}:${column} ${message}`),
  };
}

const SUITES = `
  base:
    params: { least: 1, table: User }
    timeout: 1m
    checks:
      - rowCount: { table: "\${{ params.table }}", min: "\${{ params.least }}" }
  middle: [{ tables: [User] }]
  top:
    description: everything
    extends: [base, middle]
    params: { least: 5, must: null }
    timeout: 20m
    trustIndexes: false
    checks:
      - sql: { query: "select 'costs $\${5}' where \${{ params.must }}", severity: warn, failAbove: 3 }
        tags: [slow]
`;

describe('suites', () => {
  it('extend others, whose checks come first and once, under the limits and defaults of those that extend', async () => {
    const { plan, problems } = await load(SUITES);
    expect(problems).toEqual([]);
    expect(suiteClosure(plan.suites, ['middle', 'top'])).toEqual(['middle', 'base', 'top']);
    const checks = await suiteChecks(plan, ['top'], { kinds, params: { must: 'false' } });
    expect(checks.map(({ kind: _kind, position: _position, ...rest }) => rest)).toEqual([
      { with: { table: 'User', min: 5 }, limits: { withinMs: 60_000, trustIndexes: false } },
      { with: ['User'], limits: { withinMs: 1_200_000, trustIndexes: false } },
      {
        with: { query: "select 'costs ${5}' where false", expect: 'empty' },
        shared: { tags: ['slow'], severity: 'warn', failAbove: 3 },
        limits: { withinMs: 1_200_000, trustIndexes: false },
      },
    ]);
    // Text from a command line fits as well.
    const [first] = await suiteChecks(plan, ['base'], { kinds, params: { least: '7' } });
    expect(first?.with).toEqual({ table: 'User', min: 7 });
    expect(first?.limits).toEqual({ withinMs: 60_000 });
  });

  it('refuses parameters that are missing, unknown or of the wrong kind', async () => {
    const { plan } = await load(SUITES);
    const fails = (params: Record<string, unknown>) =>
      suiteChecks(plan, ['top'], { kinds, params }).then(
        () => undefined,
        (error: Error) => error.message,
      );
    expect(await fails({})).toBe('suite "top" needs a value for its parameter "must"');
    expect(await fails({ must: 'true', lest: 3 })).toBe(
      'no suite has a parameter "lest", did you mean "least"?',
    );
    expect(await fails({ must: 'true', least: 'many' })).toContain('suite base, rowCount.min: expected');
  });

  it('take defaults of parameters from the environment, which is never read as an expression', async () => {
    const { plan } = await load(`
  top:
    params: { table: "\${TABLE}" }
    checks: [{ tables: ["\${{ params.table }}", "\${OTHER}"] }]`);
    const job = plan.jobs.j;
    const resolved = await resolveEnvironment(
      plan,
      { TABLE: '${{ 1 }}', OTHER: '${{ params.table }}' },
      new Masker(),
      {
        ...(job === undefined ? {} : { job }),
      },
    );
    const [check] = await suiteChecks(resolved, ['top'], { kinds });
    expect(check?.with).toEqual(['${{ 1 }}', '${{ params.table }}']);
  });

  it('tell mistakes with their place', async () => {
    const { problems } = await load(`
  a: { extends: b, checks: [{ tables: [User] }] }
  b: { extends: [a, nowhere] }
  c: { params: { least: 1 }, checks: [{ rowCount: { table: T, min: "\${{ params.lest }}" } }, { tables: [T], where: "true" }] }
  d: { params: { x: 1 } }
  e: [{ notNull: { table: T, columns: [a], failAbove: "many" } }, { sql: { query: "\${{ inputs.a }}" } }]
  top: { timeout: soon, checks: [{ tables: [T], tags: slow }] }`);
    expect(problems).toEqual([
      '6:17 suites extend each other in a circle: a → b → a',
      '7:21 unknown suite "nowhere"',
      '8:80 unknown parameter "lest", did you mean "least"?',
      '8:109 "where" is not possible for tables',
      '9:3 the suite has no checks',
      expect.stringMatching(/^10:55 expected a count such as 5, or a percentage/),
      expect.stringContaining('unknown name "inputs"'),
      expect.stringMatching(/^11:19 expected a duration/),
      expect.stringMatching(/^11:55 expected a list/),
    ]);
  });
});
