/** The daemon as a process, with real short jobs. */
import { mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import type { DaemonEvent } from '../../src/daemon/events.ts';
import type { RunRecord } from '../../src/runs/record.ts';
import { openJournal } from '../../src/runs/store.ts';
import { cli, startCli } from '../helpers/cli.ts';
import { temporaryFolder } from '../helpers/database.ts';
import { rounds, thorough } from '../helpers/rounds.ts';

/** Each starts processes and waits for seconds to pass; the daily run has those that cover most. */
const extra = it.runIf(thorough);

type Of<T extends DaemonEvent['type']> = Extract<DaemonEvent, { type: T }>;

const children: ReturnType<typeof startCli>[] = [];
afterEach(async () => {
  for (const { child, result } of children.splice(0)) {
    child.kill('SIGKILL');
    await result;
  }
});

/** Jobs with one command each. */
function planText(jobs: Readonly<Record<string, string>>, name = 'crm'): string {
  const lines = Object.entries(jobs).map(([job, body]) => {
    const [settings, command] = body.split(' => ');
    return `  ${job}: { ${settings}, steps: { a: { uses: command, with: { run: ${JSON.stringify(command)} } } } }`;
  });
  return `version: 1\nname: ${name}\ndatabases: { x: { url: "\${X:-postgresql://localhost/x}" } }\njobs:\n${lines.join('\n')}\n`;
}

interface World {
  readonly folder: string;
  readonly plans: string;
  readonly state: string;
  write(text: string, file?: string): string;
}

function makeWorld(): World {
  const folder = temporaryFolder();
  const plans = join(folder, 'plans');
  mkdirSync(plans);
  return {
    folder,
    plans,
    state: join(folder, 'state'),
    write: (text, file = 'crm.yaml') => {
      const path = join(plans, file);
      writeFileSync(`${path}.new`, text);
      renameSync(`${path}.new`, path);
      return path;
    },
  };
}

function start(world: World, args: readonly string[] = [world.plans], env: Record<string, string> = {}) {
  const started = startCli(['daemon', ...args, '--state', world.state, '--http', 'off', '--output', 'json'], {
    env,
  });
  children.push(started);
  const events = (): DaemonEvent[] =>
    started
      .output()
      .split('\n')
      .flatMap((line) => {
        try {
          return [JSON.parse(line) as DaemonEvent];
        } catch {
          return [];
        }
      });
  /** The n-th event of a type that is wanted, from now or before. */
  const event = async <T extends DaemonEvent['type']>(
    type: T,
    wanted: (event: Of<T>) => boolean = () => true,
    count = 1,
  ): Promise<Of<T>> => {
    const deadline = Date.now() + 30_000;
    while (Date.now() < deadline) {
      const found = events().filter((each): each is Of<T> => each.type === type && wanted(each as Of<T>));
      const last = found[count - 1];
      if (last !== undefined) return last;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    throw new Error(`no ${type} came:\n${started.output()}`);
  };
  return { ...started, events, event };
}

async function runsOf(world: World): Promise<RunRecord[]> {
  const journal = await openJournal(world.state);
  try {
    return journal.listRuns({ limit: 100_000 });
  } finally {
    journal.close();
  }
}

const EVERY_SECOND = 'schedule: { cron: "* * * * * *" }';

describe('running', () => {
  it('fires, keeps runs apart, follows, tries again; what was not run is in the listing', async () => {
    const world = makeWorld();
    const file = world.write(
      planText({
        quick: `${EVERY_SECOND} => true`,
        slow: `${EVERY_SECOND} => sleep 2.5`,
        newest: 'schedule: { cron: "* * * * * *", overlap: cancelPrevious } => sleep 30',
        line: 'schedule: { cron: "* * * * * *", overlap: queue } => sleep 1.5',
        follower: 'schedule: { after: quick } => true',
        broken: `${EVERY_SECOND}, retry: { attempts: 2, backoff: 100ms } => exit 3`,
        manual: 'concurrency: 1 => true',
      }),
    );
    const daemon = start(world, [world.plans, '--max-running', '20']);
    expect(await daemon.event('started')).toMatchObject({ plans: 1, jobs: 6 });
    const of = (job: string) => (event: { job?: string; run?: RunRecord }) =>
      (event.run?.job ?? event.job) === job;
    const quick = await daemon.event('runFinished', of('quick'));
    expect(quick.run).toMatchObject({ status: 'succeeded', trigger: 'schedule' });
    expect(quick.context.slot).toBe(`crm/quick@${quick.run.scheduledFor}`);
    expect(await daemon.event('runFinished', of('follower'))).toMatchObject({ run: { status: 'succeeded' } });
    expect(await daemon.event('overlapped', of('slow'))).toMatchObject({ overlap: 'skip' });
    expect(await daemon.event('overlapped', of('newest'))).toMatchObject({ overlap: 'cancelPrevious' });
    expect(await daemon.event('runFinished', of('newest'))).toMatchObject({ run: { status: 'cancelled' } });
    await daemon.event('overlapped', of('line'));
    const failed = await daemon.event('runFinished', of('broken'));
    expect(failed.retryAt).toBeDefined();
    const last = await daemon.event('runFinished', of('broken'), 2);
    expect(last).toMatchObject({ run: { trigger: 'retry', scheduledFor: failed.run.scheduledFor } });
    expect(last.retryAt).toBeUndefined();

    const second = await cli(['daemon', file, '--state', world.state]);
    expect(second.code).toBe(4);
    expect(second.stderr).toContain(`process ${daemon.child.pid} on `);

    daemon.child.kill('SIGTERM');
    await daemon.event('stopping');
    daemon.child.kill('SIGTERM');
    expect((await daemon.result).code).toBe(0);
    expect(daemon.events().at(-1)).toMatchObject({ type: 'stopped' });

    const listing = await cli(['runs', file, '--state', world.state, '-o', 'json', '-n', '100']);
    const { notRun, runs } = JSON.parse(listing.stdout) as {
      notRun: { job: string; kind: string; reason: string }[];
      runs: { job: string; scheduledFor?: string }[];
    };
    expect(notRun).toContainEqual(
      expect.objectContaining({
        job: 'slow',
        kind: 'overlapped',
        reason: expect.stringMatching(/^run \S+ was still going on$/),
      }),
    );
    expect(runs.find(({ job }) => job === 'quick')?.scheduledFor).toMatch(/Z$/);
    expect((await cli(['runs', file, '--state', world.state, '--job', 'slow'])).stdout).toContain('NOT RUN');
  });

  it('a run that cannot start is a failed run that everyone can see', async () => {
    const world = makeWorld();
    world.write(planText({ quick: `${EVERY_SECOND} => echo \${SURELY_NOT_SET}` }));
    const daemon = start(world);
    const { run } = await daemon.event('runFinished');
    expect(run).toMatchObject({
      status: 'failed',
      error: { code: 'ENV_MISSING' },
      steps: [{ status: 'skipped' }],
    });
    daemon.child.kill('SIGTERM');
    await daemon.result;
    expect((await runsOf(world)).map(({ id }) => id)).toContain(run.id);
  });

  extra('of a group one at a time, across plans', async () => {
    const world = makeWorld();
    const log = join(world.folder, 'log');
    const job = `concurrencyGroups: [db], ${EVERY_SECOND} => echo + >>${log}; sleep 0.3; echo - >>${log}`;
    world.write(planText({ a: job, b: job }));
    world.write(planText({ c: job }, 'shop'), 'shop.yaml');
    const daemon = start(world, [world.plans, '--max-running', '9']);
    await daemon.event('runFinished', () => true, 4);
    daemon.child.kill('SIGTERM');
    await daemon.result;
    expect(readFileSync(log, 'utf8')).toMatch(/^(\+\n-\n)+$/);
    expect(new Set((await runsOf(world)).map(({ plan }) => plan))).toEqual(new Set(['crm', 'shop']));
  });
});

describe('stopping', () => {
  extra('lets runs end within the grace period', async () => {
    const world = makeWorld();
    world.write(planText({ slow: `${EVERY_SECOND} => sleep 2` }));
    const daemon = start(world, [world.plans], { BACKPLAN_GRACE: '30s' });
    await daemon.event('runStarted');
    daemon.child.kill('SIGTERM');
    expect(await daemon.event('stopping')).toMatchObject({ graceMs: 30_000, running: 1 });
    expect((await daemon.result).code).toBe(0);
    expect(await runsOf(world)).toMatchObject([{ status: 'succeeded' }]);
  });

  it('cancels them after it, cleanly, and the next daemon makes up for them', async () => {
    const world = makeWorld();
    const marker = join(world.folder, 'marker');
    const text = `schedule: { every: 1s, catchUp: 1h } => test -e ${marker} || sleep 60`;
    world.write(planText({ slow: text }));
    const daemon = start(world, [world.plans, '--grace', '0s']);
    const { run } = await daemon.event('runStarted');
    daemon.child.kill('SIGTERM');
    expect((await daemon.result).code).toBe(0);
    writeFileSync(marker, '');
    const next = start(world);
    const again = await next.event('runFinished');
    expect(again.run.status).toBe('succeeded');
    const runs = await runsOf(world);
    expect(runs.find(({ id }) => id === run.id)?.status).toBe('cancelled');
    next.child.kill('SIGTERM');
    await next.result;
  });
});

describe('plans', () => {
  it('are reloaded when they change; one that is not valid leaves the last one running', async () => {
    const world = makeWorld();
    const file = world.write(planText({ a: `${EVERY_SECOND} => true`, b: `${EVERY_SECOND} => true` }));
    const daemon = start(world);
    await daemon.event('runFinished');
    // Half written, as a truncating editor would leave it for a moment: nobody looks at it.
    writeFileSync(file, planText({ a: `${EVERY_SECOND} => true` }).slice(0, -40));
    world.write(planText({ a: `${EVERY_SECOND} => exit 0`, c: `${EVERY_SECOND} => true` }));
    expect(await daemon.event('jobAdded')).toMatchObject({ plan: 'crm', job: 'c' });
    expect(await daemon.event('jobChanged')).toMatchObject({ job: 'a' });
    expect(await daemon.event('jobRemoved')).toMatchObject({ job: 'b' });
    expect(daemon.events().filter(({ type }) => type === 'planInvalid')).toEqual([]);

    world.write('version: 1\nname: crm\njobs: nonsense\n');
    const invalid = await daemon.event('planInvalid');
    expect(invalid).toMatchObject({ plan: 'crm', error: { code: 'PLAN_INVALID' } });
    expect(invalid.error.detail).toContain('jobs');
    const before = daemon.events().length;
    await daemon.event('runFinished', ({ at, run }) => run.job === 'c' && at > invalid.at);
    expect(daemon.events().length).toBeGreaterThan(before);

    // At once, when asked to; and what is gone from the folder is gone.
    world.write(planText({ d: 'concurrency: 1 => true' }));
    world.write(planText({ e: `${EVERY_SECOND} => true` }, 'shop'), 'shop.yaml');
    daemon.child.kill('SIGHUP');
    expect(await daemon.event('reloaded', ({ reason }) => reason === 'signal')).toMatchObject({
      plans: 2,
      invalid: 0,
    });
    await daemon.event('runFinished', ({ run }) => run.plan === 'shop');
    rmSync(join(world.plans, 'shop.yaml'));
    daemon.child.kill('SIGHUP');
    expect(await daemon.event('planRemoved')).toMatchObject({ plan: 'shop' });
    daemon.child.kill('SIGTERM');
    await daemon.result;
  });

  extra('are followed through the links of a Kubernetes ConfigMap', async () => {
    const world = makeWorld();
    const mount = (version: string, text: string) => {
      mkdirSync(join(world.plans, version));
      writeFileSync(join(world.plans, version, 'crm.yaml'), text);
      symlinkSync(version, join(world.plans, '..data_tmp'));
      renameSync(join(world.plans, '..data_tmp'), join(world.plans, '..data'));
    };
    mount('..2027_01', planText({ a: `${EVERY_SECOND} => true` }));
    symlinkSync(join('..data', 'crm.yaml'), join(world.plans, 'crm.yaml'));
    const daemon = start(world);
    await daemon.event('runFinished');
    mount('..2027_02', planText({ a: `${EVERY_SECOND} => true`, b: `${EVERY_SECOND} => true` }));
    rmSync(join(world.plans, '..2027_01'), { recursive: true });
    expect(await daemon.event('jobAdded')).toMatchObject({ job: 'b' });
    await daemon.event('runFinished', ({ run }) => run.job === 'b');
    expect(daemon.events().filter(({ type }) => type === 'planInvalid' || type === 'planRemoved')).toEqual(
      [],
    );
    daemon.child.kill('SIGTERM');
    await daemon.result;
  });

  it.each([
    ['nothing named', [], 'no plan is named'],
    ['an empty folder', ['PLANS'], 'there is no plan file in'],
    ['an invalid plan', ['PLANS/bad.yaml'], 'jobs'],
    ['bad settings', ['--config', 'PLANS/settings.yaml', 'PLANS/bad.yaml'], 'settings.yaml:1:1 error graze'],
  ])('%s: exit 2', async (_name, args, message) => {
    const world = makeWorld();
    if (args.length > 1 || args[0] !== 'PLANS') {
      writeFileSync(join(world.plans, 'bad.yaml'), 'version: 1\nname: crm\njobs: 5\n');
      writeFileSync(join(world.plans, 'settings.yaml'), 'graze: 5m\n');
    }
    const { code, stderr } = await cli([
      'daemon',
      ...args.map((each) => each.replace('PLANS', world.plans)),
      '--state',
      world.state,
    ]);
    expect(code).toBe(2);
    expect(stderr).toContain(message);
  });

  extra('and settings come from a file, the environment and flags, in this order', async () => {
    const world = makeWorld();
    world.write(planText({ a: `${EVERY_SECOND} => sleep 9` }));
    const config = join(world.folder, 'daemon.yaml');
    writeFileSync(config, 'plans: [plans]\ngrace: 90s\nmaxRunning: 1\nconcurrencyGroups: { db: 2 }\n');
    const graces: number[] = [];
    for (const [args, env] of [
      [[], { BACKPLAN_CONFIG: config }],
      [['--config', config], { BACKPLAN_GRACE: '80s' }],
      [['--config', config, '--grace', '0s'], { BACKPLAN_GRACE: '80s' }],
    ] as [string[], Record<string, string>][]) {
      const daemon = start(world, args, env);
      await daemon.event('started');
      daemon.child.kill('SIGTERM');
      graces.push((await daemon.event('stopping')).graceMs);
      daemon.child.kill('SIGTERM');
      await daemon.result;
    }
    expect(graces).toEqual([90_000, 80_000, 0]);
  });
});

it('killed again and again it recovers, fires nothing twice and accounts for every firing', async () => {
  const world = makeWorld();
  world.write(
    planText({
      quick: `${EVERY_SECOND} => sleep 0.2`,
      slow: 'schedule: { cron: "*/2 * * * * *", overlap: queue } => sleep 1.2',
    }),
  );
  for (let round = 0; round < rounds(3); round += 1) {
    const daemon = start(world);
    await daemon.event('runStarted', () => true, 2);
    await new Promise((resolve) => setTimeout(resolve, Math.random() * 1200));
    daemon.child.kill('SIGKILL');
    await daemon.result;
  }
  const last = start(world);
  await last.event('runFinished', ({ run }) => run.status === 'succeeded');
  last.child.kill('SIGTERM');
  expect((await last.result).code).toBe(0);

  const runs = await runsOf(world);
  expect(runs.filter(({ status }) => status === 'running')).toEqual([]);
  expect(runs.filter(({ status }) => status === 'interrupted').length).toBeGreaterThan(0);
  const journal = await openJournal(world.state);
  for (const [job, period] of [
    ['quick', 1000],
    ['slow', 2000],
  ] as const) {
    const fired = runs.filter((run) => run.job === job).map((run) => Date.parse(run.scheduledFor ?? ''));
    expect(new Set(fired).size).toBe(fired.length);
    const known = new Set(fired);
    for (const { oldest, newest } of journal.slots.notRun({ plan: 'crm', job, limit: 100_000 })) {
      for (let at = Date.parse(oldest); at <= Date.parse(newest); at += period) known.add(at);
    }
    const lost: string[] = [];
    for (let at = Math.min(...fired); at <= Math.max(...fired); at += period) {
      if (!known.has(at)) lost.push(new Date(at).toISOString());
    }
    expect(lost).toEqual([]);
  }
  journal.close();
});
