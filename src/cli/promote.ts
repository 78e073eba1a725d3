/** `promote`: makes a staging database, kept by an earlier restore, production. */
import { EXIT } from '../errors.ts';
import { promoteJob } from './adhoc.ts';
import { adopt } from './adopt.ts';
import { argument, defineCommand, flag, listOption, option, parsedOption, planArgument } from './command.ts';
import { execute } from './execute.ts';
import { durationText } from './parse.ts';
import { oneOf, openPlan } from './plan.ts';
import { replacementFacts } from './production.ts';
import { confirm } from './prompt.ts';
import { promotionSuites } from './restore-rules.ts';

export const promote = defineCommand({
  name: 'promote',
  summary: 'check a staging database and make it production',
  description:
    'STAGING is what `restore --into staging` made and named. Its checks must pass; then both databases swap names in one transaction. What was production is kept for `backplan rollback`.',
  group: 'At 3 a.m.',
  arguments: { plan: planArgument, staging: argument('name of the staging database') },
  options: {
    database: option('-d, --database <name>', 'which database it replaces (default: the only one)', {
      completes: 'database',
    }),
    suites: listOption(
      '-s, --suite <names>',
      'checks that must pass (default: what the plan runs for this database)',
      {
        completes: 'suite',
      },
    ),
    unchecked: flag('--unchecked', 'promote without any check'),
    keepPrevious: parsedOption(
      '--keep-previous <duration>',
      'how long what was production is kept (default: 24h)',
      durationText,
    ),
  },
  examples: [{ line: 'promote plans/crm.yaml crm_staging_x7k2mq', does: 'after looking at it' }],
  exits: [EXIT.stepFailed, EXIT.checksFailed, EXIT.locked, EXIT.inconclusive, EXIT.interrupted],
  async run(
    { plan: file, staging, database: name, suites: named, unchecked, keepPrevious = '24h' },
    context,
  ) {
    const { plan } = await openPlan(context, file);
    const database = oneOf('database', plan.databases, name, 'Choose with --database').name;
    const suites = promotionSuites(plan, database, { suites: named, unchecked });
    await confirm(context, {
      facts: [
        ['staging', staging],
        ...(await replacementFacts({ plan, database, source: undefined, keepPrevious, suites })),
      ],
      question: `Replace ${database} by ${staging}?`,
      action: `replaces the production database ${database}`,
    });
    const job = promoteJob({ database, suites, keepPrevious }, staging);
    return await execute(context, plan, { job, kinds: () => [adopt] });
  },
});
