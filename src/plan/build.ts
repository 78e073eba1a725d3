/** A checked plan document → the plan as everyone else knows it. */
import { parseDuration } from '../units.ts';
import type {
  CheckDefinition,
  InputDefinition,
  Job,
  NotifierDefinition,
  Plan,
  Retry,
  Schedule,
  Settings,
  Step,
  SuiteDefinition,
} from './model.ts';
import type { NotifierEntry } from './notifiers.ts';
import type {
  InputDocument,
  JobDocument,
  NotifierDocument,
  PlanDocument,
  StepDocument,
  SuiteDocument,
} from './schema.ts';
import type { PlanSource } from './source.ts';
import type { CheckEntry, Structure } from './structure.ts';
import { conditionSource } from './template.ts';

/**
 * Pure and total: of a document with errors it makes as much of a plan as there is, for rules that look at the whole.
 * @param file absolute path of the plan file
 */
export function buildPlan(file: string, structure: Structure, source: PlanSource): Plan {
  const { document, checks } = structure;
  return {
    file,
    name: document.name ?? '',
    ...(document.description === undefined ? {} : { description: document.description }),
    timezone: document.timezone,
    settings: buildSettings(document.settings),
    databases: mapValues(document.databases ?? {}, (database, name) => ({ name, ...database })),
    repositories: mapValues(document.repositories, (repository, name) => ({ name, ...repository })),
    suites: mapValues(document.suites, (suite, name) => buildSuite(name, suite, checks, source)),
    notifiers: Object.fromEntries(structure.notifiers.map((entry) => [entry.name, buildNotifier(entry)])),
    jobs: mapValues(document.jobs, (job, name) => buildJob(name, job, source)),
  };
}

function buildSettings(settings: PlanDocument['settings']): Settings {
  const { binDirectories, sandbox, scratchDirectory } = settings;
  return {
    binDirectories,
    sandbox: { ...sandbox, parameters: mapValues(sandbox.parameters, String) },
    ...(scratchDirectory === undefined ? {} : { scratchDirectory }),
  };
}

function buildSuite(
  name: string,
  suite: SuiteDocument,
  checks: readonly CheckEntry[],
  source: PlanSource,
): SuiteDefinition {
  const settings = Array.isArray(suite) ? {} : suite;
  const { description, extends: bases = [], params = {}, timeout, trustIndexes } = settings ?? {};
  const milliseconds = duration(timeout);
  return {
    name,
    ...(description === undefined ? {} : { description }),
    extends: typeof bases === 'string' ? [bases] : bases,
    params,
    ...(milliseconds === undefined ? {} : { timeout: milliseconds }),
    ...(trustIndexes === undefined ? {} : { trustIndexes }),
    checks: checks.filter((check) => check.suite === name).map((check) => buildCheck(check, source)),
  };
}

function buildCheck({ kind, with: params, shared, path }: CheckEntry, source: PlanSource): CheckDefinition {
  const { line, column } = source.keySpan(path);
  return {
    kind,
    with: params,
    ...(Object.keys(shared).length === 0 ? {} : { shared }),
    position: { line, column },
  };
}

function buildJob(name: string, job: JobDocument, source: PlanSource): Job {
  const { description, schedule, timeout, retry, concurrencyGroups, concurrency } = job;
  const { notify, inputs, steps, onFailure } = job;
  const milliseconds = duration(timeout);
  const build = (group: 'steps' | 'onFailure') => (step: StepDocument, key: string) => {
    const { line, column } = source.keySpan(['jobs', name, group, key]);
    return buildStep(key, step, { line, column });
  };
  return {
    name,
    ...(description === undefined ? {} : { description }),
    ...(schedule === undefined ? {} : { schedule: schedule satisfies Schedule }),
    ...(milliseconds === undefined ? {} : { timeout: milliseconds }),
    ...(retry === undefined ? {} : { retry: buildRetry(retry) }),
    ...(concurrencyGroups.length === 0 ? {} : { concurrencyGroups }),
    ...(concurrency === undefined ? {} : { concurrency }),
    notify,
    inputs: mapValues(inputs, buildInput),
    steps: mapValues(steps ?? {}, build('steps')),
    onFailure: mapValues(onFailure, build('onFailure')),
  };
}

function buildNotifier({ name, kind, settings, shared }: NotifierEntry): NotifierDefinition {
  const { on, repeat, limit, timeout, retry } = shared;
  return {
    name,
    kind,
    settings,
    on,
    repeat: duration(repeat) ?? 0,
    limit: { messages: limit.messages, per: duration(limit.per) ?? 0 },
    timeout: duration(timeout) ?? 0,
    retry: buildRetry(retry),
  };
}

function buildRetry({ attempts, backoff, maxDelay }: NotifierDocument['retry']): Retry {
  return { attempts, backoff: duration(backoff) ?? 0, maxDelay: duration(maxDelay) ?? 0 };
}

function buildInput(input: InputDocument, name: string): InputDefinition {
  return { name, ...input };
}

function buildStep(name: string, step: StepDocument, position: { line: number; column: number }): Step {
  const { uses, with: settings, needs, if: condition, timeout, retry, continueOnError } = step;
  const milliseconds = duration(timeout);
  const expression = conditionOf(condition);
  return {
    name,
    uses: uses ?? '',
    with: settings,
    needs: [...new Set(needs)],
    ...(expression === undefined ? {} : { if: expression }),
    ...(milliseconds === undefined ? {} : { timeout: milliseconds }),
    ...(retry === undefined ? {} : { retry: buildRetry(retry) }),
    continueOnError,
    position,
  };
}

function conditionOf(condition: string | boolean | undefined): string | undefined {
  if (condition === undefined || typeof condition === 'boolean')
    return condition === undefined ? undefined : String(condition);
  return conditionSource(condition)?.source ?? condition;
}

/** Milliseconds; undefined for what is no duration, which validation has reported. */
function duration(text: string | undefined): number | undefined {
  try {
    return text === undefined ? undefined : parseDuration(text);
  } catch {
    return undefined;
  }
}

function mapValues<T, R>(
  record: Readonly<Record<string, T>>,
  map: (value: T, key: string) => R,
): Record<string, R> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, map(value, key)]));
}

/** Makes plain data read-only, all the way down. */
export function deepFreeze<T>(value: T): T {
  if (value !== null && typeof value === 'object' && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const item of Object.values(value)) deepFreeze(item);
  }
  return value;
}
