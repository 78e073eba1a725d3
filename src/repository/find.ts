/** A reference (`latest`, an id, a label …) → a backup. */
import { BackplanError } from '../errors.ts';
import { listNames, suggest } from '../suggest.ts';
import { formatInstant } from '../units.ts';
import { type Backup, isProven, isWhole } from './manifest.ts';
import type { Catalog } from './repository.ts';

export interface FindContext {
  readonly repository: string;
  readonly catalog: Catalog;
  /** Undefined: any. */
  readonly database: string | undefined;
  /** Said when there is nothing at all, for example that the folder does not exist. */
  readonly emptyHint: string | undefined;
}

/**
 * `latest` and `latest-proven` prefer backups of the whole database: a newer one of two tables or of the schema only
 * is no answer to "give me the newest backup". Without a database, several databases make such a reference ambiguous.
 * @throws BACKUP_NOT_FOUND with what there is instead; BACKUP_CORRUPT when the one that is meant is broken
 */
export function findBackup(reference: string, context: FindContext): Backup {
  const { repository, catalog } = context;
  const prefix = `${repository}:`;
  const wanted = (reference.startsWith(prefix) ? reference.slice(prefix.length) : reference).trim();
  const all = catalog.backups;
  if (wanted === 'latest' || wanted === 'latest-proven') return newest(wanted, context);

  const exact = all.find(({ manifest }) => manifest.id === wanted);
  if (exact !== undefined) return exact;
  const broken = catalog.broken.find(({ folder }) => folder.split('/').at(-1) === wanted);
  if (broken !== undefined) {
    throw new BackplanError(
      'BACKUP_CORRUPT',
      `backup ${repository}:${wanted} cannot be used: ${broken.reason}`,
      {
        hint: `Use another backup. ${listing(all)}`,
      },
    );
  }
  const label = wanted.startsWith('label:') ? wanted.slice('label:'.length) : wanted;
  const labelled = all.filter(({ manifest }) => manifest.label !== null && manifest.label === label);
  if (labelled.length > 0) {
    sameDatabase(wanted, labelled, context);
    return labelled.at(-1) as Backup;
  }
  if (!wanted.startsWith('label:')) {
    const beginning = all.filter(({ manifest }) => wanted !== '' && manifest.id.startsWith(wanted));
    const [only] = beginning;
    if (only !== undefined && beginning.length === 1) return only;
    if (beginning.length > 1) {
      throw new BackplanError(
        'BACKUP_NOT_FOUND',
        `"${wanted}" is the beginning of ${beginning.length} backups in ${repository}: ${listNames(
          beginning.toReversed().map(({ manifest }) => manifest.id),
        )}`,
        { hint: 'Write more of the id.' },
      );
    }
  }
  throw notFound(wanted, context);
}

function newest(reference: 'latest' | 'latest-proven', context: FindContext): Backup {
  const { repository, catalog } = context;
  const all = catalog.backups;
  sameDatabase(reference, all, context);
  const candidates = reference === 'latest' ? all : all.filter(isProven);
  const found = candidates.findLast(isWhole) ?? candidates.at(-1);
  if (found !== undefined) return found;
  if (all.length === 0) throw notFound(reference, context);
  throw new BackplanError(
    'BACKUP_NOT_FOUND',
    `none of the ${count(all)}${ofDatabase(context)} in ${repository} is proven: restored and checked, with no failure since`,
    {
      hint: `Run the job that restores and checks a backup, or take one as it is with "latest" or its id. ${listing(all)}`,
    },
  );
}

function sameDatabase(reference: string, backups: readonly Backup[], { repository }: FindContext): void {
  const databases = [...new Set(backups.map(({ manifest }) => manifest.database))].sort();
  if (databases.length <= 1) return;
  throw new BackplanError(
    'BACKUP_NOT_FOUND',
    `"${reference}" in ${repository} may mean a backup of ${listNames(databases, 'or')}`,
    { hint: 'Say which database, or give the id of a backup.' },
  );
}

function notFound(wanted: string, context: FindContext): BackplanError {
  const { repository, catalog, emptyHint } = context;
  const all = catalog.backups;
  if (all.length === 0) {
    const broken = catalog.broken.length;
    return new BackplanError(
      'BACKUP_NOT_FOUND',
      `there is no backup${ofDatabase(context)} in ${repository}${
        broken === 0
          ? ''
          : `; ${broken} broken ${broken === 1 ? 'one is' : 'ones are'} there: ${catalog.broken[0]?.folder}: ${catalog.broken[0]?.reason}`
      }`,
      { hint: emptyHint ?? 'Make one with "backplan backup PLAN", or look in another repository.' },
    );
  }
  const names = all.flatMap(({ manifest }) => [
    manifest.id,
    ...(manifest.label === null ? [] : [manifest.label]),
  ]);
  const near = suggest(wanted.replace(/^label:/, ''), ['latest', 'latest-proven', ...new Set(names)]);
  return new BackplanError(
    'BACKUP_NOT_FOUND',
    `${repository} has no backup "${wanted}"${ofDatabase(context)}${near === undefined ? '' : `, did you mean "${near}"?`}`,
    {
      hint: `A backup is named by its id, the beginning of one, its label, latest or latest-proven. ${listing(all)}`,
    },
  );
}

function ofDatabase({ database }: FindContext): string {
  return database === undefined ? '' : ` of ${database}`;
}

function count(backups: readonly Backup[]): string {
  return backups.length === 1 ? 'one backup' : `${backups.length} backups`;
}

/** The newest few, newest first. */
function listing(backups: readonly Backup[]): string {
  if (backups.length === 0) return '';
  const shown = backups.slice(-5).toReversed();
  const more = backups.length - shown.length;
  const lines = shown.map((backup) => {
    const { id, label, startedAt } = backup.manifest;
    const facts = [
      formatInstant(new Date(startedAt)),
      ...(label === null ? [] : [`label ${label}`]),
      ...(isWhole(backup) ? [] : ['partial']),
      ...(isProven(backup) ? ['proven'] : []),
    ];
    return `${id} (${facts.join(', ')})`;
  });
  return `Newest first: ${lines.join('; ')}${more > 0 ? `; and ${more} older` : ''}.`;
}
