/** `check`: runs suites on a database of the plan, read-only. */
import { BackplanError, EXIT } from '../errors.ts';
import { checkJob, compareJob } from './adhoc.ts';
import {
  defineCommand,
  flag,
  listOption,
  option,
  optionalArgument,
  planArgument,
  repeatedOption,
} from './command.ts';
import { makeComparison, PRODUCTION, RESTORED } from './compare-checks.ts';
import { execute } from './execute.ts';
import { locateBackup, pinned } from './locate.ts';
import { parseNameValues } from './name-values.ts';
import { objectives } from './objectives.ts';
import { oneOf, openPlan, suitesOf } from './plan.ts';
import { reportOption } from './report-files.ts';

export const check = defineCommand({
  name: 'check',
  summary: 'run a suite of checks on a database, read-only',
  description:
    'Without SUITE: what the plan’s jobs run on this database or on its copies. Looking needs no lock and changes nothing; it is safe on production. Where the plan declares an rpo or rto for the database, its newest proven backup must meet them too, or this ends with 3.',
  group: 'At 3 a.m.',
  arguments: { plan: planArgument, suite: optionalArgument('suite of the plan', 'suite') },
  options: {
    database: option('-d, --database <name>', 'which database (default: the only one)', {
      completes: 'database',
    }),
    suites: listOption('-s, --suite <names>', 'more suites', { completes: 'suite' }),
    compare: flag('--compare', 'also on the restored backup, side by side: where did it break?'),
    backup: option('-b, --backup <backup>', 'with --compare: which backup (default: latest)', {
      completes: 'backup',
    }),
    report: reportOption,
    only: listOption('--only <names>', 'only checks of these names or tags'),
    skip: listOption('--skip <names>', 'all but the checks of these names or tags'),
    param: repeatedOption('--param <name=value>', 'a value for a parameter of the suites'),
  },
  examples: [
    { line: 'check plans/crm.yaml', does: 'is production consistent?' },
    { line: 'check plans/crm.yaml crm-consistency --database crm', does: 'when there are several' },
    {
      line: 'check plans/crm.yaml --report junit=checks.xml --report markdown=checks.md',
      does: 'for a CI job',
    },
    { line: 'check plans/crm.yaml --compare', does: 'did it break before the backup, or after?' },
    { line: 'check plans/crm.yaml --skip slow', does: 'without the checks that carry the tag slow' },
  ],
  exits: [EXIT.stepFailed, EXIT.checksFailed, EXIT.inconclusive, EXIT.environment, EXIT.interrupted],
  async run(
    { plan: file, suite, database: name, suites: more, only, skip, param, report, compare, backup },
    context,
  ) {
    const params = parseNameValues('--param', param, 'tenants=3');
    const { plan } = await openPlan(context, file);
    const database = oneOf('database', plan.databases, name, 'Choose with --database');
    const named = [...(suite === undefined ? [] : [suite]), ...more];
    const suites = suitesOf(plan, database.name, named);
    const declared = { objectives: database.rpo !== undefined || database.rto !== undefined };
    const kinds = () => [objectives];
    const request = { database: database.name, suites, only, skip, params };
    if (!compare) {
      if (backup !== undefined) {
        throw new BackplanError('USAGE', '--backup is only for --compare', {
          hint: 'A backup alone is checked by backplan restore --into sandbox.',
        });
      }
      return await execute(context, plan, { reports: report, job: checkJob(request, declared), kinds });
    }
    const found = await locateBackup(context, plan, backup ?? 'latest', { database: database.name });
    const { reporter, show } = makeComparison(context.out);
    return await execute(context, plan, {
      reports: report,
      job: compareJob(
        { ...request, backup: pinned(found) },
        { production: PRODUCTION, restored: RESTORED },
        declared,
      ),
      kinds,
      listener: reporter,
      after: show,
    });
  },
});
