/** Builds what a step sees of the world. */
import { dirname, resolve } from 'node:path';
import type { CheckKind } from '../checks/check-kind.ts';
import { BackplanError } from '../errors.ts';
import type { Plan } from '../plan/model.ts';
import type { Connection } from '../postgres/connection.ts';
import type { Repository } from '../repository/repository.ts';
import type { LogLevel, Progress } from '../runs/record.ts';
import type { Journal } from '../runs/store.ts';
import type { Masker } from '../secret.ts';
import type { DatabaseTarget, StepContext, StepLog } from '../steps/step-kind.ts';
import type { ActiveRun } from './active-run.ts';
import type { Cleanups } from './cleanups.ts';

/** What all steps of a run share. */
export interface RunWorld {
  readonly run: ActiveRun;
  readonly plan: Plan;
  readonly job: string;
  readonly journal: Journal;
  readonly masker: Masker;
  readonly checkKinds: ReadonlyMap<string, CheckKind>;
  readonly cleanups: Cleanups;
  /** Databases that steps made, by handle. */
  readonly databases: Map<string, DatabaseTarget>;
  connection(database: string): Connection;
  repository(name: string): Promise<Repository>;
  readonly notify: StepContext['notify'];
}

/** The last lines of stderr that children of a step wrote; bounded. */
export interface StderrTail {
  add(line: string): void;
  text(): string | undefined;
}

export interface StepView {
  readonly context: StepContext;
  /** What the step attached with `report`. */
  report(): unknown;
  /** The step has ended: what it still says is dropped, the last progress is told. */
  close(): void;
}

/** Told at most this often per step; a kind may call `progress` for every chunk. */
const PROGRESS_MS = 100;

export function makeStepView(
  world: RunWorld,
  step: string,
  signal: AbortSignal,
  stderr: StderrTail,
): StepView {
  const { run, plan, masker } = world;
  let open = true;
  let report: unknown;
  const log = makeLog((level, message, fields) => {
    if (!open) return;
    run.emit({
      type: 'step:log',
      step,
      level,
      message: masker.mask(message),
      ...(fields === undefined ? {} : { fields: masker.maskDeep(fields) }),
    });
  });
  const progress = throttledProgress((value) => {
    if (!open) return;
    const note = value.note === undefined ? {} : { note: masker.mask(value.note) };
    run.emit({ type: 'step:progress', step, progress: { ...value, ...note } });
  });
  const context: StepContext = {
    run: { id: run.id, job: world.job, startedAt: run.startedAt },
    step,
    plan,
    signal,
    log,
    masker,
    baseDirectory: dirname(resolve(plan.file)),
    progress: progress.tell,
    stderr: (line) => {
      const masked = masker.mask(line);
      stderr.add(masked);
      if (open)
        run.emit({ type: 'step:log', step, level: 'debug', message: masked, fields: { stream: 'stderr' } });
    },
    database: (handle) => findDatabase(world, handle),
    addDatabase: (target) => {
      world.databases.set(target.handle, target);
      return target;
    },
    repository: world.repository,
    notify: (names, announcement) => world.notify(names, masker.maskDeep(announcement)),
    own: (thing) => {
      // Not through `journalled`: what cannot be written down must not be made.
      const id = world.journal.own(run.id, thing);
      return { release: () => run.journalled(() => world.journal.release(id)) };
    },
    defer: world.cleanups.add,
    checkKinds: world.checkKinds,
    report: (value) => {
      report = value;
    },
  };
  return {
    context,
    report: () => report,
    close: () => {
      progress.flush();
      open = false;
    },
  };
}

export function makeStderrTail(maxLines = 100, maxCharacters = 16_000): StderrTail {
  const lines: string[] = [];
  let size = 0;
  return {
    add: (line) => {
      const short = line.length > 2000 ? `${line.slice(0, 2000)}…` : line;
      lines.push(short);
      size += short.length + 1;
      while (lines.length > maxLines || size > maxCharacters) size -= (lines.shift()?.length ?? 0) + 1;
    },
    text: () => (lines.length === 0 ? undefined : lines.join('\n')),
  };
}

function findDatabase(world: RunWorld, handle: string): DatabaseTarget {
  const made = world.databases.get(handle);
  if (made !== undefined) return made;
  if (Object.hasOwn(world.plan.databases, handle)) {
    const target: DatabaseTarget = {
      handle,
      kind: 'plan',
      connection: world.connection(handle),
      database: handle,
    };
    // Remembered, so that what one step notes on it (`modified`) is seen by the next.
    world.databases.set(handle, target);
    return target;
  }
  const known = [...Object.keys(world.plan.databases), ...world.databases.keys()];
  throw new BackplanError('DATABASE_MISSING', `there is no database "${handle}" in this run`, {
    hint: `Known here: ${[...new Set(known)].join(', ') || 'none'}. Handles of restored databases live as long as the run that made them.`,
  });
}

function makeLog(
  write: (level: LogLevel, message: string, fields?: Readonly<Record<string, unknown>>) => void,
): StepLog {
  return {
    debug: (message, fields) => write('debug', message, fields),
    info: (message, fields) => write('info', message, fields),
    warn: (message, fields) => write('warn', message, fields),
    error: (message, fields) => write('error', message, fields),
    log: write,
  };
}

function throttledProgress(emit: (progress: Progress) => void) {
  let toldAt = Number.NEGATIVE_INFINITY;
  let untold: Progress | undefined;
  return {
    tell: (progress: Progress) => {
      const now = performance.now();
      if (now - toldAt < PROGRESS_MS) {
        untold = progress;
        return;
      }
      toldAt = now;
      untold = undefined;
      emit(progress);
    },
    flush: () => {
      if (untold !== undefined) emit(untold);
      untold = undefined;
    },
  };
}
