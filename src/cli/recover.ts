/** `recover`: rows that were deleted or changed come back from a backup, into the living database. */
import { resolve } from 'node:path';
import { BackplanError, EXIT } from '../errors.ts';
import { recoverJob } from './adhoc.ts';
import { makeApprove } from './approve.ts';
import { defineCommand, flag, option, parsedOption, planArgument } from './command.ts';
import { execute } from './execute.ts';
import { locateBackup, pinned } from './locate.ts';
import { positiveInteger } from './parse.ts';
import { oneOf, openPlan } from './plan.ts';
import { isInteractive } from './prompt.ts';

export const recover = defineCommand({
  name: 'recover',
  summary: 'bring deleted rows back from a backup, with everything that belongs to them',
  description: `Restores the needed tables into a throw-away server and shows which rows the backup has and the database does not: those asked for, the rows of other tables that ON DELETE CASCADE deleted along with them, the references that ON DELETE SET NULL took, and the parents that they need.

With --apply they are inserted after you confirm: in one transaction, parents first, with generated and identity columns, sequences and triggers minded. Nothing that is there is changed, unless you say --overwrite. Where production has taken a unique value meanwhile, nothing is inserted, and it is said which.`,
  group: 'At 3 a.m.',
  arguments: { plan: planArgument },
  options: {
    table: option('-t, --table <name>', 'the table'),
    where: option('-w, --where <condition>', 'which of its rows: SQL, asked of the backup; true for all'),
    backup: option('-b, --backup <backup>', 'which backup (default: latest-proven)', { completes: 'backup' }),
    apply: flag('--apply', 'insert them, after you confirm'),
    database: option('-d, --database <name>', 'which database (default: the only one)', {
      completes: 'database',
    }),
    repository: option('-r, --repository <name>', 'where the backup is', { completes: 'repository' }),
    alone: flag('--alone', 'not the rows that were deleted along'),
    overwrite: flag('--overwrite', 'rows that differ become what they were'),
    fireTriggers: flag('--fire-triggers', 'triggers fire for the rows that come back'),
    sql: option('--sql <file>', 'write the statements to this file', { completes: 'file' }),
    limit: parsedOption('--limit <rows>', 'refuse more rows than this (default: 10000)', positiveInteger),
  },
  examples: [
    {
      line: `recover plans/crm.yaml -t TenantLicense -w '"tenantId" = $$t42$$'`,
      does: 'what is missing?',
    },
    {
      line: `recover plans/crm.yaml -t User -w 'id in (4, 5)' --backup latest --sql back.sql`,
      does: 'the SQL, to look at',
    },
    { line: `recover plans/crm.yaml -t User -w 'id in (4, 5)' --apply`, does: 'and insert it' },
  ],
  exits: [EXIT.stepFailed, EXIT.locked, EXIT.environment, EXIT.interrupted],
  async run(values, context) {
    const { plan } = await openPlan(context, values.plan);
    const database = oneOf('database', plan.databases, values.database, 'Choose with --database').name;
    if (values.table === undefined || values.where === undefined) {
      throw new BackplanError('USAGE', '--table and --where say which rows', {
        hint: `For example --table User --where 'id in (4, 5)'; --where true is all of them.`,
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
    const backup = await locateBackup(context, plan, values.backup ?? 'latest-proven', {
      repository: values.repository,
      database,
    });
    const job = recoverJob(
      {
        database,
        backup: pinned(backup),
        table: values.table,
        where: values.where,
        children: !values.alone,
        overwrite: values.overwrite,
        ...(values.fireTriggers ? { triggers: 'fire' } : {}),
        ...(values.sql === undefined ? {} : { file: resolve(values.sql) }),
        ...(values.limit === undefined ? {} : { limit: values.limit }),
      },
      values.apply,
    );
    const question = { question: `Bring this back into ${database}?`, action: `changes ${database}` };
    return await execute(context, plan, {
      job,
      kinds: (say) => [makeApprove(context, say, values.apply ? question : undefined)],
      after: (record) => {
        if (!values.apply && record.status === 'succeeded') {
          context.out.note('Nothing was changed; --apply brings it back.');
        }
      },
    });
  },
});
