/** Runs a job, of the plan or ad hoc, with the reporters of the command line. */
import type { ExitCode } from '../errors.ts';
import { EXIT, toBackplanError } from '../errors.ts';
import type { Job, Plan } from '../plan/model.ts';
import type { Reporter } from '../report/reporter.ts';
import type { RunRecord } from '../runs/record.ts';
import type { Journal } from '../runs/store.ts';
import type { StepKind } from '../steps/step-kind.ts';
import type { CommandContext } from './command.ts';
import { formatError } from './output.ts';
import { openReports } from './report-files.ts';
import { type OpenState, recoverState } from './state.ts';

/** Lines in between, on a screen that may be drawing progress. */
export type Say = (lines: readonly string[]) => Promise<void>;

export interface Execution {
  readonly job: Job;
  readonly inputs?: Readonly<Record<string, unknown>>;
  /** Step kinds that only the command line knows. */
  readonly kinds?: (say: Say, journal: Journal) => readonly StepKind[];
  /** `FORMAT=FILE`, as `--report` takes them. */
  readonly reports?: readonly string[];
  /** Listens to the run besides what is shown. */
  readonly listener?: Reporter;
  /** Last words after the run. */
  readonly after?: (record: RunRecord) => void;
}

/** @throws what stops a job before it starts: INPUT_INVALID, LOCKED, ENV_MISSING, JOURNAL_FAILED */
export async function execute(context: CommandContext, plan: Plan, execution: Execution): Promise<ExitCode> {
  const app = await context.app();
  // A job of the plan was validated with the plan.
  if (!Object.hasOwn(plan.jobs, execution.job.name)) {
    const { assertUsable } = await import('./adhoc-check.ts');
    await assertUsable(execution.job, app.vocabulary.steps, plan);
  }
  const reports = await openReports(execution.reports ?? [], app, plan);
  await using state = await recoverState(context, plan);
  await using _told = await tellOfInterrupted(context, plan, execution.job, state);
  const shown = await makeReporter(context);
  const say: Say = async (lines) => {
    // Ends what is drawn in place; the reporter goes on with plain lines.
    await shown?.close?.();
    const stream = context.out.json ? process.stderr : process.stdout;
    stream.write(`${lines.join('\n')}\n`);
  };
  const record = await app.runJob({
    plan,
    job: execution.job,
    inputs: execution.inputs ?? {},
    journal: state.journal,
    stateDirectory: app.stateDirectory(context.globals.state),
    reporters: [shown, reports?.reporter, execution.listener].filter((each) => each !== undefined),
    kinds: execution.kinds?.(say, state.journal) ?? [],
    trigger: 'manual',
    signal: context.signal,
    warn: (message) => context.out.warn(message),
  });
  if (context.out.quiet && !context.out.json && record.error !== undefined) {
    process.stderr.write(`${formatError(record.error, context.out.paintError)}\n`);
  }
  execution.after?.(record);
  const code = record.exitCode ?? EXIT.stepFailed;
  try {
    await reports?.write(record);
  } catch (error) {
    // What the run ended with matters more; but a run whose report is missing has not done all that was asked.
    process.stderr.write(`${formatError(toBackplanError(error).toRecord(), context.out.paintError)}\n`);
    return code === EXIT.success ? EXIT.stepFailed : code;
  }
  return code;
}

/** Whoever was to be told of a run must hear that it was cut off. Goes on beside the run, and waits at its end. */
async function tellOfInterrupted(
  context: CommandContext,
  plan: Plan,
  job: Job,
  { journal, interrupted }: OpenState,
): Promise<AsyncDisposable> {
  const runs = interrupted
    .map((id) => journal.getRun(id))
    .filter((run) => run.plan === plan.name && (plan.jobs[run.job]?.notify.length ?? 0) > 0);
  // Commands of the moment tell nobody.
  if (runs.length === 0 || !Object.hasOwn(plan.jobs, job.name))
    return { [Symbol.asyncDispose]: async () => {} };
  const app = await context.app();
  const notifications = app.notifications({
    plan,
    journal,
    stateDirectory: app.stateDirectory(context.globals.state),
    onProblem: (message) => context.out.warn(message),
  });
  for (const run of runs) notifications.handle({ type: 'runFinished', run });
  return { [Symbol.asyncDispose]: () => notifications.close(5000) };
}

async function makeReporter(context: CommandContext): Promise<Reporter | undefined> {
  const { out, globals } = context;
  if (out.json) {
    const { makeJsonLinesReporter } = await import('../report/json-lines.ts');
    return makeJsonLinesReporter({ stream: process.stdout });
  }
  if (out.quiet) return undefined;
  const { makeConsoleReporter } = await import('../report/console.ts');
  return makeConsoleReporter({
    stream: process.stdout,
    color: out.paint.enabled,
    live: process.stdout.isTTY === true && process.env.TERM !== 'dumb',
    verbose: globals.verbose,
  });
}
