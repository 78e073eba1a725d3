/**
 * Data folders of new clusters, copied from one that initdb made earlier: initdb takes about a second and makes the
 * same each time. The copies lie in the user's cache folder and are only ever a shortcut: whatever is wrong with
 * them, initdb runs instead.
 */
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, realpath, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { runTool } from '../process.ts';
import { major, type Tools } from './tools.ts';
import type { Account } from './unprivileged.ts';

export interface NewCluster {
  readonly tools: Tools;
  /** Does not exist yet; its parent does, and belongs to the account. */
  readonly dataDirectory: string;
  readonly superuser: string;
  /** Who owns the files and runs initdb, where that is not the user of this process. */
  readonly account: Account | undefined;
  readonly signal: AbortSignal;
  /** Marks the processes for recovery. */
  readonly run?: string | undefined;
  readonly onLog?: ((line: string) => void) | undefined;
}

/** What initdb sees besides its arguments: messages in English, no locale of the caller. */
export const SERVER_ENVIRONMENT = { LC_ALL: 'C', TZ: 'UTC' };

/** A copy that nobody asked for in this time belongs to a version that is gone. */
const UNUSED_MS = 30 * 24 * 3_600_000;

/** Inside a template: the data folder, and how many entries it has. */
const DATA = 'data';
const COUNT = 'entries';
const PARTIAL = '.partial';

/**
 * Makes a data folder as initdb does: UTF8, no locale, trust, nothing synced.
 * @throws TOOL_FAILED with the words of initdb, CANCELLED
 */
export async function createDataDirectory(cluster: NewCluster): Promise<void> {
  const { dataDirectory, signal } = cluster;
  const template = await templateFolder(cluster).catch(() => undefined);
  if (template !== undefined) {
    if (await copied(cluster, template)) return;
    signal.throwIfAborted();
    await rm(dataDirectory, { recursive: true, force: true });
  }
  await initdb(cluster);
  if (template !== undefined) await keep(cluster, template).catch(() => {});
  signal.throwIfAborted();
}

async function initdb({ tools, dataDirectory, superuser, account, signal, run, onLog }: NewCluster) {
  await runTool({
    command: tools.path('initdb'),
    args: [
      ...['--pgdata', dataDirectory, '--username', superuser, '--auth=trust', '--encoding=UTF8'],
      ...['--no-locale', '--no-sync', ...(major(tools.versionNum) >= 14 ? ['--no-instructions'] : [])],
      // On by default since 18; they protect data that is worth keeping.
      ...(major(tools.versionNum) >= 18 ? ['--no-data-checksums'] : []),
    ],
    env: SERVER_ENVIRONMENT,
    cwd: join(dataDirectory, '..'),
    ...account,
    signal,
    run,
    onStderr: onLog,
  });
}

/**
 * Named by everything that decides what initdb writes: the program, the owner, and the locales of the system with
 * the version of the C library, which initdb notes in pg_collation.
 * Source: https://www.postgresql.org/docs/current/collation.html#COLLATION-MANAGING-PREDEFINED
 */
async function templateFolder({ tools, superuser, account, signal }: NewCluster): Promise<string> {
  const program = await realpath(tools.path('postgres'));
  const { mtimeMs, size } = await stat(program);
  const { stdout } = await runTool({
    command: 'sh',
    args: ['-c', 'locale -a; getconf GNU_LIBC_VERSION || uname -rv'],
    env: { LC_ALL: 'C' },
    signal,
  });
  const facts = [1, program, mtimeMs, size, superuser, account?.uid, stdout];
  const name = createHash('sha256').update(JSON.stringify(facts)).digest('hex').slice(0, 16);
  return join(cacheFolder(), name);
}

/** Source: XDG Base Directory Specification. */
function cacheFolder(): string {
  return join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'backplan', 'clusters');
}

/** Whether the template was there, whole, and could be copied. */
async function copied({ dataDirectory, signal, run }: NewCluster, template: string): Promise<boolean> {
  try {
    // What tidies up caches by age may have taken some of its files.
    if ((await entries(join(template, DATA))) !== Number(await readFile(join(template, COUNT), 'utf8')))
      return false;
    const now = new Date();
    await utimes(template, now, now);
    await copy(join(template, DATA), dataDirectory, signal, run);
    return true;
  } catch {
    return false;
  }
}

/** Published by rename, so that a template is there or it is not; of two at once one stays. */
async function keep({ dataDirectory, signal, run }: NewCluster, template: string): Promise<void> {
  const cache = join(template, '..');
  await mkdir(cache, { recursive: true, mode: 0o700 });
  await removeUnused(cache);
  const partial = `${template}.${randomBytes(4).toString('hex')}${PARTIAL}`;
  try {
    await mkdir(partial);
    await copy(dataDirectory, join(partial, DATA), signal, run);
    await writeFile(join(partial, COUNT), String(await entries(join(partial, DATA))));
    await rm(template, { recursive: true, force: true });
    await rename(partial, template);
  } finally {
    await rm(partial, { recursive: true, force: true });
  }
}

async function entries(folder: string): Promise<number> {
  return (await readdir(folder, { recursive: true })).length;
}

/** With owners and modes; shares the blocks where the file system can. */
async function copy(from: string, to: string, signal: AbortSignal, run: string | undefined): Promise<void> {
  const reflink = process.platform === 'linux' ? ['--reflink=auto'] : [];
  await runTool({ command: 'cp', args: ['-Rp', ...reflink, '--', from, to], signal, run });
}

async function removeUnused(cache: string): Promise<void> {
  const before = Date.now() - UNUSED_MS;
  for (const name of await readdir(cache)) {
    const path = join(cache, name);
    const { mtimeMs } = await stat(path);
    const old = name.endsWith(PARTIAL) ? Date.now() - 3_600_000 : before;
    if (mtimeMs < old) await rm(path, { recursive: true, force: true });
  }
}
