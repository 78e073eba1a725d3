/** Folders for what a step needs only while it runs. */
import { randomBytes } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { StepContext } from './step-kind.ts';

/** Where they are made: `settings.scratchDirectory`, else the temporary folder of the system. */
export function scratchParent({ plan }: StepContext): string {
  return plan.settings.scratchDirectory ?? tmpdir();
}

/** A private folder that is gone when `use` has ended; what a crash leaves of it is removed by the next start. */
export async function withScratch<T>(context: StepContext, use: (folder: string) => Promise<T>): Promise<T> {
  const folder = join(scratchParent(context), `backplan-scratch-${randomBytes(6).toString('hex')}`);
  const owned = context.own({ kind: 'folder', path: folder });
  try {
    await mkdir(folder, { mode: 0o700 });
    return await use(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
    owned.release();
  }
}
