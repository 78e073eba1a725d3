/** What exists in a repository: read from the manifests, never from file times or names. */
import { mapLimit } from '../storage/map-limit.ts';
import type { Storage, StorageEntry } from '../storage/storage.ts';
import { compileSchema } from '../validator.ts';
import { databaseFolder, MANIFEST_FILE, PROOFS_FOLDER, parseBackupId, problemOfFilePath } from './layout.ts';
import { type Backup, type Manifest, manifestSchema } from './manifest.ts';
import { readProofs } from './proof.ts';
import type { BrokenBackup, Catalog } from './repository.ts';
import { isIntact } from './seal.ts';
import { readText } from './text.ts';

const PARALLEL = 16;

/**
 * Reads every manifest, compares the listed files with those that are there (names and sizes), and collects the
 * proofs. Hidden folders, links and files that are none of ours are passed over.
 * @param database only the backups of this one
 * @throws STORAGE_FAILED, PERMISSION_DENIED when the storage cannot be listed: "no backups" is never said by mistake
 */
export async function readCatalog(
  repository: string,
  storage: Storage,
  options: { database?: string | undefined; note: (message: string) => void },
): Promise<Catalog> {
  const databases =
    options.database === undefined
      ? (await storage.folders('')).filter((name) => !name.startsWith('.'))
      : [databaseFolder(options.database)];
  const backups: Backup[] = [];
  const broken: BrokenBackup[] = [];
  for (const database of databases) {
    const groups = groupByBackup(database, await storage.list(database));
    await mapLimit([...groups], PARALLEL, async ([id, files]) => {
      const folder = `${database}/${id}`;
      const found = await readBackup(repository, storage, { database, id, files, note: options.note });
      if (typeof found !== 'string') backups.push(found);
      else if (await isStillThere(storage, folder)) broken.push({ folder, reason: found });
    });
  }
  broken.sort((a, b) => a.folder.localeCompare(b.folder));
  return { backups: backups.sort(byStart), broken };
}

/** Recorded start, then id: an order that does not depend on the storage. */
export function byStart(a: Backup, b: Backup): number {
  return (
    Date.parse(a.manifest.startedAt) - Date.parse(b.manifest.startedAt) ||
    (a.manifest.id < b.manifest.id ? -1 : a.manifest.id > b.manifest.id ? 1 : 0)
  );
}

/** id → its files; only folders whose name is an id, or that hold a manifest. */
function groupByBackup(database: string, entries: readonly StorageEntry[]): Map<string, StorageEntry[]> {
  const groups = new Map<string, StorageEntry[]>();
  for (const entry of entries) {
    const [id, ...rest] = entry.path.slice(database.length + 1).split('/');
    if (id === undefined || rest.length === 0) continue;
    const group = groups.get(id);
    if (group === undefined) groups.set(id, [entry]);
    else group.push(entry);
  }
  for (const [id, files] of groups) {
    const manifest = `${database}/${id}/${MANIFEST_FILE}`;
    if (parseBackupId(id) === undefined && !files.some(({ path }) => path === manifest)) groups.delete(id);
  }
  return groups;
}

/** The backup, or why it is none. */
async function readBackup(
  repository: string,
  storage: Storage,
  at: { database: string; id: string; files: readonly StorageEntry[]; note: (message: string) => void },
): Promise<Backup | string> {
  const { database, id, files, note } = at;
  const folder = `${database}/${id}`;
  const sizes = new Map(files.map(({ path, size }) => [path.slice(folder.length + 1), size]));
  if (!sizes.has(MANIFEST_FILE)) return `it has no ${MANIFEST_FILE}`;
  let text: string;
  try {
    text = await readText(storage, `${folder}/${MANIFEST_FILE}`);
  } catch (error) {
    return `its ${MANIFEST_FILE} cannot be read (${error instanceof Error ? error.message : String(error)})`;
  }
  const manifest = await parseManifest(text);
  if (typeof manifest === 'string') return manifest;
  if (manifest.id !== id || manifest.database !== database || parseBackupId(id)?.database !== database) {
    return `its ${MANIFEST_FILE} is that of ${manifest.database}/${manifest.id}; was the folder renamed or copied?`;
  }
  for (const { path, size } of manifest.files) {
    const found = sizes.get(path);
    if (found === undefined) return `its file ${path} is missing`;
    if (found !== size) return `its file ${path} has ${found} bytes instead of ${size}`;
  }
  const proofFiles = files.filter(({ path }) => path.startsWith(`${folder}/${PROOFS_FOLDER}/`));
  return { repository, manifest, proofs: await readProofs(storage, id, proofFiles, note), folder };
}

/** The manifest, or what is wrong with it. Keys that a later version added are let through. */
export async function parseManifest(text: string): Promise<Manifest | string> {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch {
    return `its ${MANIFEST_FILE} is not JSON: damaged or cut off`;
  }
  const version = (document as { manifestVersion?: unknown } | null)?.manifestVersion;
  if (typeof version === 'number' && version > 1) {
    return `its ${MANIFEST_FILE} has version ${version}, made by a newer backplan; this one reads version 1`;
  }
  const validate = await compileSchema(manifestSchema);
  const [problem] = validate(document).filter(({ keyword }) => keyword !== 'unknownKey');
  if (problem !== undefined) {
    return `its ${MANIFEST_FILE} is damaged: ${problem.path.join('.') || 'the document'}: ${problem.message}`;
  }
  const manifest = document as Manifest;
  if (!isIntact(manifest)) return `its ${MANIFEST_FILE} is damaged: its checksum does not fit`;
  return problemOfManifest(manifest) ?? manifest;
}

/** What the schema cannot say. */
export function problemOfManifest(manifest: Manifest): string | undefined {
  for (const key of ['startedAt', 'endedAt'] as const) {
    if (Number.isNaN(Date.parse(manifest[key]))) return `its ${key} "${manifest[key]}" is not a time`;
  }
  const paths = manifest.files.map(({ path }) => path);
  for (const path of paths) {
    const problem = problemOfFilePath(path);
    if (problem !== undefined) return problem;
  }
  if (new Set(paths).size !== paths.length) return 'it lists a file twice';
  return undefined;
}

/** A backup that was deleted or published while we looked is not broken. */
async function isStillThere(storage: Storage, folder: string): Promise<boolean> {
  return (await storage.list(folder)).length > 0;
}
