/** A checksum inside a JSON document: shows that no bit of it changed since it was written. */
import { createHash } from 'node:crypto';

/** The document with its checksum as last key. */
export function seal<T extends object>(document: T): T & { checksum: string } {
  const { checksum: _old, ...rest } = document as T & { checksum?: string };
  return { ...rest, checksum: digest(rest) } as unknown as T & { checksum: string };
}

/** False when the document has a checksum and it does not fit. A document without one is taken as it is. */
export function isIntact(document: object): boolean {
  const { checksum, ...rest } = document as { checksum?: unknown };
  return checksum === undefined || checksum === digest(rest);
}

/** Keys keep their order through JSON.parse, so what was read gives the text that was hashed. */
function digest(document: object): string {
  return createHash('sha256').update(JSON.stringify(document)).digest('hex');
}
