/** Reading a plan file as text, with one clear error for everything that is no plan. */
import { type FileHandle, open } from 'node:fs/promises';
import { BackplanError } from '../errors.ts';

/** Bytes. A plan of 500 lines has about 25 kB. */
const MAX_BYTES = 1_048_576;

/** How standard input is called in messages. */
export const STDIN = '<stdin>';

/**
 * Reads a plan file as text. `-` is standard input.
 * @throws PLAN_UNREADABLE when it is missing, not a file, too big, or not UTF-8 text
 */
export async function readPlanText(file: string): Promise<string> {
  const unreadable: Unreadable = (message, hint, cause) =>
    new BackplanError('PLAN_UNREADABLE', `${file === '-' ? STDIN : file}: ${message}`, { hint, cause });
  const bytes = file === '-' ? await readStdin() : await readFile(file, unreadable);
  if (bytes.length > MAX_BYTES) {
    throw unreadable(
      'is bigger than 1 MB, too big for a plan',
      'Is it the right file? A plan of many databases can be split into several files.',
    );
  }
  const first = bytes.subarray(0, 2).toString('latin1');
  if (first === '\xff\xfe' || first === '\xfe\xff') {
    throw unreadable('is UTF-16 text', 'Save it as UTF-8.');
  }
  const zero = bytes.indexOf(0);
  if (zero !== -1) throw unreadable('is a binary file, not a plan', 'Is it the right file?');
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    const line = firstBadLine(bytes);
    throw unreadable(`is not UTF-8 text (line ${line})`, 'Save it as UTF-8.', cause);
  }
}

type Unreadable = (message: string, hint: string, cause?: unknown) => BackplanError;

async function readFile(file: string, unreadable: Unreadable): Promise<Buffer> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(file, 'r');
    if ((await handle.stat()).isDirectory()) {
      throw unreadable('is a folder, not a plan file', 'Name the YAML file inside it.');
    }
    return await readAtMost(handle, MAX_BYTES + 1);
  } catch (error) {
    if (error instanceof BackplanError) throw error;
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' || code === 'ENOTDIR') {
      throw unreadable('no such file', 'Check the path; it is relative to the current folder.', error);
    }
    if (code === 'EACCES' || code === 'EPERM') {
      throw unreadable('may not be read', 'Give the user that runs backplan read permission.', error);
    }
    throw unreadable(`cannot be read (${(error as Error).message})`, 'Check the file and its disk.', error);
  } finally {
    await handle?.close();
  }
}

async function readStdin(): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of process.stdin) {
    chunks.push(chunk as Buffer);
    length += (chunk as Buffer).length;
    if (length > MAX_BYTES) break;
  }
  return Buffer.concat(chunks);
}

async function readAtMost(handle: FileHandle, limit: number): Promise<Buffer> {
  const buffer = Buffer.allocUnsafe(limit);
  let length = 0;
  while (length < limit) {
    const { bytesRead } = await handle.read(buffer, length, limit - length, null);
    if (bytesRead === 0) break;
    length += bytesRead;
  }
  return buffer.subarray(0, length);
}

function firstBadLine(bytes: Buffer): number {
  const lines = bytes.toString('latin1').split('\n');
  const bad = lines.findIndex((line) => {
    try {
      new TextDecoder('utf-8', { fatal: true }).decode(Buffer.from(line, 'latin1'));
      return false;
    } catch {
      return true;
    }
  });
  return bad + 1;
}
