/**
 * Runs one job: inputs, locks, the graph of steps, `onFailure`, clean-up, record. Knows no step kind and prints
 * nothing; whoever wants to know listens.
 */
import { availableParallelism } from 'node:os';
import type { CheckKind } from '../checks/check-kind.ts';
import { BackplanError, toBackplanError } from '../errors.ts';
import type { Scope } from '../plan/expressions.ts';
import { ancestors, waves } from '../plan/graph.ts';
import type { Job, Plan, Step } from '../plan/model.ts';
import type { Connection } from '../postgres/connection.ts';
import type { Repository } from '../repository/repository.ts';
import type { Listener, Outputs, RunRecord, RunStatus, Trigger, Verdict } from '../runs/record.ts';
import { newRunId } from '../runs/run-id.ts';
import type { Journal } from '../runs/store.ts';
import type { Masker } from '../secret.ts';
import type { StepContext, StepKind } from '../steps/step-kind.ts';
import { type ActiveRun, startRun } from './active-run.ts';
import { type Cleanups, makeCleanups } from './cleanups.ts';
import { circumstancesOf, decide, type Settled, survives } from './conditions.ts';
import type { RunWorld } from './context.ts';
import { resolveInputs } from './inputs.ts';
import { knownResources, type LocksFor, makeRunLocks, type RunLocks } from './locking.ts';
import { hasFailed, outcomeOf, type RunFacts, verdictOf, worstVerdict } from './outcome.ts';
import { runStep, type StepEnd, skippedRecord } from './step-run.ts';
import { makeStop, type Stop } from './stop.ts';
import { abortReason } from './timers.ts';
import { walk } from './walk.ts';

export interface ExecuteOptions {
  /** With its environment resolved. */
  readonly plan: Plan;
  readonly job: Job;
  /** As given; text is turned into the declared types. */
  readonly inputs: Readonly<Record<string, unknown>>;
  readonly kinds: ReadonlyMap<string, StepKind>;
  readonly checkKinds: ReadonlyMap<string, CheckKind>;
  readonly journal: Journal;
  /** Where the lock of a resource lives, and its name there. */
  readonly locksFor: LocksFor;
  /** How to reach a database of the plan. */
  connection(database: string): Connection;
  repository(name: string): Promise<Repository>;
  /** What `context.notify` of the steps does. */
  readonly notify: StepContext['notify'];
  readonly listeners: readonly Listener[];
  /** Aborting it cancels the run. */
  readonly signal: AbortSignal;
  readonly trigger: Trigger;
  /** ISO instant of the firing that the run is for. */
  readonly scheduledFor?: string;
  readonly masker: Masker;
  readonly stateDirectory: string;
  /** Default: a new one. */
  readonly runId?: string;
  /** Milliseconds that a step may take to stop when told to. Default 20 s: the tools' own 5 s and some order. */
  readonly graceMs?: number;
  /** Milliseconds for clean-up steps after the run was stopped, and for each deferred clean-up. Default 5 min. */
  readonly cleanupMs?: number;
  /**
   * Decides what becomes of what the run still owns, once everything else is over and before the run is recorded as
   * ended: after that, any recovery may remove it. An error is logged and changes nothing.
   */
  settle?(run: string, status: RunStatus): Promise<void>;
  /** For the jitter of retries; a number in [0, 1). */
  readonly random?: () => number;
}

/** A sign of life in the journal this often. */
const BEAT_MS = 30_000;

/**
 * Runs a job to its end and returns its record; failures of steps are in the record, not thrown.
 * @throws INPUT_INVALID, LOCKED, JOURNAL_FAILED, CANCELLED before the run has started, and then nothing has happened
 */
export async function executeJob(options: ExecuteOptions): Promise<RunRecord> {
  const { plan, job, signal } = options;
  if (signal.aborted) throw abortReason(signal);
  assertDistinctNames(job);
  const id = options.runId ?? newRunId();
  const startedAt = new Date();
  const facts = {
    run: { id, job: job.name, plan: plan.name, startedAt: startedAt.toISOString() },
    plan: { name: plan.name },
  };
  const nothingYet: Scope = { ...facts, inputs: {}, steps: {}, state: { failed: false, cancelled: false } };
  const inputs = await resolveInputs(plan, job, options.inputs, nothingYet);
  const locks = makeRunLocks(options.locksFor, { run: id, job: job.name, plan: plan.name });
  const abandoned = new Set<Promise<unknown>>();
  try {
    await locks.take(knownResources(job, options.kinds, { ...nothingYet, inputs }));
    const run = startRun({ ...options, id, inputs, startedAt });
    const beat = setInterval(() => run.journalled(() => options.journal.beat(id)), BEAT_MS).unref();
    try {
      return await runJob(run, { ...facts, inputs }, locks, abandoned, options);
    } finally {
      clearInterval(beat);
    }
  } finally {
    // A step that was left behind may still write; its locks go when it does, or with the process.
    if (abandoned.size === 0) locks.release();
    else void Promise.allSettled(abandoned).then(() => locks.release());
  }
}

type Facts = Pick<Scope, 'inputs' | 'run' | 'plan'>;

async function runJob(
  run: ActiveRun,
  facts: Facts,
  locks: RunLocks,
  abandoned: Set<Promise<unknown>>,
  options: ExecuteOptions,
): Promise<RunRecord> {
  const { job, cleanupMs = 5 * 60_000 } = options;
  const clock = performance.now();
  const cleanups = makeCleanups();
  const world = makeWorld(run, cleanups, options);
  const progress = new JobProgress(facts);
  const stop = makeStop({ job: job.name, signal: options.signal, timeoutMs: job.timeout, cleanupMs });
  let ending: RunFacts;
  try {
    ending = await runGraphs(job, { world, locks, stop, progress, abandoned, options });
    await cleanups.run(cleanupMs, (message) => run.log('warn', message));
  } finally {
    stop.close();
  }
  await settle(run, outcomeOf(ending).status, options);
  const outcome = outcomeOf({ ...ending, journalFailure: run.journalFailure() });
  const verdict = worstVerdict(progress.verdicts);
  return run.finish({
    ...outcome,
    ...(outcome.error === undefined ? {} : { error: options.masker.maskDeep(outcome.error) }),
    ...(verdict === undefined ? {} : { verdict }),
    endedAt: new Date().toISOString(),
    durationMs: Math.round(performance.now() - clock),
  });
}

function makeWorld(run: ActiveRun, cleanups: Cleanups, options: ExecuteOptions): RunWorld {
  const { plan, job, journal, masker, checkKinds, connection, repository, notify } = options;
  return {
    run,
    plan,
    job: job.name,
    journal,
    masker,
    checkKinds,
    cleanups,
    databases: new Map(),
    connection,
    repository,
    notify,
  };
}

/** The job's steps, and those of `onFailure` when it failed. */
async function runGraphs(job: Job, shared: Omit<WalkOptions, 'jobFailed'>): Promise<RunFacts> {
  const { stop, progress, world } = shared;
  world.run.announce(waves(job));
  await walkSteps(job, { ...shared, jobFailed: false });
  const kind = progress.affected ? stop.stopped() : undefined;
  const error = stop.error();
  const steps = world.run.record().steps;
  // Cancelled by a person is no failure to react to; out of time is.
  if (kind !== 'cancelled' && (hasFailed(steps) || kind === 'timedOut')) {
    await walkSteps({ ...job, steps: job.onFailure }, { ...shared, jobFailed: true });
  }
  return { steps, ...(kind === undefined || error === undefined ? {} : { stop: { kind, error } }) };
}

/** While it happens the journal still calls the run running, so that no recovery elsewhere gets in between. */
async function settle(run: ActiveRun, status: RunStatus, { settle }: ExecuteOptions): Promise<void> {
  try {
    await settle?.(run.id, status);
  } catch (error) {
    run.log('warn', `clean-up failed: ${toBackplanError(error).message}; the next start tries again`);
  }
}

/** What is known of the steps so far. */
class JobProgress {
  readonly facts: Facts;
  readonly settled = new Map<string, Settled>();
  readonly verdicts: (Verdict | undefined)[] = [];
  readonly #steps = new Map<string, { status: string; outputs: Outputs }>();
  /** A cancellation or the job's time limit has cut a step, or kept one from running. */
  affected = false;

  constructor(facts: Facts) {
    this.facts = facts;
  }

  get scope(): Omit<Scope, 'state'> {
    return { ...this.facts, steps: Object.fromEntries(this.#steps) };
  }

  settle(name: string, { record, outputs, report, blocked }: StepEnd): void {
    this.#steps.set(name, { status: record.status, outputs });
    this.settled.set(name, { status: record.status, tolerated: record.tolerated === true, blocked });
    this.verdicts.push(verdictOf(record, report));
  }
}

interface WalkOptions {
  readonly world: RunWorld;
  readonly locks: RunLocks;
  readonly stop: Stop;
  readonly progress: JobProgress;
  readonly abandoned: Set<Promise<unknown>>;
  readonly options: ExecuteOptions;
  /** These are the steps of `onFailure`. */
  readonly jobFailed: boolean;
}

async function walkSteps(job: Job, walkOptions: WalkOptions): Promise<void> {
  const { world, progress } = walkOptions;
  const concurrency = job.concurrency ?? Math.max(2, availableParallelism());
  await walk(Object.values(job.steps), concurrency, async (name) => {
    const step = job.steps[name];
    if (step === undefined) return;
    const end = await settleStep(step, job, walkOptions);
    progress.settle(name, end);
    world.run.finishStep(end.record, end.report);
  });
}

/** Skips the step or runs it. Never rejects. */
async function settleStep(step: Step, job: Job, walkOptions: WalkOptions): Promise<StepEnd> {
  const { world, locks, stop, progress, abandoned, options, jobFailed } = walkOptions;
  try {
    const { scope } = progress;
    const stopped = stop.stopped();
    // In `onFailure` the time limit is one of the reasons to run, not one to skip.
    const seen = jobFailed && stopped === 'timedOut' ? undefined : stopped;
    const circumstances = circumstancesOf(ancestors(job, step.name), progress.settled, seen);
    const decision = decide(step, scope, circumstances, jobFailed);
    if (!decision.run) {
      if (seen !== undefined) progress.affected = true;
      return { record: skippedRecord(step, decision.reason), outputs: {}, blocked: decision.blocked };
    }
    const end = await runStep(step, {
      world,
      kind: options.kinds.get(step.uses),
      locks,
      signal: stop.signalFor({
        outlivesCancel: survives(step, scope, 'cancelled'),
        outlivesTimeout: (jobFailed && stopped === 'timedOut') || survives(step, scope, 'timedOut'),
      }),
      scope: {
        ...scope,
        state: { failed: jobFailed || circumstances.failed.length > 0, cancelled: stopped === 'cancelled' },
      },
      graceMs: options.graceMs ?? 20_000,
      random: options.random ?? Math.random,
      onAbandoned: (late) => abandoned.add(late),
    });
    if (stop.stopped() !== undefined && end.record.status !== 'succeeded') progress.affected = true;
    return end;
  } catch (error) {
    const failure = world.masker.maskDeep(toBackplanError(error).toRecord());
    const tolerated = step.continueOnError ? { tolerated: true } : {};
    const now = new Date().toISOString();
    return {
      record: {
        name: step.name,
        uses: step.uses,
        status: 'failed',
        attempts: 0,
        startedAt: now,
        endedAt: now,
        durationMs: 0,
        error: failure,
        ...tolerated,
      },
      outputs: {},
      blocked: false,
    };
  }
}

/** The journal and expressions know steps by name alone. */
function assertDistinctNames(job: Job): void {
  const twice = Object.keys(job.onFailure).find((name) => Object.hasOwn(job.steps, name));
  if (twice !== undefined) {
    throw new BackplanError('PLAN_INVALID', `job ${job.name} has two steps called ${twice}`, {
      hint: 'Give the step under onFailure another name.',
    });
  }
}
