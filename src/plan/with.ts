/** Settings of a step once its environment and expressions have values: the last look before the step runs. */
import { BackplanError } from '../errors.ts';
import { walk } from '../schema-walk.ts';
import { compileSchema } from '../validator.ts';
import { formatPath } from './diagnostic.ts';
import { settle } from './fit.ts';
import type { Plan } from './model.ts';
import { referenceProblem } from './references.ts';
import type { StepVocabulary } from './vocabulary.ts';

/**
 * Checks evaluated settings against the schema of their kind and returns a copy with defaults filled in.
 *
 * What the environment or an expression gave is fitted to the schema first: text such as "4" becomes the number
 * where only numbers are possible, a number becomes text where only text is; a property that is null although the
 * schema knows no null counts as not given, so that an optional input can be passed on as it is.
 * @param plan when given, names of databases, repositories and suites are looked up, and the kind's own rules apply
 * @throws INPUT_INVALID with everything that is wrong, in plain words
 */
export async function validateWith(
  kind: Pick<StepVocabulary, 'kind' | 'with' | 'validate'>,
  settings: unknown,
  plan?: Plan,
): Promise<Record<string, unknown>> {
  const value = settle(kind.with, settings ?? {}) as Record<string, unknown>;
  const validate = await compileSchema(kind.with);
  const problems: { path: readonly (string | number)[]; message: string; hint?: string }[] = validate(value);
  if (problems.length === 0 && plan !== undefined) {
    walk(kind.with, value, (place, item, path) => {
      const reference = place?.['x-ref'];
      // Handles and names of steps are known to the run, not to the plan.
      if (
        reference === undefined ||
        reference === 'database' ||
        reference === 'step' ||
        typeof item !== 'string'
      )
        return;
      const problem = referenceProblem(reference, item, plan, []);
      if (problem !== undefined) problems.push({ path, ...problem });
    });
    problems.push(...(kind.validate?.(value, plan) ?? []));
  }
  if (problems.length === 0) return value;
  throw new BackplanError(
    'INPUT_INVALID',
    problems.map(({ path, message }) => `${formatPath(['with', ...path])}: ${message}`).join('; '),
    { hint: problems.find(({ hint }) => hint !== undefined)?.hint },
  );
}
