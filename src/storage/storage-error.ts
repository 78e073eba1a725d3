/** Errors of the file system → errors a person can act on. */
import { statfs } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { dirname } from 'node:path';
import { BackplanError } from '../errors.ts';
import { formatBytes } from '../units.ts';

/**
 * @param doing what failed, for example `write /srv/backups/crm/…/archive.dump.zst`
 * @param place a path on the file system in question; need not exist
 */
export async function explainFileError(error: unknown, doing: string, place: string): Promise<BackplanError> {
  if (error instanceof BackplanError) return error;
  const { code, message } = error as NodeJS.ErrnoException;
  switch (code) {
    case 'ENOSPC':
    case 'EDQUOT': {
      const free = await freeBytes(place);
      const left = free === undefined ? '' : ` (${formatBytes(free)} free)`;
      return new BackplanError(
        'DISK_FULL',
        code === 'EDQUOT'
          ? `cannot ${doing}: the disk quota is used up${left}`
          : `cannot ${doing}: the file system is full${left}`,
        {
          cause: error,
          hint: `See what fills it with "df -h ${place}" (and "df -i" for inodes); free space there, let retention keep fewer backups, or give the repository another path. Nothing half-written is left behind.`,
        },
      );
    }
    case 'EACCES':
    case 'EPERM':
      return new BackplanError('PERMISSION_DENIED', `cannot ${doing}: permission denied`, {
        cause: error,
        hint: `backplan runs as ${userName()}; give that user read and write permission on ${place} and the folders above it.`,
      });
    case 'EROFS':
      return new BackplanError('PERMISSION_DENIED', `cannot ${doing}: the file system is read-only`, {
        cause: error,
        hint: `Mount it writable ("mount -o remount,rw …"); a disk that turned read-only by itself is failing: see dmesg.`,
      });
    case 'ENOENT':
      return new BackplanError('STORAGE_FAILED', `cannot ${doing}: it does not exist`, {
        cause: error,
        hint: 'Is the disk or network share mounted?',
      });
    case 'ENOTDIR':
    case 'EEXIST':
      return new BackplanError('STORAGE_FAILED', `cannot ${doing}: a file stands where a folder is needed`, {
        cause: error,
        hint: `Look at it with "ls -l ${place}" and move it away.`,
      });
    case 'EIO':
    case 'ESTALE':
    case 'EUCLEAN':
      return new BackplanError('STORAGE_FAILED', `cannot ${doing}: the disk reports an error (${code})`, {
        cause: error,
        hint: 'See dmesg. The disk may be failing, or the network file system was lost; remount or replace it before the next backup.',
        transient: code === 'ESTALE',
      });
    case 'ENAMETOOLONG':
      return new BackplanError('STORAGE_FAILED', `cannot ${doing}: the name is too long`, { cause: error });
    case 'EMFILE':
    case 'ENFILE':
      return new BackplanError('STORAGE_FAILED', `cannot ${doing}: too many open files`, {
        cause: error,
        hint: 'Raise the limit ("ulimit -n 65536", or LimitNOFILE= of the service).',
        transient: true,
      });
    default:
      return new BackplanError('STORAGE_FAILED', `cannot ${doing}: ${message}`, { cause: error });
  }
}

/** Bytes that an ordinary user may still write on the file system that holds a path (which need not exist yet). */
export async function freeBytes(path: string): Promise<number | undefined> {
  for (let place = path; ; place = dirname(place)) {
    try {
      const { bavail, bsize } = await statfs(place);
      return bavail * bsize;
    } catch {
      if (place === dirname(place)) return undefined;
    }
  }
}

function userName(): string {
  try {
    return userInfo().username;
  } catch {
    // No entry in the user database, as in many containers.
    return `user ${process.getuid?.() ?? 'unknown'}`;
  }
}
