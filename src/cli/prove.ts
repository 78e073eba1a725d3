/** `prove`: breaks a scratch copy in ways that fit each check and confirms that each goes red. */
import { EXIT, toBackplanError } from '../errors.ts';
import { proveJob } from './adhoc.ts';
import {
  defineCommand,
  listOption,
  option,
  optionalArgument,
  planArgument,
  repeatedOption,
} from './command.ts';
import { execute } from './execute.ts';
import { locateBackup, pinned } from './locate.ts';
import { parseNameValues } from './name-values.ts';
import { oneOf, openPlan, suitesOf } from './plan.ts';

export const prove = defineCommand({
  name: 'prove',
  summary: 'break a scratch copy in ways that fit each check, and see that each goes red',
  description: `Restores the newest backup into a throw-away server (without a backup: a fresh dump of the database), runs the suite, which must be green, and then breaks the copy for each check: drops the index, the constraint, the trigger, sets a value that must not be, deletes the row that must be there. Each damage is rolled back before the next.

A check that stays green whatever is broken never fails, and so protects nothing: exit 3. Where nothing could be broken (amcheck, checksums): exit 5. Production is only read, and only where there is no backup.`,
  group: 'Plans',
  arguments: { plan: planArgument, suite: optionalArgument('suite of the plan', 'suite') },
  options: {
    database: option('-d, --database <name>', 'which database (default: the only one)', {
      completes: 'database',
    }),
    backup: option('-b, --backup <backup>', 'which backup (default: latest)', { completes: 'backup' }),
    repository: option('-r, --repository <name>', 'where the backup is', { completes: 'repository' }),
    only: listOption('--only <names>', 'only checks of these names or tags'),
    skip: listOption('--skip <names>', 'all but the checks of these names or tags'),
    param: repeatedOption('--param <name=value>', 'a value for a parameter of the suites'),
  },
  examples: [
    { line: 'prove plans/crm.yaml crm-consistency', does: 'can each of these checks fail?' },
    { line: 'prove plans/crm.yaml --output json', does: 'per check what was broken, for a script' },
  ],
  exits: [EXIT.stepFailed, EXIT.checksFailed, EXIT.inconclusive, EXIT.environment, EXIT.interrupted],
  async run({ plan: file, suite, database: name, backup, repository, only, skip, param }, context) {
    const params = parseNameValues('--param', param, 'tenants=3');
    const { plan } = await openPlan(context, file);
    const database = oneOf('database', plan.databases, name, 'Choose with --database').name;
    const suites = suitesOf(plan, database, suite === undefined ? [] : [suite]);
    const found = await locateBackup(context, plan, backup ?? 'latest', { repository, database }).catch(
      (error: unknown) => {
        // Nobody named one, and there is none: the database itself is copied.
        if (backup === undefined && toBackplanError(error).code === 'BACKUP_NOT_FOUND') return undefined;
        throw error;
      },
    );
    return await execute(context, plan, {
      job: proveJob(
        { suites, database, only, skip, params },
        found === undefined ? undefined : pinned(found),
      ),
    });
  },
});
