/**
 * The shape of a plan: does every key exist, is every value of the right kind? The plan as a whole by its schema,
 * then each step and check by the schema of its own kind, so that a mistake is explained in the words of that kind.
 */
import type { JsonSchema } from '../schema.ts';
import { acceptedTypes, fillDefaults, isRecord, own } from '../schema-walk.ts';
import { didYouMean, listNames } from '../suggest.ts';
import { compileSchema, type Problem } from '../validator.ts';
import type { Collector } from './diagnostic.ts';
import { checkNotifiers, type NotifierEntry, notifiersWithOn } from './notifiers.ts';
import {
  type PlanDocument,
  planDocumentSchema,
  ROW_KEYS,
  type StepDocument,
  sharedCheckSchema,
} from './schema.ts';
import { at, type Path, type PlanSource } from './source.ts';
import { hasExpression, isTemplate } from './template.ts';
import type { Vocabulary } from './vocabulary.ts';

/** A step as far as it has the right shape, and where it stands. */
export interface StepEntry {
  readonly job: string;
  readonly name: string;
  readonly group: 'steps' | 'onFailure';
  readonly path: Path;
  readonly step: StepDocument;
  /** True when nothing is wrong with `with`. */
  readonly valid: boolean;
}

/** A check with its own parameters apart from the shared keys. */
export interface CheckEntry {
  readonly suite: string;
  readonly path: Path;
  readonly kind: string;
  readonly with: unknown;
  readonly shared: Readonly<Record<string, unknown>>;
  /** The shared keys that stand inside the map of the kind. */
  readonly inside: readonly string[];
}

export interface Structure {
  readonly document: PlanDocument;
  readonly steps: readonly StepEntry[];
  readonly checks: readonly CheckEntry[];
  readonly notifiers: readonly NotifierEntry[];
}

/**
 * Reports everything that is wrong with the shape. What is wrong is left out of the result, so that the rest can be
 * looked at further: `undefined` only when there is no plan at all.
 */
export async function checkStructure(
  source: PlanSource,
  vocabulary: Vocabulary,
  collector: Collector,
): Promise<Structure | undefined> {
  const value = source.value;
  if (value === null || value === undefined) {
    collector.report([], 'the plan is empty', {
      hint: 'Start with version: 1, name, databases, repositories and jobs; plans/minimal.yaml is a small one.',
    });
    return undefined;
  }
  const withOn = notifiersWithOn(value);
  const validate = await compileSchema(planDocumentSchema, {
    // Maps and lists of the plan itself are never computed.
    exempt: (each, schema) => isLater(each, schema) && !isOnlyStructure(schema),
  });
  const problems = validate(value);
  for (const problem of problems) {
    // An empty `with:` is no settings; what is missing is said by the kind.
    if (problem.path.at(-1) === 'with' && at(value, problem.path) === null) continue;
    reportProblem(problem, [], source, collector);
  }
  if (!isRecord(value)) return undefined;
  for (const problem of problems) prune(value, problem);
  fillDefaults(planDocumentSchema, value);
  const document = value as PlanDocument;
  return {
    document,
    steps: await checkSteps(document, vocabulary, source, collector),
    checks: await checkSuites(document, vocabulary, source, collector),
    notifiers: await checkNotifiers(document, withOn, vocabulary, collector, async (schema, value, path) => {
      const check = await compileSchema(schema, { exempt: isLater });
      const found = check(value);
      for (const problem of found) reportProblem(problem, path, source, collector);
      return found.length === 0;
    }),
  };
}

/**
 * Values that get their type later. The environment gives text, which can stand for a number but never for a map or
 * a list; an expression can give anything.
 */
function isLater(value: unknown, schema: JsonSchema): boolean {
  if (!isTemplate(value)) return false;
  return !isOnlyStructure(schema) || hasExpression(value);
}

function isOnlyStructure(schema: JsonSchema): boolean {
  const types = acceptedTypes(schema);
  return types !== undefined && !SCALARS.some((type) => types.has(type));
}

const SCALARS = ['string', 'number', 'integer', 'boolean'] as const;

/** @param base where the validated value stands in the plan */
function reportProblem(problem: Problem, base: Path, source: PlanSource, collector: Collector): void {
  const path = [...base, ...problem.path];
  let { message, hint } = problem;
  const written = source.written(path);
  if (problem.wantsText !== undefined && written !== undefined) {
    const found = at(source.value, path);
    const { expected, pattern } = problem.wantsText;
    const shown = String(found) === written ? written : `${written}, which YAML reads as ${String(found)}`;
    message = `expected ${expected}, found ${typeof found === 'number' ? 'the number ' : ''}${shown}`;
    if (pattern === undefined || new RegExp(pattern).test(written)) hint = `Put it in quotes: "${written}".`;
  }
  collector.report(path, message, { hint, at: problem.at });
}

/** Takes a wrong value out of the plan. A wrong list entry takes its list along, except in suites. */
function prune(value: Record<string, unknown>, problem: Problem): void {
  if (problem.keyword === 'required' || problem.path.length === 0) return;
  let path = problem.path;
  if (path[0] === 'suites' && path.length > 2) return;
  // A bad name is still a name: what stands under it is looked at all the same.
  if (problem.at === 'key' && problem.keyword !== 'unknownKey' && at(value, path) !== null) return;
  while (typeof path.at(-1) === 'number') path = path.slice(0, -1);
  const parent = at(value, path.slice(0, -1));
  const key = path.at(-1);
  if (isRecord(parent) && typeof key === 'string') delete parent[key];
}

async function checkSteps(
  document: PlanDocument,
  vocabulary: Vocabulary,
  source: PlanSource,
  collector: Collector,
): Promise<StepEntry[]> {
  const entries: StepEntry[] = [];
  for (const [job, { steps, onFailure }] of Object.entries(document.jobs)) {
    for (const [group, members] of [
      ['steps', steps],
      ['onFailure', onFailure],
    ] as const) {
      for (const [name, step] of Object.entries(members ?? {})) {
        const path = ['jobs', job, group, name];
        const valid = await checkWith(step, path, vocabulary, source, collector);
        entries.push({ job, name, group, path, step, valid });
      }
    }
  }
  return entries;
}

async function checkWith(
  step: StepDocument,
  path: Path,
  vocabulary: Vocabulary,
  source: PlanSource,
  collector: Collector,
): Promise<boolean> {
  // Its absence was reported with the shape of the plan.
  if (typeof step.uses !== 'string') return false;
  const kind = vocabulary.steps.get(step.uses);
  if (kind === undefined) {
    const known = [...vocabulary.steps.keys()];
    const near = didYouMean(step.uses, known);
    collector.report([...path, 'uses'], `unknown step kind "${step.uses}"${near}`, {
      hint: near === '' ? `Step kinds are ${listNames(known)}.` : undefined,
    });
    return false;
  }
  const validate = await compileSchema(kind.with, { exempt: isLater });
  const problems = validate(step.with);
  for (const problem of problems) reportProblem(problem, [...path, 'with'], source, collector);
  return problems.length === 0;
}

async function checkSuites(
  document: PlanDocument,
  vocabulary: Vocabulary,
  source: PlanSource,
  collector: Collector,
): Promise<CheckEntry[]> {
  const entries: CheckEntry[] = [];
  for (const [suite, value] of Object.entries(document.suites)) {
    const list = Array.isArray(value) ? value : value?.checks;
    const base = Array.isArray(value) ? ['suites', suite] : ['suites', suite, 'checks'];
    if (list === undefined && isRecord(value) && value.extends === undefined) {
      collector.report(['suites', suite], 'the suite has no checks', {
        at: 'key',
        hint: 'Give it checks, or extends with the names of other suites.',
      });
    }
    if (!Array.isArray(list)) continue;
    for (const [index, entry] of list.entries()) {
      if (!isRecord(entry)) continue;
      const path = [...base, index];
      const kind = kindOf(entry, path, vocabulary, collector);
      if (kind === undefined) continue;
      const check = await checkEntry(entry, kind, path, vocabulary, source, collector);
      entries.push({ suite, path: [...path, kind], kind, ...check });
    }
  }
  return entries;
}

const SHARED = Object.keys(sharedCheckSchema.properties);

function rowKeysHint(kind: string, vocabulary: Vocabulary): string {
  const keys = vocabulary.checks.get(kind)?.keys ?? [];
  return keys.length === 0
    ? 'It does not look at rows.'
    : `Of the keys about rows it knows ${listNames(keys)}.`;
}

/** The one key of an entry that names its kind. */
function kindOf(
  entry: Record<string, unknown>,
  path: Path,
  vocabulary: Vocabulary,
  collector: Collector,
): string | undefined {
  const keys = Object.keys(entry);
  const kinds = keys.filter((key) => vocabulary.checks.has(key));
  const others = keys.filter((key) => !vocabulary.checks.has(key) && !SHARED.includes(key));
  const known = [...vocabulary.checks.keys()];
  for (const key of others) {
    const [word, names] = kinds.length === 0 ? ['check kind', known] : ['key', [...known, ...SHARED]];
    const near = didYouMean(key, names);
    collector.report([...path, key], `unknown ${word}${kinds.length === 0 ? ` "${key}"` : ''}${near}`, {
      at: 'key',
      hint: near === '' ? `Check kinds are ${listNames(known)}.` : undefined,
    });
  }
  if (kinds.length === 0 && others.length === 0) {
    collector.report(path, 'this entry names no check kind', {
      hint: `Check kinds are ${listNames(known)}.`,
    });
  }
  for (const extra of kinds.slice(1)) {
    collector.report([...path, extra], `a second check in one entry, the first is "${kinds[0]}"`, {
      at: 'key',
      hint: 'Start a new entry with "- " for each check.',
    });
  }
  return kinds[0];
}

/** Shared keys stand beside the kind, or inside its map where the kind has no parameter of that name. */
async function checkEntry(
  entry: Record<string, unknown>,
  kind: string,
  path: Path,
  vocabulary: Vocabulary,
  source: PlanSource,
  collector: Collector,
): Promise<{ with: unknown; shared: Record<string, unknown>; inside: string[] }> {
  const schema: JsonSchema = vocabulary.checks.get(kind)?.params ?? {};
  const beside = Object.fromEntries(Object.entries(entry).filter(([key]) => SHARED.includes(key)));
  const written = entry[kind];
  const inside: Record<string, unknown> = {};
  let params = written;
  if (isRecord(written)) {
    const rest: Record<string, unknown> = {};
    for (const [key, value] of Object.entries(written)) {
      const shared = SHARED.includes(key) && own(schema.properties, key) === undefined;
      (shared ? inside : rest)[key] = value;
    }
    params = rest;
  }
  for (const key of Object.keys(inside)) {
    if (Object.hasOwn(beside, key)) {
      collector.report([...path, kind, key], `"${key}" stands here and beside "${kind}"`, {
        at: 'key',
        hint: 'Keep one of them.',
      });
    }
  }
  for (const [keys, base] of [
    [Object.keys(beside), path],
    [Object.keys(inside), [...path, kind]],
  ] as const) {
    for (const key of keys) {
      if (!ROW_KEYS.includes(key) || vocabulary.checks.get(kind)?.keys?.includes(key) === true) continue;
      collector.report([...base, key], `"${key}" is not possible for ${kind}`, {
        at: 'key',
        hint: rowKeysHint(kind, vocabulary),
      });
    }
  }
  for (const [shared, base] of [
    [beside, path],
    [inside, [...path, kind]],
  ] as const) {
    if (Object.keys(shared).length === 0) continue;
    const validateShared = await compileSchema(sharedCheckSchema, { exempt: hasExpression });
    for (const problem of validateShared(shared)) reportProblem(problem, base, source, collector);
  }
  const validate = await compileSchema(schema, { exempt: isLater });
  for (const problem of validate(params)) {
    const [key] = problem.path;
    const lone = problem.keyword === 'unknownKey' && problem.path.length === 1 && typeof key === 'string';
    const shared = lone && problem.hint !== undefined ? didYouMean(key, SHARED) : '';
    const told = shared === '' ? problem : { ...problem, message: `unknown key${shared}`, hint: undefined };
    reportProblem(told, [...path, kind], source, collector);
  }
  return { with: params, shared: { ...beside, ...inside }, inside: Object.keys(inside) };
}
