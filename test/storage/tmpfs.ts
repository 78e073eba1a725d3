/** A small real file system, for disks that fill up and turn read-only. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface SmallDisk {
  readonly path: string;
  /** Remounts it read-only or writable. */
  remount(mode: 'ro' | 'rw'): void;
  remove(): void;
}

/** Why there can be no such disk here, or undefined. */
export const noSmallDisk: string | undefined = (() => {
  if (process.platform !== 'linux') return 'needs Linux';
  if (process.getuid?.() !== 0) return 'needs root to mount a tmpfs';
  const folder = mkdtempSync(join(tmpdir(), 'backplan-mount-'));
  const result = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', folder], { encoding: 'utf8' });
  if (result.status === 0) spawnSync('umount', [folder]);
  rmSync(folder, { recursive: true, force: true });
  return result.status === 0 ? undefined : `mount is not permitted here: ${result.stderr}`;
})();

export function smallDisk(size: string): SmallDisk {
  const path = mkdtempSync(join(tmpdir(), 'backplan-disk-'));
  run('mount', ['-t', 'tmpfs', '-o', `size=${size},mode=755`, 'tmpfs', path]);
  return {
    path,
    remount: (mode) => run('mount', ['-o', `remount,${mode}`, path]),
    remove: () => {
      spawnSync('umount', ['-l', path]);
      rmSync(path, { recursive: true, force: true });
    },
  };
}

function run(command: string, args: string[]): void {
  const { status, stderr } = spawnSync(command, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${stderr}`);
}
