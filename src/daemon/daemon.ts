/** The daemon: runs the scheduled jobs of its plans. What others build on it knows only `view.ts`. */
import { type App, createApp } from '../app.ts';
import { BackplanError, toBackplanError } from '../errors.ts';
import type { Job, Plan } from '../plan/model.ts';
import { firingsAfter, jobKey, loadTimetables } from '../plan/timetable.ts';
import type { RunRecord, Trigger } from '../runs/record.ts';
import { newRunId } from '../runs/run-id.ts';
import type { Journal } from '../runs/store.ts';
import { type Agenda, type Granted, makeAgenda } from './agenda.ts';
import { makeClock } from './clock.ts';
import { type DaemonEvents, type DaemonListener, makeEvents } from './events.ts';
import { lockStateFolder } from './lock.ts';
import { makePlanSet, type PlanSet, type PlanView } from './plans.ts';
import { makeQueue, type Queue } from './queue.ts';
import { makeRunner, type OrderedTask, type Runner, slotName } from './runner.ts';
import { startTicker } from './ticker.ts';
import type { DaemonService, DaemonView, JobView } from './view.ts';

export interface Daemon extends DaemonView {
  /** No new runs; those that run get `graceMs`, then they are cancelled. Resolves when all is over. Idempotent. */
  stop(): Promise<void>;
  /** Cancels what runs at once; to be called after `stop`. */
  hurry(): void;
}

export interface DaemonOptions {
  /** Plan files and folders of them. */
  readonly plans: readonly string[];
  readonly stateDirectory: string;
  readonly services?: readonly DaemonService[];
  readonly graceMs: number;
  readonly maxRunning: number;
  /** How many jobs of a group run at once, where it is not one. */
  readonly concurrencyGroups?: Readonly<Record<string, number>>;
}

/** Firings are remembered for so long. */
const REMEMBER_MS = 35 * 86_400_000;
const HOUR_MS = 3_600_000;

/**
 * Loads the plans, recovers what an earlier daemon left behind, makes up for what was missed, and goes on from there.
 * @throws LOCKED when another daemon has the state folder; PLAN_INVALID when no plan is valid; JOURNAL_FAILED
 */
export async function startDaemon(options: DaemonOptions): Promise<Daemon> {
  const lock = lockStateFolder(options.stateDirectory);
  const closers: (() => void | Promise<void>)[] = [() => lock.release()];
  const closeAll = async () => {
    for (const close of closers.splice(0).reverse()) await close();
  };
  try {
    const app = createApp();
    const journal = await app.openState(options.stateDirectory);
    closers.push(() => journal.close());
    const daemon = new RunningDaemon(
      options,
      app,
      journal,
      makeAgenda(journal, await loadTimetables()),
      closeAll,
    );
    for (const service of options.services ?? []) {
      await service.start(daemon);
      closers.push(() => service.close());
    }
    await daemon.begin();
    return daemon;
  } catch (error) {
    await closeAll();
    throw error;
  }
}

class RunningDaemon implements Daemon {
  readonly startedAt = new Date();
  readonly stateDirectory: string;
  readonly journal: Journal;
  readonly app: App;
  readonly #options: DaemonOptions;
  readonly #events: DaemonEvents = makeEvents(Date.now);
  readonly #agenda: Agenda;
  readonly #queue: Queue;
  readonly #runner: Runner;
  readonly #plans: PlanSet;
  readonly #close: () => Promise<void>;
  readonly #look = makeClock(Date.now, () => performance.now());
  /** What keeps it alive and looking, in the order of starting. */
  readonly #pulses: (() => void)[] = [];
  #state: 'starting' | 'running' | 'stopping' = 'starting';
  #stopped: Promise<void> | undefined;
  /** Said once, not every second. */
  #lastProblem = '';
  #purgedAt = Number.NEGATIVE_INFINITY;

  constructor(
    options: DaemonOptions,
    app: App,
    journal: Journal,
    agenda: Agenda,
    close: () => Promise<void>,
  ) {
    this.#options = options;
    this.app = app;
    this.journal = journal;
    this.stateDirectory = options.stateDirectory;
    this.#agenda = agenda;
    this.#close = close;
    this.#plans = makePlanSet({
      sources: options.plans,
      load: app.loadPlan,
      listener: {
        loaded: (plan, previous, file) => this.#loaded(plan, previous, file),
        invalid: (file, error, running) =>
          this.#events.emit({
            type: 'planInvalid',
            file,
            ...(running === undefined ? {} : { plan: running.name }),
            error,
          }),
        removed: (plan, file) => this.#removed(plan, file),
      },
    });
    this.#queue = makeQueue({
      maxRunning: options.maxRunning,
      limitOf: (group) => options.concurrencyGroups?.[group] ?? 1,
      now: Date.now,
      displacedReason: (by) =>
        new BackplanError(
          'CANCELLED',
          `the job was due again, and its schedule says overlap: cancelPrevious`,
          {
            hint: `Run ${by.runId} takes its place.`,
          },
        ),
    });
    this.#runner = makeRunner({
      app,
      journal,
      stateDirectory: options.stateDirectory,
      events: this.#events,
      find: (plan, job) => this.#find(plan, job),
      isStopping: () => this.#state === 'stopping',
      now: Date.now,
      onSucceeded: (run) => this.#follow(run),
    });
  }

  get accepting(): boolean {
    return this.#state === 'running';
  }

  /** @throws PLAN_INVALID when no plan is valid, USAGE when there is none */
  async begin(): Promise<void> {
    await this.#plans.check('now');
    const views = this.#plans.views();
    if (!views.some(({ plan }) => plan !== undefined)) throw nothingToRun(views, this.#options.plans);
    this.#forgetOthers(views);
    this.#state = 'running';
    this.#pulses.push(startTicker(() => this.#tick()));
    this.#pulses.push(this.#plans.watch(() => this.#reloaded('change')));
    this.#events.emit({
      type: 'started',
      plans: views.filter(({ plan }) => plan !== undefined).length,
      jobs: this.#agenda.size,
      pid: process.pid,
    });
    this.#tick();
  }

  plans(): readonly PlanView[] {
    return this.#plans.views();
  }

  jobs(firings = 1): readonly JobView[] {
    const idsOf = (tasks: readonly { readonly key: string; readonly runId: string }[], key: string) =>
      tasks.filter((task) => task.key === key).map(({ runId }) => runId);
    const [running, waiting] = [this.#queue.running(), this.#queue.waiting()];
    return this.#plans.views().flatMap(({ plan }) =>
      Object.values(plan?.jobs ?? {}).map((job): JobView => {
        const key = jobKey(plan?.name ?? '', job.name);
        return {
          plan: plan?.name ?? '',
          job,
          nextFirings: this.#nextFirings(plan?.name ?? '', job.name, firings),
          running: idsOf(running, key),
          queued: idsOf(waiting, key),
        };
      }),
    );
  }

  start(
    plan: string,
    job: string,
    inputs: Readonly<Record<string, unknown>> = {},
    trigger: Trigger = 'api',
  ): string {
    if (!this.accepting) throw new BackplanError('CANCELLED', 'the daemon starts no new runs now');
    const runId = newRunId();
    const task = this.#runner.task({ plan, job, runId, trigger, inputs, attempt: 1 });
    const offer = this.#queue.offer({ ...task, overlap: 'skip' });
    if (!offer.accepted) {
      throw new BackplanError('LOCKED', `job ${job} of plan ${plan} runs or waits already: ${offer.other}`, {
        hint: 'Wait for that run, or cancel it.',
      });
    }
    return runId;
  }

  cancel(runId: string): boolean {
    const reason = new BackplanError('CANCELLED', 'cancelled by a request to the daemon');
    const { found, removed } = this.#queue.cancel(runId, reason);
    if (removed !== undefined) this.#runner.giveUp((removed as OrderedTask).order, reason);
    return found;
  }

  async reload(reason: 'signal' | 'api'): Promise<void> {
    if (!this.accepting) return;
    await this.#plans.check('now');
    this.#reloaded(reason);
  }

  onEvent(listener: DaemonListener): () => void {
    return this.#events.on(listener);
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#end();
    return this.#stopped;
  }

  hurry(): void {
    const reason = new BackplanError('CANCELLED', 'the daemon was stopped');
    for (const { runId } of this.#queue.running()) this.#queue.cancel(runId, reason);
  }

  async #end(): Promise<void> {
    this.#state = 'stopping';
    for (const stop of this.#pulses.splice(0).reverse()) stop();
    this.#guard(() => {
      const firings = this.#queue.close().map((task) => (task as OrderedTask).order.firing);
      // The next daemon makes up for what waited, where catchUp allows it.
      this.journal.slots.cut(firings.filter((firing) => firing !== undefined));
    });
    const { graceMs } = this.#options;
    this.#events.emit({ type: 'stopping', graceMs, running: this.#queue.running().length });
    const timer = setTimeout(() => this.hurry(), graceMs);
    await this.#queue.idle();
    clearTimeout(timer);
    this.#events.emit({ type: 'stopped' });
    await this.#close();
  }

  /** Claims and hands over; waits for nothing and never throws. */
  #tick(): void {
    if (!this.accepting) return;
    const { now, jumpedMs, absent } = this.#look();
    this.#guard(() => {
      if (jumpedMs !== 0) this.#events.emit({ type: 'clockJumped', byMs: jumpedMs });
      if (jumpedMs < 0) this.#agenda.rewind(now);
      const { granted, missed } = this.#agenda.collect(now, absent);
      this.#lastProblem = '';
      for (const { oldest, newest, ...rest } of missed) {
        this.#events.emit({
          type: 'missed',
          ...rest,
          from: new Date(oldest).toISOString(),
          to: new Date(newest).toISOString(),
        });
      }
      this.#dispatch(granted, now);
      this.#queue.pump();
      if (now - this.#purgedAt > HOUR_MS) {
        this.#purgedAt = now;
        this.journal.slots.purge(now - REMEMBER_MS);
      }
    });
  }

  /** Claimed firings → the queue. */
  #dispatch(granted: readonly Granted[], now: number): void {
    const overlapped: Parameters<Journal['slots']['overlapped']>[0][number][] = [];
    for (const { plan, job, instant, dueAt, run: runId, trigger } of granted) {
      const firing = { plan, job, instant };
      const task = this.#runner.task({ plan, job, runId, trigger, firing, inputs: {}, attempt: 1 });
      this.#events.emit({
        type: 'fired',
        plan,
        job,
        slot: slotName(firing),
        runId,
        trigger,
        dueAt: new Date(dueAt).toISOString(),
        lagMs: Math.max(0, now - dueAt),
      });
      const offer = this.#queue.offer(task);
      const { overlap } = task;
      if (!offer.accepted) {
        overlapped.push({ ...firing, other: offer.other, overlap });
        continue;
      }
      for (const other of [...offer.displaced, ...offer.cancelled]) {
        const given = (other as OrderedTask).order.firing;
        if (given !== undefined) overlapped.push({ ...given, other: runId, overlap });
      }
    }
    if (overlapped.length === 0) return;
    this.journal.slots.overlapped(overlapped);
    for (const { other, overlap, ...firing } of overlapped) {
      this.#events.emit({
        type: 'overlapped',
        plan: firing.plan,
        job: firing.job,
        slot: slotName(firing),
        overlap,
        other,
      });
    }
  }

  /** Jobs that come after one that has succeeded. */
  #follow(run: RunRecord): void {
    if (!this.accepting) return;
    this.#guard(() => {
      const endedAt = Date.parse(run.endedAt ?? run.startedAt);
      this.#dispatch(this.#agenda.succeeded(run.plan, run.job, endedAt), Date.now());
    });
  }

  async #loaded(plan: Plan, previous: Plan | undefined, file: string): Promise<void> {
    this.#agenda.sync(plan, Date.now());
    this.#events.emit({ type: 'planLoaded', file, plan: plan.name, first: previous === undefined });
    const before = previous?.jobs ?? {};
    for (const [job, definition] of Object.entries(plan.jobs)) {
      const old = before[job];
      const type = old === undefined ? 'jobAdded' : isSameJob(old, definition) ? undefined : 'jobChanged';
      // At the start everything is new, and nothing is news.
      if (type !== undefined && this.#state === 'running') this.#events.emit({ type, plan: plan.name, job });
    }
    for (const job of Object.keys(before)) {
      if (Object.hasOwn(plan.jobs, job)) continue;
      this.#withdraw(plan.name, job);
      this.#events.emit({ type: 'jobRemoved', plan: plan.name, job });
    }
    if (previous !== undefined) return;
    const { left } = await this.app.recover(plan, this.journal);
    for (const { error } of left) this.#events.emit({ type: 'problem', error });
  }

  #removed(plan: Plan, file: string): void {
    this.#guard(() => this.#agenda.drop(plan.name));
    for (const job of Object.keys(plan.jobs)) {
      this.#withdraw(plan.name, job);
      this.#events.emit({ type: 'jobRemoved', plan: plan.name, job });
    }
    this.#events.emit({ type: 'planRemoved', file, plan: plan.name });
  }

  /** What waits of a job that is gone is not run. */
  #withdraw(plan: string, job: string): void {
    const reason = new BackplanError('CANCELLED', 'the job was taken out of the plan while it waited');
    for (const { key, runId } of this.#queue.waiting()) {
      if (key === jobKey(plan, job)) this.#queue.cancel(runId, reason);
    }
  }

  #reloaded(reason: 'signal' | 'change' | 'api'): void {
    const views = this.#plans.views();
    this.#events.emit({
      type: 'reloaded',
      reason,
      plans: views.filter(({ plan }) => plan !== undefined).length,
      invalid: views.filter(({ problem }) => problem !== undefined).length,
    });
  }

  /** Plans that are not given any more; those whose file is only broken now are kept. */
  #forgetOthers(views: readonly PlanView[]): void {
    if (views.some(({ problem }) => problem !== undefined)) return;
    const names = new Set(views.map(({ plan }) => plan?.name));
    for (const { plan } of this.journal.slots.remembered()) if (!names.has(plan)) this.#agenda.drop(plan);
  }

  #find(planName: string, jobName: string) {
    const plan = this.#plans.get(planName);
    const job = plan !== undefined && Object.hasOwn(plan.jobs, jobName) ? plan.jobs[jobName] : undefined;
    if (plan === undefined || job === undefined) return undefined;
    return { plan, job, timetable: this.#agenda.timetable(planName, jobName) };
  }

  #nextFirings(plan: string, job: string, count: number): Date[] {
    const timetable = this.#agenda.timetable(plan, job);
    if (timetable === undefined) return [];
    return [...firingsAfter(timetable, Date.now()).take(count)].map((at) => new Date(timetable.dueAt(at)));
  }

  /** What goes wrong here is told, and tried again with the next tick. */
  #guard(work: () => void): void {
    try {
      work();
    } catch (thrown) {
      const error = toBackplanError(thrown).toRecord();
      if (error.message === this.#lastProblem) return;
      this.#lastProblem = error.message;
      this.#events.emit({ type: 'problem', error });
    }
  }
}

function isSameJob(a: Job, b: Job): boolean {
  // Where it stands in the file is not what it is.
  const text = (job: Job) => JSON.stringify(job, (key, value) => (key === 'position' ? undefined : value));
  return text(a) === text(b);
}

function nothingToRun(views: readonly PlanView[], sources: readonly string[]): BackplanError {
  const [first] = views.flatMap(({ problem }) => problem ?? []);
  if (first === undefined) {
    return new BackplanError('USAGE', `there is no plan file in ${sources.join(', ')}`, {
      hint: 'Plans of a folder are its files with the ending .yaml or .yml.',
    });
  }
  const message = views.length === 1 ? first.message : `no plan is valid; the first: ${first.message}`;
  return BackplanError.fromRecord({ ...first, message });
}
