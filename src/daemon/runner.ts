/** Turns claimed firings and requests into tasks that run jobs, again where the job says so, and tells of it. */
import { hostname } from 'node:os';
import type { App } from '../app.ts';
import { delayBefore, isRetryable } from '../engine/retry.ts';
import { BackplanError, toBackplanError } from '../errors.ts';
import type { Job, Plan } from '../plan/model.ts';
import { jobKey, type Timetable } from '../plan/timetable.ts';
import type { Reporter } from '../report/reporter.ts';
import type { RunRecord, Trigger } from '../runs/record.ts';
import { newRunId } from '../runs/run-id.ts';
import type { Firing } from '../runs/slots.ts';
import type { Journal } from '../runs/store.ts';
import { Masker } from '../secret.ts';
import type { DaemonEvents, RunContext } from './events.ts';
import type { Task } from './queue.ts';

/** What is to be run. Plan and job are looked up when its turn comes. */
export interface Order {
  readonly plan: string;
  readonly job: string;
  readonly runId: string;
  readonly trigger: Trigger;
  /** The firing that it is for; none when a person asked. */
  readonly firing?: Firing;
  readonly inputs: Readonly<Record<string, unknown>>;
  /** Which try of the job; 1 is the first. */
  readonly attempt: number;
  /** Not before this instant, in milliseconds. */
  readonly notBefore?: number;
}

export interface Found {
  readonly plan: Plan;
  readonly job: Job;
  readonly timetable: Timetable | undefined;
}

export interface RunnerOptions {
  readonly app: App;
  readonly journal: Journal;
  readonly stateDirectory: string;
  readonly events: DaemonEvents;
  find(plan: string, job: string): Found | undefined;
  isStopping(): boolean;
  now(): number;
  onSucceeded(run: RunRecord): void;
}

export interface OrderedTask extends Task {
  readonly order: Order;
}

export interface Runner {
  /** @throws USAGE when the plan or the job is gone */
  task(order: Order): OrderedTask;
  /** Records an order that will not be run, so that its id is known. */
  giveUp(order: Order, error: BackplanError): void;
}

export function slotName({ plan, job, instant }: Firing): string {
  return `${jobKey(plan, job)}@${new Date(instant).toISOString()}`;
}

export function makeRunner(options: RunnerOptions): Runner {
  const { app, journal, stateDirectory, events, find } = options;

  const contextOf = ({ plan, job }: Found, { firing, attempt }: Order): RunContext => ({
    plan,
    job,
    attempt,
    ...(firing === undefined ? {} : { slot: slotName(firing) }),
  });

  /** A run that could not even start leaves a record as well, or nobody would ever see it. */
  const recordUnstarted = (found: Found, order: Order, error: BackplanError): RunRecord => {
    const run = unstarted(found, order, error, options.now());
    if (!journal.listRuns({ plan: order.plan, job: order.job, limit: 5 }).some(({ id }) => id === run.id)) {
      journal.startRun(run);
    }
    return run;
  };

  const execute = async (found: Found, order: Order, signal: AbortSignal): Promise<RunRecord> => {
    const context = contextOf(found, order);
    const masker = new Masker();
    const reporter: Reporter = {
      name: 'daemon',
      on: (event) => {
        if (event.type === 'run:started') events.emit({ type: 'runStarted', run: event.run, context });
        events.emit({ type: 'runEvent', runId: order.runId, event });
      },
    };
    try {
      return await app.runJob({
        plan: found.plan,
        job: found.job,
        inputs: order.inputs,
        journal,
        stateDirectory,
        reporters: [reporter],
        trigger: order.trigger,
        ...(order.firing === undefined ? {} : { scheduledFor: new Date(order.firing.instant).toISOString() }),
        signal,
        runId: order.runId,
        masker,
      });
    } catch (thrown) {
      const error = toBackplanError(thrown);
      return recordUnstarted(found, order, BackplanError.fromRecord(masker.maskDeep(error.toRecord())));
    }
  };

  /** The order for another try, when the job wants one and it could help. */
  const retryOf = ({ job }: Found, order: Order, run: RunRecord): Order | undefined => {
    const { retry } = job;
    if (retry === undefined || order.attempt >= retry.attempts || options.isStopping()) return undefined;
    if (run.status !== 'failed' || run.error === undefined) return undefined;
    if (!isRetryable(BackplanError.fromRecord(run.error))) return undefined;
    const attempt = order.attempt + 1;
    const notBefore = options.now() + delayBefore(attempt, retry, Math.random());
    return { ...order, runId: newRunId(), trigger: 'retry', attempt, notBefore };
  };

  const run = async (order: Order, signal: AbortSignal): Promise<Order | undefined> => {
    const found = find(order.plan, order.job);
    // Its plan was changed while it waited, and it is told already.
    if (found === undefined) return undefined;
    const record = await execute(found, order, signal);
    const next = retryOf(found, order, record);
    if (next?.firing !== undefined) journal.slots.hand(next.firing, next.runId);
    if (record.status === 'cancelled' && order.firing !== undefined && options.isStopping()) {
      journal.slots.cut([order.firing]);
    }
    events.emit({
      type: 'runFinished',
      run: record,
      context: contextOf(found, order),
      ...(next?.notBefore === undefined ? {} : { retryAt: new Date(next.notBefore).toISOString() }),
    });
    if (record.status === 'succeeded') options.onSucceeded(record);
    return next;
  };

  const makeTask = (order: Order): OrderedTask => {
    const { job } = foundOf(order);
    return {
      order,
      runId: order.runId,
      key: jobKey(order.plan, order.job),
      groups: job.concurrencyGroups ?? [],
      overlap: job.schedule?.overlap ?? 'skip',
      notBefore: (now) => {
        const window = order.firing === undefined ? undefined : find(order.plan, order.job)?.timetable;
        const times = [order.notBefore, window?.blackedOutUntil(now)].filter((each) => each !== undefined);
        return times.length === 0 ? undefined : Math.max(...times);
      },
      run: async (signal) => {
        try {
          const next = await run(order, signal);
          return next === undefined ? undefined : makeTask(next);
        } catch (error) {
          events.emit({ type: 'problem', error: toBackplanError(error).toRecord() });
          return undefined;
        }
      },
    };
  };

  const foundOf = ({ plan, job }: Order): Found => {
    const found = find(plan, job);
    if (found !== undefined) return found;
    throw new BackplanError('USAGE', `there is no job "${job}" in a plan "${plan}" here`, {
      hint: 'Plans and jobs are called by their names, not by their files.',
    });
  };

  return {
    task: makeTask,
    giveUp: (order, error) => {
      const found = find(order.plan, order.job);
      if (found === undefined) return;
      events.emit({
        type: 'runFinished',
        run: recordUnstarted(found, order, error),
        context: contextOf(found, order),
      });
    },
  };
}

function unstarted({ plan, job }: Found, order: Order, error: BackplanError, now: number): RunRecord {
  const at = new Date(now).toISOString();
  return {
    id: order.runId,
    plan: plan.name,
    planFile: plan.file,
    job: job.name,
    status: error.code === 'CANCELLED' ? 'cancelled' : 'failed',
    exitCode: error.exitCode,
    trigger: order.trigger,
    ...(order.firing === undefined ? {} : { scheduledFor: new Date(order.firing.instant).toISOString() }),
    inputs: {},
    startedAt: at,
    endedAt: at,
    durationMs: 0,
    error: error.toRecord(),
    host: hostname(),
    pid: process.pid,
    steps: Object.values(job.steps).map(({ name, uses }) => ({
      name,
      uses,
      status: 'skipped',
      attempts: 0,
      skippedBecause: 'the run did not start',
    })),
  };
}
