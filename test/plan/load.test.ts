import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadPlan, parsePlan } from '../../src/plan/load.ts';
import type { Plan } from '../../src/plan/model.ts';
import { vocabulary } from './vocabulary.ts';

const HEAD = `version: 1
name: crm
databases: { crm: { url: "\${DATABASE_URL}" } }
repositories: { local: { path: ./backups } }
`;

async function load(text: string): Promise<Plan> {
  const { plan, diagnostics } = await parsePlan('plans/crm.yaml', text, vocabulary);
  expect(diagnostics).toEqual([]);
  if (plan === undefined) throw new Error('no plan');
  return plan;
}

async function messages(text: string): Promise<string[]> {
  const { diagnostics } = await parsePlan('plan.yaml', text, vocabulary);
  return diagnostics.map(({ severity, path, message }) => `${severity} ${path}: ${message}`);
}

describe('a plan', () => {
  it('becomes plain typed data with defaults', async () => {
    const plan = await load(`version: 1
name: crm
description: what for
timezone: Europe/Berlin
settings:
  sandbox: { parameters: { shared_buffers: 64MB, fsync: off, max_connections: 20 } }
databases:
  crm: { url: "\${DATABASE_URL}", schemaVersion: { sql: select 1 } }
repositories:
  local: { path: "\${BACKUP_DIR:-./backups}" }
suites:
  basics:
    - tables: [User, Role]
    - rowCount: { table: User, min: 1, severity: warn, timeout: 5s }
      sample: 3
    - unique: { table: User, columns: [id], name: user_id }
    - sql: { query: select 1, name: a name }
notifiers:
  ops: { webhook: "\${OPS_WEBHOOK}" }
jobs:
  nightly:
    schedule: { cron: "0 2 * * *" }
    timeout: 2h
    concurrency: 2
    notify: [ops]
    inputs:
      label: { type: string, optional: true }
    steps:
      dump:
        uses: backup
        with: { database: crm, repository: local, compress: { method: zstd } }
        timeout: 30m
        retry: { attempts: 3 }
        continueOnError: true
      tell:
        uses: command
        needs: [dump, dump2]
        if: \${{ always() && true }}
        with: { run: "true" }
      dump2: { uses: backup, if: inputs.label != null, with: { database: crm, repository: local } }
    onFailure:
      alarm: { uses: command, if: true, with: { run: "false" } }
`);
    expect(plan).toMatchObject({
      file: resolve('plans/crm.yaml'),
      name: 'crm',
      description: 'what for',
      timezone: 'Europe/Berlin',
      settings: {
        binDirectories: [],
        sandbox: { parameters: { shared_buffers: '64MB', fsync: 'off', max_connections: '20' } },
      },
      databases: { crm: { name: 'crm', url: '${DATABASE_URL}', schemaVersion: { sql: 'select 1' } } },
      repositories: { local: { name: 'local', path: '${BACKUP_DIR:-./backups}' } },
      suites: {
        basics: {
          name: 'basics',
          extends: [],
          params: {},
          checks: [
            { kind: 'tables', with: ['User', 'Role'], position: { line: 13, column: 7 } },
            {
              kind: 'rowCount',
              with: { table: 'User', min: 1 },
              shared: { severity: 'warn', timeout: '5s', sample: 3 },
            },
            { kind: 'unique', with: { table: 'User', columns: ['id'], name: 'user_id' } },
            { kind: 'sql', with: { query: 'select 1', expect: 'empty' }, shared: { name: 'a name' } },
          ],
        },
      },
      notifiers: {
        ops: {
          name: 'ops',
          kind: 'webhook',
          settings: '${OPS_WEBHOOK}',
          on: ['failure', 'recovered', 'proofOverdue', 'missed', 'planInvalid', 'diskLow'],
          repeat: 3_600_000,
          limit: { messages: 30, per: 3_600_000 },
          timeout: 10_000,
          retry: { attempts: 5, backoff: 1000, maxDelay: 60_000 },
        },
      },
    });
    expect(plan.suites.basics?.checks[2]).not.toHaveProperty('shared');
    expect(plan.jobs.nightly).toMatchObject({
      name: 'nightly',
      schedule: { cron: '0 2 * * *', overlap: 'skip' },
      timeout: 7_200_000,
      concurrency: 2,
      notify: ['ops'],
      inputs: { label: { name: 'label', type: 'string', optional: true } },
      steps: {
        dump: {
          name: 'dump',
          uses: 'backup',
          needs: [],
          timeout: 1_800_000,
          retry: { attempts: 3, backoff: 5000, maxDelay: 300_000 },
          continueOnError: true,
          with: {
            database: 'crm',
            repository: 'local',
            fingerprint: 'counts',
            lockTimeout: '60s',
            compress: { method: 'zstd', level: 1 },
          },
        },
        tell: { needs: ['dump', 'dump2'], if: 'always() && true', continueOnError: false },
        dump2: { if: 'inputs.label != null' },
      },
      onFailure: { alarm: { if: 'true' } },
    });
    expect(plan.jobs.nightly?.steps.dump).not.toHaveProperty('if');
    expect(plan.jobs.nightly?.steps.tell?.position).toEqual({ line: 35, column: 7 });
  });

  it('is frozen all the way down', async () => {
    const plan = await load(`${HEAD}suites: { s: [{ tables: [User] }] }
jobs: { j: { steps: { dump: { uses: backup, with: { database: crm, repository: local } } } } }
`);
    const seen: unknown[] = [];
    const visit = (value: unknown) => {
      if (value === null || typeof value !== 'object') return;
      seen.push(value);
      expect(Object.isFrozen(value)).toBe(true);
      Object.values(value).forEach(visit);
    };
    visit(plan);
    expect(seen.length).toBeGreaterThan(12);
    expect(() => Object.assign(plan.jobs.j?.steps.dump?.with ?? {}, { database: 'x' })).toThrow(TypeError);
  });

  it('is as small as ten lines', async () => {
    const file = join(import.meta.dirname, '..', '..', 'plans', 'minimal.yaml');
    const { plan, diagnostics } = await loadPlan(file, vocabulary);
    expect(diagnostics).toEqual([]);
    expect(plan?.jobs.backup?.steps.dump?.with).toMatchObject({ database: 'main', repository: 'local' });
    const lines = readFileSync(file, 'utf8').split('\n');
    expect(lines.filter((line) => line.trim() !== '' && !line.startsWith('#'))).toHaveLength(10);
  });

  it('needs no jobs: ad-hoc commands work without', async () => {
    expect((await load(HEAD)).jobs).toEqual({});
  });

  it('has x- keys, anchors and merge keys', async () => {
    const plan = await load(`${HEAD}
x-step: &step { uses: backup, retry: { attempts: 2 } }
x-with: &with { database: crm, repository: local }
x-anything: [1, { a: "\${NOT A VARIABLE", b: "\${{ nor an expression" }]
jobs:
  on:
    steps:
      one: { <<: *step, with: { <<: *with, label: one } }
      two: { <<: *step, with: *with, retry: { attempts: 5 } }
`);
    expect(plan.jobs.on?.steps.one).toMatchObject({
      uses: 'backup',
      retry: { attempts: 2 },
      with: { label: 'one' },
    });
    expect(plan.jobs.on?.steps.two).toMatchObject({ retry: { attempts: 5 }, with: { database: 'crm' } });
  });

  it('lets values that are known later break rules about types and forms', async () => {
    await load(`${HEAD}jobs:
  j:
    inputs:
      n: { type: number, default: 2 }
      d: { type: duration, default: 5m }
      keep: { type: string, optional: true }
    steps:
      dump:
        uses: backup
        with:
          database: crm
          repository: "\${REPOSITORY}"
          jobs: \${{ inputs.n }}
          lockTimeout: \${{ inputs.d }}
          fingerprint: \${FINGERPRINT:-none}
          label: "\${{ inputs.n }} jobs, \${USER}"
          compress: { method: "\${{ inputs.n > 1 ? 'zstd' : 'none' }}", level: "\${LEVEL}" }
      stage:
        uses: restore
        needs: [dump]
        with: { backup: "\${{ steps.dump.outputs.backup }}", into: { staging: "\${{ 'crm' }}" }, noOwner: "\${{ true }}" }
      other:
        uses: restore
        with: { path: "\${FILE}", into: "\${{ inputs.keep == null ? 'sandbox' : inputs.keep }}" }
`);
  });

  it('has handles of databases that steps make', async () => {
    await load(`${HEAD}suites: { s: [{ tables: [User] }] }
jobs:
  j:
    steps:
      a: { uses: restore, with: { backup: latest, into: sandbox } }
      b: { uses: check, needs: [a], with: { suite: s, database: "sandbox:a/crm" } }
      c: { uses: check, needs: [a], with: { suite: s, database: "staging:crm/crm_staging_x" } }
`);
  });
});

describe('what is no plan', () => {
  it.each([
    ['an empty file', '', 'error : the plan is empty'],
    ['only comments', '# version: 1\n\n# name: x\n', 'error : the plan is empty'],
    ['only a separator', '---\n', 'error : the plan is empty'],
    ['text', 'hello\n', 'error : expected a map with version, name, databases and jobs, found "hello"'],
    ['a number', '42', 'error : expected a map with version, name, databases and jobs, found the number 42'],
    ['a list', '- a\n', 'error : expected a map with version, name, databases and jobs, found a list'],
    ['JSON with a tab', '{\t"a": [}', 'error : a "]" is missing, or its line is not indented enough'],
  ])('%s: one clear error', async (_what, text, message) => {
    expect(await messages(text)).toEqual([message]);
  });

  it('is JSON as well, which is YAML', async () => {
    await load(JSON.stringify({ version: 1, name: 'x', databases: { d: { url: 'postgres:///d' } } }));
  });

  it('reports what is wrong in aliased content once, where it stands', async () => {
    const text = `${HEAD}x-w: &w { database: crm, repository: nowhere }
jobs:
  a: { steps: { one: { uses: backup, with: *w }, two: { uses: backup, with: *w } } }
`;
    expect(await messages(text)).toEqual([
      'error jobs.a.steps.one.with.repository: unknown repository "nowhere"',
    ]);
  });

  it('goes on after broken names, duplicate keys and unknown tags', async () => {
    expect(
      await messages(`${HEAD}name: twice
jobs:
  a b: { steps: { x: { uses: nope } } }
  c: { steps: !!tag { y: { uses: backup, with: { database: crm, repository: locl } } } }
`),
    ).toEqual([
      'error name: duplicate key, line 2 has it already',
      'error jobs.a b: is not a possible name: expected letters, digits, "_", "-" and "." only, beginning with one of the first three',
      'error jobs.a b.steps.x.uses: unknown step kind "nope"',
      'error : unknown tag !!tag',
      'error jobs.c.steps.y.with.repository: unknown repository "locl", did you mean "local"?',
    ]);
  });

  it('survives a rule of a kind that stumbles over an expression, but not over values', async () => {
    const stumbling = {
      ...vocabulary,
      steps: new Map([
        [
          'fussy',
          {
            kind: 'fussy',
            with: { type: 'object', properties: { list: { type: 'array' } } },
            outputs: {},
            validate: (params: unknown) => {
              (params as { list: unknown[] }).list.map(String);
              return [];
            },
          },
        ],
      ]),
    };
    const plan = (settings: string) =>
      `${HEAD}jobs: { j: { steps: { a: { uses: fussy, with: { ${settings} } } } } }`;
    const { diagnostics } = await parsePlan('p', plan('list: "${{ [1] }}"'), stumbling);
    expect(diagnostics).toEqual([]);
    await expect(parsePlan('p', plan(''), stumbling)).rejects.toMatchObject({ code: 'INTERNAL' });
  });
});
