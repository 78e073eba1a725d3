/**
 * `adopt`: the step that makes a staging database of an earlier run known to this one, so that `promote` and `drop`
 * can work on it. Only the command line knows this kind.
 */
import { BackplanError } from '../errors.ts';
import { parseConnection, withDatabase } from '../postgres/connection.ts';
import { markedDatabases } from '../postgres/marker.ts';
import { connectMaintenance } from '../postgres/swap.ts';
import { defineStep, type RestoredFrom } from '../steps/step-kind.ts';

export const adopt = defineStep({
  kind: 'adopt',
  summary: 'Find a staging database that an earlier restore kept.',
  with: {
    type: 'object',
    required: ['database', 'name'],
    additionalProperties: false,
    properties: {
      database: {
        type: 'string',
        'x-ref': 'planDatabase',
        description: 'The database that it is a copy of.',
      },
      name: { type: 'string', description: 'Its name on the server.' },
    },
  },
  outputs: { database: { type: 'string', description: 'Its handle.' } },
  describe: ({ database, name }) => `find the staging database ${name} of ${database}`,
  async run({ database, name }, context) {
    const definition = context.plan.databases[database];
    const server = parseConnection(definition?.url ?? '');
    await using client = await connectMaintenance(server, definition?.maintenanceDatabase, {
      applicationName: `backplan ${context.run.id} ${context.step}`,
      signal: context.signal,
      avoid: [name],
    });
    const staged = (await markedDatabases(client)).flatMap(({ name: each, marker }) =>
      'stagingFor' in marker && marker.stagingFor === server.database ? [{ name: each, marker }] : [],
    );
    const found = staged.find((each) => each.name === name);
    if (found === undefined) {
      throw new BackplanError('DATABASE_MISSING', `"${name}" is not a staging database of ${database}`, {
        hint:
          staged.length === 0
            ? 'There is none at all. `backplan restore PLAN --into staging` makes one.'
            : `There are: ${staged.map((each) => each.name).join(', ')}.`,
      });
    }
    const handle = `staging:${database}/${name}`;
    context.addDatabase({
      handle,
      kind: 'staging',
      database,
      connection: withDatabase(server, name),
      restoredFrom: origin(found.marker.backup, found.marker.whole !== false),
      // Between then and now anybody may have written to it: its checks prove the copy, not the backup.
      modified: true,
      failing: new Set(),
    });
    return { database: handle };
  },
});

function origin(backup: string | null, whole: boolean): RestoredFrom {
  const [, repository, id] = /^([^:]+):(.+)$/.exec(backup ?? '') ?? [];
  return {
    whole,
    ...(repository === undefined || id === undefined ? {} : { backup: { repository, id } }),
  };
}
