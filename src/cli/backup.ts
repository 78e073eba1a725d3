/** `backup`: one backup now, without a job in the plan. */
import { EXIT } from '../errors.ts';
import { backupJob } from './adhoc.ts';
import {
  defineCommand,
  listOption,
  option,
  optionalArgument,
  parsedOption,
  planArgument,
} from './command.ts';
import { execute } from './execute.ts';
import { positiveInteger } from './parse.ts';
import { oneOf, openPlan, repositoryFor } from './plan.ts';

export const backup = defineCommand({
  name: 'backup',
  summary: 'back up a database now',
  description: 'DATABASE may be left out where the plan has only one. Nothing is deleted; `prune` does that.',
  group: 'At 3 a.m.',
  arguments: { plan: planArgument, database: optionalArgument('database of the plan', 'database') },
  options: {
    repository: option(
      '-r, --repository <name>',
      'where to (default: the only one, or the one that the plan uses for this database)',
      {
        completes: 'repository',
      },
    ),
    label: option('-l, --label <text>', 'free text to find it by, for example before-release-42'),
    fingerprint: option('--fingerprint <kind>', 'what is recorded of the source (default: counts)', {
      choices: ['none', 'counts', 'content'],
    }),
    format: option('--format <format>', 'of pg_dump; directory can be parallel (default: custom)', {
      choices: ['custom', 'directory'],
    }),
    jobs: parsedOption(
      '-j, --jobs <count>',
      'parallel workers of pg_dump, with --format directory',
      positiveInteger,
    ),
    tables: listOption('-t, --tables <names>', 'only these tables'),
    schemas: listOption('-n, --schemas <names>', 'only these schemas'),
    exclude: listOption('--exclude <names>', 'not these tables'),
    only: option('--only <part>', 'only the schema or only the data', { choices: ['schema', 'data'] }),
  },
  examples: [
    { line: 'backup plans/crm.yaml', does: 'the only database of the plan' },
    { line: 'backup plans/crm.yaml crm --label before-release-42', does: 'with a label to find it by' },
    { line: 'backup plans/crm.yaml crm --format directory --jobs 4', does: 'a big database' },
  ],
  exits: [EXIT.stepFailed, EXIT.locked, EXIT.environment, EXIT.interrupted],
  async run({ plan: file, database: name, repository, ...selection }, context) {
    const { plan } = await openPlan(context, file);
    const database = oneOf('database', plan.databases, name, 'Name one');
    const target = repositoryFor(plan, repository, database.name);
    return await execute(context, plan, {
      job: backupJob({
        ...selection,
        tables: unlessEmpty(selection.tables),
        schemas: unlessEmpty(selection.schemas),
        exclude: unlessEmpty(selection.exclude),
        database: database.name,
        repository: target.name,
      }),
    });
  },
});

/** An option that was not given leaves the setting away: an empty list would mean "nothing at all". */
export function unlessEmpty<T>(list: readonly T[]): readonly T[] | undefined {
  return list.length === 0 ? undefined : list;
}
