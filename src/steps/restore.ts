/** `restore`: a backup, or an archive from elsewhere, into a sandbox, beside production, or into a new database. */
import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { BackplanError, toBackplanError } from '../errors.ts';
import { missingRoles, systemIdentifier, unavailableExtensions } from '../postgres/catalog.ts';
import { identifier, sqlState, withClient } from '../postgres/client.ts';
import { toEnvironment } from '../postgres/connection.ts';
import { databaseStateSql } from '../postgres/globals.ts';
import { assertComplete } from '../postgres/inventory.ts';
import { conninfo, restoreArchive, restoreScript } from '../postgres/restore.ts';
import { blamesBackup } from '../postgres/restore-error.ts';
import { type Chosen, selectEntries, splitForParallel } from '../postgres/select-entries.ts';
import { isListed } from '../postgres/toc.ts';
import { findTools, major, type Tools, versionText } from '../postgres/tools.ts';
import { runTool } from '../process.ts';
import type { Proof } from '../repository/manifest.ts';
import { columnsSchema, type Infer, type JsonSchema } from '../schema.ts';
import { formatBytes, formatDuration } from '../units.ts';
import { assertRoom, freeSpaceOf } from './disk.ts';
import { extensionPackageHint, foreignStateSql } from './restore-hints.ts';
import {
  type FoundBackup,
  findBackup,
  isPath,
  openArchive,
  openBackup,
  type RestoreSource,
  type SourceParams,
} from './restore-source.ts';
import {
  asDatabaseTarget,
  assertNewEnough,
  createSandboxRoles,
  createTarget,
  finishTarget,
  openTarget,
  type TargetServer,
} from './restore-target.ts';
import { scratchParent, withScratch } from './scratch.ts';
import { defineStep, type StepContext } from './step-kind.ts';

const withSchema = {
  type: 'object',
  required: ['into'],
  additionalProperties: false,
  properties: {
    backup: {
      type: ['string', 'null'],
      description:
        'latest, latest-proven, an id or its beginning, label:TEXT, or what a backup step put out (repository:id).',
      examples: ['latest-proven', '${{ steps.dump.outputs.backup }}'],
    },
    path: {
      type: ['string', 'null'],
      description:
        'Instead of a backup: an archive of pg_dump (custom, directory, tar or plain SQL, also packed with gzip or zstd).',
      examples: ['/var/backups/crm.dump.gz'],
    },
    repository: {
      type: 'string',
      description: 'Where to look for the backup. Default: wherever it is.',
      examples: ['local'],
      'x-ref': 'repository',
    },
    database: {
      type: 'string',
      description: 'Whose backups to look among. Default: the only database of the plan.',
      examples: ['crm'],
      'x-ref': 'planDatabase',
    },
    at: {
      type: ['string', 'null'],
      description: 'Point in time to recover to. Needs physical backups, so it must be empty for now.',
      examples: ['2026-05-04T03:10:00+02:00'],
    },
    into: {
      description:
        'sandbox: a private server that ends with the run. staging: a new database beside production. database: a new database of that name.',
      examples: ['sandbox', { staging: 'crm' }, { database: 'crm_copy' }],
      'x-expected': 'sandbox, {staging: DATABASE} or {database: NEW NAME}',
      oneOf: [
        { const: 'sandbox' },
        {
          type: 'object',
          required: ['staging'],
          additionalProperties: false,
          properties: {
            staging: {
              type: 'string',
              description: 'The database of the plan that it may replace later.',
              examples: ['crm'],
              'x-ref': 'planDatabase',
            },
          },
        },
        {
          type: 'object',
          required: ['database'],
          additionalProperties: false,
          properties: {
            database: {
              type: 'string',
              minLength: 1,
              description: 'Name of the new database.',
              examples: ['crm_copy'],
            },
            on: {
              type: 'string',
              description: 'A database of the plan whose server it is made on. Default: the only one.',
              examples: ['crm'],
              'x-ref': 'planDatabase',
            },
          },
        },
      ],
    },
    jobs: {
      type: 'integer',
      minimum: 1,
      maximum: 64,
      description: 'Workers of pg_restore. Default: the cores of this machine for a sandbox, otherwise 2.',
      examples: [4],
    },
    tables: {
      ...columnsSchema,
      description:
        'Only these tables, with their rows, indexes, constraints and triggers, and the types they need; foreign keys only between them.',
      examples: [['User', 'audit.Log']],
    },
    schemas: { ...columnsSchema, description: 'Only these schemas.', examples: [['audit']] },
    only: {
      enum: ['schema', 'data'],
      description: 'Only definitions; or only rows, into an existing database that has the tables.',
      examples: ['schema'],
    },
    noOwner: {
      type: 'boolean',
      description: 'Everything belongs to the role that restores.',
      default: false,
      examples: [true],
    },
    noPrivileges: { type: 'boolean', description: 'No grants.', default: false, examples: [true] },
  },
} as const satisfies JsonSchema;

type Params = Infer<typeof withSchema>;

export const restore = defineStep({
  kind: 'restore',
  summary:
    'Restore a backup or any pg_dump archive into a sandbox, beside production, or into a new database.',
  with: withSchema,
  outputs: {
    database: { type: 'string', description: 'Handle of the restored database, for check, sql and promote.' },
    name: { type: 'string', description: 'Its name on the server.' },
    backup: { type: 'string', description: 'repository:id; null for an archive from elsewhere.' },
    bytes: { type: 'number', description: 'Size of the restored database.' },
    durationMs: { type: 'number', description: 'How long it took.' },
    tables: { type: 'number', description: 'How many tables were restored.' },
  },
  writes: ({ into }) => (typeof into === 'object' && 'staging' in into ? [{ database: into.staging }] : []),
  validate: ({ backup, path, into, only, at }) => [
    ...(backup === undefined && path === undefined
      ? [{ path: [], message: 'names nothing to restore', hint: 'Set `backup` or `path`.' }]
      : []),
    ...(backup !== undefined && backup !== null && path !== undefined && path !== null
      ? [{ path: ['path'], message: '`path` and `backup` exclude each other' }]
      : []),
    ...(only === 'data' && !(typeof into === 'object' && 'database' in into)
      ? [
          {
            path: ['only'],
            message: 'rows alone need a database that has the tables',
            hint: 'Write into: {database: NAME of an existing database}.',
          },
        ]
      : []),
    ...(typeof at === 'string' && at !== '' && !at.includes('${{')
      ? [{ path: ['at'], message: POINT_IN_TIME, hint: POINT_IN_TIME_HINT }]
      : []),
  ],
  describe: ({ backup, path, into, tables, schemas, only }) => {
    const what = tables ?? schemas;
    const part = [
      what === undefined ? '' : ` (only ${what.join(', ')})`,
      only === undefined ? '' : ` (${only} only)`,
    ];
    const where =
      into === 'sandbox'
        ? 'a sandbox'
        : 'staging' in into
          ? `a staging database beside ${into.staging}`
          : `the database ${into.database}`;
    return `restore ${path ?? backup ?? 'a backup'}${part.join('')} into ${where}`;
  },
  async run(params, outer) {
    if (typeof params.at === 'string' && params.at !== '') {
      throw new BackplanError('INPUT_INVALID', POINT_IN_TIME, { hint: POINT_IN_TIME_HINT });
    }
    const started = performance.now();
    // What fails ends what runs beside it.
    const group = new AbortController();
    const context = { ...outer, signal: AbortSignal.any([outer.signal, group.signal]) };
    const found = isPath(params) ? undefined : await findBackup(lookup(params), context);
    const release = await found?.repository.lease(found.backup, context.run.id);
    const whole = isWholeRestore(params);
    let target: TargetServer | undefined;
    try {
      const source =
        found === undefined ? await openArchive(params, context) : await openBackup(found, context);
      const selected = select(params, source);
      const done = await restoreInto({ params, source, selected, context }, group, (opened) => {
        target = opened;
      });
      const durationMs = Math.round(performance.now() - started);
      const held =
        found === undefined
          ? typeof params.path === 'string'
            ? { archive: params.path }
            : {}
          : { backup: { repository: found.backup.repository, id: found.backup.manifest.id } };
      context.addDatabase(
        asDatabaseTarget(done.target, {
          ...held,
          whole: whole && source.whole,
          without: {
            owners: params.noOwner,
            grants: params.noPrivileges,
            // Into a database that has its tables, whatever they look like.
            schema: params.only === 'data',
          },
        }),
      );
      if (whole) {
        const serverVersion = versionText(done.target.maintenance.serverVersion);
        await prove(found, context, { passed: true, serverVersion, durationMs });
      }
      done.target.keep();
      target = undefined;
      context.log.info(
        `${source.label} is restored as ${done.target.handle}: ${done.tables} tables, ${formatBytes(done.bytes)} in ${formatDuration(durationMs)}`,
      );
      return {
        database: done.target.handle,
        name: done.target.connection.database,
        backup: found === undefined ? null : `${found.backup.repository}:${found.backup.manifest.id}`,
        bytes: done.bytes,
        durationMs,
        tables: done.tables,
      };
    } catch (error) {
      await target?.discard();
      if (whole && !outer.signal.aborted && blamesBackup(error)) {
        await prove(found, context, {
          passed: false,
          durationMs: Math.round(performance.now() - started),
        });
      }
      throw error;
    } finally {
      await release?.();
    }
  },
});

function isWholeRestore({ tables, schemas, only }: Params): boolean {
  return tables === undefined && schemas === undefined && only === undefined;
}

/** Beside production, the backups of production are meant. */
function lookup(params: Params): SourceParams {
  const beside =
    typeof params.into === 'object' && 'staging' in params.into ? params.into.staging : undefined;
  const database = params.database ?? beside;
  return { ...params, ...(database === undefined ? {} : { database }) };
}

const POINT_IN_TIME =
  'a point in time can only be reached from physical backups with WAL, which this plan does not have';
const POINT_IN_TIME_HINT =
  'Leave `at` empty and choose the newest backup before that time (backplan backups PLAN).';

/** What is restored and how. */
interface Work {
  readonly params: Params;
  readonly source: RestoreSource;
  /** Of a partial restore. */
  readonly selected: Chosen | undefined;
  readonly context: StepContext;
}

async function restoreInto(
  work: Work,
  group: AbortController,
  opened: (target: TargetServer) => void,
): Promise<{ target: TargetServer; tables: number; bytes: number }> {
  const { params, source, context } = work;
  await assertRoomFor(params, source, context, scratchParent(context));
  return await withScratch(context, async (scratch) => {
    const existing = params.only === 'data';
    const onBytes = (done: number) => context.progress({ done, unit: 'bytes', note: 'reading the backup' });
    // A sandbox takes half a second to start: read the archive meanwhile. Beside production nothing is made before all was read.
    const opening = openTarget(params.into, source, context, { existing }).then((target) => {
      opened(target);
      return target;
    });
    const [target, path] = await both(
      group,
      opening,
      source.format === 'plain' ? Promise.resolve('') : source.materialize(scratch, onBytes),
    );
    await assertReady(params, source, target, context);
    await warnOfOtherServer(source, target, context);
    const tools = await restoreTools(source, target, context);
    await createTarget(target, source, context);
    if (target.kind === 'sandbox') await createSandboxRoles(target, source);
    const entries = await fill({ ...work, target, tools, path, scratch });
    await analyze(target, tools, context);
    await withClient(target.connection, clientOptions(context), async (client) => {
      if (entries !== undefined && params.only !== 'data') await assertComplete(client, entries);
    });
    await finishTarget(target, source, context, { whole: isWholeRestore(params) && source.whole });
    await applyState(params, source, target, context);
    const facts = await withClient(target.connection, clientOptions(context), async (client) =>
      client.first<{ tables: string; bytes: string }>(
        `SELECT (SELECT count(*) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                  WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema') AS tables,
                pg_catalog.pg_database_size(pg_catalog.current_database()) AS bytes`,
      ),
    );
    return { target, tables: Number(facts?.tables ?? 0), bytes: Number(facts?.bytes ?? 0) };
  });
}

/** Both, or the first failure, after the other has ended too: nothing may go on behind the step's back. */
async function both<A, B>(group: AbortController, first: Promise<A>, second: Promise<B>): Promise<[A, B]> {
  for (const each of [first, second]) each.catch((error: unknown) => group.abort(error));
  await Promise.allSettled([first, second]);
  if (group.signal.aborted) throw group.signal.reason;
  return [await first, await second];
}

function clientOptions(context: StepContext) {
  return {
    applicationName: `backplan ${context.run.id} ${context.step}`,
    signal: context.signal,
    settings: { statement_timeout: '0' },
  };
}

/** @throws INPUT_INVALID where parts cannot be picked, BACKUP_NOT_FOUND for names that the archive does not have */
function select({ tables, schemas, only }: Params, source: RestoreSource): Chosen | undefined {
  const partial = tables !== undefined || schemas !== undefined;
  if (source.format === 'plain' && (partial || only !== undefined)) {
    throw new BackplanError('INPUT_INVALID', `${source.label} is plain SQL, of which nothing can be picked`, {
      hint: 'Restore it whole, for example into a sandbox, and copy what you need from there.',
    });
  }
  if (!partial) return undefined;
  if (source.entries === undefined) {
    throw new BackplanError(
      'INPUT_INVALID',
      `${source.label} must be unpacked before parts of it can be picked`,
      {
        hint: 'Unpack it (gunzip, zstd -d) and name the tar file itself.',
      },
    );
  }
  if (!source.exact) {
    throw new BackplanError(
      'INPUT_INVALID',
      `${source.label} was made by a newer pg_dump than this backplan can read names of`,
      { hint: 'Restore it whole, or use a newer version of backplan.' },
    );
  }
  return selectEntries(source.entries, {
    ...(tables === undefined ? {} : { tables }),
    ...(schemas === undefined ? {} : { schemas }),
  });
}

async function assertRoomFor(
  params: Params,
  source: RestoreSource,
  context: StepContext,
  scratch: string,
): Promise<void> {
  const sandbox = context.plan.settings.sandbox.directory ?? tmpdir();
  const part =
    params.only === 'schema' ? 0.05 : params.tables === undefined && params.schemas === undefined ? 1 : 0.2;
  await assertRoom([
    ...(source.needsSpool && source.format !== 'plain'
      ? [{ what: 'a copy of the archive', bytes: source.plainSize, room: await freeSpaceOf(scratch) }]
      : []),
    ...(params.into === 'sandbox'
      ? [
          {
            what: 'the sandbox',
            bytes: Math.round(source.databaseSize * part) + 80e6,
            room: await freeSpaceOf(sandbox),
          },
        ]
      : []),
  ]);
}

/** What the target lacks, found before anything is made. */
async function assertReady(
  params: Params,
  source: RestoreSource,
  target: TargetServer,
  context: StepContext,
): Promise<void> {
  assertNewEnough(target, source);
  if (target.kind !== 'sandbox' && params.tables === undefined && params.schemas === undefined) {
    await assertRoom([
      { what: `"${target.connection.database}"`, bytes: source.databaseSize, room: target.freeSpace },
    ]);
  }
  const extensions = await unavailableExtensions(target.maintenance, source.extensions);
  if (extensions.length > 0) {
    throw new BackplanError(
      'EXTENSION_MISSING',
      `the server to restore to lacks ${extensions.length === 1 ? 'the extension' : 'extensions'} ${extensions.join(', ')}`,
      { hint: extensionPackageHint(extensions, major(target.maintenance.serverVersion)) },
    );
  }
  if (target.kind === 'sandbox') return;
  const needed = [
    ...(params.noOwner ? [] : source.roles.owners),
    ...(params.noPrivileges ? [] : source.roles.grantees),
    ...source.roles.others,
  ];
  const roles = await missingRoles(target.maintenance, needed);
  if (roles.length > 0) {
    throw new BackplanError(
      'ROLE_MISSING',
      `the server to restore to lacks the role${roles.length === 1 ? '' : 's'} ${roles.map(identifier).join(', ')}, which own or may use something`,
      {
        hint: 'Create them (globals.sql of the backup has the statements, without passwords), or restore with noOwner: true and noPrivileges: true.',
      },
    );
  }
  context.log.debug(`server ${versionText(target.maintenance.serverVersion)} has all extensions and roles`);
}

/** What may become production should hold what production held; after a move or an upgrade it comes from elsewhere. */
async function warnOfOtherServer(
  { label, backup }: RestoreSource,
  { kind, maintenance }: TargetServer,
  context: StepContext,
): Promise<void> {
  if (kind !== 'staging' || backup === undefined) return;
  const { source } = backup.backup.manifest;
  if (source.systemIdentifier === null) return;
  const here = await systemIdentifier(maintenance);
  if (here === null || here === source.systemIdentifier) return;
  context.log.warn(
    `${label} was taken from another server (${source.url}, system identifier ${source.systemIdentifier}) than the one it is restored to (${here})`,
  );
}

/** A client at least as new as the one that made the archive; of the target's own version where possible. */
async function restoreTools(
  source: RestoreSource,
  target: TargetServer,
  context: StepContext,
): Promise<Tools> {
  const plain = source.format === 'plain';
  return await findTools(plain ? undefined : source.dumpVersionNum, {
    binDirectories: context.plan.settings.binDirectories,
    need: plain ? ['psql'] : ['pg_restore', 'psql'],
    prefer: major(target.maintenance.serverVersion),
  });
}

interface Filling extends Work {
  readonly target: TargetServer;
  readonly tools: Tools;
  readonly path: string;
  readonly scratch: string;
}

/** Fills the target; returns the entries that must be there now, where they are known. */
async function fill(filling: Filling) {
  const { params, source, selected, target, context, tools, path, scratch } = filling;
  const options = {
    tools,
    target: target.connection,
    targetVersion: target.maintenance.serverVersion,
    applicationName: `backplan ${context.run.id} ${context.step}`,
    label: source.label,
    signal: context.signal,
    run: context.run.id,
    onStderr: (line: string) => context.stderr(line),
    noOwner: params.noOwner,
    noPrivileges: params.noPrivileges,
  };
  const stopWatching = watchGrowth(target, source, context);
  try {
    if (source.format === 'plain') {
      for (const [what, count] of source.plain?.removed ?? []) {
        context.log.info(`left out of ${source.label}: ${what} (${count})`);
      }
      await restoreScript(await source.open(), options);
      return undefined;
    }
    for (const each of selected?.leftOut ?? [])
      context.log.warn(`left out: ${each} needs a table that is not selected`);
    const entries = (selected?.entries ?? source.entries ?? []).filter(
      (entry) =>
        isListed(entry) &&
        entry.type !== 'SUBSCRIPTION' &&
        // Large objects count as rows.
        !(params.only === 'schema' && /^BLOB/.test(entry.type)),
    );
    for (const { type, name } of source.entries ?? []) {
      if (type === 'SUBSCRIPTION') {
        context.log.warn(`the subscription ${name} is not restored: create it again where it should run`);
      }
    }
    if (params.only !== 'data') await createMissingSchemas(filling, entries);
    // Tar archives can only be read front to back; rows into an existing database come in one transaction.
    const jobs = params.only === 'data' || source.format === 'tar' ? 1 : (params.jobs ?? target.jobs);
    const wanted = selected?.entries ?? source.entries ?? [];
    const phases = source.exact && jobs > 1 ? splitForParallel(wanted) : [wanted];
    for (const [phase, part] of phases.entries()) {
      const listed = selected !== undefined || phases.length > 1;
      const listFile = join(scratch, `entries-${phase}.list`);
      if (listed) await writeFile(listFile, part.map(({ id }) => `${id};\n`).join(''));
      await restoreArchive(path, {
        ...options,
        jobs: phase === 0 ? jobs : 1,
        singleTransaction: params.only === 'data',
        ...(params.only === undefined ? {} : { only: params.only }),
        ...(listed ? { listFile } : {}),
        ...(target.kind === 'sandbox' ? { noTablespaces: true } : {}),
      });
    }
    return source.exact ? entries : undefined;
  } finally {
    stopWatching();
  }
}

/** An archive of single tables does not hold the schemas they are in. */
async function createMissingSchemas(
  { target, context }: Filling,
  entries: readonly { type: string; schema: string | null; name: string }[],
): Promise<void> {
  const made = new Set(entries.filter(({ type }) => type === 'SCHEMA').map(({ name }) => name));
  const needed = new Set(entries.map(({ schema }) => schema).filter((schema) => schema !== null));
  const missing = [...needed].filter(
    (schema) => !made.has(schema) && schema !== 'public' && !schema.startsWith('pg_'),
  );
  if (missing.length === 0) return;
  await withClient(target.connection, clientOptions(context), async (client) => {
    for (const schema of missing) await client.query(`CREATE SCHEMA IF NOT EXISTS ${identifier(schema)}`);
  });
}

/** pg_restore says nothing while it works; the size of the database does. */
function watchGrowth(target: TargetServer, source: RestoreSource, context: StepContext): () => void {
  let asking = false;
  const timer = setInterval(() => {
    if (asking) return;
    asking = true;
    target.maintenance
      .first<{ size: string }>('SELECT pg_catalog.pg_database_size($1::name) AS size', [
        target.connection.database,
      ])
      .then(
        (row) => {
          const done = Number(row?.size ?? 0);
          context.progress({
            done,
            total: Math.max(done, source.databaseSize),
            unit: 'bytes',
            note: 'restoring',
          });
        },
        () => {},
      )
      .finally(() => {
        asking = false;
      });
  }, 1000);
  return () => clearInterval(timer);
}

/** Statistics for the planner, and a visibility map for index-only scans: checks are far slower without. */
async function analyze(target: TargetServer, tools: Tools, context: StepContext): Promise<void> {
  const withVacuum = await findTools(undefined, {
    binDirectories: [dirname(tools.path('psql')), ...context.plan.settings.binDirectories],
    need: ['vacuumdb'],
  });
  await runTool({
    command: withVacuum.path('vacuumdb'),
    args: [
      ...['--quiet', '--no-password', `--jobs=${target.jobs}`],
      target.existing ? '--analyze-only' : '--analyze',
      `--dbname=${conninfo(target.connection.database)}`,
    ],
    env: toEnvironment(target.connection, `backplan ${context.run.id} ${context.step}`),
    signal: context.signal,
    run: context.run.id,
    code: 'RESTORE_FAILED',
    onStderr: (line) => context.stderr(line),
  });
}

/** Owner, grants, settings and the rest of the database itself, as far as this role may set them. */
async function applyState(
  params: Params,
  source: RestoreSource,
  target: TargetServer,
  context: StepContext,
): Promise<void> {
  if (target.existing) return;
  const name = target.connection.database;
  const skipRoles =
    source.state === undefined
      ? []
      : await missingRoles(target.maintenance, [
          source.state.owner,
          ...source.state.acl.map(({ grantee }) => grantee).filter((grantee) => grantee !== 'PUBLIC'),
          ...source.state.settings.map(({ role }) => role).filter((role) => role !== null),
        ]);
  if (skipRoles.length > 0) {
    context.log.warn(
      `not on this server, so without their part of the database's grants and settings: ${skipRoles.join(', ')}`,
    );
  }
  const statements =
    source.state === undefined
      ? foreignStateSql(source.entries ?? [], name, params)
      : databaseStateSql(source.state, name, {
          skipRoles,
          // A staging database keeps its mark; promotion puts the comment in its place.
          comment: target.kind !== 'staging',
          owner: !params.noOwner,
          grants: !params.noPrivileges,
        });
  for (const statement of statements) {
    if (target.kind === 'staging' && /^\s*COMMENT ON DATABASE/i.test(statement)) continue;
    try {
      await target.maintenance.query(statement);
    } catch (error) {
      const state = sqlState(error);
      // 42501 not allowed, 42704 unknown role or setting, 22023 value not valid here, 0LP01 grants of others.
      const bearable =
        ['42501', '42704', '22023', '0LP01'].includes(state ?? '') || source.state === undefined;
      if (state === undefined || !bearable) throw error;
      context.log.warn(`could not be put back: ${statement} (${toBackplanError(error).message})`);
    }
  }
}

async function prove(
  found: FoundBackup | undefined,
  context: StepContext,
  statement: Pick<Proof, 'passed' | 'serverVersion' | 'durationMs'>,
): Promise<void> {
  if (found === undefined) return;
  const { repository, backup } = found;
  const about = { backup: backup.manifest.id, run: context.run.id, at: new Date().toISOString() };
  try {
    await repository.addProof(backup, { proofVersion: 1, kind: 'restored', ...about, ...statement });
  } catch (error) {
    context.log.warn(
      `the outcome of restoring ${repository.name}:${about.backup} could not be noted: ${toBackplanError(error).message}`,
    );
  }
}
