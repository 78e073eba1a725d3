/** Small JSON documents of a repository. */
import type { Storage } from '../storage/storage.ts';

/** A manifest of a database with tens of thousands of tables has some MB. */
const LIMIT = 256 * 1024 * 1024;

export async function readText(storage: Storage, path: string): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of await storage.read(path)) {
    chunks.push(chunk as Buffer);
    size += (chunk as Buffer).length;
    if (size > LIMIT) throw new Error(`${path} is too big to be what its name says`);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** Writes a small file whole, atomically and durably. */
export async function writeText(storage: Storage, path: string, text: string): Promise<void> {
  const handle = await storage.write(path);
  try {
    handle.stream.end(text);
    await handle.close();
  } catch (error) {
    await handle.abandon();
    throw error;
  }
}
