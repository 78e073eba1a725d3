/** The backups of a plan from all its repositories, with what could not be read told beside them. */
import { type BackplanError, toBackplanError } from '../errors.ts';
import type { Plan } from '../plan/model.ts';
import { type Backup, newestFirst } from '../repository/manifest.ts';
import type { BrokenBackup } from '../repository/repository.ts';
import type { CommandContext } from './command.ts';

export interface Listing {
  /** Newest first. */
  readonly backups: readonly Backup[];
  readonly broken: readonly (BrokenBackup & { readonly repository: string })[];
  readonly unreachable: readonly { readonly repository: string; readonly error: BackplanError }[];
}

/** @param names of repositories */
export async function readBackups(
  context: CommandContext,
  plan: Plan,
  names: readonly string[],
  database: string | undefined,
): Promise<Listing> {
  const app = await context.app();
  const found: Backup[] = [];
  const broken: (BrokenBackup & { repository: string })[] = [];
  const unreachable: { repository: string; error: BackplanError }[] = [];
  for (const name of names) {
    try {
      const repository = await app.repository(plan, name);
      found.push(...(await repository.backups(database)));
      broken.push(...(await repository.broken()).map((each) => ({ ...each, repository: name })));
    } catch (error) {
      unreachable.push({ repository: name, error: toBackplanError(error) });
    }
  }
  found.sort(newestFirst);
  return { backups: found, broken, unreachable };
}
