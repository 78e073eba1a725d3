/** `drop`: removes databases that backplan made: a staging database, or previous ones whose time is over. */
import { BackplanError } from '../errors.ts';
import { type Client, identifier } from '../postgres/client.ts';
import { parseConnection } from '../postgres/connection.ts';
import { dropDatabase } from '../postgres/create-database.ts';
import { markedDatabases, readMark } from '../postgres/marker.ts';
import { connectMaintenance } from '../postgres/swap.ts';
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
    if (previous !== undefined) dropped.push(...(await dropPrevious(previous, all, context)));
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
  await using client = await maintenance(target.database, context);
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

async function dropPrevious(database: string, all: boolean, context: StepContext): Promise<string[]> {
  const production = context.database(database).connection.database;
  await using client = await maintenance(database, context);
  const clock = await client.first<{ now: number }>(
    'SELECT (extract(epoch FROM pg_catalog.clock_timestamp()) * 1000)::float8 AS now',
  );
  const dropped: string[] = [];
  for (const { name, marker } of await markedDatabases(client)) {
    if (!('previousOf' in marker) || marker.previousOf !== production) continue;
    // Dropping is for what is surely over: by both clocks, and not where the time of the mark cannot be read.
    const expired = Date.parse(marker.keepUntil) <= Math.min(Date.now(), clock?.now ?? 0);
    if (!all && !expired) {
      context.log.info(`"${name}" is kept until ${marker.keepUntil}`);
      continue;
    }
    await dropDatabase(client, name);
    context.log.info(`dropped previous database "${name}" (replaced ${marker.at})`);
    dropped.push(name);
  }
  return dropped;
}

async function maintenance(database: string | undefined, context: StepContext): Promise<Client> {
  const definition = database === undefined ? undefined : context.plan.databases[database];
  if (definition === undefined) {
    throw new BackplanError(
      'DATABASE_MISSING',
      `the plan does not know the server of ${database ?? 'this database'}`,
    );
  }
  return await connectMaintenance(parseConnection(definition.url), definition.maintenanceDatabase, {
    applicationName: `backplan ${context.run.id} ${context.step}`,
    signal: context.signal,
  });
}
