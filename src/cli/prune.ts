/** `prune`: deletes backups that a keep policy does not want, after showing which. */
import { BackplanError, EXIT } from '../errors.ts';
import type { Plan } from '../plan/model.ts';
import { pruneJob } from './adhoc.ts';
import { defineCommand, flag, listOption, option, planArgument } from './command.ts';
import { execute } from './execute.ts';
import { keepRules } from './parse.ts';
import { allSteps, oneOf, openPlan, repositoryFor } from './plan.ts';
import { confirm } from './prompt.ts';
import { decideNow, describeDecisions } from './retention.ts';

export const prune = defineCommand({
  name: 'prune',
  summary: 'delete backups that the keep policy does not want',
  description:
    'The policy is that of the plan’s own `prune` step for this database and repository, or --keep. The last backup and the last proven backup always stay. It lists what would go and asks first.',
  group: 'At 3 a.m.',
  arguments: { plan: planArgument },
  options: {
    repository: option('-r, --repository <name>', 'in which repository', { completes: 'repository' }),
    database: option('-d, --database <name>', 'backups of which database', { completes: 'database' }),
    keep: listOption(
      '-k, --keep <rules>',
      'within=30d, last=5, daily=7, weekly=4, monthly=12, yearly=3, proven=3',
    ),
    dryRun: flag('--dry-run', 'only say what would go, and why the others stay'),
  },
  examples: [
    { line: 'prune plans/crm.yaml --dry-run', does: 'what would go?' },
    { line: 'prune plans/crm.yaml --keep within=30d,proven=3', does: 'another policy than the plan’s' },
  ],
  exits: [EXIT.stepFailed, EXIT.locked, EXIT.interrupted],
  async run({ plan: file, repository, database: name, keep: rules, dryRun }, context) {
    const { plan } = await openPlan(context, file);
    const database = oneOf('database', plan.databases, name, 'Choose with --database').name;
    const target = repositoryFor(plan, repository, database).name;
    const keep = rules.length > 0 ? keepRules(rules) : policyOf(plan, database, target);
    if (!dryRun) {
      const decisions = await decideNow(context, plan, { repository: target, database, keep });
      const going = decisions.filter((decision) => !decision.keep);
      if (going.length > 0) {
        context.out.print(describeDecisions(decisions, context.out.paint));
        await confirm(context, {
          facts: [
            ['repository', target],
            ['database', database],
            ['will be lost', going.map(({ backup }) => backup).join(', ')],
          ],
          question: `Delete ${going.length} of ${decisions.length} backups?`,
          action: `deletes ${going.length} ${going.length === 1 ? 'backup' : 'backups'}`,
        });
      }
    }
    return await execute(context, plan, { job: pruneJob({ repository: target, database, keep, dryRun }) });
  },
});

/** The policy of the plan's own prune step. @throws USAGE when there is none, or several that differ */
function policyOf(plan: Plan, database: string, repository: string): Readonly<Record<string, unknown>> {
  const policies = allSteps(plan).flatMap(({ step }) =>
    step.uses === 'prune' && step.with.database === database && step.with.repository === repository
      ? [step.with.keep as Readonly<Record<string, unknown>>]
      : [],
  );
  const different = new Map(policies.map((policy) => [JSON.stringify(policy), policy]));
  const [only] = different.values();
  if (different.size === 1 && only !== undefined) return only;
  throw new BackplanError(
    'USAGE',
    different.size === 0
      ? `the plan has no prune step for ${database} in ${repository}, so it does not say what to keep`
      : `the plan's prune steps for ${database} in ${repository} differ`,
    { hint: 'Say what to keep, for example --keep within=30d,proven=3.' },
  );
}
