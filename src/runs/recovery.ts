/**
 * What the next start does about runs that a crash cut: ends what they left running, removes what they owned, and
 * records them as interrupted. Safe to repeat, and safe while other runs are alive.
 */
import { type ErrorRecord, EXIT, toBackplanError } from '../errors.ts';
import type { OwnedThing } from '../steps/step-kind.ts';
import { formatInstant } from '../units.ts';
import { endMarkedProcesses } from './children.ts';
import { isAlive } from './lock.ts';
import type { LogLevel, RunRecord, StepRecord } from './record.ts';
import type { Journal, RunningRun } from './store.ts';

/** One remover for each kind of thing; a thing that is not there any more is no error. */
export type Removers = {
  readonly [Kind in OwnedThing['kind']]: (
    thing: Extract<OwnedThing, { kind: Kind }>,
    run: string,
  ) => Promise<void>;
};

export interface RecoveryReport {
  /** Ids of the runs that were found dead and are now recorded as interrupted. */
  readonly interrupted: readonly string[];
  readonly removed: readonly OwnedThing[];
  /** What could not be removed, and why; the next recovery tries again. */
  readonly left: readonly { readonly run: string; readonly thing: OwnedThing; readonly error: ErrorRecord }[];
}

export type RecoveryLog = (level: LogLevel, message: string) => void;

/** Never throws because of one thing or one run: the rest is recovered all the same. @throws JOURNAL_FAILED */
export async function recover(
  journal: Journal,
  removers: Removers,
  log: RecoveryLog,
  options: { readonly now?: () => Date; readonly killGraceMs?: number } = {},
): Promise<RecoveryReport> {
  const now = options.now ?? (() => new Date());
  const gone = journal.running().filter(({ identity, beatAt }) => !isAlive(identity, beatAt, now()));
  // A run may have ended between the look at the journal and the one at its process: then its record is right already.
  const open = new Set(gone.length === 0 ? [] : journal.running().map(({ run }) => run.id));
  const dead = gone.filter(({ run }) => open.has(run.id));
  for (const { run } of dead) {
    log('warn', `run ${run.id} (job ${run.job}) was cut off: its process ${run.pid} on ${run.host} is gone`);
    // First the processes: a pg_restore that goes on would fill the database that is about to be removed.
    await endChildren(run, log, options.killGraceMs);
  }
  // Recorded before the removal: it is true whatever becomes of that, and open ownership stays in the journal.
  for (const each of dead) journal.finishRun(interruptedRecord(each, now()));
  const outcome = await removeOrphans(journal, removers, log);
  return { interrupted: dead.map(({ run }) => run.id), ...outcome };
}

async function endChildren(run: RunRecord, log: RecoveryLog, graceMs: number | undefined): Promise<void> {
  const { ended, left } = await endMarkedProcesses(run.id, graceMs);
  for (const { pid, command } of ended) log('info', `ended process ${pid} of run ${run.id}: ${command}`);
  for (const { pid, command } of left) {
    log('error', `process ${pid} of run ${run.id} does not end: ${command}`);
  }
}

async function removeOrphans(
  journal: Journal,
  removers: Removers,
  log: RecoveryLog,
): Promise<Pick<RecoveryReport, 'removed' | 'left'>> {
  const removed: OwnedThing[] = [];
  const left: RecoveryReport['left'][number][] = [];
  // Newest first: a sandbox inside a folder goes before the folder.
  for (const { id, run, thing } of journal.orphans()) {
    try {
      await remove(removers, thing, run);
      journal.release(id);
      removed.push(thing);
      log('info', `removed the ${describeThing(thing)} that run ${run} left behind`);
    } catch (error) {
      const record = toBackplanError(error).toRecord();
      left.push({ run, thing, error: record });
      log(
        'warn',
        `could not remove the ${describeThing(thing)} that run ${run} left behind: ${record.message}`,
      );
    }
  }
  return { removed, left };
}

async function remove(removers: Removers, thing: OwnedThing, run: string): Promise<void> {
  switch (thing.kind) {
    case 'folder':
      return await removers.folder(thing, run);
    case 'sandbox':
      return await removers.sandbox(thing, run);
    case 'stagingDatabase':
      return await removers.stagingDatabase(thing, run);
    default:
      thing satisfies never;
      throw new Error(
        `nothing knows how to remove a ${(thing as { kind: string }).kind}; a newer backplan may`,
      );
  }
}

/** For people: `staging database crm_staging_x7k2mq`. */
export function describeThing(thing: OwnedThing): string {
  switch (thing.kind) {
    case 'folder':
      return `folder ${thing.path}`;
    case 'sandbox':
      return `sandbox ${thing.folder}`;
    case 'stagingDatabase':
      return `staging database ${thing.name}`;
    default:
      thing satisfies never;
      return (thing as { kind: string }).kind;
  }
}

/** The run ended when it was last heard of, not when somebody noticed. */
function interruptedRecord({ run, beatAt }: RunningRun, now: Date): RunRecord {
  const times = [beatAt.toISOString(), ...run.steps.flatMap((step) => [step.startedAt, step.endedAt])];
  const latest =
    times
      .filter((time) => time !== undefined)
      .sort()
      .at(-1) ?? now.toISOString();
  const since = (start: string | undefined) =>
    start === undefined ? undefined : Math.max(0, Date.parse(latest) - Date.parse(start));
  const steps = run.steps.map((step): StepRecord => {
    if (step.status === 'pending') {
      return { ...step, status: 'skipped', skippedBecause: 'the run was interrupted before it' };
    }
    if (step.status !== 'running') return step;
    return { ...step, status: 'interrupted', endedAt: latest, durationMs: since(step.startedAt) };
  });
  return {
    ...run,
    status: 'interrupted',
    exitCode: EXIT.interrupted,
    endedAt: latest,
    durationMs: since(run.startedAt),
    error: {
      code: 'CANCELLED',
      message: `the process that ran it (${run.pid} on ${run.host}) ended without finishing; last sign of life ${formatInstant(new Date(latest))}`,
      hint: 'A crash, a reboot, kill -9 or the kernel when memory ran out (see dmesg). What the run owned is removed; run the job again.',
    },
    steps,
  };
}
