/** Which options of `restore` and `promote` go together, and which checks a copy must pass before promotion. */
import { BackplanError } from '../errors.ts';
import type { Plan } from '../plan/model.ts';
import { type Backup, isWhole } from '../repository/manifest.ts';
import { suitesFor } from './plan.ts';

/** What `restore` was given, as far as rules are about it. */
export interface RestoreValues {
  readonly plan: string;
  readonly backup: string | undefined;
  readonly database: string | undefined;
  readonly into: string | undefined;
  readonly promote: boolean;
  readonly suites: readonly string[];
  readonly unchecked: boolean;
  readonly tables: readonly string[];
  readonly schemas: readonly string[];
  readonly only: string | undefined;
  readonly repository: string | undefined;
  readonly path: string | undefined;
  readonly hold: string | undefined;
  readonly keepPrevious: string | undefined;
  readonly keepStaging: boolean;
}

/** Combinations that cannot be meant, said before anything is looked at. @throws USAGE */
export function refuseContradictions(values: RestoreValues): void {
  const refuse = (message: string, hint?: string) => {
    throw new BackplanError('USAGE', message, hint === undefined ? {} : { hint });
  };
  const partial = values.tables.length > 0 || values.schemas.length > 0 || values.only !== undefined;
  if (values.path !== undefined && values.backup !== undefined) {
    refuse('name a backup or give --path, not both');
  }
  if (values.promote) {
    if (partial) {
      refuse(
        'a partial restore cannot be promoted: production would lose everything else',
        'Restore the part with --into NAME and copy what is needed from there.',
      );
    }
    if (values.into !== undefined && values.into !== 'staging') {
      refuse(`--promote restores into staging, so --into ${values.into} does not go with it`);
    }
    if (values.hold !== undefined) refuse('--hold is for sandboxes; it does not go with --promote');
    if (values.unchecked && values.suites.length > 0) refuse('--unchecked and --suite contradict each other');
    return;
  }
  for (const [given, name] of [
    [values.unchecked, '--unchecked'],
    [values.keepPrevious !== undefined, '--keep-previous'],
    [values.keepStaging, '--keep-staging'],
  ] as const) {
    if (given) refuse(`${name} means nothing without --promote`);
  }
  if (partial && values.into === 'staging') {
    refuse(
      'a staging database is there to become production, so it must be whole',
      'Restore the part with --into NAME, into a new database of that name.',
    );
  }
  const into = values.into ?? 'sandbox';
  if (values.only === 'data' && (into === 'sandbox' || into === 'staging')) {
    refuse(
      'rows alone need a database that has the tables already',
      'Name an existing database with --into NAME.',
    );
  }
  if (values.hold !== undefined && into !== 'sandbox') {
    refuse('--hold is for sandboxes; other databases stay anyway');
  }
}

/** @throws USAGE when the plan does not tell and nobody said --unchecked */
export function promotionSuites(
  plan: Plan,
  database: string,
  values: { readonly suites: readonly string[]; readonly unchecked: boolean },
): readonly string[] {
  if (values.unchecked) return [];
  const suites = values.suites.length > 0 ? values.suites : suitesFor(plan, database);
  if (suites.length > 0) return suites;
  const known = Object.keys(plan.suites).join(', ');
  throw new BackplanError(
    'USAGE',
    `no checks are known that a copy of ${database} must pass before promotion`,
    {
      hint: `${known === '' ? 'Declare a suite in the plan' : `Choose with --suite: ${known}`}, or promote unchecked with --unchecked.`,
    },
  );
}

/** A backup that leaves things out on purpose must not become production. @throws USAGE */
export function refusePartial(backup: Backup): void {
  if (isWhole(backup)) return;
  throw new BackplanError(
    'USAGE',
    `backup ${backup.manifest.id} holds only a part of ${backup.manifest.database}: production would lose everything else`,
    { hint: 'Restore it with --into NAME and copy what is needed from there, or choose a whole backup.' },
  );
}
