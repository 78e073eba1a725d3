/** `copy`: puts a backup into another repository, under the same id, checked while it is read and again where it is. */
import { BackplanError, toBackplanError } from '../errors.ts';
import { type Backup, type ManifestFile, storedSize } from '../repository/manifest.ts';
import type { Repository } from '../repository/repository.ts';
import { formatBytes } from '../units.ts';
import { type FoundBackup, findBackup } from './restore-source.ts';
import { defineStep, type StepContext } from './step-kind.ts';

export const copy = defineStep({
  kind: 'copy',
  summary: 'Copy a backup into another repository, checked on the way and read back where it arrives.',
  with: {
    type: 'object',
    required: ['backup', 'to'],
    additionalProperties: false,
    properties: {
      backup: {
        type: 'string',
        description:
          'Which backup: latest, latest-proven, an id or the beginning of one, label:TEXT, repository:id.',
        examples: ['${{ steps.dump.outputs.backup }}', 'latest-proven'],
      },
      from: {
        type: 'string',
        description: 'Where it is. Default: wherever it is found, the target left out.',
        examples: ['local'],
        'x-ref': 'repository',
      },
      to: { type: 'string', description: 'Where it goes.', examples: ['offsite'], 'x-ref': 'repository' },
      database: {
        type: 'string',
        description: 'Whose backups to look among. Default: the only database of the plan.',
        examples: ['crm'],
        'x-ref': 'planDatabase',
      },
    },
  },
  outputs: {
    backup: { type: 'string', description: 'repository:id of the copy.' },
    bytes: { type: 'number', description: 'Bytes that were copied; 0 when the copy was there already.' },
  },
  writes: ({ to, database }) => (database === undefined ? [] : [{ repository: to, database }]),
  validate: ({ from, to }) =>
    from === to ? [{ path: ['to'], message: '`from` and `to` are the same repository' }] : [],
  describe: ({ backup, from, to }) => `copy ${backup}${from === undefined ? '' : ` from ${from}`} to ${to}`,
  async run({ backup: reference, from, to, database }, context) {
    const target = await context.repository(to);
    const found = await findSource({ backup: reference, repository: from, database }, to, context);
    const { manifest } = found.backup;
    const name = `${to}:${manifest.id}`;
    const release = await found.repository.lease(found.backup, context.run.id);
    try {
      const existing = (await target.backups(manifest.database)).find(
        (each) => each.manifest.id === manifest.id,
      );
      if (existing !== undefined) {
        expectSame(existing, found.backup, name);
        await readBack(target, existing, context);
        context.log.info(`${name} is there already and sound`);
        return { backup: name, bytes: 0 };
      }
      const published = await transfer(found, target, context);
      await readBack(target, published, context);
      const bytes = storedSize(manifest);
      context.log.info(`copied ${found.backup.repository}:${manifest.id} to ${name}, ${formatBytes(bytes)}`);
      return { backup: name, bytes };
    } finally {
      await release();
    }
  },
});

/** Among several repositories the target is no place to copy from. */
async function findSource(
  params: { backup: string; repository: string | undefined; database: string | undefined },
  to: string,
  context: StepContext,
): Promise<FoundBackup> {
  const declared = Object.entries(context.plan.repositories).filter(([name]) => name !== to);
  const plan = { ...context.plan, repositories: Object.fromEntries(declared) };
  if (params.repository === to || params.backup.startsWith(`${to}:`)) {
    throw new BackplanError('INPUT_INVALID', `${params.backup} is in ${to} already`, {
      hint: 'Name another repository in `to`.',
    });
  }
  return await findBackup(params, { ...context, plan });
}

async function transfer(found: FoundBackup, target: Repository, context: StepContext): Promise<Backup> {
  const { repository, backup } = found;
  const { manifest } = backup;
  let owned: ReturnType<StepContext['own']> | undefined;
  const partial = await target.begin(
    manifest.database,
    new Date(manifest.startedAt),
    (path) => {
      owned = context.own({ kind: 'folder', path });
    },
    { id: manifest.id },
  );
  try {
    let before = 0;
    for (const file of manifest.files) {
      const source = await repository.open(backup, file, { signal: context.signal, stored: true });
      const base = before;
      await partial.writeFile(file.path, file.role, source, {
        compress: { method: 'none' },
        signal: context.signal,
        onBytes: (bytes) => tell(context, manifest.files, base + bytes, `copy ${file.path}`),
      });
      before += file.size;
    }
    return await partial.publish(manifest);
  } catch (error) {
    await partial.abandon();
    throw error;
  } finally {
    owned?.release();
  }
}

/**
 * What `verified` says was read back, not only written; the other proofs are those of the original and stay there.
 * @throws BACKUP_CORRUPT after the failed proof has been kept
 */
async function readBack(target: Repository, backup: Backup, context: StepContext): Promise<void> {
  const { files, id } = backup.manifest;
  const proof = {
    proofVersion: 1,
    backup: id,
    kind: 'verified',
    run: context.run.id,
  } as const;
  try {
    let before = 0;
    for (const file of files) {
      const base = before;
      const stream = await target.open(backup, file, {
        signal: context.signal,
        stored: true,
        onBytes: (bytes) => tell(context, files, base + bytes, `read back ${file.path}`),
      });
      for await (const _chunk of stream) {
        // Reading to the end is what compares sizes and checksums.
      }
      before += file.size;
    }
  } catch (error) {
    const { code, message } = toBackplanError(error);
    if (code === 'BACKUP_CORRUPT') {
      await target.addProof(backup, {
        ...proof,
        passed: false,
        at: new Date().toISOString(),
        summary: message,
      });
    }
    throw error;
  }
  const summary = `copy read back: ${files.length} ${files.length === 1 ? 'file' : 'files'}, ${formatBytes(storedSize(backup.manifest))}`;
  await target.addProof(backup, { ...proof, passed: true, at: new Date().toISOString(), summary });
}

function expectSame(existing: Backup, wanted: Backup, name: string): void {
  const key = ({ manifest }: Backup) =>
    JSON.stringify(manifest.files.map(({ path, size, sha256 }) => [path, size, sha256]).sort());
  if (key(existing) === key(wanted)) return;
  throw new BackplanError('STORAGE_FAILED', `${name} is there already, with other content`, {
    hint: 'Find out which of the two is right before you remove the other.',
  });
}

function tell(context: StepContext, files: readonly ManifestFile[], done: number, note: string): void {
  context.progress({ done, total: files.reduce((sum, { size }) => sum + size, 0), unit: 'bytes', note });
}
