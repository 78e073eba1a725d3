/** `preflight`: looks, without touching anything, whether what comes next can work. Every problem comes with its cure. */
import { BackplanError, toBackplanError } from '../errors.ts';
import {
  missingRoles,
  rights,
  serverFacts,
  serverFreeSpace,
  swapBlockers,
  unavailableExtensions,
} from '../postgres/catalog.ts';
import { type Client, connect, identifier, sqlState } from '../postgres/client.ts';
import { describeConnection, parseConnection } from '../postgres/connection.ts';
import { connectMaintenance } from '../postgres/swap.ts';
import { findTools, major, versionText } from '../postgres/tools.ts';
import type { JsonSchema } from '../schema.ts';
import { formatBytes } from '../units.ts';
import { extensionPackageHint } from './restore-hints.ts';
import { type RestoreSource, resolveSource } from './restore-source.ts';
import { defineStep, type StepContext } from './step-kind.ts';

/** Something that would stand in the way, or may. */
interface Problem {
  readonly message: string;
  readonly hint: string;
  /** Without this nothing that follows can work. */
  readonly fatal?: BackplanError['code'];
}

const withSchema = {
  type: 'object',
  required: ['database'],
  additionalProperties: false,
  properties: {
    database: {
      type: 'string',
      description: 'The database of the plan that is backed up, or restored to.',
      examples: ['crm'],
      'x-ref': 'planDatabase',
    },
    backup: {
      type: ['string', 'null'],
      description: 'The backup that will be restored: looks whether it can be, and beside this database.',
      examples: ['${{ inputs.backup }}'],
    },
    path: {
      type: ['string', 'null'],
      description: 'The archive from elsewhere that will be restored.',
      examples: ['/var/backups/crm.dump'],
    },
    repository: {
      type: 'string',
      description: 'Where the backup is. Default: wherever it is found.',
      examples: ['local'],
      'x-ref': 'repository',
    },
    strict: {
      type: 'boolean',
      description: 'Warnings fail the step as well.',
      default: false,
      examples: [true],
    },
  },
} as const satisfies JsonSchema;

export const preflight = defineStep({
  kind: 'preflight',
  summary:
    'Check connection, versions, tools, rights, disk space, extensions, roles and the archive before anything is changed.',
  with: withSchema,
  outputs: {
    serverVersion: { type: 'string', description: 'Version of the server; null when the database is gone.' },
    freeBytes: {
      type: 'number',
      description: 'Free space where the server keeps its data; null where that cannot be seen.',
    },
    warnings: { type: 'list', description: 'What may stand in the way, each with its cure.' },
  },
  describe: ({ database, backup, path }) =>
    `check that ${backup ?? path ?? 'a backup'} can be ${backup === undefined && path === undefined ? `made of ${database}` : `restored beside ${database}`}`,
  async run(params, context) {
    const restoring = [params.backup, params.path].some((each) => typeof each === 'string' && each !== '');
    const problems: Problem[] = [];
    const source = restoring
      ? await resolveSource({ ...params, database: params.database }, context)
      : undefined;
    await using client = await connectSomewhere(params.database, restoring, context, problems);
    const server = await serverFacts(client);
    const freeSpace = await serverFreeSpace(client);
    problems.push(...(await toolProblems(client, source, context)));
    const here = client.connection.database === context.database(params.database).connection.database;
    problems.push(...(await rightProblems(client, restoring, here)));
    if (restoring && here) problems.push(...(await swapProblems(client)));
    if (source !== undefined) problems.push(...(await targetProblems(client, source, freeSpace)));
    const fatal =
      problems.find((problem) => problem.fatal !== undefined) ?? (params.strict ? problems[0] : undefined);
    for (const { message, hint } of problems) context.log.warn(`${message}. ${hint}`);
    if (fatal !== undefined) {
      throw new BackplanError(fatal.fatal ?? 'STEP_FAILED', fatal.message, {
        hint: fatal.hint,
        detail: problems.map(({ message, hint }) => `${message}\n  ${hint}`).join('\n'),
      });
    }
    context.log.info(
      `${describeConnection(client.connection)} is PostgreSQL ${server.serverVersion}${freeSpace === undefined ? '' : `, ${formatBytes(freeSpace.bytes)} free`}${source === undefined ? '' : `; ${source.label} can be read`}`,
    );
    return {
      serverVersion: server.serverVersion,
      freeBytes: freeSpace?.bytes ?? null,
      warnings: problems.map(({ message, hint }) => `${message}. ${hint}`),
    };
  },
});

/** Production may be gone: then its server is what is looked at. */
async function connectSomewhere(
  database: string,
  restoring: boolean,
  context: StepContext,
  problems: Problem[],
): Promise<Client> {
  const definition = context.plan.databases[database];
  const connection = parseConnection(definition?.url ?? '');
  const options = {
    applicationName: `backplan ${context.run.id} ${context.step}`,
    signal: context.signal,
    settings: { statement_timeout: '60s' },
  };
  try {
    return await connect(connection, options);
  } catch (error) {
    // 3D000 no such database, 55000 it takes no connections.
    if (!restoring || !['3D000', '55000'].includes(sqlState(error) ?? '')) throw error;
    problems.push({
      message: toBackplanError(error).message,
      hint: 'The restored copy can take its name all the same.',
    });
    return await connectMaintenance(connection, definition?.maintenanceDatabase, options);
  }
}

async function toolProblems(
  client: Client,
  source: RestoreSource | undefined,
  context: StepContext,
): Promise<Problem[]> {
  const { binDirectories } = context.plan.settings;
  const needs: readonly (readonly [number | undefined, readonly string[]])[] = [
    [client.serverVersion, ['pg_dump']],
    ...(source === undefined
      ? []
      : [
          [
            source.dumpVersionNum,
            source.format === 'plain' ? ['psql', 'vacuumdb'] : ['pg_restore', 'psql', 'vacuumdb'],
          ] as const,
        ]),
  ];
  const problems: Problem[] = [];
  for (const [version, need] of needs) {
    try {
      await findTools(version, { binDirectories, need });
    } catch (error) {
      const { code, message, hint = '' } = toBackplanError(error);
      problems.push({ message, hint, fatal: code });
    }
  }
  return problems;
}

/** @param here connected to the database itself, not to another one of its server */
async function rightProblems(client: Client, restoring: boolean, here: boolean): Promise<Problem[]> {
  const may = await rights(client);
  const role = identifier(may.user);
  const problems: Problem[] = [];
  if (restoring && !may.createDatabase) {
    problems.push({
      message: `the role ${may.user} may not create databases`,
      hint: `A staging database needs it: ALTER ROLE ${role} CREATEDB.`,
      fatal: 'PERMISSION_DENIED',
    });
  }
  if (restoring && here && !may.superuser && !may.ownsDatabase) {
    problems.push({
      message: `the role ${may.user} does not own ${client.connection.database}`,
      hint: `It can restore, but not promote: ALTER DATABASE ${identifier(client.connection.database)} OWNER TO ${role}, or GRANT its owner TO ${role}.`,
    });
  }
  if (restoring && !may.signalBackends) {
    problems.push({
      message: `the role ${may.user} may only end its own sessions`,
      hint: `Promotion ends the sessions on production: GRANT pg_signal_backend TO ${role}.`,
    });
  }
  if (!restoring && !may.bypassRowSecurity) {
    const row = await client.first<{ tables: string | null }>(
      `SELECT pg_catalog.string_agg(c.oid::pg_catalog.regclass::text, ', ') AS tables FROM pg_catalog.pg_class c
        WHERE c.relrowsecurity AND (c.relforcerowsecurity OR NOT pg_catalog.pg_has_role(c.relowner, 'MEMBER'))`,
    );
    if (row?.tables != null) {
      problems.push({
        message: `row-level security would hide rows of ${row.tables} from ${may.user}, so pg_dump will refuse`,
        hint: `ALTER ROLE ${role} BYPASSRLS.`,
        fatal: 'PERMISSION_DENIED',
      });
    }
  }
  return problems;
}

async function swapProblems(client: Client): Promise<Problem[]> {
  const blockers = await swapBlockers(client);
  const name = client.connection.database;
  return [
    ...(blockers.preparedTransactions === 0
      ? []
      : [
          {
            message: `${name} has ${blockers.preparedTransactions} prepared transaction(s), which block a promotion`,
            hint: 'Look at pg_prepared_xacts and COMMIT PREPARED or ROLLBACK PREPARED each of them.',
          },
        ]),
    ...(blockers.logicalSlots.length === 0
      ? []
      : [
          {
            message: `${name} has logical replication slots (${blockers.logicalSlots.join(', ')}), which stay with the old database`,
            hint: 'Subscribers would silently stop getting changes: drop the slots and set replication up again after the promotion.',
          },
        ]),
    ...(blockers.subscriptions.length === 0
      ? []
      : [
          {
            message: `${name} subscribes to ${blockers.subscriptions.join(', ')}; subscriptions are not restored`,
            hint: 'Disable them before the promotion and create them in the new database afterwards.',
          },
        ]),
  ];
}

async function targetProblems(
  client: Client,
  source: RestoreSource,
  freeSpace: { readonly path: string; readonly bytes: number } | undefined,
): Promise<Problem[]> {
  const problems: Problem[] = [];
  if (source.serverVersionNum !== undefined && major(client.serverVersion) < major(source.serverVersionNum)) {
    problems.push({
      message: `${source.label} comes from PostgreSQL ${versionText(source.serverVersionNum)}, newer than this server (${versionText(client.serverVersion)})`,
      hint: 'Restore to a server of the same or a newer major version.',
      fatal: 'VERSION_UNSUPPORTED',
    });
  }
  const extensions = await unavailableExtensions(client, source.extensions);
  if (extensions.length > 0) {
    problems.push({
      message: `the server lacks ${extensions.join(', ')}, which the backup needs`,
      hint: extensionPackageHint(extensions, major(client.serverVersion)),
      fatal: 'EXTENSION_MISSING',
    });
  }
  const { owners, grantees, others } = source.roles;
  const roles = await missingRoles(client, [...new Set([...owners, ...grantees, ...others])]);
  if (roles.length > 0) {
    problems.push({
      message: `the server lacks the roles ${roles.map(identifier).join(', ')}, which own or may use something`,
      hint: 'Create them (globals.sql of the backup has the statements), or restore with noOwner and noPrivileges.',
    });
  }
  if (freeSpace === undefined) {
    problems.push({
      message: 'the free space of the server cannot be seen from here',
      hint: `Make sure that there is room for about ${formatBytes(source.databaseSize)} more.`,
    });
  } else if (freeSpace.bytes < source.databaseSize) {
    problems.push({
      message: `${freeSpace.path} has ${formatBytes(freeSpace.bytes)} free, the restored database needs about ${formatBytes(source.databaseSize)}`,
      hint: 'Free space there first.',
      fatal: 'DISK_SPACE',
    });
  }
  return problems;
}
