/** Plans as commands use them: loaded, its names looked up with "did you mean", and defaults where only one thing fits. */
import type { LoadedPlan } from '../app.ts';
import { BackplanError } from '../errors.ts';
import type { Job, Plan, RepositoryDefinition, Step } from '../plan/model.ts';
import { didYouMean } from '../suggest.ts';
import type { CommandContext } from './command.ts';

/** @throws PLAN_INVALID, PLAN_UNREADABLE */
export async function openPlan(context: CommandContext, file: string): Promise<LoadedPlan> {
  const app = await context.app();
  const loaded = await app.loadPlan(file);
  const warnings = loaded.diagnostics.filter(({ severity }) => severity === 'warning').length;
  if (warnings > 0 && context.globals.verbose) {
    context.out.note(
      `${file}: ${warnings} ${warnings === 1 ? 'warning' : 'warnings'}, see \`backplan validate ${file}\``,
    );
  }
  return loaded;
}

/** @throws USAGE naming what there is */
export function byName<T>(what: string, record: Readonly<Record<string, T>>, name: string): T {
  const found = Object.hasOwn(record, name) ? record[name] : undefined;
  if (found !== undefined) return found;
  const names = Object.keys(record);
  throw new BackplanError('USAGE', `the plan has no ${what} "${name}"${didYouMean(name, names)}`, {
    hint:
      names.length === 0
        ? `The plan declares no ${what} at all.`
        : `There ${names.length === 1 ? 'is' : 'are'}: ${names.join(', ')}.`,
  });
}

/** The named thing, or the only one there is. @throws USAGE listing the choices and saying how to choose */
export function oneOf<T>(
  what: string,
  record: Readonly<Record<string, T>>,
  name: string | undefined,
  how: string,
): T {
  if (name !== undefined) return byName(what, record, name);
  const [only, ...others] = Object.values(record);
  if (only !== undefined && others.length === 0) return only;
  const names = Object.keys(record);
  throw new BackplanError(
    'USAGE',
    names.length === 0
      ? `the plan declares no ${what}`
      : `the plan has ${names.length} ${plural(what)}: which one?`,
    { hint: names.length === 0 ? `Add one to the plan.` : `${how}: ${names.join(', ')}.` },
  );
}

function plural(what: string): string {
  return what.endsWith('y') ? `${what.slice(0, -1)}ies` : `${what}s`;
}

/** The named suites, else those that the plan's jobs run on the database or its copies. @throws USAGE */
export function suitesOf(plan: Plan, database: string, named: readonly string[]): readonly string[] {
  for (const each of named) byName('suite', plan.suites, each);
  const suites = named.length > 0 ? named : suitesFor(plan, database);
  if (suites.length > 0) return suites;
  throw new BackplanError('USAGE', `the plan does not say which suite is for ${database}`, {
    hint: `Name one: ${Object.keys(plan.suites).join(', ') || 'but the plan declares no suite'}.`,
  });
}

/**
 * The repository to use for a database: the named one, the only one, or the only one that the plan's own jobs back
 * this database up into.
 */
export function repositoryFor(plan: Plan, name: string | undefined, database?: string): RepositoryDefinition {
  if (name === undefined && database !== undefined) {
    const used = new Set(
      allSteps(plan).flatMap(({ step }) =>
        step.uses === 'backup' && step.with.database === database && typeof step.with.repository === 'string'
          ? [step.with.repository]
          : [],
      ),
    );
    const [only] = used;
    if (used.size === 1 && only !== undefined && Object.hasOwn(plan.repositories, only)) {
      return byName('repository', plan.repositories, only);
    }
  }
  return oneOf('repository', plan.repositories, name, 'Choose with --repository');
}

export interface PlacedStep {
  readonly job: Job;
  readonly step: Step;
}

export function allSteps(plan: Plan): PlacedStep[] {
  return Object.values(plan.jobs).flatMap((job) =>
    [...Object.values(job.steps), ...Object.values(job.onFailure)].map((step) => ({ job, step })),
  );
}

/**
 * The suites that speak for a database: those that the plan's jobs run on it or on a restored copy of it. A job
 * that promotes knows best what must hold before promotion. With a single suite and a single database in the plan
 * there is no doubt either.
 */
export function suitesFor(plan: Plan, database: string): string[] {
  const promoting = new Set<string>();
  const other = new Set<string>();
  for (const job of Object.values(plan.jobs)) {
    const steps = Object.values(job.steps);
    const promotes = steps.some(
      (step) => step.uses === 'promote' && databaseOf(plan, job, step.with.database) === database,
    );
    for (const step of steps) {
      if (step.uses !== 'check' || databaseOf(plan, job, step.with.database) !== database) continue;
      for (const suite of [step.with.suite].flat()) {
        if (typeof suite === 'string' && Object.hasOwn(plan.suites, suite)) {
          (promotes ? promoting : other).add(suite);
        }
      }
    }
  }
  if (promoting.size > 0) return [...promoting];
  if (other.size > 0) return [...other];
  const suites = Object.keys(plan.suites);
  return suites.length === 1 && Object.keys(plan.databases).length === 1 ? suites : [];
}

const STEP_OUTPUT = /^\$\{\{\s*steps\.([A-Za-z_][A-Za-z0-9_]*)\.outputs\.(\w+)\s*\}\}$/;

/** Which database of the plan a value of `database` is, or is a copy of, as far as the plan's text tells. */
function databaseOf(plan: Plan, job: Job, value: unknown, depth = 0): string | undefined {
  if (typeof value !== 'string' || depth > 20) return undefined;
  const source = sourceOf(job, value);
  if (source === undefined) return Object.hasOwn(plan.databases, value) ? value : undefined;
  if (source.uses === 'backup') return databaseOf(plan, job, source.with.database, depth + 1);
  if (source.uses !== 'restore') return undefined;
  const { into, database, backup } = source.with as Record<string, unknown>;
  if (typeof into === 'object' && into !== null && 'staging' in into) {
    return databaseOf(plan, job, (into as { staging: unknown }).staging, depth + 1);
  }
  const names = Object.keys(plan.databases);
  return (
    databaseOf(plan, job, database, depth + 1) ??
    databaseOf(plan, job, backup, depth + 1) ??
    (names.length === 1 ? names[0] : undefined)
  );
}

/** The step whose output a value is, when it is exactly one reference. */
function sourceOf(job: Job, value: string): Step | undefined {
  return job.steps[STEP_OUTPUT.exec(value)?.[1] ?? ''];
}
