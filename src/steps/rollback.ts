/** `rollback`: swaps the newest kept previous database back into production. */
import { BackplanError } from '../errors.ts';
import { parseConnection } from '../postgres/connection.ts';
import {
  derivedName,
  type MarkedDatabase,
  type Marker,
  markedDatabases,
  previousEnding,
} from '../postgres/marker.ts';
import { connectMaintenance, swapDatabases } from '../postgres/swap.ts';
import { durationSchema } from '../schema.ts';
import { formatInstant, parseDuration } from '../units.ts';
import { defineStep } from './step-kind.ts';

export type PreviousDatabase = {
  readonly name: string;
  readonly marker: Extract<Marker, { previousOf: string }>;
};

/** The kept previous databases of a production database, newest swap first. */
export function previousOf(marked: readonly MarkedDatabase[], production: string): PreviousDatabase[] {
  return marked
    .filter(
      (each): each is PreviousDatabase =>
        'previousOf' in each.marker && each.marker.previousOf === production,
    )
    .sort((a, b) => b.marker.at.localeCompare(a.marker.at));
}

export const rollback = defineStep({
  kind: 'rollback',
  summary:
    'Swap the kept previous database back into production, in one transaction. What was production is kept in turn.',
  destructive: true,
  with: {
    type: 'object',
    required: ['database'],
    additionalProperties: false,
    properties: {
      database: {
        type: 'string',
        description: 'The database of the plan to roll back.',
        examples: ['crm'],
        'x-ref': 'planDatabase',
      },
      previous: {
        type: 'string',
        description: 'Which previous database. Default: the one that was replaced last.',
        examples: ['crm_previous_20261124T031200Z'],
      },
      keepPrevious: {
        ...durationSchema,
        description: 'How long the database that is rolled away is kept.',
        default: '24h',
        examples: ['24h', '7d'],
      },
      timeout: {
        ...durationSchema,
        description: 'How long sessions may take to end before the rollback gives up.',
        default: '60s',
        examples: ['60s'],
      },
    },
  },
  outputs: {
    database: { type: 'string', description: 'The database of the plan.' },
    restored: { type: 'string', description: 'Name of the previous database that is production again.' },
    previous: { type: 'string', description: 'Name under which the database that was rolled away is kept.' },
  },
  writes: ({ database }) => [{ database }],
  describe: ({ database }) => `swap the previous database of ${database} back into production`,
  async run({ database, previous, keepPrevious, timeout }, context) {
    const target = context.database(database);
    const definition = context.plan.databases[database];
    const server = parseConnection(definition?.url ?? '');
    const applicationName = `backplan ${context.run.id} ${context.step}`;
    const production = target.connection.database;
    const candidates = await (async () => {
      await using client = await connectMaintenance(server, definition?.maintenanceDatabase, {
        applicationName,
        signal: context.signal,
        avoid: [production],
      });
      return previousOf(await markedDatabases(client), production);
    })();
    const chosen = previous === undefined ? candidates[0] : candidates.find(({ name }) => name === previous);
    if (chosen === undefined) {
      throw new BackplanError(
        'DATABASE_MISSING',
        previous === undefined
          ? `there is no previous database of "${production}" to go back to`
          : `"${previous}" is not a previous database of "${production}"`,
        {
          hint:
            candidates.length === 0
              ? 'It was never promoted over, or keepPrevious is over and it was dropped. Restore a backup instead: `backplan restore`.'
              : `There are: ${candidates.map(({ name }) => name).join(', ')}.`,
        },
      );
    }
    const now = new Date();
    const away = derivedName(production, previousEnding(now, context.run.id));
    const result = await swapDatabases({
      server,
      maintenanceDatabase: definition?.maintenanceDatabase,
      applicationName,
      production,
      replacement: chosen.name,
      previous: {
        name: away,
        marker: {
          previousOf: production,
          run: context.run.id,
          at: now.toISOString(),
          keepUntil: formatInstant(new Date(now.getTime() + parseDuration(keepPrevious))),
        },
      },
      comment: chosen.marker.comment ?? null,
      timeoutMs: parseDuration(timeout),
      signal: context.signal,
      log: (message) => context.log.info(message),
    });
    context.log.info(`"${chosen.name}" is "${production}" again; ${result.ended} session(s) were ended`);
    return { database, restored: chosen.name, previous: result.previous ?? null };
  },
});
