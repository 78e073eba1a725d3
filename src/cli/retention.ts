/** What a keep policy decides about the backups that exist now: read-only, for `prune` and `explain`. */
import type { Plan } from '../plan/model.ts';
import { storedSize } from '../repository/manifest.ts';
import { formatBytes } from '../units.ts';
import type { CommandContext } from './command.ts';
import type { Explanation } from './listings/explanation.ts';
import type { Paint } from './output.ts';
import { table } from './table.ts';

export type PruneDecision = Explanation['jobs'][number]['prune'][number]['decisions'][number];

export interface PrunePolicy {
  readonly repository: string;
  readonly database: string;
  readonly keep: Readonly<Record<string, unknown>>;
}

/** Newest first. @throws REPOSITORY_UNUSABLE, RETENTION_REFUSED */
export async function decideNow(
  context: CommandContext,
  plan: Plan,
  { repository: name, database, keep }: PrunePolicy,
): Promise<PruneDecision[]> {
  const [app, { decide }] = await Promise.all([context.app(), import('../repository/retention.ts')]);
  const repository = await app.repository(plan, name);
  const { backups, broken } = await repository.catalog(database);
  const decisions = decide(backups, keep, new Date(), { timezone: plan.timezone, broken });
  return decisions
    .map(({ backup, keep: stays, reasons }) => ({
      repository: name,
      database,
      backup: backup.manifest.id,
      keep: stays,
      reasons: [...reasons],
      bytes: storedSize(backup.manifest),
    }))
    .sort((a, b) => b.backup.localeCompare(a.backup));
}

export function describeDecisions(decisions: readonly PruneDecision[], paint: Paint): string {
  if (decisions.length === 0) return 'no backups';
  const going = decisions.filter(({ keep }) => !keep);
  const freed = going.reduce((sum, { bytes = 0 }) => sum + bytes, 0);
  return [
    table(
      decisions,
      [
        { title: '', value: ({ keep }) => (keep ? paint('green', 'keep') : paint('red', 'delete')) },
        { title: 'BACKUP', value: ({ backup }) => backup },
        { title: 'SIZE', align: 'right', value: ({ bytes = 0 }) => formatBytes(bytes) },
        { title: 'WHY', value: ({ reasons }) => reasons.join('; ') },
      ],
      (header) => paint('dim', header),
    ),
    going.length === 0
      ? 'nothing would be deleted'
      : `${going.length} of ${decisions.length} would be deleted, ${formatBytes(freed)} freed`,
  ].join('\n');
}
