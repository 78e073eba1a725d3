import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { BackplanError } from '../../src/errors.ts';
import { evaluate } from '../../src/plan/expressions.ts';
import { parsePlan } from '../../src/plan/load.ts';
import type { Job, Plan } from '../../src/plan/model.ts';
import { resolveEnvironment, resolveNotifier } from '../../src/plan/resolve.ts';
import { suiteChecks } from '../../src/plan/suites.ts';
import { Masker } from '../../src/secret.ts';
import { vocabulary } from './vocabulary.ts';

const folder = mkdtempSync(join(tmpdir(), 'backplan-resolve-'));
afterAll(() => rmSync(folder, { recursive: true }));
writeFileSync(join(folder, 'password'), 'from-a-file\n');
writeFileSync(join(folder, 'crlf'), 'windows-text\r\n');
writeFileSync(join(folder, 'empty'), '\n');

const TEXT = `version: 1
name: crm
databases:
  crm: { url: "\${DATABASE_URL}" }
  built: { url: "postgres://u:\${file:password}@\${HOST:-localhost}/db" }
repositories:
  local: { path: "\${BACKUP_DIR:-./backups}" }
  home: { path: ~/backups }
settings:
  binDirectories: ["\${BIN:-bin}"]
  sandbox: { directory: "\${TMP_PARENT:-/var/tmp}", parameters: { work_mem: "\${WORK_MEM:-64MB}" } }
suites:
  used: [{ rowCount: { table: "\${TABLE}" } }]
  unused: [{ rowCount: { table: "\${NEVER_SET}" } }]
notifiers:
  ops: { webhook: "https://hooks.example/\${TOKEN}" }
jobs:
  nightly:
    inputs:
      label: { type: string, default: "\${LABEL:-none}" }
    steps:
      dump:
        uses: backup
        with: { database: crm, repository: local, label: "\${LABEL:-x} \${{ inputs.label }} $\${{ kept }} $\${KEPT}" }
      check: { uses: check, with: { suite: used, database: crm } }
    onFailure:
      tell: { uses: command, with: { run: "echo \${MESSAGE:-failed}", token: "\${TOKEN}" } }
  other:
    steps:
      dump: { uses: backup, with: { database: crm, repository: local, label: "\${OTHER_JOB}" } }
`;

const ENV = {
  DATABASE_URL: 'postgresql://crm:s3cret-pw@db.example/crm',
  TOKEN: 'hook-token-1',
  TABLE: 'User',
  HOME: '/home/someone',
};

async function load(text = TEXT): Promise<Plan> {
  const { plan, diagnostics } = await parsePlan(join(folder, 'plan.yaml'), text, vocabulary);
  if (plan === undefined) throw new Error(JSON.stringify(diagnostics));
  return plan;
}

function job(plan: Plan, name: string): Job {
  const found = plan.jobs[name];
  if (found === undefined) throw new Error(`no job ${name}`);
  return found;
}

async function failure(plan: Plan, env: NodeJS.ProcessEnv, options = {}): Promise<BackplanError> {
  const error: unknown = await resolveEnvironment(plan, env, new Masker(), options).catch(
    (reason: unknown) => reason,
  );
  if (error instanceof BackplanError) return error;
  throw new Error('resolved');
}

describe('resolveEnvironment', () => {
  it('gives databases, repositories and settings their values', async () => {
    const masker = new Masker();
    const plan = await resolveEnvironment(await load(), ENV, masker);
    expect(plan.databases.crm?.url).toBe(ENV.DATABASE_URL);
    expect(plan.databases.built?.url).toBe('postgres://u:from-a-file@localhost/db');
    expect(plan.repositories.local?.path).toBe(join(folder, 'backups'));
    expect(plan.repositories.home?.path).toBe('/home/someone/backups');
    expect(plan.settings).toMatchObject({
      binDirectories: [join(folder, 'bin')],
      sandbox: { directory: '/var/tmp', parameters: { work_mem: '64MB' } },
    });
    // A notifier that cannot be reached keeps nothing else from working.
    expect(plan.notifiers.ops?.settings).toBe('https://hooks.example/${TOKEN}');
    expect(Object.isFrozen(plan.databases.crm)).toBe(true);
    // Other jobs and suites are not asked for.
    expect(plan.jobs.other?.steps.dump?.with.label).toBe('${OTHER_JOB}');
    expect(plan.suites.unused?.checks[0]?.with).toEqual({ table: '${NEVER_SET}' });
  });

  it('tells the masker what is secret, and leaves hosts readable', async () => {
    const masker = new Masker();
    await resolveEnvironment(await load(), ENV, masker, { job: job(await load(), 'nightly') });
    expect(masker.mask('s3cret-pw from-a-file hook-token-1 db.example crm localhost')).toBe(
      '*** *** *** db.example crm localhost',
    );
  });

  it('gives one notifier its values, or says what is missing of it', async () => {
    const plan = await load();
    const masker = new Masker();
    expect((await resolveNotifier(plan, 'ops', ENV, masker)).settings).toBe(
      'https://hooks.example/hook-token-1',
    );
    expect(masker.mask('https://hooks.example/hook-token-1')).toBe('***');
    await expect(resolveNotifier(plan, 'ops', {}, masker)).rejects.toMatchObject({
      code: 'ENV_MISSING',
      message: `TOKEN is not set (${join(folder, 'plan.yaml')}:16:42, notifiers.ops.webhook)`,
    });
    const odd = await load(`version: 1
name: x
databases: { d: { url: postgres:///d } }
notifiers: { hook: { webhook: "\${HOOK}" }, switch: { ping: { port: "\${PORT}" } } }
`);
    await expect(resolveNotifier(odd, 'hook', { HOOK: 'ftp://s3cret' }, masker)).rejects.toMatchObject({
      code: 'INPUT_INVALID',
      message: 'notifiers.hook.webhook: is no http url',
    });
    expect((await resolveNotifier(odd, 'switch', { PORT: '25' }, masker)).settings).toEqual({ port: 25 });
    await expect(resolveNotifier(odd, 'switch', { PORT: '0' }, masker)).rejects.toThrow(
      'notifiers.switch.ping.port: must be at least 1',
    );
  });

  it('masks what is called a secret, and passwords of urls, wherever they are inserted', async () => {
    const source = await load(`version: 1
name: x
databases: { d: { url: postgres:///d } }
jobs: { j: { steps: { a: { uses: command, with: { run: "\${MY_TOKEN} \${URL} \${MONKEYS}" } } } } }
`);
    const masker = new Masker();
    const env = { MY_TOKEN: 'tok-123', URL: 'https://me:pw-456@host.example/x', MONKEYS: 'gibbon' };
    await resolveEnvironment(source, env, masker, { job: job(source, 'j') });
    expect(masker.mask('tok-123 pw-456 host.example gibbon')).toBe('*** *** host.example gibbon');
  });

  it('resolves one job and the suites it uses; expressions stay', async () => {
    const source = await load();
    const plan = await resolveEnvironment(source, { ...ENV, LABEL: 'l1' }, new Masker(), {
      job: job(source, 'nightly'),
    });
    const nightly = job(plan, 'nightly');
    const scope = {
      inputs: { label: 'in' },
      steps: {},
      run: {},
      plan: {},
      state: { failed: false, cancelled: false },
    };
    expect(evaluate(nightly.steps.dump?.with.label, scope)).toBe('l1 in ${{ kept }} ${KEPT}');
    expect(nightly.inputs.label?.default).toBe('l1');
    expect(nightly.onFailure.tell?.with).toEqual({ run: 'echo failed', token: 'hook-token-1' });
    expect(plan.suites.used?.checks[0]?.with).toEqual({ table: 'User' });
    expect(plan.suites.unused?.checks[0]?.with).toEqual({ table: '${NEVER_SET}' });
  });

  it('never reads a value as a template or an expression', async () => {
    const evil = '${{ inputs.label }} ${HOME} $${x} $';
    const source = await load();
    const plan = await resolveEnvironment(
      source,
      { ...ENV, LABEL: evil, TABLE: evil, TOKEN: evil, BACKUP_DIR: '/srv/${{ x }}' },
      new Masker(),
      { job: job(source, 'nightly') },
    );
    const scope = {
      inputs: { label: 'in' },
      steps: {},
      run: {},
      plan: {},
      state: { failed: false, cancelled: false },
    };
    const nightly = job(plan, 'nightly');
    expect(evaluate(nightly.steps.dump?.with.label, scope)).toBe(`${evil} in \${{ kept }} \${KEPT}`);
    expect(evaluate(nightly.inputs.label?.default, scope)).toBe(evil);
    const [used] = await suiteChecks(plan, ['used'], { kinds: new Map() });
    expect(used?.with).toEqual({ table: evil });
    const env = { TOKEN: evil };
    const { settings } = await resolveNotifier(plan, 'ops', env, new Masker());
    expect(settings).toBe(`https://hooks.example/${evil}`);
    expect(plan.repositories.local?.path).toBe('/srv/${{ x }}');
    // A second time changes nothing: what is resolved is not looked at again.
    const again = await resolveEnvironment(plan, {}, new Masker(), { job: nightly });
    expect(again).toEqual(plan);
  });

  it('gives numbers and booleans where a step or check wants them, and refuses what does not fit a check', async () => {
    const source = await load(`version: 1
name: x
databases: { d: { url: postgres:///d } }
repositories: { r: { path: r } }
suites: { s: [{ rowCount: { table: "\${T}", min: "\${MIN}" } }, { acceptedValues: { table: a, column: b, values: ["\${V}"], nullable: "\${N}" } }] }
jobs:
  j:
    steps:
      a: { uses: backup, with: { database: d, repository: r, jobs: "\${JOBS:-4}", label: "\${MIN}", lockTimeout: "\${{ plan.name }}", compress: { method: zstd, level: "\${MIN}" } } }
      b: { uses: check, with: { suite: s, database: d, compareFingerprint: "\${N}" } }
`);
    const env = { T: '12', MIN: '3', V: '7', N: 'false' };
    const plan = await resolveEnvironment(source, env, new Masker(), { job: job(source, 'j') });
    expect(plan.suites.s?.checks.map((check) => check.with)).toEqual([
      { table: '12', min: 3 },
      { table: 'a', column: 'b', values: ['7'], nullable: false },
    ]);
    expect(job(plan, 'j').steps.a?.with).toMatchObject({
      jobs: 4,
      label: '3',
      lockTimeout: '${{ plan.name }}',
      compress: { level: 3 },
    });
    expect(job(plan, 'j').steps.b?.with.compareFingerprint).toBe(false);
    const error = await failure(source, { ...env, MIN: 'many' }, { job: job(source, 'j') });
    expect(error.code).toBe('INPUT_INVALID');
    expect(error.message).toBe('suites.s[0].rowCount.min: expected a whole number, found "many"');
  });

  it('can resolve a job later, and jobs that are not in the plan', async () => {
    const source = await load();
    const first = await resolveEnvironment(source, ENV, new Masker());
    const second = await resolveEnvironment(first, ENV, new Masker(), { job: job(source, 'nightly') });
    expect(second.jobs.nightly?.steps.dump?.with.label).toContain('x ${{ inputs.label }}');
    const adhoc: Job = {
      name: 'adhoc-check',
      notify: [],
      inputs: {},
      onFailure: {},
      steps: {
        a: {
          name: 'a',
          uses: 'command',
          needs: [],
          continueOnError: false,
          with: { run: '${TABLE}', env: {} },
        },
      },
    };
    const third = await resolveEnvironment(source, ENV, new Masker(), { job: adhoc });
    expect(third.jobs['adhoc-check']?.steps.a?.with.run).toBe('User');
    const error = await failure(source, { ...ENV, TABLE: undefined }, { job: adhoc });
    expect(error.message).toBe('TABLE is not set (jobs.adhoc-check.steps.a.with.run)');
  });

  it('asks only for the repositories that are wanted', async () => {
    const plan = await resolveEnvironment(await load(), { BACKUP_DIR: '/srv' }, new Masker(), {
      repositories: ['local'],
    });
    expect(plan.repositories.local?.path).toBe('/srv');
    expect(plan.repositories.home?.path).toBe('~/backups');
    expect(plan.databases.crm?.url).toBe('${DATABASE_URL}');
  });

  it('names everything that is missing at once, with its place and what to do', async () => {
    const source = await load();
    const error = await failure(source, { DATABSE_URL: 'x', TABLE: '' }, { job: job(source, 'nightly') });
    expect(error.code).toBe('ENV_MISSING');
    expect(error.exitCode).toBe(2);
    const file = join(folder, 'plan.yaml');
    expect(error.message.split('\n')).toEqual([
      '3 values are missing from the environment:',
      `  DATABASE_URL is not set (${file}:4:16, databases.crm.url)`,
      `  TABLE is empty (${file}:13:32, suites.used.0.rowCount.table)`,
      `  TOKEN is not set (${file}:27:78, jobs.nightly.onFailure.tell.with.token)`,
    ]);
    expect(error.hint).toContain('DATABSE_URL is set');
    const one = await failure(source, { ...ENV, DATABASE_URL: undefined });
    expect(one.message).toBe(`DATABASE_URL is not set (${file}:4:16, databases.crm.url)`);
    expect(one.hint).toContain('export DATABASE_URL=');
  });

  it.each([
    ['password', undefined],
    ['missing', 'does not exist'],
    ['password/x', 'does not exist'],
    ['empty', 'is empty'],
    ['.', 'is a folder'],
  ])('reads ${file:%s}', async (name, problem) => {
    const plan = await load(`version: 1
name: x
databases: { d: { url: "\${file:${name}}" } }
`);
    if (problem === undefined) {
      expect((await resolveEnvironment(plan, {}, new Masker())).databases.d?.url).toBe('from-a-file');
    } else {
      const error = await failure(plan, {});
      expect(error.code).toBe('ENV_MISSING');
      expect(error.message).toContain(problem);
      expect(error.message).toContain(':3:25, databases.d.url');
    }
  });

  it('reads files whose path comes from the environment, and cuts one line end', async () => {
    const plan = await load(`version: 1
name: x
databases: { d: { url: "\${A:-\${B:-\${file:\${DIR}/crlf}}}" } }
`);
    const masker = new Masker();
    const resolved = await resolveEnvironment(plan, { DIR: folder }, masker);
    expect(resolved.databases.d?.url).toBe('windows-text');
    expect(masker.mask('it says windows-text')).toBe('it says ***');
    expect(
      (await resolveEnvironment(plan, { B: 'postgres:///b', A: '' }, new Masker())).databases.d?.url,
    ).toBe('postgres:///b');
  });
});
