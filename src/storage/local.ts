/**
 * A repository in a folder of this machine (or of a mounted network share).
 *
 * A file is written under a temporary name in its own folder, synced, renamed, and the folder synced; a backup's
 * folder is renamed into place the same way. Symbolic links to folders are followed directly below the root (a
 * database on a disk of its own) and ignored anywhere else, so that a `latest` link is no second backup.
 */
import { randomBytes } from 'node:crypto';
import { lstat, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { finished } from 'node:stream/promises';
import { BackplanError } from '../errors.ts';
import { FILE_MODE, makeFolder, syncFolder, syncFolders } from './durable.ts';
import { FileSink, FileSource } from './local-file.ts';
import { mapLimit } from './map-limit.ts';
import type { Storage, StorageEntry, WriteHandle } from './storage.ts';
import { explainFileError, freeBytes } from './storage-error.ts';

/** The names of files that are being written. Leftovers of a crash; never listed. */
const TEMPORARY = /^\.backplan-[0-9a-f]+\.tmp$/;
const PARALLEL = 16;

/** @param path the root; relative ones start at the current folder. Nothing is touched before the first call. */
export function localStorage(path: string): Storage {
  const root = resolve(path);
  const at = (relativePath: string) => placeInside(root, relativePath);

  return {
    traits: { atomicPublish: true, localPaths: true },
    label: root,

    async prepare() {
      try {
        await makeFolder(root);
        const probe = join(root, temporaryName());
        const handle = await open(probe, 'wx', FILE_MODE);
        await handle.close();
        await rm(probe);
      } catch (error) {
        const reason = await explainFileError(error, `use the folder ${root}`, root);
        throw new BackplanError('REPOSITORY_UNUSABLE', reason.message, {
          cause: error,
          hint: reason.hint,
        });
      }
    },

    write: (file) => startWriting(at(file)),

    async read(file) {
      const target = at(file);
      try {
        const handle = await open(target, 'r');
        try {
          const facts = await handle.stat();
          if (!facts.isFile()) throw new BackplanError('STORAGE_FAILED', `cannot read ${target}: not a file`);
          return new FileSource(handle, target, facts.size);
        } catch (error) {
          await handle.close();
          throw error;
        }
      } catch (error) {
        throw await explainFileError(error, `read ${target}`, target);
      }
    },

    async stat(file) {
      const target = at(file);
      try {
        return { path: file, size: (await stat(target)).size };
      } catch (error) {
        if (isMissing(error)) return undefined;
        throw await explainFileError(error, `look at ${target}`, target);
      }
    },

    async list(folder) {
      const start = at(folder);
      try {
        return await listFiles(root, start);
      } catch (error) {
        throw await explainFileError(error, `list ${start}`, start);
      }
    },

    async folders(folder) {
      const start = at(folder);
      try {
        const entries = await readdir(start, { withFileTypes: true });
        const names = await mapLimit(entries, PARALLEL, async (entry) => {
          if (entry.isDirectory()) return entry.name;
          if (start !== root || !entry.isSymbolicLink()) return undefined;
          const target = await stat(join(start, entry.name)).catch(() => undefined);
          return target?.isDirectory() ? entry.name : undefined;
        });
        return names.filter((name) => name !== undefined).sort();
      } catch (error) {
        if (isMissing(error)) return [];
        throw await explainFileError(error, `list ${start}`, start);
      }
    },

    async remove(file) {
      const target = at(file);
      try {
        await rm(target, { force: true });
        await syncFolder(dirname(target));
      } catch (error) {
        if (!isMissing(error)) throw await explainFileError(error, `remove ${target}`, target);
      }
    },

    async removeFolder(folder) {
      const target = at(folder);
      if (target === root) throw outside(root, folder);
      try {
        await rm(target, { recursive: true, force: true, maxRetries: 2 });
        await syncFolder(dirname(target));
      } catch (error) {
        if (!isMissing(error)) throw await explainFileError(error, `remove ${target}`, target);
      }
    },

    async publish(partial, final) {
      const [from, to] = [at(partial), at(final)];
      try {
        await syncFolders(from);
        await makeFolder(dirname(to));
        if ((await lstat(to).catch(() => undefined)) !== undefined) {
          throw new BackplanError('STORAGE_FAILED', `cannot rename ${from}: ${to} exists already`, {
            hint: `Look at ${to}; a finished backup is never replaced.`,
          });
        }
        await rename(from, to);
        try {
          // Up to the root: a tool may have made a folder on the way, and then nobody has synced its entry.
          for (const parent of new Set([...parentsOf(to, root), ...parentsOf(from, root)]))
            await syncFolder(parent);
        } catch (error) {
          // Not durable, so not published: a power cut might bring the old name back.
          await rename(to, from).catch(() => {});
          throw error;
        }
      } catch (error) {
        throw await explainFileError(error, `rename ${from} to ${to}`, to);
      }
    },

    localPath: (file) => at(file),

    freeSpace: () => freeBytes(root),
  };
}

async function startWriting(target: string): Promise<WriteHandle> {
  const temporary = join(dirname(target), temporaryName());
  const start = async () => {
    try {
      await makeFolder(dirname(target));
      return await open(temporary, 'wx', FILE_MODE);
    } catch (error) {
      throw await explainFileError(error, `write ${target}`, dirname(target));
    }
  };
  const handle = await start();
  const stream = new FileSink(handle, target);
  // Whoever writes sees errors through the stream's callbacks or `close`; an unheard event must not end the process.
  stream.on('error', () => {});
  let settled = false;

  const abandon = async () => {
    if (settled) return;
    settled = true;
    stream.destroy();
    await handle.close().catch(() => {});
    await rm(temporary, { force: true }).catch(() => {});
  };
  const close = async () => {
    try {
      if (settled)
        throw new BackplanError('STORAGE_FAILED', `cannot write ${target}: it was given up before`);
      if (!stream.writableEnded && !stream.destroyed) {
        throw new BackplanError('STORAGE_FAILED', `cannot write ${target}: its stream has not ended`);
      }
      await finished(stream);
      await stream.sync();
      await handle.close();
      await rename(temporary, target);
      await syncFolder(dirname(target));
      settled = true;
    } catch (error) {
      await abandon();
      throw await explainFileError(error, `write ${target}`, dirname(target));
    }
  };
  return { stream, close, abandon };
}

/** All files below a folder; what vanishes while we look was not there. */
async function listFiles(root: string, folder: string): Promise<StorageEntry[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch((error: unknown) => {
    if (isMissing(error)) return [];
    throw error;
  });
  const found = await mapLimit(entries, PARALLEL, async (entry): Promise<StorageEntry[]> => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return entry.name.startsWith('.') ? [] : await listFiles(root, path);
    if (TEMPORARY.test(entry.name)) return [];
    try {
      const facts = await stat(path);
      if (!facts.isFile()) return [];
      return [{ path: relative(root, path).split(sep).join('/'), size: facts.size }];
    } catch (error) {
      if (isMissing(error)) return [];
      throw error;
    }
  });
  return found.flat();
}

/** @throws STORAGE_FAILED for a path that would leave the root */
function placeInside(root: string, path: string): string {
  if (path === '') return root;
  const odd = path.split('/').some((part) => part === '' || part === '.' || part === '..');
  if (odd || path.includes('\0') || path.includes('\\')) throw outside(root, path);
  return join(root, path);
}

function outside(root: string, path: string): BackplanError {
  return new BackplanError('STORAGE_FAILED', `${JSON.stringify(path)} is not a path inside ${root}`, {
    hint: 'Names in a repository are relative, with "/" between folders, and never "..".',
  });
}

/** The folders from that of `path` up to the root. */
function parentsOf(path: string, root: string): string[] {
  const parents: string[] = [];
  for (let folder = dirname(path); folder !== dirname(root); folder = dirname(folder)) parents.push(folder);
  return parents;
}

function temporaryName(): string {
  return `.backplan-${randomBytes(6).toString('hex')}.tmp`;
}

function isMissing(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code;
  return code === 'ENOENT' || code === 'ENOTDIR';
}
