/** Names that refer to something declared elsewhere in the plan: do they exist, and does the graph hold? */
import type { Reference } from '../schema.ts';
import { own, walk } from '../schema-walk.ts';
import { didYouMean, listNames } from '../suggest.ts';
import type { Collector } from './diagnostic.ts';
import { ancestorsOf, cycles, type Needs } from './graph.ts';
import { type PlanDocument, scheduleSchema } from './schema.ts';
import type { Path } from './source.ts';
import type { Structure } from './structure.ts';
import { isTemplate } from './template.ts';
import type { Vocabulary } from './vocabulary.ts';

/** Where the names of each kind of reference are declared, and what it is called. */
interface Names {
  readonly databases: object;
  readonly repositories: object;
  readonly suites: object;
  readonly notifiers: object;
  readonly jobs: object;
}

const DECLARED: Readonly<
  Record<Exclude<Reference, 'step'>, { readonly word: string; readonly in: keyof Names }>
> = {
  database: { word: 'database', in: 'databases' },
  planDatabase: { word: 'database', in: 'databases' },
  repository: { word: 'repository', in: 'repositories' },
  suite: { word: 'suite', in: 'suites' },
  notifier: { word: 'notifier', in: 'notifiers' },
  job: { word: 'job', in: 'jobs' },
};

/** A database that a step made, as steps pass it on. */
const HANDLE = /^(staging|sandbox|named):([^/]*)(\/.+)?$/;

export interface ReferenceProblem {
  readonly message: string;
  readonly hint?: string;
}

/**
 * Whether a name refers to something that exists.
 * @param steps names of the job's steps, for handles of sandboxes and references to steps
 */
export function referenceProblem(
  reference: Reference,
  value: string,
  names: Names,
  steps: readonly string[],
): ReferenceProblem | undefined {
  if (reference === 'step') {
    return steps.includes(value) ? undefined : unknown('step', value, steps);
  }
  const handle = reference === 'database' ? HANDLE.exec(value) : null;
  if (handle !== null) {
    const [, kind = '', of = '', rest] = handle;
    if (rest === undefined) {
      return {
        message: `"${value}" is no handle of a database`,
        hint: `Steps pass databases on as expressions: \${{ steps.NAME.outputs.database }}.`,
      };
    }
    return kind === 'sandbox'
      ? steps.includes(of)
        ? undefined
        : unknown('step', of, steps)
      : Object.hasOwn(names.databases, of)
        ? undefined
        : unknown('database', of, Object.keys(names.databases));
  }
  const { word, in: section } = DECLARED[reference];
  const declared = Object.keys(names[section]);
  return declared.includes(value) ? undefined : unknown(word, value, declared);
}

function unknown(word: string, name: string, known: readonly string[]): ReferenceProblem {
  const near = didYouMean(name, known);
  const plural = word === 'repository' ? 'repositories' : `${word}s`;
  return {
    message: `unknown ${word} "${name}"${near}`,
    ...(near === ''
      ? {
          hint: known.length === 0 ? `There are no ${plural} here.` : `Known ${plural}: ${listNames(known)}.`,
        }
      : {}),
  };
}

/** Suites that extend others: they exist, and none extends itself in the end. */
function checkSuites(document: PlanDocument, names: Names, collector: Collector): void {
  const bases = new Map<string, string[]>();
  for (const [name, suite] of Object.entries(document.suites)) {
    const given = Array.isArray(suite) ? undefined : suite?.extends;
    const list = (Array.isArray(given) ? given : [given]).filter((each) => typeof each === 'string');
    bases.set(
      name,
      list.filter((each) => Object.hasOwn(document.suites, each)),
    );
    for (const [index, each] of list.entries()) {
      const problem = referenceProblem('suite', each, names, []);
      if (problem === undefined) continue;
      const path = ['suites', name, 'extends', ...(Array.isArray(given) ? [index] : [])];
      collector.report(path, problem.message, { hint: problem.hint });
    }
  }
  for (const cycle of cycles(bases)) {
    const [first = ''] = cycle;
    collector.report(
      ['suites', first, 'extends'],
      cycle.length === 1
        ? `suite "${first}" extends itself`
        : `suites extend each other in a circle: ${cycle.join(' → ')}`,
    );
  }
}

/** Names in the settings of steps, in `notify` and in checks. */
export function checkReferences(structure: Structure, vocabulary: Vocabulary, collector: Collector): void {
  const { document, steps, checks } = structure;
  const names = namesOf(document);
  const check = (
    schema: Parameters<typeof walk>[0],
    value: unknown,
    base: Path,
    stepNames: readonly string[],
  ) =>
    walk(schema, value, (place, item, path) => {
      const reference = place?.['x-ref'];
      if (reference === undefined || typeof item !== 'string' || isTemplate(item)) return;
      const problem = referenceProblem(reference, item, names, stepNames);
      if (problem !== undefined)
        collector.report([...base, ...path], problem.message, { hint: problem.hint });
    });
  const stepNames = new Map(Object.keys(document.jobs).map((job) => [job, stepNamesOf(document, job)]));
  for (const { job, path, step } of steps) {
    check(vocabulary.steps.get(step.uses)?.with, step.with, [...path, 'with'], stepNames.get(job) ?? []);
  }
  for (const { kind, path, with: params } of checks)
    check(vocabulary.checks.get(kind)?.params, params, path, []);
  checkSuites(document, names, collector);
  for (const [job, { notify, schedule }] of Object.entries(document.jobs)) {
    check(scheduleSchema, schedule, ['jobs', job, 'schedule'], []);
    for (const [index, name] of notify.entries()) {
      const problem = referenceProblem('notifier', name, names, []);
      if (problem !== undefined) {
        collector.report(['jobs', job, 'notify', index], problem.message, { hint: problem.hint });
      }
    }
  }
}

function namesOf(document: PlanDocument): Names {
  const { databases, repositories, suites, notifiers, jobs } = document;
  return { databases: databases ?? {}, repositories, suites, notifiers, jobs };
}

function stepNamesOf(document: PlanDocument, job: string): string[] {
  const { steps, onFailure } = own(document.jobs, job) ?? {};
  return [...Object.keys(steps ?? {}), ...Object.keys(onFailure ?? {})];
}

/** The graph of every job: needs that exist, no cycles, no step that can never run. */
export function checkGraphs(document: PlanDocument, collector: Collector): void {
  for (const [name, job] of Object.entries(document.jobs)) {
    const steps = job.steps ?? {};
    for (const [group, members, others] of [
      ['steps', steps, job.onFailure],
      ['onFailure', job.onFailure, steps],
    ] as const) {
      const base = ['jobs', name, group];
      const needs = new Map(Object.entries(members).map(([step, { needs: list }]) => [step, list]));
      for (const step of needs.keys()) {
        if (group === 'onFailure' && Object.hasOwn(steps, step)) {
          collector.report([...base, step], `the job has a step "${step}" already`, {
            at: 'key',
            hint: 'Steps of onFailure need names of their own, because expressions use one list of steps.',
          });
        }
      }
      checkNeeds(needs, Object.keys(others), base, collector);
      checkCycles(needs, base, collector);
    }
  }
}

function checkNeeds(needs: Needs, others: readonly string[], base: Path, collector: Collector): void {
  for (const [step, list] of needs) {
    for (const [index, need] of list.entries()) {
      const path = [...base, step, 'needs', index];
      if (need === step) {
        collector.report(path, `step "${step}" needs itself`, { hint: 'Remove it from the list.' });
      } else if (list.indexOf(need) < index) {
        collector.report(path, `"${need}" is in the list already`, { severity: 'warning' });
      } else if (!needs.has(need)) {
        checkUnknownNeed(need, [...needs.keys()], others, path, collector);
      }
    }
  }
}

function checkUnknownNeed(
  need: string,
  names: readonly string[],
  others: readonly string[],
  path: Path,
  collector: Collector,
): void {
  if (others.includes(need)) {
    const late = path.includes('onFailure');
    collector.report(
      path,
      late ? `"${need}" is a step of the job itself` : `"${need}" is a step of onFailure, which runs last`,
      {
        hint: late
          ? 'Steps of onFailure start when all others have ended: they need not name them.'
          : 'A step can only need steps of its own list.',
      },
    );
    return;
  }
  const { message, hint } = unknown('step', need, names);
  collector.report(path, message, { hint });
}

function checkCycles(needs: Needs, base: Path, collector: Collector): void {
  const inCycle = new Set<string>();
  for (const path of cycles(needs)) {
    const [first = '', second = ''] = path;
    for (const step of needs.keys()) {
      if (step === first || (ancestorsOf(needs, first).has(step) && ancestorsOf(needs, step).has(first))) {
        inCycle.add(step);
      }
    }
    const index = needs.get(first)?.indexOf(second) ?? 0;
    collector.report([...base, first, 'needs', index], `steps wait for each other: ${path.join(' → ')}`, {
      hint: 'Remove one of these needs.',
    });
  }
  if (inCycle.size === 0) return;
  for (const [step, list] of needs) {
    if (inCycle.has(step)) continue;
    const blocked = [...ancestorsOf(needs, step)].find((ancestor) => inCycle.has(ancestor));
    const index = list.findIndex((need) => inCycle.has(need) || ancestorsOf(needs, need).has(blocked ?? ''));
    if (blocked !== undefined) {
      collector.report(
        [...base, step, 'needs', Math.max(index, 0)],
        `step "${step}" can never run: it waits for "${blocked}", which waits for itself`,
      );
    }
  }
}
