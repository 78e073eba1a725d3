/**
 * The composition root: hands the lists of kinds to plan and engine, wires repositories, locks, leases and recovery.
 * The only file that knows all of them; doors (command line, later daemon) know only this one.
 */
import { rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { checkKinds } from './checks/index.ts';
import { executeJob } from './engine/execute.ts';
import { BackplanError, toBackplanError } from './errors.ts';
import { notificationsForRun } from './notify/for-run.ts';
import { notifierKinds } from './notify/index.ts';
import { makeNotifications, type Notifications } from './notify/notifications.ts';
import type { ProvenBackup } from './notify/occurrence.ts';
import { type Diagnostic, formatDiagnostic } from './plan/diagnostic.ts';
import { loadPlan } from './plan/load.ts';
import type { Job, Plan } from './plan/model.ts';
import { resolveEnvironment } from './plan/resolve.ts';
import { type Connection, parseConnection } from './postgres/connection.ts';
import { removeSandbox } from './postgres/sandbox.ts';
import { connectMaintenance } from './postgres/swap.ts';
import { closeReporters, listenersOf } from './report/index.ts';
import type { Reporter } from './report/reporter.ts';
import { makeRunLogReporter } from './report/run-log.ts';
import { locksFile } from './repository/layout.ts';
import { isProven, isWhole, newestFirst } from './repository/manifest.ts';
import { openRepository, type RepositoryOptions } from './repository/open.ts';
import type { Leases, Repository } from './repository/repository.ts';
import { type Locks, openLocks } from './runs/lock.ts';
import type { RunRecord, RunStatus, Trigger } from './runs/record.ts';
import { type RecoveryReport, type Removers, recover } from './runs/recovery.ts';
import { lockFile, newRunId } from './runs/run-id.ts';
import { type Journal, openJournal } from './runs/store.ts';
import { Masker } from './secret.ts';
import { stepKinds } from './steps/index.ts';
import { dropRestored } from './steps/restored-database.ts';
import type { Resource, StepKind } from './steps/step-kind.ts';
import { openStorage } from './storage/index.ts';
import type { Storage } from './storage/storage.ts';

export interface LoadedPlan {
  readonly plan: Plan;
  /** Warnings only: a plan with errors is not loaded. */
  readonly diagnostics: readonly Diagnostic[];
  readonly source: string;
}

export interface RunOptions {
  /** As loaded; its environment is resolved when the run starts. */
  readonly plan: Plan;
  readonly job: Job;
  readonly inputs: Readonly<Record<string, unknown>>;
  readonly journal: Journal;
  readonly stateDirectory: string;
  /** Besides the log of the run, which is always written. */
  readonly reporters: readonly Reporter[];
  /** Step kinds that only the caller knows, for jobs that it made itself. */
  readonly kinds?: readonly StepKind[];
  readonly trigger: Trigger;
  /** ISO instant of the firing that the run is for. */
  readonly scheduledFor?: string;
  readonly signal: AbortSignal;
  readonly env?: NodeJS.ProcessEnv;
  readonly runId?: string;
  /**
   * Who tells people about the run. Without it the run makes its own for the notifiers of the job, and waits some
   * seconds at its end; `null`: nobody is told by the run.
   */
  readonly notifications?: Notifications | null;
  /** What is said besides the log of the run, for example that a notifier was not reached. */
  readonly warn?: (message: string) => void;
  /** Collects the secrets of the run; reporters that print may share it. */
  readonly masker?: Masker;
}

export interface NotificationSettings {
  readonly plan: Plan;
  readonly journal: Journal;
  readonly stateDirectory: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly masker?: Masker;
  /** What could not be told, and why; masked. */
  readonly onProblem: (message: string) => void;
  /** What was told; masked. */
  readonly onTold?: (message: string) => void;
}

export interface App {
  readonly vocabulary: typeof vocabulary;
  /** @throws PLAN_INVALID with every diagnostic in `detail`, PLAN_UNREADABLE */
  loadPlan(file: string): Promise<LoadedPlan>;
  stateDirectory(configured: string | undefined): string;
  openState(directory?: string): Promise<Journal>;
  /** @throws ENV_MISSING, INPUT_INVALID, LOCKED, JOURNAL_FAILED: nothing has happened then */
  runJob(options: RunOptions): Promise<RunRecord>;
  /** Tells people about what happens to a plan. To be closed. */
  notifications(options: NotificationSettings): Notifications;
  /** A repository of the plan, its path resolved. @throws ENV_MISSING, REPOSITORY_UNUSABLE */
  repository(plan: Plan, name: string, env?: NodeJS.ProcessEnv): Promise<Repository>;
  /** Records runs that were cut as interrupted and removes what they owned. @throws JOURNAL_FAILED */
  recover(plan: Plan, journal: Journal, env?: NodeJS.ProcessEnv): Promise<RecoveryReport>;
}

const steps = new Map(stepKinds.map((kind) => [kind.kind, kind]));
const checks = new Map(checkKinds.map((kind) => [kind.kind, kind]));
const notifiers = new Map(notifierKinds.map((kind) => [kind.kind, kind]));
const vocabulary = { steps, checks, notifiers };

export function createApp(): App {
  return {
    vocabulary,
    loadPlan: loadValidPlan,
    stateDirectory,
    openState,
    runJob,
    notifications: makePlanNotifications,
    repository,
    recover: recoverRuns,
  };
}

async function loadValidPlan(file: string): Promise<LoadedPlan> {
  const { plan, diagnostics, source } = await loadPlan(file, vocabulary);
  const errors = diagnostics.filter(({ severity }) => severity === 'error');
  if (plan === undefined || errors.length > 0) {
    throw new BackplanError(
      'PLAN_INVALID',
      `${file} has ${errors.length} error${errors.length === 1 ? '' : 's'}; nothing was run`,
      {
        detail: diagnostics.map((diagnostic) => formatDiagnostic(diagnostic, source, false)).join('\n'),
        hint: `Mend the plan, then: backplan validate ${file}`,
      },
    );
  }
  return { plan, diagnostics, source };
}

/** `--state`, else $BACKPLAN_STATE, else the XDG state home. Source: XDG Base Directory Specification. */
function stateDirectory(configured: string | undefined): string {
  return resolve(configured ?? process.env.BACKPLAN_STATE ?? defaultStateDirectory());
}

function defaultStateDirectory(): string {
  return resolve(process.env.XDG_STATE_HOME || join(homedir(), '.local', 'state'), 'backplan');
}

async function openState(directory?: string): Promise<Journal> {
  return await openJournal(stateDirectory(directory));
}

async function runJob(options: RunOptions): Promise<RunRecord> {
  const { job, journal, signal, trigger, runId = newRunId(), masker = new Masker() } = options;
  const runLog = await makeRunLogReporter();
  const notifications = notificationsForRun({
    job,
    run: runId,
    shared: options.notifications,
    signal,
    make: () =>
      makePlanNotifications({
        ...options,
        masker,
        onProblem: (message) => {
          // Not to all reporters: who reads JSON lines takes the record of the run for the last one.
          runLog.on({ type: 'run:log', at: new Date().toISOString(), level: 'warn', message });
          options.warn?.(message);
        },
        onTold: (message) =>
          runLog.on({ type: 'run:log', at: new Date().toISOString(), level: 'info', message }),
      }),
  });
  const reporters = [runLog, ...options.reporters, ...notifications.reporters];
  const listeners = listenersOf(reporters);
  const note = (message: string): void => {
    for (const listen of listeners)
      listen({ type: 'run:log', at: new Date().toISOString(), level: 'warn', message: masker.mask(message) });
  };
  let stores: RepositoryStores | undefined;
  let databaseLocks: Locks | undefined;
  try {
    const plan = await resolveEnvironment(options.plan, options.env ?? process.env, masker, { job });
    const places = new RepositoryStores(plan, { run: runId, job: job.name, plan: plan.name }, note);
    const locks = openLocks(lockFile(options.stateDirectory));
    stores = places;
    databaseLocks = locks;
    return await executeJob({
      plan,
      // The environment is in the job's settings, too; a job made by the caller is not in the plan's list.
      job: plan.jobs[job.name] ?? job,
      runId,
      inputs: options.inputs,
      kinds: new Map([...steps, ...(options.kinds ?? []).map((kind) => [kind.kind, kind] as const)]),
      checkKinds: checks,
      journal,
      locksFor: async (resource) =>
        'repository' in resource
          ? { locks: await places.locks(resource.repository), key: `backups of ${resource.database}` }
          : { locks, key: databaseKey(plan, resource) },
      connection: (database) => connectionOf(plan, database),
      repository: (name) => places.open(name),
      notify: notifications.announce,
      listeners,
      signal,
      trigger,
      ...(options.scheduledFor === undefined ? {} : { scheduledFor: options.scheduledFor }),
      masker,
      stateDirectory: options.stateDirectory,
      settle: (run, status) => settleOwned(run, status, plan, journal),
    });
  } catch (error) {
    notifications.notStarted(toBackplanError(error));
    throw error;
  } finally {
    // Before the log of the run is closed: it says who could not be told.
    await notifications.close();
    await closeReporters(reporters);
    stores?.close();
    databaseLocks?.close();
  }
}

function makePlanNotifications(settings: NotificationSettings): Notifications {
  const { plan, journal, env = process.env, masker = new Masker(), onProblem, onTold } = settings;
  const directory = resolve(settings.stateDirectory);
  return makeNotifications({
    plan,
    kinds: notifiers,
    env,
    masker,
    journal,
    stateDirectory: directory,
    stateIsDefault: directory === defaultStateDirectory(),
    provenOf: (database) => newestProven(plan, database, env),
    onProblem,
    ...(onTold === undefined ? {} : { onTold }),
  });
}

/** @throws REPOSITORY_UNUSABLE, ENV_MISSING when a repository that may hold a newer one cannot be read */
async function newestProven(
  plan: Plan,
  database: string,
  env: NodeJS.ProcessEnv,
): Promise<ProvenBackup | null> {
  const lists = await Promise.all(
    Object.keys(plan.repositories).map(async (name) => (await repository(plan, name, env)).backups(database)),
  );
  const [newest] = lists
    .flat()
    .filter((backup) => isProven(backup) && isWhole(backup))
    .sort(newestFirst);
  if (newest === undefined) return null;
  return {
    backup: `${newest.repository}:${newest.manifest.id}`,
    takenAt: newest.manifest.startedAt,
  };
}

/** A staging database is what a successful run was asked for; what a failed one leaves is removed. */
async function settleOwned(run: string, status: RunStatus, plan: Plan, journal: Journal): Promise<void> {
  for (const { id, thing } of journal.ownedBy(run)) {
    if (thing.kind === 'stagingDatabase' && status === 'succeeded') {
      journal.release(id);
      continue;
    }
    try {
      await remove(removersFor(plan), thing, run);
      journal.release(id);
    } catch {
      // Still in the journal: the next start tries again and says what is in the way.
    }
  }
}

function remove(
  removers: Removers,
  thing: Parameters<Removers[keyof Removers]>[0],
  run: string,
): Promise<void> {
  return (removers[thing.kind] as (thing: unknown, run: string) => Promise<void>)(thing, run);
}

/** Database locks are about the database itself, whatever the plan calls it. */
function databaseKey(plan: Plan, resource: Extract<Resource, { database: string }>): string {
  const { host, port, database } = connectionOf(plan, resource.database);
  return `database ${database} on ${host}:${port}`;
}

function connectionOf(plan: Plan, database: string): Connection {
  const definition = plan.databases[database];
  if (definition === undefined)
    throw new BackplanError('DATABASE_MISSING', `the plan declares no database "${database}"`);
  return parseConnection(definition.url);
}

/** The repositories of a run, opened once each, with the locks and leases that live beside the backups. */
class RepositoryStores {
  readonly #plan: Plan;
  readonly #owner: { run: string; job: string; plan: string };
  readonly #note: (message: string) => void;
  readonly #repositories = new Map<string, Promise<Repository>>();
  readonly #locks = new Map<string, Locks>();

  constructor(
    plan: Plan,
    owner: { run: string; job: string; plan: string },
    note: (message: string) => void,
  ) {
    this.#plan = plan;
    this.#owner = owner;
    this.#note = note;
  }

  open(name: string): Promise<Repository> {
    let opened = this.#repositories.get(name);
    if (opened === undefined) {
      const leases: Leases = {
        acquire: async (key, mode) => {
          const handle = (await this.locks(name)).acquire(key, mode, this.#owner);
          return async () => handle.release();
        },
      };
      opened = Promise.resolve(openAt(this.#plan, name, { leases, note: this.#note }));
      this.#repositories.set(name, opened);
    }
    return opened;
  }

  async locks(name: string): Promise<Locks> {
    let locks = this.#locks.get(name);
    if (locks === undefined) {
      const file = locksFile(storageOf(this.#plan, name));
      // A backend without files of its own brings its own locks; none does yet.
      if (file === undefined) {
        throw new BackplanError('REPOSITORY_UNUSABLE', `the repository "${name}" has no place for its locks`);
      }
      locks = openLocks(file);
      this.#locks.set(name, locks);
    }
    return locks;
  }

  close(): void {
    for (const locks of this.#locks.values()) locks.close();
  }
}

function storageOf(plan: Plan, name: string): Storage {
  const definition = plan.repositories[name];
  if (definition === undefined) {
    throw new BackplanError('REPOSITORY_UNUSABLE', `the plan declares no repository "${name}"`);
  }
  return openStorage(definition.path, dirname(plan.file));
}

function openAt(plan: Plan, name: string, options: RepositoryOptions = {}): Repository {
  return openRepository(name, storageOf(plan, name), options);
}

async function repository(
  plan: Plan,
  name: string,
  env: NodeJS.ProcessEnv = process.env,
): Promise<Repository> {
  return openAt(await resolveEnvironment(plan, env, new Masker(), { repositories: [name] }), name);
}

async function recoverRuns(
  plan: Plan,
  journal: Journal,
  env: NodeJS.ProcessEnv = process.env,
): Promise<RecoveryReport> {
  let resolved: Promise<Plan> | undefined;
  const removers = removersFor((run) => {
    // Another plan may call another server's database the same.
    const { plan: name, planFile } = journal.getRun(run);
    if (name !== plan.name) {
      throw new BackplanError('DATABASE_MISSING', `it was made by a run of the plan ${name}`, {
        hint: `That plan knows its server: start any command with ${planFile}.`,
      });
    }
    const current = resolved ?? resolveEnvironment(plan, env, new Masker());
    resolved = current;
    return current;
  });
  return await recover(journal, removers, () => {});
}

/** What removes each kind of thing that a run can leave behind. The plan is resolved only when a url is needed. */
function removersFor(source: Plan | ((run: string) => Promise<Plan>)): Removers {
  return {
    folder: async ({ path }) => await rm(path, { recursive: true, force: true }),
    sandbox: async (thing) => await removeSandbox(thing),
    stagingDatabase: async ({ database, name }, run) => {
      const plan = typeof source === 'function' ? await source(run) : source;
      const definition = plan.databases[database];
      if (definition === undefined) {
        throw new BackplanError('DATABASE_MISSING', `${plan.file} declares no database "${database}"`, {
          hint: 'The plan that started the run knows its server: start any command with that plan.',
        });
      }
      await using client = await connectMaintenance(
        parseConnection(definition.url),
        definition.maintenanceDatabase,
        {
          applicationName: 'backplan recovery',
        },
      );
      await dropRestored(client, name, run);
    },
  };
}
