/** A reference as typed (`latest`, a label, the beginning of an id) → the backup it means now. */
import { BackplanError, toBackplanError } from '../errors.ts';
import type { Plan } from '../plan/model.ts';
import { type Backup, newestFirst } from '../repository/manifest.ts';
import type { CommandContext } from './command.ts';

export interface Place {
  /** Only here. Default: what a prefix `repository:` says, else every repository of the plan. */
  readonly repository?: string | undefined;
  readonly database?: string | undefined;
}

/**
 * What a person was shown must be what is restored. `latest` means another backup after the safety backup that a
 * recovery itself makes, so references are settled before a run begins.
 * @throws BACKUP_NOT_FOUND with what there is instead
 */
export async function locateBackup(
  context: CommandContext,
  plan: Plan,
  reference: string,
  { repository, database }: Place,
): Promise<Backup> {
  const app = await context.app();
  const declared = Object.keys(plan.repositories);
  const prefix = declared.find((name) => reference.startsWith(`${name}:`));
  const wanted = prefix === undefined ? reference : reference.slice(prefix.length + 1);
  const names = prefix !== undefined ? [prefix] : repository !== undefined ? [repository] : declared;
  const found: Backup[] = [];
  let failure: BackplanError | undefined;
  for (const name of names) {
    try {
      found.push(await (await app.repository(plan, name)).find(wanted, database));
    } catch (error) {
      failure = toBackplanError(error);
      if (failure.code !== 'BACKUP_NOT_FOUND') throw failure;
    }
  }
  found.sort(newestFirst);
  const [newest] = found;
  if (newest !== undefined) return newest;
  throw failure ?? new BackplanError('BACKUP_NOT_FOUND', 'the plan declares no repository to look in');
}

/** `repository:id`, which means the same backup whatever is made later. */
export function pinned(backup: Backup): string {
  return `${backup.repository}:${backup.manifest.id}`;
}
