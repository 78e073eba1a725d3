/** `run`: one job of the plan, now. */
import { BackplanError, EXIT } from '../errors.ts';
import type { Job, Plan } from '../plan/model.ts';
import {
  argument,
  type CommandContext,
  defineCommand,
  flag,
  planArgument,
  repeatedOption,
} from './command.ts';
import { execute } from './execute.ts';
import { byName, openPlan } from './plan.ts';
import { replacementFacts } from './production.ts';
import { confirm } from './prompt.ts';

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
  },
  examples: [
    { line: 'run plans/crm.yaml nightly', does: 'what cron would do' },
    { line: 'run plans/crm.yaml restore --input backup=latest', does: 'with an input' },
    { line: 'run plans/crm.yaml nightly -o json | jq .type', does: 'events for a program' },
  ],
  exits: [
    EXIT.stepFailed,
    EXIT.checksFailed,
    EXIT.locked,
    EXIT.inconclusive,
    EXIT.environment,
    EXIT.interrupted,
  ],
  async run({ plan: file, job: name, input, dryRun }, context) {
    const { plan } = await openPlan(context, file);
    const job = byName('job', plan.jobs, name);
    const inputs = parseInputs(input);
    if (dryRun) {
      const { printExplanation } = await import('./explain.ts');
      await printExplanation(context, plan, [job], inputs);
      return EXIT.success;
    }
    await confirmPromotions(context, plan, job, inputs);
    return await execute(context, plan, { job, inputs });
  },
});

/** `backup=latest` → {backup: 'latest'}. The engine knows the types. @throws USAGE */
function parseInputs(texts: readonly string[]): Record<string, string> {
  const inputs: Record<string, string> = {};
  for (const text of texts) {
    const [, name, value] = /^([^=]+)=(.*)$/s.exec(text) ?? [];
    if (name === undefined || value === undefined) {
      throw new BackplanError('USAGE', `--input "${text}" is not of the form name=value`, {
        hint: 'For example --input backup=latest-proven.',
      });
    }
    if (Object.hasOwn(inputs, name)) throw new BackplanError('USAGE', `input ${name} is given twice`);
    inputs[name] = value;
  }
  return inputs;
}

/**
 * A plan in git that promotes says so on purpose, but the person at the keyboard may not have read it. What a plan
 * deletes by its own policy (prune, drop) is not asked about.
 */
async function confirmPromotions(
  context: CommandContext,
  plan: Plan,
  job: Job,
  inputs: Readonly<Record<string, string>>,
): Promise<void> {
  if (context.globals.yes) return;
  for (const step of Object.values(job.steps)) {
    if (step.uses !== 'promote' && step.uses !== 'rollback') continue;
    const database = withInputs(step.with.database, job, inputs) ?? 'a database';
    const source = Object.values(job.steps).find(({ uses }) => uses === 'restore');
    const suites = Object.values(job.steps)
      .filter(({ uses }) => uses === 'check')
      .flatMap(({ with: settings }) => [settings.suite].flat())
      .filter((suite): suite is string => typeof suite === 'string');
    const keepPrevious = step.with.keepPrevious;
    const facts =
      plan.databases[database] === undefined
        ? [['database', database] as const]
        : await replacementFacts(context, {
            plan,
            database,
            backup: withInputs(source?.with.backup, job, inputs),
            repository: withInputs(source?.with.repository, job, inputs),
            keepPrevious: typeof keepPrevious === 'string' ? keepPrevious : '24h',
            suites,
          });
    await confirm(context, {
      facts,
      question: `Run ${job.name} and replace ${database}?`,
      action: `job ${step.uses === 'promote' ? 'replaces' : 'rolls back'} the production database ${database}`,
    });
  }
}

const INPUT = /^\$\{\{\s*inputs\.([A-Za-z_][A-Za-z0-9_]*)\s*\}\}$/;

/** A setting that is text, or exactly one input; undefined when only the run will know. */
function withInputs(value: unknown, job: Job, inputs: Readonly<Record<string, string>>): string | undefined {
  if (typeof value !== 'string') return undefined;
  const name = INPUT.exec(value)?.[1];
  if (name === undefined) return value.includes('${{') ? undefined : value;
  const given = inputs[name] ?? job.inputs[name]?.default;
  return typeof given === 'string' && !given.includes('${{') ? given : undefined;
}
