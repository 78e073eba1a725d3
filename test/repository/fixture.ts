/** Manifests and backups for tests: everything a real one has, small. */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import type { Backup, Manifest, ManifestFile, Proof, ProofKind } from '../../src/repository/manifest.ts';
import { openRepository, type RepositoryOptions } from '../../src/repository/open.ts';
import type { PartialBackup, Repository } from '../../src/repository/repository.ts';
import { localStorage } from '../../src/storage/local.ts';

export const NEVER: AbortSignal = new AbortController().signal;

export function repositoryAt(path: string, options: RepositoryOptions = {}, name = 'local'): Repository {
  return openRepository(name, localStorage(path), options);
}

export function makeManifest(
  id: string,
  database: string,
  startedAt: Date,
  files: ManifestFile[],
  changes: Partial<Manifest> = {},
): Manifest {
  return {
    manifestVersion: 1,
    id,
    plan: 'crm',
    job: 'nightly',
    run: 'r1',
    database,
    label: null,
    source: {
      url: 'postgresql://crm:***@db.example/crm',
      name: database,
      serverVersion: '15.18',
      serverVersionNum: 150018,
      systemIdentifier: '7300000000000000001',
      size: 1_000_000,
      encoding: 'UTF8',
      collate: 'C.UTF-8',
      ctype: 'C.UTF-8',
      localeProvider: 'libc',
      locale: null,
      collationVersion: null,
      owner: 'crm',
      extensions: [{ name: 'plpgsql', version: '1.0', schema: 'pg_catalog' }],
      schemaVersion: '20261101_init',
      snapshot: '00000003-0000001B-1',
      lsn: '0/1949B90',
      inRecovery: false,
    },
    tools: { backplan: '0.1.0', pgDump: '15.18' },
    startedAt: startedAt.toISOString(),
    endedAt: new Date(startedAt.getTime() + 60_000).toISOString(),
    durationMs: 60_000,
    method: 'custom',
    selection: {},
    compression: 'zstd',
    files,
    archiveEntries: { TABLE: 14 },
    fingerprint: { kind: 'counts', tables: [{ schema: 'public', table: 'Größe "x"', rows: 3 }] },
    ...changes,
  };
}

export interface MakeOptions {
  readonly database?: string;
  readonly startedAt?: Date;
  readonly content?: Buffer;
  readonly changes?: Partial<Manifest>;
  readonly proofs?: readonly ProofKind[];
}

export async function beginBackup(
  repository: Repository,
  { database = 'crm', startedAt = new Date('2026-11-24T02:00:00Z') }: MakeOptions = {},
): Promise<PartialBackup> {
  return await repository.begin(database, startedAt, () => {});
}

/** Writes an archive (zstd) and globals (plain) and publishes. */
export async function makeBackup(repository: Repository, options: MakeOptions = {}): Promise<Backup> {
  const {
    database = 'crm',
    startedAt = new Date('2026-11-24T02:00:00Z'),
    content = randomBytes(2000),
    changes,
    proofs = [],
  } = options;
  const partial = await beginBackup(repository, options);
  const files = [
    await partial.writeFile('archive.dump.zst', 'archive', Readable.from([content]), {
      compress: { method: 'zstd', level: 1 },
      signal: NEVER,
    }),
    await partial.writeFile('globals.sql', 'globals', Readable.from(['CREATE ROLE crm;\n']), {
      compress: { method: 'none' },
      signal: NEVER,
    }),
  ];
  const backup = await partial.publish(makeManifest(partial.id, database, startedAt, files, changes));
  for (const kind of proofs) await repository.addProof(backup, makeProof(backup, kind));
  return backup;
}

export function makeProof(backup: Backup, kind: ProofKind, changes: Partial<Proof> = {}): Proof {
  return {
    proofVersion: 1,
    backup: backup.manifest.id,
    kind,
    passed: true,
    at: new Date(Date.parse(backup.manifest.endedAt) + 60_000).toISOString(),
    run: 'r1',
    ...changes,
  };
}

/** Reads a stored file of a backup through the repository's checks. */
export async function readFile(repository: Repository, backup: Backup, path: string): Promise<Buffer> {
  const file = backup.manifest.files.find((each) => each.path === path);
  if (file === undefined) throw new Error(`the backup has no file ${path}`);
  const chunks: Buffer[] = [];
  for await (const chunk of await repository.open(backup, file, { signal: NEVER }))
    chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** Reads every file of a backup; throws when anything is wrong with it. */
export async function readAll(repository: Repository, backup: Backup): Promise<number> {
  let size = 0;
  for (const { path } of backup.manifest.files) size += (await readFile(repository, backup, path)).length;
  return size;
}

export function archivePath(root: string, backup: Backup): string {
  return join(root, backup.folder, 'archive.dump.zst');
}
