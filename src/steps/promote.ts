/** `promote`: replaces production by a staging database in one transaction and keeps the old one for rollback. */
import { isDeepStrictEqual } from 'node:util';
import { BackplanError } from '../errors.ts';
import type { Client } from '../postgres/client.ts';
import { describeConnection, parseConnection } from '../postgres/connection.ts';
import { captureDatabaseState, type DatabaseState, databaseStateSql } from '../postgres/globals.ts';
import { derivedName, previousEnding, readMark } from '../postgres/marker.ts';
import { connectMaintenance, swapDatabases } from '../postgres/swap.ts';
import { durationSchema } from '../schema.ts';
import { formatInstant, parseDuration } from '../units.ts';
import { tidyPreviousDatabases } from './previous-databases.ts';
import { type DatabaseTarget, defineStep, type StepContext } from './step-kind.ts';

export const promote = defineStep({
  kind: 'promote',
  summary:
    'Replace production by a staging database in one transaction; the previous one is kept for rollback.',
  destructive: true,
  onlyAfterSuccess: 'A copy that failed its checks, or that nothing has checked, could become production.',
  with: {
    type: 'object',
    required: ['staging', 'database'],
    additionalProperties: false,
    properties: {
      staging: {
        type: 'string',
        description: 'The staging database that a restore step made.',
        examples: ['${{ steps.stage.outputs.database }}'],
        'x-ref': 'database',
      },
      database: {
        type: 'string',
        description: 'The database of the plan that it replaces.',
        examples: ['crm'],
        'x-ref': 'planDatabase',
      },
      keepPrevious: {
        ...durationSchema,
        description: 'How long what was production is kept for `backplan rollback`.',
        default: '24h',
        examples: ['24h', '7d'],
      },
      settings: {
        enum: ['production', 'backup'],
        description:
          'Owner, grants, connection limit, settings and comment of the database: those that production has now, or those of the backup.',
        default: 'production',
        examples: ['production'],
      },
      allowPartial: {
        type: 'boolean',
        description:
          'Also promote a copy of a backup, or by a restore, that left something out. Production is without it then.',
        default: false,
        examples: [true],
      },
      timeout: {
        ...durationSchema,
        description: 'How long sessions on production may take to end before the promotion gives up.',
        default: '60s',
        examples: ['60s'],
      },
    },
  },
  outputs: {
    database: { type: 'string', description: 'The database of the plan that was replaced.' },
    previous: {
      type: 'string',
      description: 'Name under which what was production is kept; null when there was none.',
    },
    at: { type: 'string', description: 'When, in UTC.' },
  },
  writes: ({ database }) => [{ database }],
  describe: ({ staging, database, keepPrevious }) =>
    `replace ${database} by ${staging}, keeping the previous one for ${keepPrevious}`,
  async run({ staging, database, keepPrevious, settings, allowPartial, timeout }, context) {
    const target = context.database(staging);
    const definition = context.plan.databases[database];
    const production = context.database(database).connection;
    assertStaging(target, database);
    if (!allowPartial) assertWhole(target);
    assertChecked(target);
    const applicationName = `backplan ${context.run.id} ${context.step}`;
    const backupComment = await commentOfBackup(target, database, context);
    const now = new Date();
    const result = await swapDatabases({
      server: parseConnection(definition?.url ?? ''),
      maintenanceDatabase: definition?.maintenanceDatabase,
      applicationName,
      production: production.database,
      replacement: target.connection.database,
      previous: {
        name: derivedName(production.database, previousEnding(now, context.run.id)),
        marker: {
          previousOf: production.database,
          run: context.run.id,
          at: now.toISOString(),
          keepUntil: formatInstant(new Date(now.getTime() + parseDuration(keepPrevious))),
        },
      },
      comment: settings === 'backup' ? backupComment : undefined,
      fallbackComment: backupComment,
      carryOver: async (client, names) => {
        if (names.previous === undefined || settings === 'backup') return;
        await carryOver(client, names.previous, names.production);
      },
      timeoutMs: parseDuration(timeout),
      signal: context.signal,
      log: (message) => context.log.info(message),
    });
    context.log.info(
      result.previous === undefined
        ? `"${production.database}" is back; there was no such database before`
        : `"${production.database}" is replaced; ${result.ended} session(s) were ended; what was there is kept as "${result.previous}" for ${keepPrevious}`,
    );
    await tidyPreviousDatabases(database, context, result.previous);
    return { database, previous: result.previous ?? null, at: formatInstant(now) };
  },
});

function assertStaging(target: DatabaseTarget, database: string): void {
  if (target.kind === 'staging' && target.database === database) return;
  throw new BackplanError(
    'PROMOTE_REFUSED',
    target.kind === 'staging'
      ? `${target.handle} is a staging database for ${target.database}, not for ${database}`
      : `${target.handle} is not a staging database (${describeConnection(target.connection)})`,
    { hint: `Restore with \`into: { staging: ${database} }\` and promote what that step puts out.` },
  );
}

function assertWhole({ handle, restoredFrom }: DatabaseTarget): void {
  if (restoredFrom?.whole !== false) return;
  throw new BackplanError(
    'PROMOTE_REFUSED',
    `${handle} holds only a part of its database: production would lose everything else`,
    {
      hint: 'Restore a whole backup, whole. Where backups leave something out on purpose, `allowPartial: true` promotes them all the same.',
    },
  );
}

/** A failure that `continueOnError` tolerates lets the job go on, not this copy into production. */
function assertChecked({ handle, failing }: DatabaseTarget): void {
  if (failing === undefined || failing.size === 0) return;
  throw new BackplanError(
    'PROMOTE_REFUSED',
    `${handle} did not pass its checks: ${[...failing].join(', ')}`,
    {
      hint: 'Restore another backup. Checks that may fail get `severity: warn` in the suite, or are named under `tolerate`.',
    },
  );
}

/** The staging database must be ours and complete; returns the comment that it has in the backup. */
async function commentOfBackup(
  target: DatabaseTarget,
  database: string,
  context: StepContext,
): Promise<string | null> {
  const definition = context.plan.databases[database];
  const name = target.connection.database;
  await using client = await connectMaintenance(
    parseConnection(definition?.url ?? ''),
    definition?.maintenanceDatabase,
    {
      applicationName: `backplan ${context.run.id} ${context.step}`,
      signal: context.signal,
      avoid: [name],
    },
  );
  const { exists, marker } = await readMark(client, name);
  if (!exists) {
    throw new BackplanError('DATABASE_MISSING', `the staging database "${name}" does not exist`, {
      hint: 'It was dropped or promoted already. Restore again.',
    });
  }
  if (marker === undefined || !('stagingFor' in marker)) {
    throw new BackplanError(
      'PROMOTE_REFUSED',
      `"${name}" does not carry backplan's staging mark, so it does not become production`,
      {
        hint: 'Only what a restore step made, and has finished, can be promoted.',
      },
    );
  }
  return marker.comment ?? null;
}

/**
 * Database-level state is bound to the database, not to its name: without this, a REVOKEd CONNECT would be public
 * again after the swap. What does not arrive as it was undoes the whole promotion.
 */
async function carryOver(client: Client, from: string, to: string): Promise<void> {
  const wanted = await captureDatabaseState(client, from);
  for (const statement of databaseStateSql(wanted, to, { reset: true, comment: false }))
    await client.query(statement);
  const reached = await captureDatabaseState(client, to);
  const different = differences(wanted, reached);
  if (different.length > 0) {
    throw new BackplanError(
      'PROMOTE_FAILED',
      `database settings could not be carried over to the restored database: ${different.join(', ')}`,
      {
        hint: 'Production is as it was. The role of the plan needs the right to set them (owner of the database, or superuser), or use `settings: backup`.',
      },
    );
  }
}

/** Names of the fields that differ, of those that can be set on an existing database. */
function differences(wanted: DatabaseState, reached: DatabaseState): string[] {
  const carried = ['owner', 'acl', 'connectionLimit', 'settings', 'securityLabels'] as const;
  return carried.filter((field) => !isDeepStrictEqual(wanted[field], reached[field]));
}
