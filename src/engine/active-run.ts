/** A run while it runs: its record in memory and in the journal, and its events. */
import { hostname } from 'node:os';
import { resolve } from 'node:path';
import { type BackplanError, toBackplanError } from '../errors.ts';
import type { Job, Plan, Step } from '../plan/model.ts';
import type { Listener, LogLevel, RunEvent, RunRecord, StepRecord, Trigger } from '../runs/record.ts';
import { runLogFile } from '../runs/run-id.ts';
import type { Journal } from '../runs/store.ts';
import type { Masker } from '../secret.ts';

type WithoutTime<Event> = Event extends unknown ? Omit<Event, 'at'> : never;

export interface ActiveRun {
  readonly id: string;
  readonly startedAt: Date;
  record(): RunRecord;
  step(name: string): StepRecord | undefined;
  /** Announces the run and its order. */
  announce(order: readonly (readonly string[])[]): void;
  /** Tells everyone who listens. A listener that throws harms nobody. */
  emit(event: WithoutTime<RunEvent>): void;
  log(level: LogLevel, message: string): void;
  /** Records how a step stands now. */
  save(step: StepRecord): void;
  /** Records a step's end and tells it. */
  finishStep(step: StepRecord, report?: unknown): void;
  /** Records the run's end and tells it. */
  finish(outcome: Partial<RunRecord>): RunRecord;
  /** The first failure to write the journal, if any: the run went on, but its record is not whole. */
  journalFailure(): BackplanError | undefined;
  /** Runs something that writes the journal, and goes on without it. */
  journalled(work: () => void): void;
}

export interface StartOptions {
  readonly id: string;
  readonly plan: Plan;
  readonly job: Job;
  readonly inputs: Readonly<Record<string, unknown>>;
  readonly trigger: Trigger;
  readonly scheduledFor?: string;
  readonly startedAt: Date;
  readonly stateDirectory: string;
  readonly journal: Journal;
  readonly listeners: readonly Listener[];
  readonly masker: Masker;
}

/** Writes the run into the journal. @throws JOURNAL_FAILED, and then nothing has happened */
export function startRun(options: StartOptions): ActiveRun {
  const { id, plan, job, journal, masker, startedAt } = options;
  let record: RunRecord = {
    id,
    plan: plan.name,
    planFile: resolve(plan.file),
    job: job.name,
    status: 'running',
    trigger: options.trigger,
    ...(options.scheduledFor === undefined ? {} : { scheduledFor: options.scheduledFor }),
    inputs: masker.maskDeep(options.inputs),
    startedAt: startedAt.toISOString(),
    logFile: runLogFile(options.stateDirectory, plan.name, id),
    host: hostname(),
    pid: process.pid,
    steps: Object.values(job.steps).map(pendingStep),
  };
  journal.startRun(record);

  const broadcast = makeBroadcast(options.listeners);
  const emit: ActiveRun['emit'] = (event) =>
    broadcast({ ...event, at: new Date().toISOString() } as RunEvent);
  const log = (level: LogLevel, message: string) =>
    emit({ type: 'run:log', level, message: masker.mask(message) });

  let journalFailure: BackplanError | undefined;
  const journalled = (work: () => void) => {
    try {
      work();
    } catch (error) {
      const failure = toBackplanError(error, 'JOURNAL_FAILED');
      if (journalFailure === undefined)
        log('error', `${failure.message}; the run goes on without its journal`);
      journalFailure ??= failure;
    }
  };
  const save = (step: StepRecord) => {
    const known = record.steps.some(({ name }) => name === step.name);
    const steps = known
      ? record.steps.map((each) => (each.name === step.name ? step : each))
      : [...record.steps, step];
    record = { ...record, steps };
    journalled(() => journal.saveStep(id, step));
  };

  return {
    id,
    startedAt,
    record: () => record,
    step: (name) => record.steps.find((step) => step.name === name),
    announce: (order) => emit({ type: 'run:started', run: record, order }),
    emit,
    log,
    save,
    finishStep: (step, report) => {
      save(step);
      emit({
        type: 'step:finished',
        step,
        ...(report === undefined ? {} : { report: masker.maskDeep(report) }),
      });
    },
    finish: (outcome) => {
      record = { ...record, ...outcome };
      journalled(() => journal.finishRun(record));
      emit({ type: 'run:finished', run: record });
      return record;
    },
    journalFailure: () => journalFailure,
    journalled,
  };
}

export function pendingStep(step: Step): StepRecord {
  return { name: step.name, uses: step.uses, status: 'pending', attempts: 0 };
}

/** Tells all listeners in turn. One that throws is named once, to the others, and is still told of what follows. */
function makeBroadcast(listeners: readonly Listener[]): (event: RunEvent) => void {
  const blamed = new Set<Listener>();
  const tell = (listener: Listener, event: RunEvent) => {
    const blame = (error: unknown) => {
      if (blamed.has(listener)) return;
      blamed.add(listener);
      const message = `a listener failed and may miss events: ${error instanceof Error ? error.message : String(error)}`;
      for (const other of listeners) {
        if (!blamed.has(other)) tell(other, { type: 'run:log', at: event.at, level: 'warn', message });
      }
    };
    try {
      // A listener returns nothing, but nothing stops an async function from being passed as one.
      const result: unknown = listener(event);
      if (result instanceof Promise) result.catch(blame);
    } catch (error) {
      blame(error);
    }
  };
  return (event) => {
    for (const listener of listeners) tell(listener, event);
  };
}
