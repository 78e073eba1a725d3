/** `repair`: looks for damage, shows the statements that would mend it, and runs them after a yes. */
import { BackplanError, EXIT } from '../errors.ts';
import { REPAIR_KINDS } from '../repair/kinds.ts';
import { repairJob } from './adhoc.ts';
import { makeApprove } from './approve.ts';
import { defineCommand, flag, listOption, option, parsedOption, planArgument } from './command.ts';
import { execute } from './execute.ts';
import { locateBackup, pinned } from './locate.ts';
import { durationText } from './parse.ts';
import { byName, oneOf, openPlan, suitesFor } from './plan.ts';
import { isInteractive } from './prompt.ts';

export const repair = defineCommand({
  name: 'repair',
  summary: 'show the SQL that mends keys, foreign keys, indexes and sequences; run it with --apply',
  description: `Looks for unique constraints and primary keys that are missing or invalid, foreign keys that are missing, NOT VALID or disabled, rows that refer to nothing, invalid and missing indexes, sequences behind their columns and materialized views without data.

What must be there is what the suites of the database check, and with --backup everything that the schema of that backup has (it is restored, without rows, into a throw-away server).

Nothing is deleted: rows that are in the way move to tables of the schema _quarantine, and only when you say which (--keep, --quarantine-orphans). Every repair is one transaction where PostgreSQL allows it, is looked at again before it is committed, and leaves everything as it was when it fails.`,
  group: 'At 3 a.m.',
  arguments: { plan: planArgument },
  options: {
    apply: flag('--apply', 'run the statements, after you confirm'),
    database: option('-d, --database <name>', 'which database (default: the only one)', {
      completes: 'database',
    }),
    suites: listOption(
      '-s, --suite <names>',
      'what must be there (default: what the plan runs for this database)',
      {
        completes: 'suite',
      },
    ),
    backup: option('-b, --backup <backup>', 'what must be there: the schema of this backup', {
      completes: 'backup',
    }),
    repository: option('-r, --repository <name>', 'where that backup is', { completes: 'repository' }),
    only: listOption('--only <kinds>', `only these: ${REPAIR_KINDS.join(', ')}`, { completes: REPAIR_KINDS }),
    keep: option('--keep <which>', 'of rows with the same key keep this one, quarantine the others', {
      choices: ['newest', 'oldest'],
    }),
    by: option('--by <column>', 'the column that says which is newest'),
    quarantineOrphans: flag('--quarantine-orphans', 'quarantine rows that refer to nothing'),
    lockTimeout: parsedOption(
      '--lock-timeout <duration>',
      'how long to wait for a table in use (default: 10s)',
      durationText,
    ),
  },
  examples: [
    { line: 'repair plans/crm.yaml', does: 'what is broken, and which SQL mends it?' },
    {
      line: 'repair plans/crm.yaml --backup latest-proven --apply',
      does: 'as it was in the newest proven backup',
    },
    {
      line: 'repair plans/crm.yaml --only uniqueKeys --keep newest --by updatedAt --apply',
      does: 'duplicates to the quarantine, then the constraint',
    },
  ],
  exits: [EXIT.stepFailed, EXIT.locked, EXIT.environment, EXIT.interrupted],
  async run(values, context) {
    const { plan } = await openPlan(context, values.plan);
    const database = oneOf('database', plan.databases, values.database, 'Choose with --database').name;
    for (const suite of values.suites) byName('suite', plan.suites, suite);
    if ((values.keep === undefined) !== (values.by === undefined)) {
      throw new BackplanError('USAGE', '--keep and --by belong together', {
        hint: 'For example --keep newest --by updatedAt.',
      });
    }
    if (values.apply && !context.globals.yes && (context.out.json || !isInteractive())) {
      throw new BackplanError(
        'CONFIRMATION_REQUIRED',
        `this changes ${database}, and nobody is there to ask`,
        {
          hint: 'Look at what it shows without --apply, then run it with --apply --yes.',
        },
      );
    }
    const backup =
      values.backup === undefined
        ? undefined
        : await locateBackup(context, plan, values.backup, { repository: values.repository, database });
    const job = repairJob(
      {
        database,
        suite: values.suites.length > 0 ? values.suites : suitesFor(plan, database),
        ...(values.only.length === 0 ? {} : { only: values.only }),
        ...(values.keep === undefined ? {} : { duplicates: { keep: values.keep, by: values.by } }),
        ...(values.quarantineOrphans ? { orphans: 'quarantine' } : {}),
        ...(values.lockTimeout === undefined ? {} : { lockTimeout: values.lockTimeout }),
      },
      { apply: values.apply, backup: backup === undefined ? undefined : pinned(backup) },
    );
    const question = { question: `Run this on ${database}?`, action: `changes ${database}` };
    return await execute(context, plan, {
      job,
      kinds: (say) => [makeApprove(context, say, values.apply ? question : undefined)],
      after: (record) => {
        if (!values.apply && record.status === 'succeeded') {
          context.out.note('Nothing was changed; --apply runs it.');
        }
      },
    });
  },
});
