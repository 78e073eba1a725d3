/** What a restore reads from: a backup of a repository, or an archive that backplan did not make. */
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, readdir, stat } from 'node:fs/promises';
import { dirname, isAbsolute, join } from 'node:path';
import { PassThrough, type Readable, type Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { BackplanError, toBackplanError } from '../errors.ts';
import {
  type ArchiveEntry,
  type ArchiveFormat,
  countEntries,
  type DetectedArchive,
  detectArchive,
  readContents,
} from '../postgres/archive.ts';
import { localeOf, type WantedLocale } from '../postgres/create-database.ts';
import { locateBlocks, notePositions } from '../postgres/custom-offsets.ts';
import type { CapturedState } from '../postgres/globals.ts';
import { type PlainFacts, PlainScript } from '../postgres/plain.ts';
import { rolesIn } from '../postgres/role-names.ts';
import { assertWholeTar } from '../postgres/tar.ts';
import { findTools, parseVersion } from '../postgres/tools.ts';
import { unwrap } from '../postgres/unwrap.ts';
import { type Backup, isWhole, type Manifest, type ManifestFile } from '../repository/manifest.ts';
import type { Repository } from '../repository/repository.ts';
import type { StepContext } from './step-kind.ts';

export interface RestoreSource {
  /** For messages: `backup local:crm-…` or the path. */
  readonly label: string;
  readonly format: ArchiveFormat;
  readonly backup?: FoundBackup;
  /** Undefined for plain SQL. */
  readonly entries?: readonly ArchiveEntry[];
  /** Names and dependencies of the entries are right to the letter. */
  readonly exact: boolean;
  readonly plain?: PlainFacts;
  readonly locale: WantedLocale;
  /** `server_version_num` of the source and of the pg_dump that was used, where known. */
  readonly serverVersionNum?: number;
  readonly dumpVersionNum?: number;
  /** Database-level state as backplan captured it. */
  readonly state?: CapturedState;
  /** Name of the database that was dumped. */
  readonly databaseName: string;
  /** What the restored database will roughly take, bytes. */
  readonly databaseSize: number;
  /** The archive without what is around it, bytes; an estimate where it is wrapped by others. */
  readonly plainSize: number;
  /** Roles that the archive names. */
  readonly roles: NamedRoles;
  readonly extensions: readonly string[];
  /** False where the backup itself leaves something out. */
  readonly whole: boolean;
  /** A copy is written before the tools can read it. */
  readonly needsSpool: boolean;
  /** Plain bytes of an archive that is one file. Damage shows at the latest at the end. */
  open(onBytes?: (storedBytes: number) => void): Promise<Readable>;
  /** A path for the tools: the original where that is safe and possible, otherwise a copy below `scratch`. Everything was read and verified then. */
  materialize(scratch: string, onBytes: (storedBytes: number) => void): Promise<string>;
}

export interface NamedRoles {
  readonly owners: readonly string[];
  readonly grantees: readonly string[];
  /** Of policies and user mappings, which no option leaves out. */
  readonly others: readonly string[];
}

export interface SourceParams {
  readonly backup?: string | null;
  readonly path?: string | null;
  readonly repository?: string;
  readonly database?: string;
}

export interface FoundBackup {
  readonly repository: Repository;
  readonly backup: Backup;
}

/** @throws BACKUP_NOT_FOUND, BACKUP_CORRUPT, INPUT_INVALID */
export async function resolveSource(params: SourceParams, context: StepContext): Promise<RestoreSource> {
  return isPath(params)
    ? await openArchive(params, context)
    : await openBackup(await findBackup(params, context), context);
}

/** An archive that no repository holds, as against a backup. */
export function isPath(params: SourceParams): boolean {
  return typeof params.path === 'string' && params.path !== '';
}

/** @throws BACKUP_NOT_FOUND, BACKUP_CORRUPT, INPUT_INVALID */
export async function openArchive(params: SourceParams, context: StepContext): Promise<RestoreSource> {
  const text = params.path ?? '';
  const path = isAbsolute(text) ? text : join(context.baseDirectory, text);
  return await archiveSource(await detectArchive(path), context);
}

/** Looks up a reference such as `latest`, `local:crm-2026…` or `label:before-restore`. @throws BACKUP_NOT_FOUND, INPUT_INVALID */
export async function findBackup(params: SourceParams, context: StepContext): Promise<FoundBackup> {
  const text = params.backup ?? '';
  if (text === '') {
    throw new BackplanError('INPUT_INVALID', 'no backup is named', {
      hint: 'Write backup: latest-proven, latest, an id or a label; or path: FILE for an archive from elsewhere.',
    });
  }
  const declared = Object.keys(context.plan.repositories);
  const prefix = declared.find((name) => text.startsWith(`${name}:`));
  const reference = prefix === undefined ? text : text.slice(prefix.length + 1);
  const database =
    params.database ??
    (Object.keys(context.plan.databases).length === 1 ? Object.keys(context.plan.databases)[0] : undefined);
  const vague = /^latest(-proven)?$|^label:/.test(reference);
  if (vague && database === undefined) {
    throw new BackplanError('INPUT_INVALID', `${reference} of which database?`, {
      hint: `Set database to one of ${Object.keys(context.plan.databases).join(', ')}.`,
    });
  }
  const names =
    prefix !== undefined ? [prefix] : params.repository !== undefined ? [params.repository] : declared;
  const found: FoundBackup[] = [];
  let failure: BackplanError | undefined;
  for (const name of names) {
    const repository = await context.repository(name);
    try {
      found.push({
        repository,
        backup: await repository.find(reference, vague ? database : params.database),
      });
    } catch (error) {
      failure = toBackplanError(error);
      if (failure.code !== 'BACKUP_NOT_FOUND') throw failure;
    }
  }
  found.sort((a, b) => b.backup.manifest.startedAt.localeCompare(a.backup.manifest.startedAt));
  const [newest] = found;
  if (newest === undefined) {
    throw failure ?? new BackplanError('BACKUP_NOT_FOUND', 'the plan declares no repository to look in');
  }
  return newest;
}

/** Reads what the backup holds. @throws BACKUP_CORRUPT */
export async function openBackup(
  { repository, backup }: FoundBackup,
  context: StepContext,
): Promise<RestoreSource> {
  const { manifest } = backup;
  const label = `backup ${backup.repository}:${manifest.id}`;
  const archives = manifest.files.filter(({ role }) => role === 'archive');
  const [first] = archives;
  if (first === undefined) throw new BackplanError('BACKUP_CORRUPT', `${label} has no archive`);
  const open = (file: ManifestFile, onBytes?: (bytes: number) => void) =>
    repository.open(backup, file, { signal: context.signal, ...(onBytes === undefined ? {} : { onBytes }) });
  const head =
    manifest.method === 'directory' ? archives.find(({ path }) => path.endsWith('/toc.dat')) : first;
  if (head === undefined) throw new BackplanError('BACKUP_CORRUPT', `${label} has no toc.dat`);
  const local = repository.storage.localPath(
    manifest.method === 'directory'
      ? `${backup.folder}/${dirname(head.path)}`
      : `${backup.folder}/${first.path}`,
  );
  // A custom archive came through a pipe: its copy gets the positions that parallel workers need.
  const usable =
    manifest.method === 'directory' &&
    local !== undefined &&
    archives.every((file) => file.plain === undefined);
  const tools = await archiveTools(context);
  const contents =
    manifest.method === 'directory' && local !== undefined
      ? await readContents(tools, local, toolContext(context))
      : await readContents(tools, await open(head), toolContext(context));
  const state = await readState(manifest, open);
  const plainSize = archives.reduce((sum, file) => sum + (file.plain?.size ?? file.size), 0);
  const counts = countEntries(contents.entries);
  if (contents.exact && JSON.stringify(counts) !== JSON.stringify(manifest.archiveEntries)) {
    throw new BackplanError(
      'BACKUP_CORRUPT',
      `the archive of ${label} does not hold what its manifest says`,
      {
        detail: `manifest: ${JSON.stringify(manifest.archiveEntries)}\narchive: ${JSON.stringify(counts)}`,
        hint: 'Do not restore this backup; verify the others.',
      },
    );
  }
  return {
    label,
    format: manifest.method,
    backup: { repository, backup },
    entries: contents.entries,
    exact: contents.exact,
    locale: { ...manifest.source, icuRules: state?.icuRules ?? null },
    serverVersionNum: manifest.source.serverVersionNum,
    dumpVersionNum: parseVersion(`() ${manifest.tools.pgDump}`)?.versionNum,
    state,
    databaseName: manifest.source.name,
    databaseSize: manifest.source.size,
    plainSize,
    roles: rolesOfEntries(contents.entries),
    extensions: extensionsOf(contents.entries),
    whole: isWhole(backup),
    needsSpool: !usable,
    open: (onBytes) => open(first, onBytes),
    materialize: async (scratch, onBytes) => {
      let before = 0;
      for (const file of archives) {
        const base = before;
        const stream = await open(file, (bytes) => onBytes(base + bytes));
        if (usable) {
          // Read once to verify; the tools then read the original.
          for await (const _chunk of stream) context.signal.throwIfAborted();
        } else {
          const path = join(scratch, manifest.method === 'directory' ? file.path : 'archive.dump');
          await mkdir(dirname(path), { recursive: true, mode: 0o700 });
          await (manifest.method === 'custom'
            ? spoolArchive(stream, path, label, context)
            : spool(stream, path, context));
        }
        before += file.size;
      }
      if (usable && local !== undefined) return local;
      return join(scratch, manifest.method === 'directory' ? dirname(head.path) : 'archive.dump');
    },
  };
}

async function readState(
  manifest: Manifest,
  open: (file: ManifestFile) => Promise<Readable>,
): Promise<CapturedState | undefined> {
  const file = manifest.files.find(({ role }) => role === 'database');
  if (file === undefined) return undefined;
  const chunks: Buffer[] = [];
  for await (const chunk of (await open(file)) as AsyncIterable<Buffer>) chunks.push(chunk);
  return JSON.parse(Buffer.concat(chunks).toString('utf8')) as CapturedState;
}

async function archiveSource(archive: DetectedArchive, context: StepContext): Promise<RestoreSource> {
  const { path, format, wrapper } = archive;
  const open = async (onBytes?: (bytes: number) => void) => {
    const raw = createReadStream(path, { highWaterMark: 256 * 1024 });
    let read = 0;
    if (onBytes !== undefined) {
      raw.on('data', (chunk) => {
        read += chunk.length;
        onBytes(read);
      });
      // Listening starts the flow; whoever consumes it starts it again.
      raw.pause();
    }
    return unwrap(raw, wrapper, path);
  };
  const size = format === 'directory' ? await folderSize(path) : archive.size;
  // Dumps shrink to a fifth or less; a wrong guess only costs a needless warning or a later error.
  const plainSize = wrapper === 'none' ? size : size * 6;
  const common = {
    label: path,
    format,
    databaseSize: Math.round(plainSize * 1.3),
    plainSize,
    whole: true,
    needsSpool: wrapper !== 'none',
    open,
    materialize: async (scratch: string, onBytes: (bytes: number) => void) => {
      if (wrapper === 'none') return path;
      // The original was looked at when it was opened.
      const copy = join(scratch, format === 'tar' ? 'archive.tar' : 'archive.dump');
      const plain = await open(onBytes);
      await (format === 'custom' ? spoolArchive(plain, copy, path, context) : spool(plain, copy, context));
      if (format === 'tar') await assertWholeTar(copy);
      return copy;
    },
  };
  if (format === 'plain') {
    const script = new PlainScript();
    const plain = await script.scan(await open());
    script.assertWhole(path);
    assertHarmless(plain, path);
    return {
      ...common,
      exact: false,
      plain,
      locale: localeOf(plain.createDatabase ?? ''),
      serverVersionNum: versionOf(plain.serverVersion),
      dumpVersionNum: versionOf(plain.dumpVersion),
      databaseName: [...plain.databases][0] ?? 'restored',
      roles: { owners: [...plain.roles], grantees: [...plain.roles], others: [] },
      extensions: [...plain.extensions],
    };
  }
  const tools = await archiveTools(context);
  if (format === 'tar' && wrapper === 'none') await assertWholeTar(path);
  const contents =
    wrapper === 'none'
      ? await readContents(tools, path, toolContext(context))
      : format === 'custom'
        ? await readContents(tools, await open(), toolContext(context))
        : // The table of contents of a wrapped tar is found once it is unpacked.
          { entries: undefined, exact: false, header: undefined };
  const database = contents.entries?.find(({ type }) => type === 'DATABASE');
  return {
    ...common,
    entries: contents.entries,
    exact: contents.exact,
    locale: localeOf(database?.definition ?? ''),
    serverVersionNum: versionOf(contents.header?.serverVersion),
    dumpVersionNum: versionOf(contents.header?.dumpVersion),
    databaseName: contents.header?.database ?? 'restored',
    roles: rolesOfEntries(contents.entries ?? []),
    extensions: extensionsOf(contents.entries ?? []),
  };
}

/** Commands that psql would carry out on this machine, and dumps of whole servers, are no business of a restore. */
function assertHarmless(facts: PlainFacts, path: string): void {
  if (facts.cluster || facts.databases.size > 1) {
    throw new BackplanError('INPUT_INVALID', `${path} holds several databases (it was made by pg_dumpall)`, {
      hint: 'Restore such a file with psql into a server of its own, or dump the databases one by one.',
    });
  }
  if (facts.refused.length > 0) {
    throw new BackplanError(
      'INPUT_INVALID',
      `${path} holds psql commands that no dump needs: ${facts.refused.slice(0, 3).join('; ')}`,
      {
        hint: 'They could run programs on this machine. If you trust the file, take them out, or run it with psql yourself.',
      },
    );
  }
}

/** A custom archive, with the positions of its data noted in the copy. */
async function spoolArchive(
  stream: Readable,
  path: string,
  label: string,
  context: StepContext,
): Promise<void> {
  const blocks = locateBlocks(label);
  await spool(stream, path, context, blocks.stream);
  const located = blocks.located();
  if (located !== undefined) await notePositions(path, located);
}

async function spool(
  stream: Readable,
  path: string,
  context: StepContext,
  through: Transform = new PassThrough(),
): Promise<void> {
  try {
    const file = createWriteStream(path, { mode: 0o600, highWaterMark: 1 << 20 });
    await pipeline(stream, through, file, { signal: context.signal });
  } catch (error) {
    context.signal.throwIfAborted();
    if ((error as { code?: string }).code === 'ENOSPC') {
      throw new BackplanError('DISK_SPACE', `the file system of ${path} is full`, {
        cause: error,
        hint: 'Free space there, or set settings.scratchDirectory in the plan to a folder with more.',
      });
    }
    throw error;
  }
}

async function folderSize(path: string): Promise<number> {
  const names = await readdir(path);
  const sizes = await Promise.all(names.map(async (name) => (await stat(join(path, name))).size));
  return sizes.reduce((sum, size) => sum + size, 0);
}

function rolesOfEntries(entries: readonly ArchiveEntry[]): NamedRoles {
  const from = (types: RegExp) => [
    ...new Set(
      entries.filter(({ type }) => types.test(type)).flatMap(({ definition }) => rolesIn(definition)),
    ),
  ];
  const owners = entries
    .filter(({ type }) => type !== 'DATABASE' && type !== 'SUBSCRIPTION')
    .map(({ owner }) => owner)
    // Predefined roles (pg_database_owner owns the schema public) exist everywhere.
    .filter((owner) => owner !== null && !owner.startsWith('pg_'));
  return {
    owners: [...new Set(owners)] as string[],
    grantees: from(/^(ACL|DEFAULT ACL)$/),
    others: from(/^(POLICY|USER MAPPING)$/),
  };
}

function extensionsOf(entries: readonly ArchiveEntry[]): string[] {
  return entries.filter(({ type }) => type === 'EXTENSION').map(({ name }) => name);
}

function versionOf(text: string | null | undefined): number | undefined {
  return text === null || text === undefined ? undefined : parseVersion(`() ${text}`)?.versionNum;
}

async function archiveTools(context: StepContext) {
  return await findTools(undefined, {
    binDirectories: context.plan.settings.binDirectories,
    need: ['pg_restore'],
  });
}

export function toolContext(context: StepContext) {
  return {
    signal: context.signal,
    run: context.run.id,
    onStderr: (line: string) => context.stderr(line),
  };
}
