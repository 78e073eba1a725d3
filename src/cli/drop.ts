/** `drop`: removes a staging database that an earlier restore kept. */
import { EXIT } from '../errors.ts';
import { dropJob } from './adhoc.ts';
import { adopt } from './adopt.ts';
import { argument, defineCommand, option, planArgument } from './command.ts';
import { execute } from './execute.ts';
import { oneOf, openPlan } from './plan.ts';
import { describeServer } from './production.ts';
import { confirm } from './prompt.ts';

export const drop = defineCommand({
  name: 'drop',
  summary: 'drop a staging database that was not promoted',
  description: 'Only databases that carry backplan’s own staging mark are ever dropped, never production.',
  group: 'At 3 a.m.',
  arguments: { plan: planArgument, staging: argument('name of the staging database') },
  options: {
    database: option('-d, --database <name>', 'which database it is a copy of (default: the only one)', {
      completes: 'database',
    }),
  },
  examples: [{ line: 'drop plans/crm.yaml crm_staging_x7k2mq', does: 'after looking at it' }],
  exits: [EXIT.stepFailed, EXIT.locked, EXIT.interrupted],
  async run({ plan: file, staging, database: name }, context) {
    const { plan } = await openPlan(context, file);
    const database = oneOf('database', plan.databases, name, 'Choose with --database').name;
    await confirm(context, {
      facts: [
        ['staging', `${staging}, on the server of ${await describeServer(plan, database)}`],
        ['will be lost', 'this copy; the backup it came from stays'],
      ],
      question: `Drop ${staging}?`,
      action: `drops the staging database ${staging}`,
    });
    return await execute(context, plan, { job: dropJob(database, staging), kinds: () => [adopt] });
  },
});
