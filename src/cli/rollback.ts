/** `rollback`: swaps the kept previous database back into production. */
import { EXIT } from '../errors.ts';
import { rollbackJob } from './adhoc.ts';
import { argument, defineCommand, option, parsedOption, planArgument } from './command.ts';
import { execute } from './execute.ts';
import { durationText } from './parse.ts';
import { byName, openPlan } from './plan.ts';
import { describeServer } from './production.ts';
import { confirm } from './prompt.ts';

export const rollback = defineCommand({
  name: 'rollback',
  summary: 'swap the database that was replaced by the last promotion back into production',
  description:
    'One transaction, as the promotion was. What is production now is kept in turn, so a rollback can be rolled back too.',
  group: 'At 3 a.m.',
  arguments: { plan: planArgument, database: argument('database of the plan', 'database') },
  options: {
    previous: option(
      '--previous <name>',
      'which previous database (default: the one that was replaced last)',
    ),
    keepPrevious: parsedOption(
      '--keep-previous <duration>',
      'how long what is rolled away is kept (default: 24h)',
      durationText,
    ),
  },
  examples: [
    { line: 'rollback plans/crm.yaml crm', does: 'the promotion was a mistake' },
    { line: 'rollback plans/crm.yaml crm --yes', does: 'from a script' },
  ],
  exits: [EXIT.stepFailed, EXIT.locked, EXIT.interrupted],
  async run({ plan: file, database: name, previous, keepPrevious = '24h' }, context) {
    const { plan } = await openPlan(context, file);
    const database = byName('database', plan.databases, name);
    await confirm(context, {
      facts: [
        ['database', `${name} on ${await describeServer(plan, name)}`],
        ['comes back', previous ?? 'the database that the last promotion replaced'],
        [
          'goes away',
          `what is production now, with everything written since the promotion; kept for ${keepPrevious}`,
        ],
        ['sessions', 'all connections to the database are ended'],
      ],
      question: `Roll ${name} back?`,
      action: `replaces the production database ${name}`,
    });
    return await execute(context, plan, {
      job: rollbackJob({
        database: database.name,
        keepPrevious,
        ...(previous === undefined ? {} : { previous }),
      }),
    });
  },
});
