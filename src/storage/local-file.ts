/** Streams over one local file, with errors that say which file and why. */
import type { FileHandle } from 'node:fs/promises';
import { Readable, Writable } from 'node:stream';
import { writeFully } from './durable.ts';
import { explainFileError } from './storage-error.ts';

/**
 * Bytes after which the kernel is asked to start writing. Without it everything waits for the fsync at the end,
 * and the disk idles while the dump runs.
 */
const WRITEBACK_BYTES = 32 * 1024 * 1024;
const READ_BYTES = 256 * 1024;

/** Writes to an open file. It never closes the handle: the owner must sync it first. */
export class FileSink extends Writable {
  readonly #handle: FileHandle;
  readonly #path: string;
  #sinceSync = 0;
  #syncing = false;
  #syncError: unknown;

  constructor(handle: FileHandle, path: string) {
    super({ highWaterMark: 1024 * 1024 });
    this.#handle = handle;
    this.#path = path;
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    this.#append(chunk).then(() => done(), done);
  }

  override _writev(chunks: { chunk: Buffer }[], done: (error?: Error | null) => void): void {
    const all = async () => {
      for (const { chunk } of chunks) await this.#append(chunk);
    };
    all().then(() => done(), done);
  }

  /** Everything written is on the disk when this resolves. */
  async sync(): Promise<void> {
    try {
      await this.#handle.sync();
      // The kernel reports a failed write-back once: if the early sync took the report, this one would pass.
      if (this.#syncError !== undefined) throw this.#syncError;
    } catch (error) {
      throw await explainFileError(error, `write ${this.#path}`, this.#path);
    }
  }

  async #append(chunk: Buffer): Promise<void> {
    try {
      if (this.#syncError !== undefined) throw this.#syncError;
      await writeFully(this.#handle, chunk);
    } catch (error) {
      throw await explainFileError(error, `write ${this.#path}`, this.#path);
    }
    this.#sinceSync += chunk.length;
    if (this.#sinceSync >= WRITEBACK_BYTES && !this.#syncing) this.#writeBack();
  }

  #writeBack(): void {
    this.#syncing = true;
    this.#sinceSync = 0;
    this.#handle
      .datasync()
      .catch((error: unknown) => {
        this.#syncError = error;
      })
      .finally(() => {
        this.#syncing = false;
      });
  }
}

/** Reads an open file to its end and closes the handle. */
export class FileSource extends Readable {
  readonly #handle: FileHandle;
  readonly #path: string;

  /** @param size of the file, so that small files take small buffers */
  constructor(handle: FileHandle, path: string, size: number) {
    super({ highWaterMark: Math.max(1, Math.min(READ_BYTES, size)) });
    this.#handle = handle;
    this.#path = path;
  }

  override _read(size: number): void {
    const buffer = Buffer.allocUnsafeSlow(Math.max(size, 1));
    this.#handle.read(buffer, 0, buffer.length).then(
      ({ bytesRead }) => this.push(bytesRead === 0 ? null : buffer.subarray(0, bytesRead)),
      async (error: unknown) => {
        this.destroy(await explainFileError(error, `read ${this.#path}`, this.#path));
      },
    );
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#handle.close().then(
      () => done(error),
      (failure: Error) => done(error ?? failure),
    );
  }
}
