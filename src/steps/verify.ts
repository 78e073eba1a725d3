/** `verify`: reads a backup back, every byte, against its manifest, and lets pg_restore read the archive to its end. */
import { dirname } from 'node:path';
import type { Readable } from 'node:stream';
import { BackplanError, type ErrorCode, toBackplanError } from '../errors.ts';
import { countEntries, readContents, readThrough } from '../postgres/archive.ts';
import { findTools, parseVersion, type Tools } from '../postgres/tools.ts';
import { corrupt } from '../repository/codec.ts';
import { type ManifestFile, type Proof, storedSize } from '../repository/manifest.ts';
import { formatBytes } from '../units.ts';
import { type FoundBackup, findBackup, toolContext } from './restore-source.ts';
import { defineStep, type StepContext } from './step-kind.ts';

export const verify = defineStep({
  kind: 'verify',
  summary:
    'Read a backup back, every byte, against its checksums, and let pg_restore read the archive through. The result is kept as proof.',
  with: {
    type: 'object',
    required: ['backup'],
    additionalProperties: false,
    properties: {
      backup: {
        type: 'string',
        description:
          'Which backup: latest, latest-proven, an id or the beginning of one, label:TEXT, repository:id.',
        examples: ['latest', '${{ steps.dump.outputs.backup }}'],
      },
      repository: {
        type: 'string',
        description: 'Where it is. Default: wherever it is found.',
        examples: ['local'],
        'x-ref': 'repository',
      },
      database: {
        type: 'string',
        description: 'Whose backups to look among. Default: the only database of the plan.',
        examples: ['crm'],
        'x-ref': 'planDatabase',
      },
      archive: {
        type: 'boolean',
        description:
          'Let pg_restore read the archive to its end as well; needs its programs on this machine.',
        default: true,
        examples: [false],
      },
    },
  },
  outputs: {
    backup: { type: 'string', description: 'repository:id of the backup that was verified.' },
    files: { type: 'number', description: 'How many files were read.' },
    bytes: { type: 'number', description: 'Bytes that were read, as stored.' },
    entries: { type: 'number', description: 'Entries of the archive; null with archive: false.' },
  },
  describe: ({ backup, archive }) =>
    `read ${backup} back against its checksums${archive ? ' and its archive through with pg_restore' : ''}`,
  async run(params, context) {
    const found = await findBackup(params, context);
    const { repository, backup } = found;
    const name = `${backup.repository}:${backup.manifest.id}`;
    const tools = params.archive ? await toolsFor(found, context) : undefined;
    const release = await repository.lease(backup, context.run.id);
    try {
      const entries = await readBack(found, tools, context).catch(async (error: unknown) => {
        const failure = toBackplanError(error);
        if (failure.code === 'BACKUP_CORRUPT') await record(found, false, failure.message, context);
        throw failure;
      });
      const { files } = backup.manifest;
      const bytes = storedSize(backup.manifest);
      const summary = `${files.length} ${files.length === 1 ? 'file' : 'files'}, ${formatBytes(bytes)}${
        entries === null ? '' : `, ${entries} archive entries`
      }`;
      await record(found, true, summary, context);
      context.log.info(`${name} is sound: ${summary}`);
      return { backup: name, files: files.length, bytes, entries };
    } finally {
      await release();
    }
  },
});

/** pg_restore must not be older than the pg_dump that wrote the archive. */
async function toolsFor({ backup }: FoundBackup, context: StepContext): Promise<Tools> {
  const dumped = parseVersion(`() ${backup.manifest.tools.pgDump}`)?.versionNum;
  return await findTools(dumped ?? backup.manifest.source.serverVersionNum, {
    binDirectories: context.plan.settings.binDirectories,
    need: ['pg_restore'],
  });
}

/** Reads all files, the archive through pg_restore where there are tools. Returns the number of its entries. */
async function readBack(
  found: FoundBackup,
  tools: Tools | undefined,
  context: StepContext,
): Promise<number | null> {
  const { manifest } = found.backup;
  const read = new FileReader(found, context);
  const archive = manifest.files.filter(({ role }) => role === 'archive');
  const [first] = archive;
  if (tools === undefined || first === undefined) {
    for (const file of manifest.files) await read.drain(file);
    if (tools === undefined) return null;
    throw corrupt(read.label, 'it has no archive');
  }
  for (const file of manifest.files) if (file.role !== 'archive') await read.drain(file);
  if (manifest.method === 'custom') {
    // The one file goes through checksums and pg_restore in a single pass.
    await read.through(first, tools);
    for (const file of archive.slice(1)) await read.drain(file);
    return await listed(tools, await read.open(first), found, context);
  }
  for (const file of archive) await read.drain(file);
  const toc = archive.find(({ path }) => path.endsWith('/toc.dat'));
  if (toc === undefined) throw corrupt(read.label, 'its toc.dat is missing');
  const folder = found.repository.storage.localPath(`${found.backup.folder}/${dirname(toc.path)}`);
  if (folder === undefined) {
    throw new BackplanError(
      'USAGE',
      `${read.label} is a folder of files in a place that pg_restore cannot read`,
      {
        hint: 'Verify it with archive: false, or copy it to a repository on this machine first.',
      },
    );
  }
  await honest(readThrough(tools, folder, { ...toolContext(context), label: read.label }));
  return await listed(tools, folder, found, context);
}

/** Compares what the archive holds with what the manifest says. */
async function listed(
  tools: Tools,
  input: string | Readable,
  { backup }: FoundBackup,
  context: StepContext,
): Promise<number> {
  const { entries, exact } = await readContents(tools, input, toolContext(context));
  const label = `the archive of backup ${backup.repository}:${backup.manifest.id}`;
  const found = countEntries(entries);
  for (const type of new Set([...Object.keys(found), ...Object.keys(backup.manifest.archiveEntries)])) {
    const [here, recorded] = [found[type] ?? 0, backup.manifest.archiveEntries[type] ?? 0];
    if (exact && here !== recorded)
      throw corrupt(label, `found ${here} entries ${type}, expected ${recorded}`);
  }
  return Object.values(found).reduce((sum, count) => sum + count, 0);
}

/** Reads the files of one backup and tells how far it is. */
class FileReader {
  readonly label: string;
  readonly #found: FoundBackup;
  readonly #context: StepContext;
  #before = 0;

  constructor(found: FoundBackup, context: StepContext) {
    this.#found = found;
    this.#context = context;
    this.label = `backup ${found.backup.repository}:${found.backup.manifest.id}`;
  }

  async open(file: ManifestFile, onBytes?: (storedBytes: number) => void): Promise<Readable> {
    const { repository, backup } = this.#found;
    return await repository.open(backup, file, { signal: this.#context.signal, onBytes });
  }

  async drain(file: ManifestFile): Promise<void> {
    for await (const _chunk of await this.open(file, (bytes) => this.#tell(bytes, file))) {
      // Reading to the end is what compares sizes and checksums.
    }
    this.#before += file.size;
  }

  /** One pass through the checksums and pg_restore. */
  async through(file: ManifestFile, tools: Tools): Promise<void> {
    const stream = await this.open(file, (bytes) => this.#tell(bytes, file));
    let whole = false;
    stream.once('end', () => {
      whole = true;
    });
    await honest(readThrough(tools, stream, { ...toolContext(this.#context), label: this.label }));
    // pg_restore may be content before the last byte; the checksum is not.
    if (whole) this.#before += file.size;
    else await this.drain(file);
  }

  #tell(bytes: number, { path }: ManifestFile): void {
    this.#context.progress({
      done: this.#before + bytes,
      total: storedSize(this.#found.backup.manifest),
      unit: 'bytes',
      note: path,
    });
  }
}

/** What says something of the backup, as against of the machine that looks at it. */
const ABOUT_THE_MACHINE: readonly ErrorCode[] = [
  'TOOL_MISSING',
  'PERMISSION_DENIED',
  'CANCELLED',
  'TIMEOUT',
  'DISK_FULL',
];

/** A pg_restore that could not be started, or that something killed, shows nothing of the backup. */
async function honest(reading: Promise<void>): Promise<void> {
  try {
    await reading;
  } catch (error) {
    const cause = error instanceof BackplanError ? error.cause : undefined;
    if (!(cause instanceof BackplanError)) throw error;
    if (ABOUT_THE_MACHINE.includes(cause.code)) throw cause;
    if (cause.message.includes('was killed by')) {
      throw new BackplanError('TOOL_FAILED', cause.message, {
        cause,
        hint: cause.hint,
        detail: cause.detail,
      });
    }
    throw error;
  }
}

/** Keeps the result beside the backup. Where that cannot be written, the result still stands. */
async function record(
  { repository, backup }: FoundBackup,
  passed: boolean,
  summary: string,
  context: StepContext,
): Promise<void> {
  const proof: Proof = {
    proofVersion: 1,
    backup: backup.manifest.id,
    kind: 'verified',
    passed,
    at: new Date().toISOString(),
    run: context.run.id,
    summary,
  };
  try {
    await repository.addProof(backup, proof);
  } catch (error) {
    context.log.warn(`the result could not be kept beside the backup: ${toBackplanError(error).message}`);
  }
}
