/** `backup`: a consistent logical backup, published only when every part of it has succeeded. */
import { mkdir, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { BackplanError } from '../errors.ts';
import { countEntries, listArchive, unreadable } from '../postgres/archive.ts';
import { dumpSizeEstimate } from '../postgres/catalog.ts';
import { type Client, connect } from '../postgres/client.ts';
import { describeConnection } from '../postgres/connection.ts';
import { isWhole, listDataTables, type Selection } from '../postgres/data-tables.ts';
import { type DumpOptions, dumpCustom, dumpDirectory, dumpError } from '../postgres/dump.ts';
import { selectionArguments } from '../postgres/dump-selection.ts';
import { takeFingerprint } from '../postgres/fingerprint.ts';
import { captureState } from '../postgres/globals.ts';
import { rolesSql } from '../postgres/roles.ts';
import { takeInventory } from '../postgres/schema-inventory.ts';
import { beginSnapshot } from '../postgres/snapshot.ts';
import { assertSupported, lockTables, sourceFacts } from '../postgres/source-facts.ts';
import { findTools, type Tools } from '../postgres/tools.ts';
import { INVENTORY_FILE } from '../repository/inventory.ts';
import { type Manifest, type ManifestFile, storedSize } from '../repository/manifest.ts';
import type { PartialBackup, Repository } from '../repository/repository.ts';
import { productVersion } from '../runs/version.ts';
import { columnsSchema, durationSchema, type Infer, type JsonSchema } from '../schema.ts';
import { formatBytes, formatDuration, formatRate, parseDuration } from '../units.ts';
import { defineStep, type StepContext } from './step-kind.ts';

const names = (description: string, examples: unknown[]) => ({ ...columnsSchema, description, examples });

const withSchema = {
  type: 'object',
  required: ['database', 'repository'],
  additionalProperties: false,
  properties: {
    database: {
      type: 'string',
      description: 'The database of the plan to back up.',
      examples: ['crm'],
      'x-ref': 'planDatabase',
    },
    repository: {
      type: 'string',
      description: 'Where the backup goes.',
      examples: ['local'],
      'x-ref': 'repository',
    },
    label: {
      type: ['string', 'null'],
      description: 'Free text to find it by later.',
      examples: ['before-restore'],
    },
    fingerprint: {
      enum: ['none', 'counts', 'content'],
      description:
        'What is noted of the source in the snapshot of the dump, to compare a restored copy with: rows of every table, or hashes of every column as well (costs about one second per million rows, beside the dump).',
      default: 'counts',
      examples: ['content'],
    },
    perTenant: {
      type: 'string',
      minLength: 1,
      description:
        'Column that tells tenants apart: the fingerprint then also counts rows per tenant in every table that has it, so that a difference names the tenant. Not in tables of more than 1000 tenants.',
      examples: ['tenantId'],
    },
    format: {
      enum: ['custom', 'directory'],
      description:
        'custom: one file, compressed with zstd on its way. directory: a folder that pg_dump writes with several workers, for big databases on fast servers.',
      default: 'custom',
      examples: ['directory'],
    },
    jobs: {
      type: 'integer',
      minimum: 1,
      maximum: 64,
      description: 'Workers of the directory format.',
      examples: [4],
    },
    compress: {
      description: 'How the archive is compressed. Default: zstd, level 1.',
      examples: [{ method: 'zstd', level: 3 }, 'none'],
      'x-expected': 'none, or an object such as {method: zstd, level: 3}',
      oneOf: [
        { const: 'none' },
        {
          type: 'object',
          required: ['method'],
          additionalProperties: false,
          properties: {
            method: { enum: ['zstd', 'none'], description: 'zstd or none.', examples: ['zstd'] },
            level: {
              type: 'integer',
              minimum: 1,
              maximum: 19,
              description: '1 is fastest; above 3 little is gained.',
              examples: [1],
            },
          },
        },
      ],
    },
    schemas: names('Only these schemas.', [['public', 'audit']]),
    tables: names('Only these tables. Types and functions that they use are not included.', [
      ['User', 'audit.Log'],
    ]),
    exclude: names('Not these tables.', [['audit.Log']]),
    excludeData: names('Of these tables the definition, but no rows.', [['Session', 'audit.*']]),
    only: { enum: ['schema', 'data'], description: 'Only definitions, or only rows.', examples: ['schema'] },
    lockTimeout: {
      ...durationSchema,
      description: 'How long to wait for a table that something else has locked exclusively.',
      default: '60s',
      examples: ['60s'],
    },
  },
} as const satisfies JsonSchema;

export const backup = defineStep({
  kind: 'backup',
  summary:
    'Back up a database with pg_dump into a repository, with roles, database-level state and a fingerprint.',
  with: withSchema,
  outputs: {
    backup: { type: 'string', description: 'repository:id, for restore, verify and check.' },
    id: { type: 'string', description: 'Id of the backup.' },
    repository: { type: 'string', description: 'Repository that holds it.' },
    database: { type: 'string', description: 'Database of the plan.' },
    bytes: { type: 'number', description: 'Bytes stored.' },
    plainBytes: { type: 'number', description: 'Bytes of the archive before compression.' },
    rows: { type: 'number', description: 'Rows of all tables together; 0 without a fingerprint.' },
    durationMs: { type: 'number', description: 'How long it took.' },
    folder: { type: 'string', description: 'Folder of the backup, inside the repository.' },
  },
  writes: ({ repository, database }) => [{ repository, database }],
  validate: ({ format, jobs, schemas, tables, exclude, only, excludeData }) => [
    ...(jobs !== undefined && jobs > 1 && format !== 'directory'
      ? [
          {
            path: ['jobs'],
            message: 'jobs needs format: directory',
            hint: 'The custom format is written by one worker.',
          },
        ]
      : []),
    ...(only === 'schema' && excludeData !== undefined
      ? [{ path: ['excludeData'], message: 'excludeData says nothing when only the schema is dumped' }]
      : []),
    ...(tables !== undefined && (schemas !== undefined || exclude !== undefined)
      ? [{ path: ['tables'], message: 'tables cannot be combined with schemas or exclude' }]
      : []),
  ],
  describe: ({ database, repository, format, label }) =>
    `dump ${database} into ${repository}${format === 'directory' ? ' as a folder' : ''}${typeof label === 'string' ? ` as "${label}"` : ''}`,
  async run(params, context) {
    const startedAt = new Date();
    const started = performance.now();
    const target = context.database(params.database);
    const repository = await context.repository(params.repository);
    // What fails ends what runs beside it; the first failure is the one that is told.
    const group = new AbortController();
    const signal = AbortSignal.any([context.signal, group.signal]);
    let partial: PartialBackup | undefined;
    let owned: { release(): void } | undefined;
    try {
      const applicationName = `backplan ${context.run.id} ${context.step}`;
      await using client = await connect(target.connection, {
        applicationName,
        signal,
        settings: { statement_timeout: '0', row_security: 'off' },
      });
      assertSupported(client);
      const tools = await findTools(client.serverVersion, {
        binDirectories: context.plan.settings.binDirectories,
        need: ['pg_dump', 'pg_restore'],
      });
      const selection = selectionOf(params);
      partial = await repository.begin(params.database, startedAt, (path) => {
        owned = context.own({ kind: 'folder', path });
      });
      const work: Work = {
        params,
        context,
        client,
        tools,
        selection,
        partial,
        signal,
        applicationName,
        group,
      };
      const earlier = newestIdentifier(repository, params.database);
      const parts = await dumpWithFacts(work);
      warnOfOtherServer(params, await earlier, parts.source.systemIdentifier, context);
      const manifest = makeManifest(work, parts, startedAt, Math.round(performance.now() - started));
      const published = await partial.publish(manifest);
      owned?.release();
      const outputs = {
        backup: `${params.repository}:${published.manifest.id}`,
        id: published.manifest.id,
        repository: params.repository,
        database: params.database,
        bytes: storedSize(published.manifest),
        plainBytes: plainSize(published.manifest),
        rows: published.manifest.fingerprint.tables.reduce((sum, table) => sum + table.rows, 0),
        durationMs: Math.round(performance.now() - started),
        folder: published.folder,
      };
      context.log.info(
        `backup ${outputs.backup}: ${formatBytes(outputs.plainBytes)} in ${formatDuration(outputs.durationMs)} (${formatRate(outputs.plainBytes, outputs.durationMs)}), stored as ${formatBytes(outputs.bytes)}`,
      );
      return outputs;
    } catch (error) {
      await partial?.abandon();
      owned?.release();
      throw error;
    }
  },
});

type Params = Infer<typeof withSchema>;

/** The cluster that the newest backup of a database was taken from, where that is known. Never throws. */
async function newestIdentifier(repository: Repository, database: string): Promise<string | null> {
  return await repository.backups(database).then(
    (backups) => backups.at(-1)?.manifest.source.systemIdentifier ?? null,
    () => null,
  );
}

/** Two servers under one name would share `latest` and retention. */
function warnOfOtherServer(
  { database, repository }: Params,
  before: string | null,
  now: string | null,
  { log }: StepContext,
): void {
  if (before === null || now === null || before === now) return;
  log.warn(
    `the backups of ${database} in ${repository} so far were taken from another server (system identifier ${before}, now ${now}). After a move or an upgrade that is as it should be; two servers need two names in the plan, or \`latest\` and retention take their backups for those of one`,
  );
}

interface Work {
  readonly params: Params;
  readonly context: StepContext;
  readonly client: Client;
  readonly tools: Tools;
  readonly selection: Selection;
  readonly partial: PartialBackup;
  readonly signal: AbortSignal;
  readonly applicationName: string;
  readonly group: AbortController;
}

interface Parts {
  readonly source: Manifest['source'];
  readonly archive: Archive;
  readonly extra: readonly ManifestFile[];
  readonly fingerprint: Manifest['fingerprint'];
}

interface Archive {
  readonly files: readonly ManifestFile[];
  readonly compression: Manifest['compression'];
  readonly entries: Record<string, number>;
}

/** Dump and fingerprint side by side in one snapshot, whose transaction stays open until both have ended. */
async function dumpWithFacts(work: Work): Promise<Parts> {
  const { params, context, client, selection, signal, group } = work;
  try {
    const snapshot = await beginSnapshot(client, { export: true });
    if (snapshot === undefined) {
      throw new BackplanError('DUMP_FAILED', `${describeConnection(client.connection)} exports no snapshot`, {
        hint: 'Poolers in statement mode cannot keep a transaction open: connect to the server itself.',
      });
    }
    const lockTimeout = parseDuration(params.lockTimeout);
    if (params.fingerprint !== 'none') {
      await lockTables(client, await listDataTables(client, selection), lockTimeout);
    }
    const inRecovery = await client.first<{ yes: boolean }>('SELECT pg_catalog.pg_is_in_recovery() AS yes');
    const dump: DumpOptions = {
      tools: work.tools,
      connection: client.connection,
      applicationName: work.applicationName,
      snapshot,
      selection: [
        ...(await selectionArguments(client, selection)),
        // A standby has no rows of unlogged tables.
        ...(inRecovery?.yes === true ? ['--no-unlogged-table-data'] : []),
      ],
      lockTimeout,
      signal,
      run: context.run.id,
      onStderr: (line) => context.stderr(line),
    };
    const total = selection.only === 'schema' ? undefined : await dumpSizeEstimate(client);
    const onBytes = (done: number) =>
      context.progress({
        done,
        ...(total === undefined ? {} : { total: Math.max(total, done) }),
        unit: 'bytes',
      });
    const writing =
      params.format === 'directory' ? writeDirectory(work, dump, onBytes) : writeCustom(work, dump, onBytes);
    const looking = (async () => {
      const source = await sourceFacts(client, {
        snapshot,
        schemaVersion: context.plan.databases[params.database]?.schemaVersion,
        onProblem: (message) => context.log.warn(message),
      });
      const extra = await writeState(work);
      const fingerprint = await takeFingerprint(client, params.fingerprint, selection, {
        signal,
        ...(params.perTenant === undefined ? {} : { perTenant: params.perTenant }),
        onSkipped: (table, reason) => context.log.warn(`the content of ${table} was not hashed: ${reason}`),
      });
      return { source, extra, fingerprint };
    })();
    for (const each of [writing, looking]) each.catch((error: unknown) => group.abort(error));
    const [archive, facts] = await Promise.all([settled(writing, looking), settled(looking, writing)]);
    await client.query('COMMIT');
    return { archive, ...facts };
  } catch (error) {
    context.signal.throwIfAborted();
    throw dumpError(group.signal.aborted ? group.signal.reason : error, client.connection);
  } finally {
    await client.query('ROLLBACK').catch(() => {});
  }
}

/** Waits for both, so that nothing goes on behind the step's back, and then gives the first one's outcome. */
async function settled<T>(work: Promise<T>, other: Promise<unknown>): Promise<T> {
  await Promise.allSettled([work, other]);
  return await work;
}

async function writeCustom(
  { params, partial, signal }: Work,
  options: DumpOptions,
  onBytes: (bytes: number) => void,
): Promise<Archive> {
  const compress = compressionOf(params);
  const dump = await dumpCustom(options);
  const file = await partial.writeFile(
    compress.method === 'zstd' ? 'archive.dump.zst' : 'archive.dump',
    'archive',
    dump.stream,
    { compress, signal, onBytes },
  );
  try {
    return {
      files: [file],
      compression: compress.method === 'zstd' ? 'zstd' : 'pg_dump:none',
      entries: countEntries(dump.contents().entries),
    };
  } catch (error) {
    throw unreadable(error, 'what pg_dump wrote');
  }
}

async function writeDirectory(
  { params, context, partial, tools, signal }: Work,
  options: DumpOptions,
  onBytes: (bytes: number) => void,
): Promise<Archive> {
  if (partial.localPath === undefined) {
    throw new BackplanError(
      'REPOSITORY_UNUSABLE',
      `${params.repository} has no files that pg_dump could write itself`,
      { hint: 'Use format: custom for this repository.' },
    );
  }
  const folder = join(partial.localPath, 'archive');
  // pg_dump makes the folder itself, but not what is above it.
  await mkdir(partial.localPath, { recursive: true });
  const watch = setInterval(() => {
    void folderSize(folder).then(onBytes, () => {});
  }, 1000);
  try {
    const compress = compressionOf(params);
    const compression = await dumpDirectory({ ...options, folder, jobs: params.jobs ?? 2, compress });
    const entries = await listArchive(tools, folder, {
      signal,
      run: context.run.id,
      onStderr: options.onStderr,
    });
    const files = await partial.adoptFiles('archive', 'archive', signal);
    return { files, compression, entries: countEntries(entries) };
  } finally {
    clearInterval(watch);
  }
}

async function folderSize(folder: string): Promise<number> {
  const sizes = await Promise.all(
    (await readdir(folder)).map(async (name) => (await stat(join(folder, name))).size),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}

/** What pg_dump of one database leaves out: roles as SQL for people, everything as JSON for the restore. */
async function writeState({ params, client, partial, selection, signal }: Work): Promise<ManifestFile[]> {
  const state = await captureState(client);
  const write = (path: string, role: ManifestFile['role'], text: string, compress = false) =>
    partial.writeFile(path, role, Readable.from([Buffer.from(text)], { objectMode: false }), {
      compress: compress ? { method: 'zstd', level: 3 } : { method: 'none' },
      signal,
    });
  const files = [
    await write('globals.sql', 'globals', rolesSql(state.roles, state.memberships)),
    await write('database.json', 'database', `${JSON.stringify(state, null, 2)}\n`),
  ];
  if (params.fingerprint === 'none' || selection.only === 'data') return files;
  const inventory = JSON.stringify(await takeInventory(client, selection));
  files.push(await write(`${INVENTORY_FILE}.zst`, 'inventory', `${inventory}\n`, true));
  return files;
}

function compressionOf({ compress }: Params): { method: 'none' } | { method: 'zstd'; level: number } {
  if (compress === 'none') return { method: 'none' };
  if (compress?.method === 'none') return { method: 'none' };
  return { method: 'zstd', level: compress?.level ?? 1 };
}

function selectionOf({ schemas, tables, exclude, excludeData, only }: Params): Selection {
  return {
    ...(schemas === undefined ? {} : { schemas }),
    ...(tables === undefined ? {} : { tables }),
    ...(exclude === undefined ? {} : { exclude }),
    ...(excludeData === undefined ? {} : { excludeData }),
    ...(only === undefined ? {} : { only }),
  };
}

function makeManifest(work: Work, parts: Parts, startedAt: Date, durationMs: number): Manifest {
  const { params, context, partial, tools, selection } = work;
  return {
    manifestVersion: 1,
    id: partial.id,
    plan: context.plan.name,
    job: context.run.job,
    run: context.run.id,
    database: params.database,
    label: params.label ?? null,
    source: parts.source,
    tools: { backplan: productVersion(), pgDump: tools.version },
    startedAt: startedAt.toISOString(),
    endedAt: new Date().toISOString(),
    durationMs,
    method: params.format,
    selection: isWhole(selection) ? {} : selection,
    compression: parts.archive.compression,
    files: [...parts.archive.files, ...parts.extra],
    archiveEntries: parts.archive.entries,
    fingerprint: parts.fingerprint,
  };
}

function plainSize(manifest: Manifest): number {
  return manifest.files
    .filter((file) => file.role === 'archive')
    .reduce((sum, file) => sum + (file.plain?.size ?? file.size), 0);
}
