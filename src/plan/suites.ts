/** Suites → the checks to run: what they extend, their parameters, and what they say of all their checks. */
import { BackplanError } from '../errors.ts';
import { didYouMean, listNames } from '../suggest.ts';
import { compileSchema } from '../validator.ts';
import { formatPath } from './diagnostic.ts';
import { settle } from './fit.ts';
import type { CheckDefinition, Plan, SuiteDefinition } from './model.ts';
import { sharedCheckSchema } from './schema.ts';
import { hasExpression } from './template.ts';
import type { CheckVocabulary } from './vocabulary.ts';

/** Names of suites and of all that they extend, each once, the extended first. */
export function suiteClosure(suites: Plan['suites'], names: readonly string[]): string[] {
  const ordered = new Set<string>();
  const visit = (name: string, above: readonly string[]) => {
    if (ordered.has(name) || above.includes(name)) return;
    for (const base of find(suites, name)?.extends ?? []) visit(base, [...above, name]);
    ordered.add(name);
  };
  for (const name of names) visit(name, []);
  return [...ordered];
}

export interface SuiteChecksOptions {
  readonly kinds: ReadonlyMap<string, CheckVocabulary>;
  /** Values of parameters, by name. */
  readonly params?: Readonly<Record<string, unknown>>;
  /** What `run` is in expressions. */
  readonly run?: Readonly<Record<string, unknown>>;
}

/**
 * The checks of the named suites with their parameters filled in. The environment must have been resolved before.
 * @throws INPUT_INVALID for an unknown suite or parameter, one that has no value, a value that does not fit;
 * EXPRESSION_FAILED
 */
export async function suiteChecks(
  plan: Plan,
  names: readonly string[],
  options: SuiteChecksOptions,
): Promise<CheckDefinition[]> {
  for (const name of names) {
    if (find(plan.suites, name) !== undefined) continue;
    throw new BackplanError('INPUT_INVALID', `there is no suite "${name}"`, {
      hint: `The plan has ${Object.keys(plan.suites).join(', ') || 'none'}.`,
    });
  }
  const closure = suiteClosure(plan.suites, names).flatMap((name) => find(plan.suites, name) ?? []);
  const params = paramsOf(closure, options.params ?? {});
  const checks: CheckDefinition[] = [];
  for (const suite of closure) {
    const limits = limitsOf(suite, closure);
    for (const check of suite.checks) {
      const filled = await fill(suite, check, params, plan, options);
      checks.push(limits === undefined ? filled : { ...filled, limits });
    }
  }
  return checks;
}

function find(suites: Plan['suites'], name: string): SuiteDefinition | undefined {
  return Object.hasOwn(suites, name) ? suites[name] : undefined;
}

/** Defaults of all suites, a later one (which extends an earlier one) before an earlier one, under what was given. */
function paramsOf(
  suites: readonly SuiteDefinition[],
  given: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const params: Record<string, unknown> = Object.assign({}, ...suites.map((suite) => suite.params));
  for (const [name, value] of Object.entries(given)) {
    if (!Object.hasOwn(params, name)) {
      const known = Object.keys(params);
      throw new BackplanError(
        'INPUT_INVALID',
        `no suite has a parameter "${name}"${didYouMean(name, known)}`,
        {
          hint: known.length === 0 ? 'They have no params.' : `Parameters are ${listNames(known)}.`,
        },
      );
    }
    if (value !== null && value !== undefined) params[name] = value;
  }
  const open = Object.keys(params).find((name) => params[name] === null);
  if (open === undefined) return params;
  const owner = suites.find((suite) => Object.hasOwn(suite.params, open));
  throw new BackplanError(
    'INPUT_INVALID',
    `suite "${owner?.name}" needs a value for its parameter "${open}"`,
    {
      hint: `Give it in the check step (params: { ${open}: … }), or on the command line: --param ${open}=…`,
    },
  );
}

/** A suite that extends others speaks for their checks too. */
function limitsOf(
  suite: SuiteDefinition,
  all: readonly SuiteDefinition[],
): CheckDefinition['limits'] | undefined {
  const above = all.filter(
    (each) =>
      each === suite ||
      suiteClosure(Object.fromEntries(all.map((one) => [one.name, one])), [each.name]).includes(suite.name),
  );
  const withinMs = above.flatMap(({ timeout }) => timeout ?? []);
  const trust = above.flatMap(({ trustIndexes }) => trustIndexes ?? []);
  if (withinMs.length === 0 && trust.length === 0) return undefined;
  return {
    ...(withinMs.length === 0 ? {} : { withinMs: Math.min(...withinMs) }),
    ...(trust.length === 0 ? {} : { trustIndexes: trust.every(Boolean) }),
  };
}

async function fill(
  suite: SuiteDefinition,
  check: CheckDefinition,
  params: Readonly<Record<string, unknown>>,
  plan: Plan,
  options: SuiteChecksOptions,
): Promise<CheckDefinition> {
  // A `$` that is escaped becomes itself, too.
  if (!JSON.stringify([check.with, check.shared]).includes('${')) return check;
  const { evaluate } = await import('./expressions.ts');
  const scope = {
    inputs: {},
    steps: {},
    run: options.run ?? {},
    plan: { name: plan.name },
    params,
    state: { failed: false, cancelled: false },
  };
  const filled = { ...check, with: evaluate(check.with, scope) };
  const shared = check.shared === undefined ? undefined : evaluate(check.shared, scope);
  const parts = [
    {
      schema: options.kinds.get(check.kind)?.params ?? {},
      written: check.with,
      value: filled.with,
      at: [check.kind],
    },
    { schema: sharedCheckSchema, written: check.shared, value: shared, at: [] },
  ];
  const [own, common] = await Promise.all(
    parts.map(async ({ schema, written, value, at }) => {
      if (!hasExpression(written)) return value;
      const settled = settle(schema, value);
      const [problem] = (await compileSchema(schema))(structuredClone(settled));
      if (problem === undefined) return settled;
      throw new BackplanError(
        'INPUT_INVALID',
        `suite ${suite.name}, ${formatPath([...at, ...problem.path])}: ${problem.message}`,
        { hint: problem.hint ?? 'The value comes from a parameter of the suite.' },
      );
    }),
  );
  return {
    ...filled,
    with: own,
    ...(common === undefined ? {} : { shared: common as Record<string, unknown> }),
  };
}
