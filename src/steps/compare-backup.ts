/** A database against what is known of the backup that it holds: its fingerprint, its inventory, its archive. */
import type { CheckResult } from '../checks/check-kind.ts';
import { COMPARE_NAME, type FingerprintResults, fingerprintResults } from '../checks/fingerprint-results.ts';
import { BackplanError, toBackplanError } from '../errors.ts';
import { readInventory } from '../repository/inventory.ts';
import type { Backup } from '../repository/manifest.ts';
import { archiveResults, blame } from './archive-compare.ts';
import { openArchive, openBackup } from './restore-source.ts';
import type { DatabaseTarget, StepContext } from './step-kind.ts';

/** What the check step is told of it. */
interface CompareParams {
  readonly compareFingerprint: boolean | { readonly except: readonly string[] };
  readonly tolerate?: readonly string[];
  readonly backup?: string | null;
}

/**
 * The comparison as results, and whether the copy was shown to be identical. What cannot be compared is an errored
 * result, never an exception, unless the step was cancelled.
 */
export async function compareWithBackup(
  { compareFingerprint, tolerate }: CompareParams,
  target: DatabaseTarget,
  backup: Backup | BackplanError | undefined,
  context: StepContext,
  signal: AbortSignal,
): Promise<FingerprintResults | undefined> {
  if (compareFingerprint === false) return undefined;
  const except = compareFingerprint === true ? [] : compareFingerprint.except;
  const archive = target.restoredFrom?.archive;
  // Somebody else's archive, or a backup that noted nothing of its source: the archive itself is what there is.
  const open =
    backup === undefined && archive !== undefined
      ? async () => await openArchive({ path: archive }, context)
      : backup !== undefined && !(backup instanceof BackplanError)
        ? async () =>
            await openBackup({ repository: await context.repository(backup.repository), backup }, context)
        : undefined;
  const unknown =
    open !== undefined &&
    (backup === undefined ||
      (!(backup instanceof BackplanError) &&
        backup.manifest.fingerprint.kind === 'none' &&
        backup.manifest.selection.only !== 'schema'));
  if (open !== undefined && unknown) {
    const results = await archiveResults(open, target, { except, tolerate: new Set(tolerate) }, context);
    return { results, identical: undefined };
  }
  if (backup === undefined || backup instanceof BackplanError) {
    const error =
      backup ??
      new BackplanError('CHECKS_INCONCLUSIVE', 'nothing says which backup to compare the database with', {
        hint: 'Check what a restore step put out, or name one, for example backup: latest.',
      });
    const message = `not compared: ${error.message}`;
    const result: CheckResult = {
      name: COMPARE_NAME,
      kind: 'fingerprint',
      severity: tolerate?.includes(COMPARE_NAME) === true ? 'warn' : 'error',
      status: 'errored',
      durationMs: 0,
      message,
      error: message,
      ...(error.hint === undefined ? {} : { hint: error.hint }),
    };
    return { results: [result], identical: undefined };
  }
  const without = target.restoredFrom?.without;
  const comparison = await fingerprintResults({
    connection: target.connection,
    manifest: backup.manifest,
    whole: target.restoredFrom?.whole ?? true,
    inventory:
      without?.schema === true
        ? undefined
        : async () => await readInventory(await context.repository(backup.repository), backup, signal),
    without: { ...without, database: target.kind === 'staging' },
    except,
    tolerate: new Set(tolerate),
    applicationName: `backplan ${context.run.id} ${context.step}`,
    signal,
  });
  const own = target.restoredFrom?.backup;
  const results =
    open !== undefined && own?.repository === backup.repository && own.id === backup.manifest.id
      ? await blame(comparison.results, open, target, context)
      : comparison.results;
  return { ...comparison, results };
}

/** The backup to compare with; an error where it is named but cannot be read. */
export async function findCompared(
  { backup: named, compareFingerprint }: CompareParams,
  target: DatabaseTarget,
  context: StepContext,
): Promise<Backup | BackplanError | undefined> {
  if (compareFingerprint === false) return undefined;
  const origin = target.restoredFrom?.backup;
  try {
    if (named === undefined || named === null || named === '') {
      if (origin === undefined) return undefined;
      return await (await context.repository(origin.repository)).find(origin.id);
    }
    const colon = named.indexOf(':');
    const prefix = named.slice(0, Math.max(0, colon));
    const repositories = Object.keys(context.plan.repositories);
    const [only, other] = repositories;
    const repository = repositories.includes(prefix)
      ? prefix
      : (origin?.repository ?? (other === undefined ? only : undefined));
    if (repository === undefined) {
      throw new BackplanError(
        'BACKUP_NOT_FOUND',
        `"${named}" may be in any of ${repositories.join(', ') || 'no repository'}`,
        {
          hint: `Write it with its repository: ${only ?? 'REPOSITORY'}:${named}.`,
        },
      );
    }
    const id = repository === prefix ? named.slice(colon + 1) : named;
    return await (await context.repository(repository)).find(id, target.database);
  } catch (error) {
    if (context.signal.aborted) throw error;
    return toBackplanError(error);
  }
}
