/** The agenda with a real journal, on a clock that is moved by hand: restarts, sleep, clocks that are set. */
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { type Agenda, type Granted, makeAgenda } from '../../src/daemon/agenda.ts';
import { makeClock } from '../../src/daemon/clock.ts';
import { parsePlan } from '../../src/plan/load.ts';
import type { Job, Plan } from '../../src/plan/model.ts';
import { loadTimetables } from '../../src/plan/timetable.ts';
import type { RunRecord } from '../../src/runs/record.ts';
import { type Journal, openJournal } from '../../src/runs/store.ts';
import { temporaryFolder } from '../helpers/database.ts';
import { vocabulary } from '../plan/vocabulary.ts';

const timetables = await loadTimetables();
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const journals: Journal[] = [];
afterEach(() => {
  for (const journal of journals.splice(0)) journal.close();
});

async function plan(schedules: Readonly<Record<string, string>>, name = 'crm'): Promise<Plan> {
  const jobs = Object.entries(schedules).map(
    ([job, schedule]) =>
      `  ${job}: { schedule: ${schedule}, steps: { a: { uses: command, with: { run: "true" } } } }`,
  );
  const text = `version: 1\nname: ${name}\ndatabases: { x: { url: "\${X}" } }\njobs:\n${jobs.join('\n')}\n`;
  const { plan: loaded, diagnostics } = await parsePlan(join('/plans', `${name}.yaml`), text, vocabulary);
  if (loaded === undefined) throw new Error(JSON.stringify(diagnostics));
  return loaded;
}

/** A daemon's view of time, with a wall clock that can be set. */
class World {
  readonly folder = temporaryFolder();
  journal!: Journal;
  agenda!: Agenda;
  wall: number;
  monotonic = 0;
  readonly granted: Granted[] = [];
  readonly missed: string[] = [];
  #look = () => ({ now: 0, jumpedMs: 0, absent: false });

  constructor(start: string) {
    this.wall = Date.parse(start);
  }

  /** A daemon starts, after the one before it is gone. */
  async boot(of: Plan): Promise<void> {
    this.journal?.close();
    this.journal = await openJournal(this.folder);
    journals.push(this.journal);
    this.agenda = makeAgenda(this.journal, timetables);
    this.agenda.sync(of, this.wall);
    this.#look = makeClock(
      () => this.wall,
      () => this.monotonic,
    );
    this.tick();
  }

  tick(): readonly Granted[] {
    const { now, jumpedMs, absent } = this.#look();
    if (jumpedMs < 0) this.agenda.rewind(now);
    const { granted, missed } = this.agenda.collect(now, absent);
    this.granted.push(...granted);
    this.missed.push(...missed.map(({ job, count, reason }) => `${count} ${job}: ${reason}`));
    return granted;
  }

  /** Real time passes, with a pulse every so often. */
  pass(ms: number, step = 20_000): void {
    for (let left = ms; left > 0; left -= step) {
      this.wall += Math.min(step, left);
      this.monotonic += Math.min(step, left);
      this.tick();
    }
  }

  /** Somebody sets the clock, or the machine sleeps: no time passes for the process. */
  set(wall: string): void {
    this.wall = Date.parse(wall);
    this.tick();
  }

  ran(job = 'nightly'): string[] {
    return this.granted
      .filter((each) => each.job === job)
      .map(({ instant, trigger }) => `${new Date(instant).toISOString().slice(0, 16)} ${trigger}`);
  }

  /** The run of a claim, as the journal would have it. */
  record(claim: Granted | undefined, status: RunRecord['status']): void {
    if (claim === undefined) throw new Error('nothing was granted');
    this.journal.startRun({
      id: claim.run,
      plan: claim.plan,
      planFile: '/plans/crm.yaml',
      job: claim.job,
      status,
      trigger: claim.trigger,
      inputs: {},
      startedAt: new Date(this.wall).toISOString(),
      endedAt: new Date(this.wall).toISOString(),
      host: 'here',
      pid: 1,
      steps: [],
    });
  }
}

const NIGHTLY = '{ cron: "0 2 * * *", catchUp: 12h }';

it('fires in time, once, day after day', async () => {
  const world = new World('2027-01-10T01:00:00Z');
  await world.boot(await plan({ nightly: NIGHTLY }));
  world.pass(3 * DAY, 30_000);
  expect(world.ran()).toEqual([
    '2027-01-10T02:00 schedule',
    '2027-01-11T02:00 schedule',
    '2027-01-12T02:00 schedule',
  ]);
  expect(world.missed).toEqual([]);
});

it('owes nothing from before it was known, nor from before its schedule was changed', async () => {
  const world = new World('2027-01-10T03:00:00Z');
  await world.boot(await plan({ nightly: NIGHTLY }));
  expect(world.granted).toEqual([]);
  world.wall += DAY;
  await world.boot(await plan({ nightly: '{ cron: "30 2 * * *", catchUp: 12h }' }));
  expect(world.granted).toEqual([]);
  expect(world.missed).toEqual([]);
  // Taken out and put back: the same.
  await world.boot(await plan({ other: NIGHTLY }));
  world.wall += DAY;
  await world.boot(await plan({ other: NIGHTLY, nightly: NIGHTLY }));
  expect(world.ran()).toEqual([]);
  expect(world.ran('other')).toEqual(['2027-01-12T02:00 catchUp']);
});

it('makes up for a downtime once, and remembers what was missed', async () => {
  const world = new World('2027-01-10T01:00:00Z');
  const crm = await plan({ nightly: NIGHTLY, hourly: '{ cron: "0 * * * *" }' });
  await world.boot(crm);
  world.wall += 60 * DAY + 4 * HOUR;
  await world.boot(crm);
  expect(world.ran()).toEqual(['2027-03-11T02:00 catchUp']);
  expect(world.ran('hourly')).toEqual(['2027-03-11T05:00 schedule']);
  expect(world.missed).toEqual([
    '60 nightly: the daemon was down or asleep; a newer one was run',
    '1443 hourly: the daemon was down or asleep; a newer one was run',
  ]);
  expect(world.journal.slots.notRun({ plan: 'crm', job: 'nightly', limit: 5 })).toEqual([
    {
      job: 'nightly',
      kind: 'missed',
      oldest: '2027-01-10T02:00:00.000Z',
      newest: '2027-03-10T02:00:00.000Z',
      count: 60,
      reason: 'the daemon was down or asleep; a newer one was run',
    },
  ]);
  for (const claim of world.granted) world.record(claim, 'succeeded');
  await world.boot(crm);
  expect(world.granted).toHaveLength(2);
});

it('a machine that slept makes up for it once; a busy moment loses nothing', async () => {
  const world = new World('2027-01-10T01:00:00Z');
  await world.boot(await plan({ nightly: NIGHTLY, often: '{ cron: "*/10 * * * * *" }' }));
  world.pass(MINUTE, 1000);
  expect(world.ran('often')).toHaveLength(6);
  // Blocked for 45 s: all four and the fifth run, late.
  world.pass(45_000, 45_000);
  expect(world.ran('often')).toHaveLength(10);
  world.set('2027-01-10T07:30:05Z');
  expect(world.ran('often')).toHaveLength(11);
  expect(world.ran()).toEqual(['2027-01-10T02:00 catchUp']);
});

it('a clock that goes back fires nothing twice and skips nothing', async () => {
  const world = new World('2027-01-10T01:30:00Z');
  await world.boot(await plan({ nightly: NIGHTLY, hourly: '{ cron: "0 * * * *" }' }));
  world.pass(2 * HOUR);
  world.set('2027-01-10T00:30:00Z');
  world.pass(4 * HOUR);
  const hours = (list: string[]) => list.map((each) => each.slice(11, 13)).sort();
  expect(world.ran()).toEqual(['2027-01-10T02:00 schedule']);
  expect(hours(world.ran('hourly'))).toEqual(['01', '02', '03', '04']);
  expect(world.missed).toEqual([]);
});

it('a clock that was years ahead for a while stops no schedule, even over a restart', async () => {
  const world = new World('2027-01-10T01:30:00Z');
  const crm = await plan({ nightly: NIGHTLY });
  await world.boot(crm);
  world.set('2031-06-01T02:00:10Z');
  expect(world.ran()).toEqual(['2031-06-01T02:00 schedule']);
  world.set('2027-01-10T01:31:00Z');
  world.pass(HOUR);
  expect(world.ran().at(-1)).toBe('2027-01-10T02:00 schedule');
  for (const claim of world.granted) world.record(claim, 'succeeded');
  await world.boot(crm);
  world.pass(DAY, 30_000);
  expect(world.ran().at(-1)).toBe('2027-01-11T02:00 schedule');
  expect(world.ran()).toHaveLength(3);
});

it('a firing missed under a clock that was ahead is run when its time really comes', async () => {
  const world = new World('2027-01-10T01:30:00Z');
  await world.boot(await plan({ nightly: '{ cron: "0 2 * * *" }' }));
  world.set('2027-01-10T05:00:00Z');
  expect(world.missed).toHaveLength(1);
  world.set('2027-01-10T01:31:00Z');
  world.pass(HOUR);
  expect(world.ran()).toEqual(['2027-01-10T02:00 schedule']);
});

it.each([
  ['never started, no catchUp, seconds ago', '{ cron: "0 2 * * *" }', undefined, 30_000, 1],
  ['never started, no catchUp, minutes ago', '{ cron: "0 2 * * *" }', undefined, 5 * MINUTE, 0],
  ['cut, no catchUp', '{ cron: "0 2 * * *" }', 'interrupted', 30_000, 0],
  ['cut, within catchUp', NIGHTLY, 'interrupted', 2 * HOUR, 1],
  ['cut, older than catchUp', NIGHTLY, 'interrupted', 13 * HOUR, 0],
  ['ended well', NIGHTLY, 'succeeded', 2 * HOUR, 0],
  ['failed', NIGHTLY, 'failed', 2 * HOUR, 0],
  ['cancelled by a person', NIGHTLY, 'cancelled', 2 * HOUR, 0],
] as const)(
  'a claimed firing after the end of its daemon: %s',
  async (_name, schedule, status, down, again) => {
    const world = new World('2027-01-10T01:59:50Z');
    const crm = await plan({ nightly: schedule });
    await world.boot(crm);
    world.pass(11_000, 1000);
    const [claim] = world.granted;
    if (status !== undefined) world.record(claim, status);
    world.wall += down;
    await world.boot(crm);
    expect(world.granted).toHaveLength(1 + again);
    if (again === 1) {
      expect(world.granted[1]).toMatchObject({ instant: claim?.instant, trigger: 'catchUp' });
      // Twice is enough for one that was started.
      world.record(world.granted[1], 'interrupted');
      await world.boot(crm);
      expect(world.granted).toHaveLength(2);
    }
    const isLost = again === 0 && (status === undefined || status === 'interrupted');
    expect(world.missed).toHaveLength(isLost || again === 1 ? 1 : 0);
    await world.boot(crm);
    expect(world.missed).toHaveLength(isLost || again === 1 ? 1 : 0);
  },
);

it('two daemons by mistake: a firing is given to one of them', async () => {
  const world = new World('2027-01-10T01:30:00Z');
  const crm = await plan({ nightly: NIGHTLY });
  await world.boot(crm);
  const other = makeAgenda(await openJournal(world.folder), timetables);
  other.sync(crm, world.wall);
  other.collect(world.wall, false);
  world.pass(HOUR);
  expect(world.ran()).toHaveLength(1);
  expect(other.collect(world.wall, false).granted).toEqual([]);
});

it('a job after another is claimed once for each success, and makes up for one it missed', async () => {
  const world = new World('2027-01-10T01:30:00Z');
  const crm = await plan({ nightly: NIGHTLY, copy: '{ after: nightly, catchUp: 6h }' });
  await world.boot(crm);
  const end = world.wall + MINUTE;
  expect(world.agenda.succeeded('crm', 'nightly', end)).toMatchObject([{ job: 'copy', instant: end }]);
  expect(world.agenda.succeeded('crm', 'nightly', end)).toEqual([]);
  expect(world.agenda.succeeded('crm', 'other', end + 1)).toEqual([]);
  world.pass(HOUR);
  const [nightly] = world.granted;
  world.record(nightly, 'succeeded');
  world.wall += HOUR;
  await world.boot(crm);
  expect(world.ran('copy')).toEqual(['2027-01-10T02:30 catchUp']);
});

it('what it remembers is bounded', async () => {
  const world = new World('2027-01-10T01:30:00Z');
  await world.boot(await plan({ often: '{ cron: "* * * * * *" }' }));
  world.pass(20_000, 1000);
  expect(world.journal.slots.purge(Date.now() - HOUR)).toBe(0);
  expect(world.journal.slots.purge(Date.now() + HOUR)).toBe(20);
});

it('a job of one plan is not that of another of the same name', async () => {
  const world = new World('2027-01-10T01:59:30Z');
  await world.boot(await plan({ nightly: NIGHTLY }));
  world.agenda.sync(await plan({ nightly: NIGHTLY }, 'shop'), world.wall);
  world.pass(MINUTE);
  expect(world.granted.map(({ plan: name }) => name)).toEqual(['crm', 'shop']);
  world.agenda.drop('shop');
  expect(world.journal.slots.remembered()).toEqual([{ plan: 'crm', job: 'nightly' }]);
});

it('has a next firing for each of its jobs', async () => {
  const world = new World('2027-01-10T01:59:30Z');
  const crm = await plan({ nightly: NIGHTLY });
  await world.boot(crm);
  const job: Job | undefined = crm.jobs.nightly;
  expect(world.agenda.timetable('crm', job?.name ?? '')?.next(world.wall)).toBe(
    Date.parse('2027-01-10T02:00:00Z'),
  );
  expect(world.agenda.size).toBe(1);
});
