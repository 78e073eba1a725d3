/** `drop`: removes databases that backplan made: a staging database, or previous ones whose time is over. */
import { BackplanError } from '../errors.ts';
import { identifier } from '../postgres/client.ts';
import { dropDatabase } from '../postgres/create-database.ts';
import { readMark } from '../postgres/marker.ts';
import { connectServerOf, dropPreviousDatabases } from './previous-databases.ts';
import { defineStep, type StepContext } from './step-kind.ts';

export const drop = defineStep({
  kind: 'drop',
  summary:
    'Drop a staging database, or previous databases whose keepPrevious time is over. Never anything else.',
  with: {
    type: 'object',
    additionalProperties: false,
    properties: {
      staging: {
        type: ['string', 'null'],
        description: 'The staging database to drop. One that was promoted or never made is nothing to do.',
        examples: ['${{ steps.stage.outputs.database }}'],
        'x-ref': 'database',
      },
      previous: {
        type: 'string',
        description: 'Drop the previous databases of this one whose keepPrevious time is over.',
        examples: ['crm'],
        'x-ref': 'planDatabase',
      },
      all: {
        type: 'boolean',
        description: 'With `previous`: also those that are still kept for rollback.',
        examples: [false],
        default: false,
      },
    },
  },
  outputs: { dropped: { type: 'list', description: 'Names of the databases that were dropped.' } },
  writes: ({ previous }) => (previous === undefined ? [] : [{ database: previous }]),
  // A staging database that is null is no error: the output of a restore that never ran is nothing to drop.
  validate: ({ staging, previous, all }) => {
    if (staging === undefined && previous === undefined)
      return [{ path: [], message: 'names nothing to drop' }];
    return all && previous === undefined ? [{ path: ['all'], message: '`all` belongs to `previous`' }] : [];
  },
  describe: ({ staging, previous, all }) =>
    staging === undefined || staging === null
      ? `drop ${all ? 'all' : 'expired'} previous databases of ${previous}`
      : `drop the staging database ${staging}`,
  async run({ staging, previous, all }, context) {
    const dropped: string[] = [];
    if (typeof staging === 'string' && staging !== '') dropped.push(...(await dropStaging(staging, context)));
    if (previous !== undefined) dropped.push(...(await dropPreviousDatabases(previous, context, { all })));
    if (dropped.length === 0) context.log.info('nothing to drop');
    return { dropped };
  },
});

async function dropStaging(handle: string, context: StepContext): Promise<string[]> {
  const target = context.database(handle);
  if (target.kind !== 'staging') {
    throw new BackplanError('DROP_REFUSED', `${handle} is not a staging database, so it is not dropped`, {
      hint: 'Sandboxes end with their run; other databases are yours to drop.',
    });
  }
  const name = target.connection.database;
  await using client = await connectServerOf(target.database, context);
  const { exists, marker } = await readMark(client, name);
  if (!exists) return [];
  if (marker === undefined || !('stagingFor' in marker)) {
    throw new BackplanError(
      'DROP_REFUSED',
      `"${name}" does not carry backplan's staging mark, so it is not dropped`,
      {
        hint: `If it really is rubbish: DROP DATABASE ${identifier(name)};`,
      },
    );
  }
  await dropDatabase(client, name);
  context.log.info(`dropped staging database "${name}"`);
  return [name];
}
