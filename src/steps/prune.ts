/** `prune`: deletes the backups that a policy does not want. What stays and why is decided in repository/retention.ts. */
import { type BackplanError, toBackplanError } from '../errors.ts';
import { type Backup, isProven, storedSize } from '../repository/manifest.ts';
import type { Repository } from '../repository/repository.ts';
import { type Decision, decide, keepSchema } from '../repository/retention.ts';
import { formatBytes } from '../units.ts';
import { defineStep, type StepContext } from './step-kind.ts';

/** Attached to the step: every backup there was, with what became of it. Oldest first. */
export interface PruneReport {
  readonly dryRun: boolean;
  readonly decisions: readonly {
    readonly backup: string;
    readonly startedAt: string;
    readonly bytes: number;
    readonly label: string | null;
    readonly proven: boolean;
    /** False for what was deleted, or would be in a dry run. */
    readonly keep: boolean;
    readonly reasons: readonly string[];
  }[];
}

export const prune = defineStep({
  kind: 'prune',
  summary:
    'Delete the backups of a database that no rule keeps. The newest backup and the newest proven one always stay.',
  destructive: true,
  with: {
    type: 'object',
    required: ['repository', 'database', 'keep'],
    additionalProperties: false,
    properties: {
      repository: {
        type: 'string',
        description: 'The repository to prune.',
        examples: ['local'],
        'x-ref': 'repository',
      },
      database: {
        type: 'string',
        description: 'The database whose backups are looked at; those of others are left alone.',
        examples: ['crm'],
        'x-ref': 'planDatabase',
      },
      keep: keepSchema,
      dryRun: {
        type: 'boolean',
        description: 'Only say what would be deleted.',
        default: false,
        examples: [true],
      },
    },
  },
  outputs: {
    kept: { type: 'number', description: 'How many backups are left.' },
    removed: { type: 'list', description: 'Ids of the backups that were deleted; empty in a dry run.' },
    bytesFreed: { type: 'number', description: 'Bytes that they had taken.' },
  },
  writes: ({ repository, database }) => [{ repository, database }],
  describe: ({ repository, database, keep, dryRun }) =>
    `${dryRun ? 'say which backups' : 'delete the backups'} of ${database} in ${repository} that are not kept by ${Object.entries(
      keep,
    )
      .map(([rule, value]) => `${rule} ${value}`)
      .join(', ')}${dryRun ? ' would be deleted' : ''}`,
  async run({ repository: name, database, keep, dryRun }, context) {
    const repository = await context.repository(name);
    const { backups, broken } = await repository.catalog(database);
    const decisions = decide(backups, keep, new Date(), { timezone: context.plan.timezone, broken });
    const outcome = dryRun
      ? sayOnly(decisions, context)
      : await deleteUnwanted(repository, decisions, context);
    const report: PruneReport = { dryRun, decisions: outcome.decisions.map(describeDecision) };
    context.report(report);
    if (!dryRun && outcome.failure === undefined) await sweep(repository, database, context);
    if (outcome.failure !== undefined) throw outcome.failure;
    return {
      kept: backups.length - outcome.removed.length,
      removed: outcome.removed.map(({ manifest }) => manifest.id),
      bytesFreed: sumOf(outcome.removed),
    };
  },
});

interface Outcome {
  readonly decisions: readonly Decision[];
  readonly removed: readonly Backup[];
  readonly failure?: BackplanError;
}

function sayOnly(decisions: readonly Decision[], context: StepContext): Outcome {
  const going = decisions.filter(({ keep }) => !keep).map(({ backup }) => backup);
  for (const { manifest } of going) context.log.info(`would delete ${manifest.id}`);
  context.log.info(
    `would delete ${going.length} of ${decisions.length} backups, ${formatBytes(sumOf(going))}`,
  );
  return { decisions, removed: [] };
}

/** Oldest first. A backup in use stays until next time; any other failure ends the work, with what was done reported. */
async function deleteUnwanted(
  repository: Repository,
  decisions: readonly Decision[],
  context: StepContext,
): Promise<Outcome> {
  const outcome: Decision[] = [];
  const removed: Backup[] = [];
  let failure: BackplanError | undefined;
  for (const decision of decisions) {
    const { backup, keep } = decision;
    if (keep || failure !== undefined) {
      outcome.push(
        keep ? decision : { ...decision, keep: true, reasons: ['not deleted: the step failed before'] },
      );
      continue;
    }
    try {
      context.signal.throwIfAborted();
      await repository.remove(backup);
      context.log.info(`deleted ${backup.manifest.id} (${formatBytes(storedSize(backup.manifest))})`);
      removed.push(backup);
      outcome.push(decision);
    } catch (error) {
      const { message, code } = toBackplanError(error);
      outcome.push({ backup, keep: true, reasons: [code === 'LOCKED' ? 'in use' : 'could not be deleted'] });
      if (code === 'LOCKED') context.log.warn(`${backup.manifest.id} stays for now: ${message}`);
      else failure = toBackplanError(error);
    }
  }
  context.log.info(
    `kept ${decisions.length - removed.length} of ${decisions.length} backups, ${formatBytes(sumOf(removed))} freed`,
  );
  return { decisions: outcome, removed, ...(failure === undefined ? {} : { failure }) };
}

/** What crashes left and no journal knows: after what was asked for, and never a reason for the step to fail. */
async function sweep(repository: Repository, database: string, context: StepContext): Promise<void> {
  try {
    const { removed } = await repository.sweep(database, new Date());
    for (const { folder } of removed) context.log.info(`removed ${folder}, left by a run that was cut off`);
  } catch (error) {
    context.log.warn(
      `could not look for what runs that were cut off left: ${toBackplanError(error).message}`,
    );
  }
}

function describeDecision({ backup, keep, reasons }: Decision): PruneReport['decisions'][number] {
  const { id, startedAt, label } = backup.manifest;
  return {
    backup: id,
    startedAt,
    bytes: storedSize(backup.manifest),
    label,
    proven: isProven(backup),
    keep,
    reasons,
  };
}

function sumOf(backups: readonly Backup[]): number {
  return backups.reduce((sum, { manifest }) => sum + storedSize(manifest), 0);
}
