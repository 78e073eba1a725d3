import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import { schemas } from '../../src/cli/listing-schemas.ts';
import { compileSchema } from '../../src/validator.ts';
import { sql } from '../helpers/database.ts';
import { makeWorld, PLAN, type World } from './world.ts';

// Each test runs whole commands, some of which start servers; on a busy machine that takes its time.
vi.setConfig({ testTimeout: 240_000 });

/** Every listing is held against its own schema. */
async function obeys(name: keyof typeof schemas, value: unknown): Promise<void> {
  const check = await compileSchema(schemas[name]);
  expect(check(structuredClone(value))).toEqual([]);
}

interface Backups {
  readonly newestProven: readonly { database: string; backup: string | null }[];
  readonly backups: readonly {
    id: string;
    label: string | null;
    proven: boolean;
    whole: boolean;
    proofs: Record<string, { passed: boolean } | null>;
  }[];
  readonly broken: readonly unknown[];
}

const users = (world: World) => world.sql('SELECT count(*) FROM "User"');

describe('from an empty repository to a restored production, by ad-hoc commands', () => {
  let world: World;
  beforeAll(() => {
    world = makeWorld();
  });

  it('says that there is no backup yet', async () => {
    const { code, stdout } = await world.run(['backups', 'PLAN']);
    expect(code).toBe(0);
    expect(stdout).toContain('crm: no backup');
  });

  it('backs up the only database, with a label', async () => {
    const { code, stdout, stderr } = await world.run(['backup', 'PLAN', '--label', 'first']);
    expect(`${stderr}${stdout}`).toContain('succeeded');
    expect(code).toBe(0);
    const listing = await world.json<Backups>(['backups', 'PLAN']);
    await obeys('backups', listing);
    expect(listing.backups).toHaveLength(1);
    expect(listing.backups[0]).toMatchObject({ label: 'first', proven: false, whole: true });
    expect(listing.newestProven).toEqual([{ database: 'crm', backup: null, ageSeconds: null }]);
  });

  it('verifies it, and the listing shows that', async () => {
    expect((await world.run(['verify', 'PLAN', 'first'])).code).toBe(0);
    const { backups } = await world.json<Backups>(['backups', 'PLAN']);
    expect(backups[0]?.proofs.verified).toMatchObject({ passed: true });
  });

  it('checks production by the suite that the plan runs for it', async () => {
    const { code, stdout } = await world.run(['check', 'PLAN']);
    expect(stdout).toContain('4/4 checks passed');
    expect(code).toBe(0);
  });

  it('restores into a sandbox and lets it go at once where nobody looks', async () => {
    const { code, stdout, stderr } = await world.run(['restore', 'PLAN', 'latest']);
    expect(stderr).toContain('--hold');
    expect(stdout).toContain('succeeded');
    expect(code).toBe(0);
  });

  it('keeps a sandbox until a signal, and ends well', async () => {
    const { child, result, output } = world.start(['restore', 'PLAN', 'latest', '--hold', '1h']);
    await expect.poll(output, { timeout: 90_000 }).toContain('look at it with:');
    child.kill('SIGINT');
    const { code, stdout } = await result;
    expect(stdout).toContain('succeeded');
    expect(code).toBe(0);
  });

  it('asks before it replaces production, and without a terminal refuses, saying what would happen', async () => {
    const { code, stderr } = await world.run(['restore', 'PLAN', 'latest', '--promote']);
    expect(code).toBe(2);
    expect(stderr).toContain('error CONFIRMATION_REQUIRED: this replaces the production database crm');
    expect(stderr).toContain('--yes');
    expect(stderr).toMatch(/database +crm on postgres@/);
    expect(stderr).toMatch(/comes back +crm-\d{8}T\d{6}Z-\w+, \d+[sm] old, label first, NOT proven/);
    expect(stderr).toMatch(/will be lost +everything written to crm after/);
    expect(stderr).toContain('consistency must pass first');
    expect(users(world)).toBe('500');
  });

  it('refuses options that make no sense together, before anything is recorded', async () => {
    const before = await world.json<{ runs: unknown[] }>(['runs', 'PLAN']);
    for (const [args, message] of [
      [['backup', 'PLAN', '--jobs', '2'], '--jobs: '],
      [['restore', 'PLAN', 'latest', '--at', '2026-01-01T00:00:00Z'], '--at: a point in time'],
      [['restore', 'PLAN', 'latest', '--only', 'data'], 'rows alone need a database'],
      [['restore', 'PLAN', 'latest', '--hold', '1h', '--into', 'x'], '--hold is for sandboxes'],
      [['restore', 'PLAN', '--unchecked'], '--unchecked means nothing without --promote'],
      [['verify', 'PLAN', 'latest', '--all'], 'not both'],
      [['check', 'PLAN', 'nope'], 'the plan has no suite "nope"'],
    ] as const) {
      const { code, stderr } = await world.run(args);
      expect(stderr).toContain(message);
      expect(code).toBe(2);
    }
    expect(await world.json(['runs', 'PLAN'])).toEqual(before);
  });

  it('refuses to promote a part of a backup', async () => {
    const { code, stderr } = await world.run(['restore', 'PLAN', '--promote', '--tables', 'User', '--yes']);
    expect(code).toBe(2);
    expect(stderr).toContain('a partial restore cannot be promoted');
  });

  it('brings damaged production back, and rolls back when that was wrong', async () => {
    world.sql('DELETE FROM "User" WHERE id > 100');
    const { code, stdout, stderr } = await world.run(['restore', 'PLAN', 'first', '--promote', '--yes']);
    expect(`${stderr}${stdout}`).toContain('succeeded');
    expect(code).toBe(0);
    expect(users(world)).toBe('500');

    const back = await world.run(['rollback', 'PLAN', 'crm', '--yes']);
    expect(back.code).toBe(0);
    expect(users(world)).toBe('100');
  });

  it('restores what was shown, not the safety backup that it makes first', async () => {
    world.sql('DELETE FROM "User" WHERE id > 50');
    const { backups } = await world.json<Backups>(['backups', 'PLAN']);
    const latest = backups[0]?.id ?? '';
    const { code, stdout } = await world.run(['restore', 'PLAN', 'latest', '--promote', '--yes']);
    expect(code).toBe(0);
    expect(stdout).toMatch(new RegExp(`stage: succeeded.*${latest}`));
    expect(users(world)).toBe('100');
  });

  it('made a safety backup of the damaged state on the way', async () => {
    const { backups } = await world.json<Backups>(['backups', 'PLAN']);
    expect(backups[0]?.label).toBe('before-restore');
  });

  it('restores beside production, and promotes or drops that later', async () => {
    const staging = async () => {
      const { code, stdout } = await world.run(['restore', 'PLAN', 'first', '--into', 'staging']);
      expect(code).toBe(0);
      const name = /backplan promote \S+ (\S+)/.exec(stdout)?.[1] ?? '';
      expect(sql('postgres', `SELECT count(*) FROM pg_database WHERE datname = '${name}'`)).toBe('1');
      return name;
    };
    const first = await staging();
    expect((await world.run(['drop', 'PLAN', first])).code).toBe(2);
    expect((await world.run(['drop', 'PLAN', first, '--yes'])).code).toBe(0);
    expect(sql('postgres', `SELECT count(*) FROM pg_database WHERE datname = '${first}'`)).toBe('0');

    const second = await staging();
    // Another command recovers what was left behind; what a successful restore was asked for is not.
    await world.run(['runs', 'PLAN']);
    const promoted = await world.run(['promote', 'PLAN', second, '--yes']);
    expect(`${promoted.stderr}${promoted.stdout}`).toContain('succeeded');
    expect(users(world)).toBe('500');
  });

  it('restores tables into a new database', async () => {
    const rescue = `${world.database}_rescue`;
    const { code } = await world.run(['restore', 'PLAN', 'first', '--tables', 'Tenant', '--into', rescue]);
    expect(code).toBe(0);
    expect(sql(rescue, 'SELECT count(*) FROM "Tenant"')).toBe('20');
    expect(sql(rescue, `SELECT count(*) FROM pg_tables WHERE tablename = 'User'`)).toBe('0');
  });

  it('has kept a history of all that', async () => {
    const listing = await world.json<{ runs: { id: string; job: string; status: string }[] }>([
      'runs',
      'PLAN',
      '--limit',
      '50',
    ]);
    await obeys('runs', listing);
    const jobs = new Set(listing.runs.map(({ job }) => job));
    for (const job of ['backup', 'verify', 'check', 'restore', 'recovery', 'rollback', 'promote', 'drop']) {
      expect(jobs).toContain(`adhoc-${job}`);
    }
    const { code, stdout } = await world.run(['runs', 'PLAN', 'latest']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^run +\d{8}T\d{6}Z-/m);
    expect(stdout).toMatch(/^STEP +USES +STATUS/m);
  });
});

describe('jobs of the plan', () => {
  let world: World;
  beforeAll(() => {
    world = makeWorld();
  });

  it('run with --dry-run only says what would happen', async () => {
    const { code, stdout } = await world.run(['run', 'PLAN', 'nightly', '--dry-run']);
    expect(code).toBe(0);
    for (const name of ['dump', 'rehearse', 'check', 'prune']) expect(stdout).toContain(name);
    expect((await world.json<Backups>(['backups', 'PLAN'])).backups).toEqual([]);
  });

  it('run as JSON lines, the last one being the record of the run', async () => {
    // One that stays unproven, for the tests below.
    expect((await world.run(['backup', 'PLAN'])).code).toBe(0);
    const { code, stdout } = await world.run(['run', 'PLAN', 'nightly', '--output', 'json']);
    expect(code).toBe(0);
    const lines = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(lines[0]?.type).toBe('run:started');
    expect(lines.at(-1)).toMatchObject({ job: 'nightly', status: 'succeeded', verdict: 'verified' });
  });

  it('prove a backup, and the listing leads with it', async () => {
    const { stdout } = await world.run(['backups', 'PLAN']);
    expect(stdout).toMatch(/^crm: newest proven backup is \d+[sm] old \(crm-\S+: \d+\/\d+ checks passed/);
  });

  it('shows what prune would delete, refuses to do it unasked, and does it with --yes', async () => {
    const before = (await world.json<Backups>(['backups', 'PLAN'])).backups.length;
    const unasked = await world.run(['prune', 'PLAN', '--keep', 'last=1']);
    expect(unasked.code).toBe(2);
    expect(unasked.stderr).toContain('CONFIRMATION_REQUIRED');
    expect(unasked.stdout).toContain('would be deleted');
    expect((await world.json<Backups>(['backups', 'PLAN'])).backups).toHaveLength(before);

    const dry = await world.run(['prune', 'PLAN', '--keep', 'last=1', '--dry-run']);
    expect(dry.code).toBe(0);
    expect((await world.json<Backups>(['backups', 'PLAN'])).backups).toHaveLength(before);

    expect((await world.run(['prune', 'PLAN', '--keep', 'last=1', '--yes'])).code).toBe(0);
    expect((await world.json<Backups>(['backups', 'PLAN'])).backups.length).toBeLessThan(before);
  });

  it('that promote ask first; with --yes they run', async () => {
    world.sql('DELETE FROM "User"');
    const unasked = await world.run(['run', 'PLAN', 'restore']);
    expect(unasked.code).toBe(2);
    expect(unasked.stderr).toContain('CONFIRMATION_REQUIRED');
    expect(unasked.stderr).toContain('proven');
    expect(users(world)).toBe('0');
    const { code } = await world.run(['run', 'PLAN', 'restore', '--yes']);
    expect(code).toBe(0);
    expect(users(world)).toBe('500');
  });

  it('are explained with their order, next firings in both zones, and what prune would delete now', async () => {
    const { code, stdout } = await world.run(['explain', 'PLAN', 'nightly']);
    expect(code).toBe(0);
    expect(stdout).toContain('30 2 * * * in Europe/Berlin');
    expect(stdout).toMatch(/02:30:00\+0[12]:00 {2}= {2}\S+T0[01]:30:00Z/);
    expect(stdout).toContain('nothing would be deleted');
    await obeys('explanation', await world.json(['explain', 'PLAN']));
  });

  it('are refused with inputs that do not exist, an unknown job, a missing variable', async () => {
    const unknown = await world.run(['run', 'PLAN', 'restore', '--input', 'bakup=latest', '--yes']);
    expect(unknown.code).toBe(2);
    expect(unknown.stderr).toContain('Did you mean "backup"?');
    const job = await world.run(['run', 'PLAN', 'nigthly']);
    expect(job.code).toBe(2);
    expect(job.stderr).toContain('did you mean "nightly"?');
    const missing = await world.run(['run', 'PLAN', 'nightly'], { env: { CRM_URL: '' } });
    expect(missing.code).toBe(2);
    expect(missing.stderr).toContain('CRM_URL');
  });

  it('end with exit code 130 when they are cancelled, and the journal says so', async () => {
    const { child, result, output } = world.start(['run', 'PLAN', 'wait']);
    await expect.poll(output, { timeout: 90_000 }).toContain('sleep');
    child.kill('SIGTERM');
    const { code, stderr } = await result;
    expect(stderr).toContain('SIGTERM: cancelling');
    expect(code).toBe(130);
    const { runs } = await world.json<{ runs: { status: string }[] }>(['runs', 'PLAN', '--job', 'wait']);
    expect(runs[0]?.status).toBe('cancelled');
  });

  it('that were killed are found by the next command, recorded as interrupted, in one line', async () => {
    const { child, result, output } = world.start(['run', 'PLAN', 'wait']);
    await expect.poll(output, { timeout: 90_000 }).toContain('sleep');
    child.kill('SIGKILL');
    await result;
    const { stdout, stderr } = await world.run(['runs', 'PLAN']);
    expect(stderr).toMatch(/^recovered: \S+ had been cut off/);
    expect(stdout).toMatch(/wait +interrupted/);
  });

  it('do not die when nobody reads their output any more', async () => {
    const { child, result } = world.start(['run', 'PLAN', 'nightly']);
    child.stdout.destroy();
    expect((await result).code).toBe(0);
  });
});

describe('when checks fail', () => {
  let world: World;
  beforeAll(async () => {
    world = makeWorld({ plan: PLAN.replace('min: 1 }', 'min: 1000 }') });
    expect((await world.run(['backup', 'PLAN'])).code).toBe(0);
    world.sql('DELETE FROM "User"');
  });
  const databases = () =>
    sql('postgres', `SELECT datname FROM pg_database WHERE datname LIKE '${world.database}%' ORDER BY 1`);

  it('check ends with exit code 3 and names the check', async () => {
    const { code, stdout } = await world.run(['check', 'PLAN']);
    expect(code).toBe(3);
    expect(stdout).toMatch(/Tenant.*1,?000/);
    expect(stdout).toContain('CHECKS_FAILED');
  });

  it('nothing is promoted, and the copy is removed', async () => {
    const { code } = await world.run(['restore', 'PLAN', 'latest', '--promote', '--yes']);
    expect(code).toBe(3);
    expect(users(world)).toBe('0');
    expect(databases()).toBe(world.database);
  });

  it('--keep-staging leaves the copy to look at, and --unchecked promotes it', async () => {
    const first = (await world.json<Backups>(['backups', 'PLAN'])).backups.at(-1)?.id ?? '';
    const { code, stdout } = await world.run([
      'restore',
      'PLAN',
      first,
      '--promote',
      '--yes',
      '--keep-staging',
    ]);
    expect(code).toBe(3);
    expect(users(world)).toBe('0');
    const staging = /backplan promote \S+ (\S+)/.exec(stdout)?.[1] ?? '';
    expect(databases().split('\n')).toContain(staging);
    expect((await world.run(['promote', 'PLAN', staging, '--yes'])).code).toBe(3);
    const unchecked = await world.run(['promote', 'PLAN', staging, '--yes', '--unchecked']);
    expect(`${unchecked.stderr}${unchecked.stdout}`).toContain('succeeded');
    expect(users(world)).toBe('500');
  });
});

describe('doctor', () => {
  it('finds a healthy world healthy, and keeps to its schema', async () => {
    const world = makeWorld();
    await world.run(['run', 'PLAN', 'nightly']);
    const report = await world.json<{ ok: boolean; findings: { status: string }[] }>(['doctor', 'PLAN']);
    await obeys('doctor', report);
    expect(report.findings.filter(({ status }) => status !== 'ok')).toEqual([]);
    expect(report.ok).toBe(true);
  });

  it('names what is wrong with its fix, and ends with exit code 6', async () => {
    const world = makeWorld();
    const { code, stdout } = await world.run(['doctor', 'PLAN'], {
      env: { CRM_URL: 'postgresql://nobody@localhost:1/none', BACKUPS: join(world.plan, 'no-folder') },
    });
    expect(code).toBe(6);
    expect(stdout).toMatch(/✗ database crm: cannot connect to nobody@localhost:1\/none/);
    expect(stdout).toMatch(/✗ repository local: /);
    expect(stdout.match(/fix:/g)?.length).toBeGreaterThanOrEqual(2);
  });

  it('goes on when a variable is missing', async () => {
    const world = makeWorld();
    const { code, stdout } = await world.run(['doctor', 'PLAN'], { env: { CRM_URL: '' } });
    expect(code).toBe(6);
    expect(stdout).toMatch(/✗ environment crm: .*CRM_URL/);
    expect(stdout).toContain('repository local');
  });
});

describe('schema', () => {
  it('prints what is in schemas/', async () => {
    const world = makeWorld();
    const { stdout, code } = await world.run(['schema']);
    expect(code).toBe(0);
    const file = join(import.meta.dirname, '..', '..', 'schemas', 'plan.schema.json');
    expect(stdout).toBe(readFileSync(file, 'utf8'));
    const wrong = await world.run(['schema', 'manifes']);
    expect(wrong.code).toBe(2);
    expect(wrong.stderr).toContain('did you mean "manifest"?');
  });
});
