/** Settings of a step once its environment and expressions have values: the last look before the step runs. */
import { BackplanError } from '../errors.ts';
import type { JsonSchema } from '../schema.ts';
import { acceptedTypes, accepts, isRecord, itemSchema, propertySchema, walk } from '../schema-walk.ts';
import { compileSchema } from '../validator.ts';
import { formatPath } from './diagnostic.ts';
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

/** A copy in which values have the type that their place wants, where that is possible without loss. */
function settle(schema: JsonSchema | undefined, value: unknown): unknown {
  if (Array.isArray(value)) {
    const items = schema === undefined ? undefined : itemSchema(schema, value);
    return value.map((item) => settle(items, item));
  }
  if (isRecord(value)) {
    const entries = Object.entries(value).flatMap(([key, item]) => {
      const place = schema === undefined ? undefined : propertySchema(schema, key, value);
      const absent =
        item === undefined ||
        (item === null && place !== undefined && !accepts(acceptedTypes(place), 'null'));
      return absent ? [] : [[key, settle(place, item)] as const];
    });
    return Object.fromEntries(entries);
  }
  return schema === undefined ? value : fitScalar(acceptedTypes(schema), value);
}

function fitScalar(accepted: ReturnType<typeof acceptedTypes>, value: unknown): unknown {
  if (accepted === undefined) return value;
  if ((typeof value === 'number' || typeof value === 'boolean') && accepted.has('string')) {
    return accepts(accepted, typeof value === 'boolean' ? 'boolean' : 'number') || accepted.has('integer')
      ? value
      : String(value);
  }
  if (typeof value !== 'string' || accepted.has('string')) return value;
  const text = value.trim();
  if (accepts(accepted, 'integer') && /^-?\d+(\.\d+)?$/.test(text)) return Number(text);
  if (accepted.has('boolean') && (text === 'true' || text === 'false')) return text === 'true';
  return value;
}
