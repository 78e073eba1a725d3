/** The version of a repository's layout, in `.backplan/repository.json`. */
import { BackplanError, toBackplanError } from '../errors.ts';
import type { Storage } from '../storage/storage.ts';
import { FORMAT_FILE } from './layout.ts';
import { readText, writeText } from './text.ts';

export const FORMAT_VERSION = 1;

/**
 * Refuses a repository of a newer layout. A missing or damaged file is no obstacle to reading: every backup describes
 * itself, and a restore must not fail for want of this file.
 * @throws REPOSITORY_UNUSABLE
 */
export async function checkFormat(name: string, storage: Storage): Promise<'sound' | 'missing' | 'damaged'> {
  const version = await readVersion(storage);
  if (typeof version === 'string') return version;
  if (version > FORMAT_VERSION) {
    throw new BackplanError(
      'REPOSITORY_UNUSABLE',
      `the repository ${name} (${storage.label}) has layout version ${version}; this backplan knows version ${FORMAT_VERSION}`,
      { hint: 'Upgrade backplan, or give the repository another path.' },
    );
  }
  return 'sound';
}

/**
 * Makes the repository ready for a new backup.
 * @throws REPOSITORY_UNUSABLE when it cannot be written, is of a newer layout, or says nothing sensible
 */
export async function prepareFormat(name: string, storage: Storage): Promise<void> {
  await storage.prepare();
  const state = await checkFormat(name, storage);
  if (state === 'sound') return;
  if (state === 'damaged') {
    throw new BackplanError(
      'REPOSITORY_UNUSABLE',
      `${FORMAT_FILE} of the repository ${name} (${storage.label}) is damaged, so its layout is not known for sure`,
      {
        hint: `Verify some of its backups; when they are sound, delete ${storage.localPath(FORMAT_FILE) ?? FORMAT_FILE} and run again: it is written anew.`,
      },
    );
  }
  try {
    await writeText(storage, FORMAT_FILE, `${JSON.stringify({ formatVersion: FORMAT_VERSION })}\n`);
  } catch (error) {
    const { code, message, hint } = toBackplanError(error);
    if (code === 'DISK_FULL') throw error;
    throw new BackplanError('REPOSITORY_UNUSABLE', message, { cause: error, hint });
  }
}

async function readVersion(storage: Storage): Promise<number | 'missing' | 'damaged'> {
  if ((await storage.stat(FORMAT_FILE)) === undefined) return 'missing';
  try {
    const document = JSON.parse(await readText(storage, FORMAT_FILE)) as { formatVersion?: unknown } | null;
    const version = document?.formatVersion;
    return typeof version === 'number' && Number.isInteger(version) && version > 0 ? version : 'damaged';
  } catch {
    return 'damaged';
  }
}
