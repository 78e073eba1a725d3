/**
 * Checks that a tar archive of pg_dump is whole. pg_restore does not find out by itself: given a file that ends too
 * early it reads for ever.
 * Source: POSIX pax, ustar interchange format (512-byte blocks; two blocks of zeros end an archive).
 */
import { open } from 'node:fs/promises';
import { BackplanError } from '../errors.ts';

const BLOCK = 512;

/** @throws BACKUP_CORRUPT */
export async function assertWholeTar(path: string): Promise<void> {
  const file = await open(path);
  try {
    const { size } = await file.stat();
    const header = Buffer.alloc(BLOCK);
    for (let at = 0; ; ) {
      const { bytesRead } = await file.read(header, 0, BLOCK, at);
      if (bytesRead < BLOCK) throw damaged(path, 'it ends without its end mark');
      if (header.every((byte) => byte === 0)) return;
      const length = memberSize(header);
      if (length === undefined) throw damaged(path, `there is no valid file header at byte ${at}`);
      at += BLOCK + Math.ceil(length / BLOCK) * BLOCK;
      if (at > size) throw damaged(path, 'it ends in the middle of a file');
    }
  } finally {
    await file.close();
  }
}

/** Bytes of the member that a header announces; undefined where its checksum is wrong. */
function memberSize(header: Buffer): number | undefined {
  const octal = (start: number, end: number) =>
    Number.parseInt(
      header
        .toString('latin1', start, end)
        .replace(/[\0 ]+$/, '')
        .trim() || '0',
      8,
    );
  let sum = 0;
  for (const [index, byte] of header.entries()) sum += index >= 148 && index < 156 ? 32 : byte;
  if (sum !== octal(148, 156)) return undefined;
  // Members of 8 GB and more have their size in binary, marked by the top bit.
  const first = header[124] ?? 0;
  return (first & 0x80) !== 0 ? Number(header.readBigUInt64BE(128)) : octal(124, 136);
}

function damaged(path: string, what: string): BackplanError {
  return new BackplanError('BACKUP_CORRUPT', `${path} is damaged: ${what}`, {
    hint: 'Take another copy of it or an older backup.',
  });
}
