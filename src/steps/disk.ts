/** Room on file systems, before something big is written. */
import { stat, statfs } from 'node:fs/promises';
import { BackplanError } from '../errors.ts';
import { formatBytes } from '../units.ts';

export interface Room {
  readonly path: string;
  readonly bytes: number;
}

/** undefined where it cannot be told. */
export async function freeSpaceOf(path: string): Promise<Room | undefined> {
  try {
    const { bavail, bsize } = await statfs(path);
    return { path, bytes: bavail * bsize };
  } catch {
    return undefined;
  }
}

/**
 * Checks that every file system has room for all that goes there; needs of one file system are added up.
 * @throws DISK_SPACE naming the path, what is needed and what is free
 */
export async function assertRoom(
  needs: readonly { readonly what: string; readonly bytes: number; readonly room: Room | undefined }[],
): Promise<void> {
  const known = needs.flatMap(({ room, ...need }) => (room === undefined ? [] : [{ ...need, room }]));
  const devices = await Promise.all(
    known.map(async ({ room }) => (await stat(room.path).catch(() => undefined))?.dev ?? room.path),
  );
  for (const device of new Set(devices)) {
    const here = known.filter((_need, index) => devices[index] === device);
    const needed = here.reduce((sum, need) => sum + need.bytes, 0);
    const room = here[0]?.room;
    if (room === undefined || needed <= room.bytes) continue;
    throw new BackplanError(
      'DISK_SPACE',
      `not enough room at ${room.path}: ${here.map(({ what, bytes }) => `${what} needs about ${formatBytes(bytes)}`).join(', ')}, ${formatBytes(room.bytes)} is free`,
      {
        hint: 'Free space there, or point settings.scratchDirectory and settings.sandbox.directory in the plan at a bigger file system.',
      },
    );
  }
}
