/** Where a restore goes: a sandbox of its own, a staging database beside production, or a new database by name. */
import { cpus } from 'node:os';
import { BackplanError, toBackplanError } from '../errors.ts';
import { serverFreeSpace } from '../postgres/catalog.ts';
import { type Client, connect, identifier, literal } from '../postgres/client.ts';
import { type Connection, parseConnection, withDatabase } from '../postgres/connection.ts';
import { createDatabase, dropDatabase } from '../postgres/create-database.ts';
import { rolesSql } from '../postgres/roles.ts';
import { startSandbox } from '../postgres/sandbox.ts';
import { connectMaintenance, databaseExists } from '../postgres/swap.ts';
import { findTools, installHint, major, versionText } from '../postgres/tools.ts';
import { freeSpaceOf } from './disk.ts';
import type { RestoreSource } from './restore-source.ts';
import { dropRestored, setMark, stagingName } from './restored-database.ts';
import type { DatabaseTarget, StepContext } from './step-kind.ts';

export type Into =
  | 'sandbox'
  | { readonly staging: string }
  | { readonly database: string; readonly on?: string };

/** A server to restore to. */
export interface TargetServer {
  readonly kind: 'sandbox' | 'staging' | 'named';
  /** A connection to another database of the server, for statements about databases. */
  readonly maintenance: Client;
  /** The database that will be filled; it does not exist yet, unless `existing`. */
  readonly connection: Connection;
  readonly handle: string;
  /** Key of the plan's database that this is a copy of. */
  readonly database?: string;
  /** Data goes into an existing database. */
  readonly existing: boolean;
  /** Free bytes where it keeps its data, where known. */
  readonly freeSpace?: { readonly path: string; readonly bytes: number };
  /** Workers that suit it. */
  readonly jobs: number;
  /** True once this step has made the database: then it is its own to remove, marked or not. */
  created?: boolean;
  /** Removes the database (and a sandbox with all). Never throws. */
  discard(): Promise<void>;
  /** It is there to stay: the run hands it to later steps. */
  keep(): void;
}

/** Opens (for a sandbox: starts) the server. Nothing is created in it yet. */
export async function openTarget(
  into: Into,
  source: RestoreSource,
  context: StepContext,
  options: { readonly existing: boolean },
): Promise<TargetServer> {
  if (into === 'sandbox') return await openSandbox(source, context);
  const applicationName = `backplan ${context.run.id} ${context.step}`;
  const key = 'staging' in into ? into.staging : (into.on ?? onlyDatabase(context));
  const definition = context.plan.databases[key];
  if (definition === undefined) {
    throw new BackplanError('DATABASE_MISSING', `the plan declares no database "${key}"`);
  }
  const production = parseConnection(definition.url);
  const maintenance = await connectMaintenance(production, definition.maintenanceDatabase, {
    applicationName,
    signal: context.signal,
    avoid: 'staging' in into ? [] : [into.database],
  });
  const kind = 'staging' in into ? 'staging' : 'named';
  let owned: { release(): void } | undefined;
  try {
    const name =
      'staging' in into
        ? await freeStagingName(maintenance, production.database, context.run.id)
        : into.database;
    const exists = await databaseExists(maintenance, name);
    if (kind === 'named' && exists && !options.existing) {
      throw new BackplanError('RESTORE_FAILED', `there is a database "${name}" on that server already`, {
        hint: 'Drop it first, or restore under another name. Nothing is ever restored over an existing database.',
      });
    }
    if (options.existing && !exists) {
      throw new BackplanError('DATABASE_MISSING', `there is no database "${name}" to load rows into`, {
        hint: 'only: data needs a database that has the tables already.',
      });
    }
    if (!options.existing) owned = context.own({ kind: 'stagingDatabase', database: key, name });
    const freeSpace = await serverFreeSpace(maintenance);
    const target: TargetServer = {
      kind,
      maintenance,
      connection: withDatabase(production, name),
      handle: `${kind}:${key}/${name}`,
      database: key,
      existing: options.existing,
      ...(freeSpace === undefined ? {} : { freeSpace }),
      jobs: 2,
      discard: async () => {
        // Where the server is gone, recovery finds the database by its owner's record.
        const gone =
          options.existing ||
          (await discardDatabase(production, definition.maintenanceDatabase, target, context));
        if (gone) owned?.release();
        await maintenance.close();
      },
      // A staging database stays owned: promote, drop or the end of the run settle it.
      keep: () => {
        if (kind === 'named') owned?.release();
        void maintenance.close();
      },
    };
    return target;
  } catch (error) {
    owned?.release();
    await maintenance.close();
    throw error;
  }
}

/** A run may restore beside the same production twice. */
async function freeStagingName(client: Client, production: string, run: string): Promise<string> {
  for (let n = 1; ; n++) {
    const name = stagingName(production, run, n);
    if (!(await databaseExists(client, name))) return name;
  }
}

function onlyDatabase(context: StepContext): string {
  const [first, second] = Object.keys(context.plan.databases);
  if (first !== undefined && second === undefined) return first;
  throw new BackplanError('INPUT_INVALID', 'on which server should the new database be made?', {
    hint: 'Set `on` beside `database` to a database of the plan; the new one is made on its server.',
  });
}

async function openSandbox(source: RestoreSource, context: StepContext): Promise<TargetServer> {
  const { settings } = context.plan;
  const wanted = source.serverVersionNum;
  const tools = await findTools(wanted, {
    binDirectories: settings.binDirectories,
    need: ['initdb', 'postgres'],
  }).catch((error: unknown) => {
    const failure = toBackplanError(error);
    throw new BackplanError(failure.code, `a sandbox cannot be started: ${failure.message}`, {
      cause: error,
      detail: failure.detail,
      hint: installHint(['initdb'], wanted === undefined ? undefined : major(wanted)),
    });
  });
  const sandbox = await startSandbox({
    tools,
    settings: settings.sandbox,
    own: (thing) => context.own(thing),
    signal: context.signal,
    run: context.run.id,
    onLog: (line) => context.stderr(line),
  });
  let maintenance: Client;
  try {
    maintenance = await connect(sandbox.connection, {
      applicationName: `backplan ${context.run.id} ${context.step}`,
      signal: context.signal,
    });
  } catch (error) {
    await sandbox.stop();
    throw error;
  }
  const freeSpace = await freeSpaceOf(sandbox.dataDirectory);
  const name =
    source.databaseName === 'postgres' || /^template[01]$/.test(source.databaseName)
      ? 'restored'
      : source.databaseName;
  return {
    kind: 'sandbox',
    maintenance,
    connection: withDatabase(sandbox.connection, name),
    handle: `sandbox:${context.step}/${name}`,
    database: source.backup?.backup.manifest.database,
    existing: false,
    ...(freeSpace === undefined ? {} : { freeSpace }),
    jobs: Math.max(2, Math.min(8, cpus().length)),
    discard: async () => {
      await maintenance.close();
      await sandbox.stop();
    },
    keep: () => {
      void maintenance.close();
      context.defer(sandbox.stop);
    },
  };
}

/** Creates the database to fill. In a sandbox a locale that the machine lacks is replaced, and said. */
export async function createTarget(
  target: TargetServer,
  source: RestoreSource,
  context: StepContext,
): Promise<void> {
  if (target.existing) return;
  const name = target.connection.database;
  const how = { copyFiles: target.kind === 'sandbox' };
  try {
    await createDatabase(target.maintenance, name, source.locale, how);
  } catch (error) {
    const failure = toBackplanError(error);
    if (failure.code !== 'LOCALE_MISSING' || target.kind !== 'sandbox') throw error;
    context.log.warn(
      `${failure.message}; the sandbox uses the locale C instead, so text sorts differently there`,
    );
    await createDatabase(
      target.maintenance,
      name,
      {
        encoding: source.locale.encoding,
        collate: 'C',
        ctype: 'C',
        localeProvider: 'libc',
      },
      how,
    );
  }
  // Until everything is there it is nobody's to use.
  target.created = true;
  if (target.kind !== 'sandbox') {
    await setMark(target.maintenance, name, { filling: name, run: context.run.id, name });
  }
}

/** Everything is there: a staging database may now be promoted, a database of its own is the person's. */
export async function finishTarget(
  target: TargetServer,
  source: RestoreSource,
  context: StepContext,
  { whole }: { readonly whole: boolean },
): Promise<void> {
  if (target.existing || target.kind === 'sandbox') return;
  const name = target.connection.database;
  if (target.kind === 'named') {
    await setMark(target.maintenance, name, undefined);
    return;
  }
  const production = parseConnection(context.plan.databases[target.database ?? '']?.url ?? '').database;
  const backup = source.backup?.backup;
  await setMark(target.maintenance, name, {
    stagingFor: production,
    run: context.run.id,
    name,
    backup: backup === undefined ? null : `${backup.repository}:${backup.manifest.id}`,
    whole,
    comment: source.state?.comment ?? null,
  });
}

/** Roles that a restore into a sandbox needs: as captured where we know them, bare where only their name is known. */
export async function createSandboxRoles(target: TargetServer, source: RestoreSource): Promise<void> {
  const { maintenance } = target;
  if (source.state !== undefined) {
    await maintenance.query(rolesSql(source.state.roles, source.state.memberships));
  }
  const { owners, grantees, others } = source.roles;
  for (const role of new Set([...owners, ...grantees, ...others])) {
    await maintenance.query(
      `DO ${literal(`BEGIN CREATE ROLE ${identifier(role)}; EXCEPTION WHEN duplicate_object THEN NULL; END`)}`,
    );
  }
}

/** @throws VERSION_UNSUPPORTED when the target is older than what was dumped */
export function assertNewEnough(target: TargetServer, source: RestoreSource): void {
  const { serverVersion } = target.maintenance;
  const { serverVersionNum } = source;
  if (serverVersionNum === undefined || major(serverVersion) >= major(serverVersionNum)) return;
  throw new BackplanError(
    'VERSION_UNSUPPORTED',
    `${source.label} comes from PostgreSQL ${versionText(serverVersionNum)}, the server to restore to is ${versionText(serverVersion)}`,
    { hint: 'Restore to a server of the same or a newer major version; a sandbox chooses one by itself.' },
  );
}

export function asDatabaseTarget(
  target: TargetServer,
  restoredFrom: DatabaseTarget['restoredFrom'],
): DatabaseTarget {
  return {
    handle: target.handle,
    kind: target.kind,
    connection: target.connection,
    failing: new Set(),
    ...(target.database === undefined ? {} : { database: target.database }),
    ...(restoredFrom === undefined ? {} : { restoredFrom }),
  };
}

/** On a connection of its own: the step's may be the one that broke. Returns whether there is nothing left of it. */
async function discardDatabase(
  server: Connection,
  maintenanceDatabase: string | undefined,
  target: TargetServer,
  context: StepContext,
): Promise<boolean> {
  const name = target.connection.database;
  try {
    await using client = await connectMaintenance(server, maintenanceDatabase, {
      applicationName: `backplan ${context.run.id} ${context.step}`,
      avoid: [name],
    });
    await (target.created === true ? dropDatabase(client, name) : dropRestored(client, name, context.run.id));
    return true;
  } catch {
    return false;
  }
}
