/** A backup being written: files into a hidden folder, the manifest last, then one rename makes it exist. */
import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { setImmediate } from 'node:timers/promises';
import { BackplanError, toBackplanError } from '../errors.ts';
import { mapLimit } from '../storage/map-limit.ts';
import type { Storage } from '../storage/storage.ts';
import { explainFileError } from '../storage/storage-error.ts';
import { compileSchema } from '../validator.ts';
import { problemOfManifest } from './catalog.ts';
import { store } from './codec.ts';
import { backupFolder, MANIFEST_FILE, partialFolder, problemOfFilePath } from './layout.ts';
import { type Backup, type Manifest, type ManifestFile, manifestSchema } from './manifest.ts';
import type { PartialBackup } from './repository.ts';
import { seal } from './seal.ts';
import { writeText } from './text.ts';

/** Files hashed side by side: the main thread hashes, the others wait for the disk. */
const PARALLEL = 4;

export interface PublishOptions {
  readonly repository: string;
  readonly storage: Storage;
  readonly database: string;
  readonly id: string;
  /** Called once, when the backup is published or abandoned. */
  readonly release: () => Promise<void>;
}

export function openPartial(options: PublishOptions): PartialBackup {
  return new Partial(options);
}

class Partial implements PartialBackup {
  readonly id: string;
  readonly folder: string;
  readonly localPath: string | undefined;
  readonly #options: PublishOptions;
  readonly #written = new Map<string, ManifestFile>();
  readonly #busy = new Set<Promise<unknown>>();
  readonly #giveUp = new AbortController();
  #state: 'open' | 'publishing' | 'published' | 'abandoned' = 'open';
  #publishing: Promise<unknown> = Promise.resolve();

  constructor(options: PublishOptions) {
    this.#options = options;
    this.id = options.id;
    this.folder = partialFolder(options.database, options.id);
    this.localPath = options.storage.localPath(this.folder);
  }

  writeFile(
    path: string,
    role: ManifestFile['role'],
    source: Readable,
    options: Parameters<PartialBackup['writeFile']>[3],
  ): Promise<ManifestFile> {
    // It may fail before anybody reads it; reading then tells.
    source.on('error', () => {});
    const writing = this.#track(async () => {
      this.#expectNew(path);
      const { storage } = this.#options;
      const signal = AbortSignal.any([options.signal, this.#giveUp.signal]);
      const handle = await storage.write(`${this.folder}/${path}`);
      try {
        const { plain, stored } = await store(source, handle.stream, { ...options, signal });
        await handle.close();
        const file: ManifestFile = {
          path,
          role,
          ...stored,
          ...(options.compress.method === 'none' ? {} : { plain }),
        };
        this.#written.set(path, file);
        return file;
      } catch (error) {
        await handle.abandon();
        if ((error as NodeJS.ErrnoException).code === 'ERR_STREAM_PREMATURE_CLOSE') {
          throw new BackplanError(
            'STORAGE_FAILED',
            `what was to be stored as ${path} was cut off before its end`,
            {
              cause: error,
            },
          );
        }
        throw toBackplanError(error, 'STORAGE_FAILED');
      }
    });
    return writing.catch((error: unknown) => {
      source.destroy();
      throw error;
    });
  }

  adoptFiles(folder: string, role: ManifestFile['role'], signal: AbortSignal): Promise<ManifestFile[]> {
    return this.#track(async () => {
      const { storage } = this.#options;
      const inside = `${this.folder}/${folder}`;
      const entries = await storage.list(inside);
      if (entries.length === 0) {
        throw new BackplanError(
          'STORAGE_FAILED',
          `there are no files in ${storage.localPath(inside) ?? inside}`,
        );
      }
      return await mapLimit(entries, PARALLEL, async (entry) => {
        const path = entry.path.slice(this.folder.length + 1);
        this.#expectNew(path);
        const place = storage.localPath(entry.path);
        if (place === undefined)
          throw new BackplanError('INTERNAL', `${storage.label} has no files that tools can write`);
        const file = { path, role, ...(await hashAndSync(place, signal)) };
        this.#written.set(path, file);
        return file;
      });
    });
  }

  async publish(manifest: Manifest): Promise<Backup> {
    if (this.#state !== 'open' || this.#busy.size > 0) {
      throw new BackplanError(
        'INTERNAL',
        `backup ${this.id} cannot be published: it is ${this.#state}, ${this.#busy.size} files are being written`,
      );
    }
    this.#state = 'publishing';
    const publishing = this.#publish(manifest);
    this.#publishing = publishing;
    try {
      const backup = await publishing;
      this.#state = 'published';
      await this.#options.release().catch(() => {});
      return backup;
    } catch (error) {
      this.#state = 'open';
      throw toBackplanError(error, 'STORAGE_FAILED');
    }
  }

  async #publish(manifest: Manifest): Promise<Backup> {
    const { repository, storage, database } = this.#options;
    const sealed = await this.#checked(manifest);
    await writeText(storage, `${this.folder}/${MANIFEST_FILE}`, `${JSON.stringify(sealed, null, 2)}\n`);
    const folder = backupFolder(database, this.id);
    await storage.publish(this.folder, folder);
    return { repository, manifest: sealed, proofs: [], folder };
  }

  async abandon(): Promise<void> {
    // Half-way through publication nobody can say yet whether there is something to give up.
    while (this.#state === 'publishing')
      await Promise.allSettled([this.#publishing]).then(() => setImmediate());
    if (this.#state !== 'open') return;
    this.#state = 'abandoned';
    this.#giveUp.abort(new BackplanError('CANCELLED', `backup ${this.id} was given up`));
    // A write that is still under way would make the folder again.
    await Promise.allSettled(this.#busy);
    await this.#options.storage.removeFolder(this.folder).catch(() => {
      // Hidden, and removed with the leftovers at the next start.
    });
    await this.#options.release().catch(() => {});
  }

  /** The manifest as it will be read back, after everything that can be checked has been. */
  async #checked(manifest: Manifest): Promise<Manifest> {
    const { storage, database } = this.#options;
    const document = JSON.parse(JSON.stringify(manifest)) as Manifest;
    const validate = await compileSchema(manifestSchema);
    // A copy keeps the keys that a later version wrote.
    const [problem] = validate(document).filter(({ keyword }) => keyword !== 'unknownKey');
    const reason =
      problem === undefined
        ? (problemOfManifest(document) ?? problemOfFiles(document, this.#written))
        : `${problem.path.join('.')}: ${problem.message}`;
    if (reason !== undefined)
      throw new BackplanError('INTERNAL', `the manifest of ${this.id} is wrong: ${reason}`);
    if (document.id !== this.id || document.database !== database) {
      throw new BackplanError(
        'INTERNAL',
        `the manifest is that of ${document.database}/${document.id}, not of ${this.id}`,
      );
    }
    const there = new Map(
      (await storage.list(this.folder)).map(({ path, size }) => [path.slice(this.folder.length + 1), size]),
    );
    for (const { path, size } of document.files) {
      if (there.get(path) !== size) {
        throw new BackplanError(
          'STORAGE_FAILED',
          `${path} of backup ${this.id} has ${there.get(path) ?? 'no'} bytes instead of ${size}`,
          {
            hint: 'Something else writes into the repository, or its disk fails (see dmesg).',
          },
        );
      }
      there.delete(path);
    }
    there.delete(MANIFEST_FILE);
    const [unlisted] = there.keys();
    if (unlisted !== undefined)
      throw new BackplanError('INTERNAL', `the manifest of ${this.id} does not list the file ${unlisted}`);
    return seal(document);
  }

  #expectNew(path: string): void {
    const problem =
      problemOfFilePath(path) ??
      (this.#written.has(path) ? `the file ${path} was written already` : undefined);
    if (problem !== undefined) throw new BackplanError('INTERNAL', `backup ${this.id}: ${problem}`);
  }

  async #track<T>(work: () => Promise<T>): Promise<T> {
    if (this.#state !== 'open')
      throw new BackplanError(
        'INTERNAL',
        `backup ${this.id} is ${this.#state}; nothing can be written to it`,
      );
    const running = work();
    this.#busy.add(running);
    try {
      return await running;
    } finally {
      this.#busy.delete(running);
    }
  }
}

/** The manifest must list exactly what was written; `plain` is the business of a copy. */
function problemOfFiles(manifest: Manifest, written: ReadonlyMap<string, ManifestFile>): string | undefined {
  for (const { path, size, sha256 } of manifest.files) {
    const file = written.get(path);
    if (file === undefined) return `it lists ${path}, which was not written`;
    if (file.size !== size || file.sha256 !== sha256) return `${path} is not what was written`;
  }
  const missing = [...written.keys()].find((path) => !manifest.files.some((file) => file.path === path));
  return missing === undefined ? undefined : `it does not list ${missing}`;
}

/** Size and SHA-256 of a file that a tool wrote, made durable. */
async function hashAndSync(path: string, signal: AbortSignal): Promise<{ size: number; sha256: string }> {
  const hash = createHash('sha256');
  let size = 0;
  try {
    const handle = await open(path, 'r');
    try {
      const buffer = Buffer.allocUnsafeSlow(1024 * 1024);
      for (;;) {
        signal.throwIfAborted();
        const { bytesRead } = await handle.read(buffer, 0, buffer.length);
        if (bytesRead === 0) break;
        size += bytesRead;
        hash.update(buffer.subarray(0, bytesRead));
      }
      await handle.sync();
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (signal.aborted) throw toBackplanError(signal.reason, 'CANCELLED');
    throw await explainFileError(error, `read ${path}`, path);
  }
  return { size, sha256: hash.digest('hex') };
}
