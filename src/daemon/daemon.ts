/**
 * The daemon: runs the scheduled jobs of its plans. What others build on it (HTTP, notifiers, metrics, log) knows
 * only `DaemonView`.
 */
import { type App, createApp } from '../app.ts';
import { BackplanError, type ErrorRecord, toBackplanError } from '../errors.ts';
import { nextFirings } from '../plan/cron.ts';
import type { Job, Plan } from '../plan/model.ts';
import type { RunRecord, Trigger } from '../runs/record.ts';
import { newRunId } from '../runs/run-id.ts';
import type { Journal } from '../runs/store.ts';
import { type DaemonListener, makeEvents } from './events.ts';

/** A plan file as the daemon sees it now. */
export interface PlanView {
  readonly file: string;
  /** The plan that runs: the last one that was valid. Absent when the file never held one. */
  readonly plan?: Plan;
  readonly loadedAt?: Date;
  /** Why the file as it is now cannot be used. */
  readonly problem?: ErrorRecord;
}

/** A job of a loaded plan, scheduled or not. */
export interface JobView {
  readonly plan: string;
  readonly job: Job;
  /** The next firings, jitter included, the soonest first; none for a job without a schedule or with `after`. */
  readonly nextFirings: readonly Date[];
  readonly running: readonly string[];
  /** Runs that wait for their turn, in order. */
  readonly queued: readonly string[];
}

/** What may be seen and done from outside. Names are those of plan and job. */
export interface DaemonView {
  readonly startedAt: Date;
  readonly stateDirectory: string;
  readonly journal: Journal;
  readonly app: App;
  plans(): readonly PlanView[];
  /** @param firings how many of the next firings of each; default 1 */
  jobs(firings?: number): readonly JobView[];
  /** False from the moment it was told to stop. */
  readonly accepting: boolean;
  /**
   * Starts a job now, or as soon as its turn comes; consumes no firing of its schedule. Returns the id of the run.
   * @throws USAGE when there is no such plan or job; LOCKED when the job runs or waits already; CANCELLED while stopping
   */
  start(plan: string, job: string, inputs?: Readonly<Record<string, unknown>>, trigger?: Trigger): string;
  /** Cancels a run that runs or waits. False when there is none of that id. */
  cancel(runId: string): boolean;
  /** Reads all plan files again. */
  reload(reason: 'signal' | 'api'): Promise<void>;
  /** Returns the removal of the listener. */
  onEvent(listener: DaemonListener): () => void;
}

/** Something that lives beside the daemon: the HTTP server, notifiers, metrics. Started in order, closed in reverse. */
export interface DaemonService {
  readonly name: string;
  /** Before the first firing. @throws what keeps the daemon from starting, such as a port in use */
  start(daemon: DaemonView): Promise<void>;
  /** After the last run. Must not hang: what cannot be sent in a few seconds is given up. */
  close(): Promise<void>;
}

export interface Daemon extends DaemonView {
  /** No new runs; those that run get `graceMs`, then they are cancelled. Resolves when all is over. Idempotent. */
  stop(): Promise<void>;
  /** Cancels what runs at once; to be called after `stop`. */
  hurry(): void;
}

export interface DaemonOptions {
  /** Plan files. */
  readonly files: readonly string[];
  readonly stateDirectory: string;
  readonly services?: readonly DaemonService[];
  readonly graceMs: number;
}

/** @throws PLAN_INVALID, JOURNAL_FAILED */
export async function startDaemon(options: DaemonOptions): Promise<Daemon> {
  const app = createApp();
  const journal = await app.openState(options.stateDirectory);
  const events = makeEvents(Date.now);
  const plans: PlanView[] = [];
  for (const file of options.files) {
    const { plan } = await app.loadPlan(file);
    plans.push({ file, plan, loadedAt: new Date() });
    await app.recover(plan, journal);
  }
  const running = new Map<
    string,
    { plan: string; job: string; controller: AbortController; ended: Promise<void> }
  >();
  const next = new Map<Job, Date>();
  let accepting = true;

  const launch = (
    plan: Plan,
    job: Job,
    trigger: Trigger,
    inputs: Readonly<Record<string, unknown>>,
    slot?: string,
  ) => {
    const runId = newRunId();
    const controller = new AbortController();
    const context = { plan, job, attempt: 1, ...(slot === undefined ? {} : { slot }) };
    const work = async () => {
      const run: RunRecord = await app.runJob({
        plan,
        job,
        inputs,
        journal,
        stateDirectory: options.stateDirectory,
        reporters: [
          {
            name: 'daemon',
            on: (event) => {
              if (event.type === 'run:started') events.emit({ type: 'runStarted', run: event.run, context });
              events.emit({ type: 'runEvent', runId, event });
            },
          },
        ],
        trigger,
        signal: controller.signal,
        runId,
      });
      events.emit({ type: 'runFinished', run, context });
    };
    const ended = work()
      .catch((error: unknown) => events.emit({ type: 'problem', error: toBackplanError(error).toRecord() }))
      .finally(() => running.delete(runId));
    running.set(runId, { plan: plan.name, job: job.name, controller, ended });
    return runId;
  };

  const schedule = async (plan: Plan, job: Job, from: Date) => {
    const { cron, timezone = plan.timezone } = job.schedule ?? {};
    const [at] = cron === undefined ? [] : await nextFirings(cron, timezone, from, 1);
    if (at === undefined) next.delete(job);
    else next.set(job, at);
  };
  const loaded = () => plans.flatMap(({ plan }) => (plan === undefined ? [] : [plan]));
  for (const plan of loaded())
    for (const job of Object.values(plan.jobs)) await schedule(plan, job, new Date());

  const isBusy = (plan: Plan, job: Job) =>
    [...running.values()].some((each) => each.plan === plan.name && each.job === job.name);
  const tick = async () => {
    const now = Date.now();
    for (const plan of loaded()) {
      for (const job of Object.values(plan.jobs)) {
        const at = next.get(job);
        if (!accepting || at === undefined || at.getTime() > now) continue;
        next.delete(job);
        const slot = `${plan.name}/${job.name}@${at.toISOString()}`;
        if (!isBusy(plan, job)) launch(plan, job, 'schedule', {}, slot);
        await schedule(plan, job, at);
      }
    }
  };
  const { schedule: every } = await import('node-cron');
  const ticker = every('* * * * * *', tick, { timezone: 'Etc/UTC' });

  let stopped: Promise<void> | undefined;
  const cancelAll = () => {
    for (const { controller } of running.values())
      controller.abort(new BackplanError('CANCELLED', 'the daemon was stopped'));
  };
  const view: Daemon = {
    startedAt: new Date(),
    stateDirectory: options.stateDirectory,
    journal,
    app,
    plans: () => plans,
    jobs: () =>
      loaded().flatMap((plan) =>
        Object.values(plan.jobs).map((job) => ({
          plan: plan.name,
          job,
          nextFirings: [next.get(job)].filter((each) => each !== undefined),
          running: [...running].flatMap(([id, each]) =>
            each.plan === plan.name && each.job === job.name ? [id] : [],
          ),
          queued: [],
        })),
      ),
    get accepting() {
      return accepting;
    },
    start: (planName, jobName, inputs = {}, trigger = 'api') => {
      const plan = loaded().find(({ name }) => name === planName);
      const job = plan?.jobs[jobName];
      if (plan === undefined || job === undefined)
        throw new BackplanError('USAGE', `there is no job ${jobName} in plan ${planName}`);
      if (isBusy(plan, job))
        throw new BackplanError('LOCKED', `job ${jobName} of plan ${planName} runs already`);
      return launch(plan, job, trigger, inputs);
    },
    cancel: (runId) => {
      const found = running.get(runId);
      found?.controller.abort(new BackplanError('CANCELLED', 'cancelled by a request'));
      return found !== undefined;
    },
    reload: async () => {},
    onEvent: events.on,
    stop: () => {
      stopped ??= (async () => {
        accepting = false;
        await ticker.destroy();
        events.emit({ type: 'stopping', graceMs: options.graceMs, running: running.size });
        const timer = setTimeout(cancelAll, options.graceMs);
        await Promise.all([...running.values()].map(({ ended }) => ended));
        clearTimeout(timer);
        events.emit({ type: 'stopped' });
        for (const service of [...(options.services ?? [])].reverse()) await service.close();
        journal.close();
      })();
      return stopped;
    },
    hurry: cancelAll,
  };
  for (const service of options.services ?? []) await service.start(view);
  events.emit({ type: 'started', plans: plans.length, jobs: view.jobs().length, pid: process.pid });
  return view;
}
