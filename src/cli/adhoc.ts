/**
 * Ad-hoc commands as jobs: pure functions from what was asked to a `Job` that the engine runs like any other, with
 * journal, locks, retries, cancellation and recovery. Their names begin with `adhoc-`, so that the history tells.
 */
import type { Job, Step } from '../plan/model.ts';

type With = Readonly<Record<string, unknown>>;

interface StepExtras {
  readonly needs?: readonly string[];
  readonly if?: string;
  readonly continueOnError?: boolean;
}

function step(name: string, uses: string, settings: With, extras: StepExtras = {}): Step {
  return {
    name,
    uses,
    // What was not asked for is left to the kind's defaults.
    with: Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined)),
    needs: extras.needs ?? [],
    ...(extras.if === undefined ? {} : { if: extras.if }),
    continueOnError: extras.continueOnError ?? false,
  };
}

function job(name: string, description: string, steps: readonly Step[]): Job {
  return {
    name: `adhoc-${name}`,
    description,
    notify: [],
    inputs: {},
    steps: Object.fromEntries(steps.map((each) => [each.name, each])),
    onFailure: {},
  };
}

const output = (of: string, key: string) => `\${{ steps.${of}.outputs.${key} }}`;

export interface BackupRequest {
  readonly database: string;
  readonly repository: string;
  readonly label?: string;
  readonly fingerprint?: string;
  readonly format?: string;
  readonly jobs?: number;
  readonly schemas?: readonly string[];
  readonly tables?: readonly string[];
  readonly exclude?: readonly string[];
  readonly only?: string;
}

export function backupJob(request: BackupRequest): Job {
  return job('backup', `backup of ${request.database}`, [step('backup', 'backup', { ...request })]);
}

export interface RestoreRequest {
  /** `latest`, `latest-proven`, an id, a label; or nothing with `path`. */
  readonly backup?: string;
  readonly path?: string;
  readonly repository?: string;
  readonly database?: string;
  readonly at?: string;
  readonly jobs?: number;
  readonly tables?: readonly string[];
  readonly schemas?: readonly string[];
  readonly only?: string;
  readonly noOwner?: boolean;
  readonly noPrivileges?: boolean;
}

export type RestoreTarget =
  | 'sandbox'
  | { readonly staging: string }
  | { readonly database: string; readonly on: string };

/** Restore, and with suites check the copy. `hold` keeps the run (and so its sandbox) until the person has looked. */
export function restoreJob(
  request: RestoreRequest,
  into: RestoreTarget,
  options: { readonly suites: readonly string[]; readonly hold: boolean },
): Job {
  const restored = output('restore', 'database');
  return job('restore', `restore of ${request.backup ?? request.path ?? 'a backup'}`, [
    step('restore', 'restore', { ...request, into }),
    ...(options.suites.length === 0
      ? []
      : [step('check', 'check', { suite: options.suites, database: restored }, { needs: ['restore'] })]),
    ...(options.hold
      ? [
          step(
            'hold',
            'hold',
            { database: restored },
            // A copy that fails its checks is the one to look at.
            {
              needs: options.suites.length === 0 ? ['restore'] : ['restore', 'check'],
              if: 'steps.restore.status == "succeeded"',
            },
          ),
        ]
      : []),
  ]);
}

export interface PromoteRequest {
  readonly database: string;
  /** Empty: promote without checks, which the person has asked for by name. */
  readonly suites: readonly string[];
  readonly keepPrevious?: string;
}

/** The way back of a production database: look, save what is there, restore beside it, check, swap, tidy. */
export function recoveryJob(
  request: RestoreRequest & { readonly database: string; readonly safetyRepository: string },
  promotion: PromoteRequest & { readonly keepStaging: boolean },
): Job {
  const { safetyRepository, ...restore } = request;
  const staged = output('stage', 'database');
  return job('recovery', `restore of ${request.backup ?? request.path ?? 'a backup'} into production`, [
    step('preflight', 'preflight', {
      database: request.database,
      backup: request.backup,
      path: request.path,
      repository: request.repository,
    }),
    // A production database that is too broken to dump is the very reason to restore.
    step(
      'safety',
      'backup',
      { database: request.database, repository: safetyRepository, label: 'before-restore' },
      { needs: ['preflight'], continueOnError: true },
    ),
    step('stage', 'restore', { ...restore, into: { staging: request.database } }, { needs: ['safety'] }),
    ...promotionSteps(promotion, staged, 'stage'),
    step(
      'cleanup',
      promotion.keepStaging ? 'keep' : 'drop',
      { staging: staged },
      { needs: ['promote'], if: 'always()' },
    ),
  ]);
}

/** A staging database that is already there: find, check, swap. */
export function promoteJob(promotion: PromoteRequest, staging: string): Job {
  return job('promote', `promotion of ${staging}`, [
    step('find', 'adopt', { database: promotion.database, name: staging }),
    ...promotionSteps(promotion, output('find', 'database'), 'find'),
  ]);
}

export function dropJob(database: string, staging: string): Job {
  return job('drop', `removal of ${staging}`, [
    step('find', 'adopt', { database, name: staging }),
    step('drop', 'drop', { staging: output('find', 'database') }, { needs: ['find'] }),
  ]);
}

function promotionSteps(request: PromoteRequest, staging: string, after: string): Step[] {
  const checked = request.suites.length > 0;
  return [
    ...(checked
      ? [step('check', 'check', { suite: request.suites, database: staging }, { needs: [after] })]
      : []),
    step(
      'promote',
      'promote',
      { staging, database: request.database, keepPrevious: request.keepPrevious },
      { needs: checked ? [after, 'check'] : [after] },
    ),
  ];
}

export interface SuiteRequest {
  readonly database: string;
  readonly suites: readonly string[];
  readonly only?: readonly string[];
  readonly skip?: readonly string[];
  readonly params?: Readonly<Record<string, string>>;
}

function suiteSettings({ database, suites, only = [], skip = [], params = {} }: SuiteRequest): With {
  return {
    suite: suites,
    database,
    only: only.length === 0 ? undefined : only,
    skip: skip.length === 0 ? undefined : skip,
    params: Object.keys(params).length === 0 ? undefined : params,
  };
}

/** @param objectives the plan declares an rpo or rto for the database: its proof is held against them */
export function checkJob(request: SuiteRequest, { objectives }: { readonly objectives: boolean }): Job {
  return job('check', `checks of ${request.database}`, [
    step('check', 'check', suiteSettings(request)),
    ...(objectives ? [objectivesStep(request.database, 'check')] : []),
  ]);
}

/** Its backups are one thing, the database that was checked is another: it is told whatever came out there. */
function objectivesStep(database: string, after: string): Step {
  return step('objectives', 'objectives', { database }, { needs: [after], if: 'success() || failure()' });
}

/**
 * The same suites on production and on the restored backup, which is also held against what it noted of its source.
 * The names of the steps are given by the caller, who listens to them.
 */
export function compareJob(
  request: SuiteRequest & { readonly backup: string },
  names: { readonly production: string; readonly restored: string },
  { objectives }: { readonly objectives: boolean },
): Job {
  const { backup } = request;
  const settings = suiteSettings(request);
  const restored = { ...settings, database: output('copy', 'database'), compareFingerprint: true };
  return job('compare', `checks of ${request.database} and of its backup`, [
    step('copy', 'restore', { backup, into: 'sandbox' }),
    step(names.production, 'check', settings, { needs: ['copy'] }),
    // What fails in production is the reason to look at the backup.
    step(names.restored, 'check', restored, {
      needs: ['copy', names.production],
      if: '(success() || failure()) && steps.copy.status == "succeeded"',
    }),
    ...(objectives ? [objectivesStep(request.database, names.restored)] : []),
  ]);
}

/** With a backup its restored copy is broken; without one the step copies the database itself. */
export function proveJob(request: SuiteRequest, backup: string | undefined): Job {
  const settings = suiteSettings(request);
  const restored = backup === undefined ? [] : [step('copy', 'restore', { backup, into: 'sandbox' })];
  const proved = backup === undefined ? settings : { ...settings, database: output('copy', 'database') };
  return job('prove', `proof of checks of ${request.database}`, [
    ...restored,
    step('prove', 'prove', proved, { needs: restored.map(({ name }) => name) }),
  ]);
}

export interface VerifyRequest {
  readonly backup: string;
  readonly repository?: string;
  readonly database?: string;
  readonly archive?: boolean;
}

/** One step a backup, one after the other: they share the disk. */
export function verifyJob(requests: readonly VerifyRequest[]): Job {
  const names = requests.map((_, index) => (requests.length === 1 ? 'verify' : `verify${index + 1}`));
  return job(
    'verify',
    `verification of ${requests.length === 1 ? 'a backup' : `${requests.length} backups`}`,
    requests.map((request, index) =>
      step(
        names[index] ?? 'verify',
        'verify',
        { ...request },
        index === 0 ? {} : { needs: [names[index - 1] ?? ''], if: 'always()' },
      ),
    ),
  );
}

export function pruneJob(request: {
  readonly repository: string;
  readonly database: string;
  readonly keep: With;
  readonly dryRun: boolean;
}): Job {
  return job('prune', `pruning of ${request.database} in ${request.repository}`, [
    step('prune', 'prune', { ...request }),
  ]);
}

export function rollbackJob(request: {
  readonly database: string;
  readonly previous?: string;
  readonly keepPrevious?: string;
}): Job {
  return job('rollback', `rollback of ${request.database}`, [step('rollback', 'rollback', { ...request })]);
}

/** Look, show, and with `apply` mend. With a backup its schema is restored first, as the model. */
export function repairJob(
  settings: With & { readonly database: string },
  { apply, backup }: { readonly apply: boolean; readonly backup: string | undefined },
): Job {
  const model = backup === undefined ? [] : ['model'];
  const repair = {
    ...settings,
    like: backup === undefined ? undefined : output('model', 'database'),
  };
  return job('repair', `repair of ${settings.database}`, [
    ...(backup === undefined ? [] : [step('model', 'restore', { backup, into: 'sandbox', only: 'schema' })]),
    step('look', 'repair', { ...repair, apply: false }, { needs: model }),
    step(
      'approve',
      'approve',
      { sql: output('look', 'sql'), count: output('look', 'found') },
      { needs: ['look'] },
    ),
    ...(apply
      ? [
          step(
            'mend',
            'repair',
            { ...repair, apply: true },
            { needs: [...model, 'approve'], if: 'success() && steps.approve.outputs.approved' },
          ),
        ]
      : []),
  ]);
}

/** Restore the tables and compare, show, and with `apply` insert from the same copy. */
export function recoverJob(
  settings: With & { readonly database: string; readonly backup: string },
  apply: boolean,
): Job {
  const { backup, ...rest } = settings;
  return job('recover', `recovery of rows of ${settings.database}`, [
    step('look', 'recoverRows', { ...rest, backup, apply: false }),
    step(
      'approve',
      'approve',
      { sql: output('look', 'summary'), count: output('look', 'statements') },
      { needs: ['look'] },
    ),
    ...(apply
      ? [
          step(
            'recover',
            'recoverRows',
            { ...rest, from: output('look', 'copy'), apply: true },
            { needs: ['look', 'approve'], if: 'success() && steps.approve.outputs.approved' },
          ),
        ]
      : []),
  ]);
}
