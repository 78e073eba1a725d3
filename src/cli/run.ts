/** `run`: one job of the plan, now. */
import { EXIT } from '../errors.ts';
import type { Job, Plan } from '../plan/model.ts';
import type { Backup } from '../repository/manifest.ts';
import {
  argument,
  type CommandContext,
  defineCommand,
  flag,
  planArgument,
  repeatedOption,
} from './command.ts';
import { execute } from './execute.ts';
import { locateBackup, pinned } from './locate.ts';
import { parseNameValues } from './name-values.ts';
import { byName, openPlan } from './plan.ts';
import { replacementFacts } from './production.ts';
import { confirm } from './prompt.ts';
import { reportOption } from './report-files.ts';

export const run = defineCommand({
  name: 'run',
  summary: 'run a job now',
  description:
    'Shows live progress on a terminal, plain lines in a pipe, and one JSON event a line with --output json. A job that replaces a production database asks first.',
  group: 'Plans',
  arguments: { plan: planArgument, job: argument('job of the plan', 'job') },
  options: {
    input: repeatedOption('-i, --input <name=value>', 'a value for an input of the job', {
      completes: 'input',
    }),
    dryRun: flag('--dry-run', 'only say what would happen'),
    report: reportOption,
  },
  examples: [
    { line: 'run plans/crm.yaml nightly', does: 'what cron would do' },
    { line: 'run plans/crm.yaml restore --input backup=latest', does: 'with an input' },
    { line: 'run plans/crm.yaml nightly -o json | jq .type', does: 'events for a program' },
    { line: 'run plans/crm.yaml nightly --report html=proof.html', does: 'and a page for the auditor' },
  ],
  exits: [
    EXIT.stepFailed,
    EXIT.checksFailed,
    EXIT.locked,
    EXIT.inconclusive,
    EXIT.environment,
    EXIT.interrupted,
  ],
  async run({ plan: file, job: name, input, dryRun, report }, context) {
    const { plan } = await openPlan(context, file);
    const job = byName('job', plan.jobs, name);
    // The engine knows the types.
    const inputs = parseNameValues('--input', input, 'backup=latest-proven');
    if (dryRun) {
      const { printExplanation } = await import('./explain.ts');
      await printExplanation(context, plan, [job], inputs);
      return EXIT.success;
    }
    const settled = replacesProduction(job) ? await settleBackups(context, plan, job, inputs) : undefined;
    if (settled !== undefined) await confirmPromotions(context, plan, job, settled);
    return await execute(context, plan, { job, inputs: settled?.inputs ?? inputs, reports: report });
  },
});

function replacesProduction(job: Job): boolean {
  return Object.values(job.steps).some(({ uses }) => uses === 'promote' || uses === 'rollback');
}

interface Settled {
  readonly inputs: Readonly<Record<string, string>>;
  /** Step → the backup that it will restore, where that is known before. */
  readonly backups: ReadonlyMap<string, Backup>;
}

/**
 * Inputs that name a backup are settled on the one they mean now: a job that saves production first would
 * otherwise find its own new backup under `latest`.
 */
async function settleBackups(
  context: CommandContext,
  plan: Plan,
  job: Job,
  inputs: Readonly<Record<string, string>>,
): Promise<Settled> {
  const settled: Record<string, string> = { ...inputs };
  const backups = new Map<string, Backup>();
  const savesFirst = Object.values(job.steps).some(({ uses }) => uses === 'backup');
  for (const step of Object.values(job.steps)) {
    if (step.uses !== 'restore') continue;
    const reference = withInputs(step.with.backup, job, inputs);
    const input = inputOf(step.with.backup);
    // A reference in the plan itself is looked up when the step runs; a backup of this run may then be the newest.
    if (reference === undefined || (input === undefined && savesFirst)) continue;
    const into = step.with.into as { readonly staging?: unknown } | undefined;
    const names = Object.keys(plan.databases);
    const database =
      withInputs(step.with.database ?? into?.staging, job, inputs) ??
      (names.length === 1 ? names[0] : undefined);
    const repository = withInputs(step.with.repository, job, inputs);
    const backup = await locateBackup(context, plan, reference, { repository, database });
    backups.set(step.name, backup);
    if (input !== undefined) settled[input] = pinned(backup);
  }
  return { inputs: settled, backups };
}

/**
 * A plan in git that promotes says so on purpose, but the person at the keyboard may not have read it. What a plan
 * deletes by its own policy (prune, drop) is not asked about.
 */
async function confirmPromotions(
  context: CommandContext,
  plan: Plan,
  job: Job,
  { inputs, backups }: Settled,
): Promise<void> {
  if (context.globals.yes) return;
  const suites = Object.values(job.steps)
    .filter(({ uses }) => uses === 'check')
    .flatMap(({ with: settings }) => [settings.suite].flat())
    .filter((suite): suite is string => typeof suite === 'string');
  for (const step of Object.values(job.steps)) {
    if (step.uses !== 'promote' && step.uses !== 'rollback') continue;
    const database = withInputs(step.with.database, job, inputs) ?? 'a database';
    const { keepPrevious } = step.with;
    const staged = /steps\.(\w+)\.outputs/.exec(String(step.with.staging))?.[1];
    await confirm(context, {
      facts: Object.hasOwn(plan.databases, database)
        ? await replacementFacts({
            plan,
            database,
            source: backups.get(staged ?? ''),
            keepPrevious: typeof keepPrevious === 'string' ? keepPrevious : '24h',
            suites,
          })
        : [['database', database]],
      question: `Run ${job.name} and replace ${database}?`,
      action: `job ${step.uses === 'promote' ? 'replaces' : 'rolls back'} the production database ${database}`,
    });
  }
}

/** The input that a setting is exactly. */
function inputOf(value: unknown): string | undefined {
  return typeof value === 'string'
    ? /^\$\{\{\s*inputs\.([A-Za-z_][A-Za-z0-9_]*)\s*\}\}$/.exec(value)?.[1]
    : undefined;
}

/** A setting that is text, or exactly one input; undefined when only the run will know. */
function withInputs(value: unknown, job: Job, inputs: Readonly<Record<string, string>>): string | undefined {
  if (typeof value !== 'string') return undefined;
  const name = inputOf(value);
  if (name === undefined) return value.includes('${{') ? undefined : value;
  const given = inputs[name] || job.inputs[name]?.default;
  return typeof given === 'string' && !given.includes('${{') ? given : undefined;
}
