/** A step's `with`: expressions replaced by values, then checked against the kind's schema. */
import { BackplanError } from '../errors.ts';
import { evaluate, hasExpression, mentionedSteps, type Scope } from '../plan/expressions.ts';
import type { Plan, Step } from '../plan/model.ts';
import type { StepKind } from '../steps/step-kind.ts';
import { compileSchema } from '../validator.ts';

/**
 * What the kind's `run` gets. A property that is an expression whose value is null is left out, so that an optional
 * input can be handed through to an optional setting.
 * @throws EXPRESSION_FAILED, PLAN_INVALID
 */
export async function paramsOf(step: Step, kind: StepKind, scope: Scope, plan: Plan): Promise<unknown> {
  const value = structuredClone(withoutNulls(step.with, evaluate(step.with, scope)));
  const check = await compileSchema(kind.with);
  const problems = [...check(value), ...(kind.validate?.(value, plan) ?? [])];
  if (problems.length > 0) {
    const lines = problems.map(({ path, message }) => `${['with', ...path].join('.')}: ${message}`);
    throw new BackplanError(
      hasExpression(step.with) ? 'EXPRESSION_FAILED' : 'PLAN_INVALID',
      `the settings of step ${step.name} are not valid: ${lines.join('; ')}`,
      { hint: problems.find(({ hint }) => hint !== undefined)?.hint },
    );
  }
  return value;
}

/** As much of `with` as can be known before any step has run; what cannot stays as it is written. */
export function knownBeforehand(value: unknown, scope: Scope): unknown {
  if (typeof value === 'string') {
    if (mentionedSteps(value).size > 0) return value;
    try {
      return evaluate(value, scope);
    } catch {
      return value;
    }
  }
  if (Array.isArray(value)) return value.map((item) => knownBeforehand(item, scope));
  if (value !== null && typeof value === 'object') {
    return Object.fromEntries(
      Object.entries(value).map(([key, item]) => [key, knownBeforehand(item, scope)]),
    );
  }
  return value;
}

function withoutNulls(template: unknown, value: unknown): unknown {
  if (Array.isArray(template) && Array.isArray(value)) {
    return value.map((item, index) => withoutNulls(template[index], item));
  }
  if (!isObject(template) || !isObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(
        ([key, item]) =>
          !(item === null && typeof template[key] === 'string' && hasExpression(template[key])),
      )
      .map(([key, item]) => [key, withoutNulls(template[key], item)]),
  );
}

function isObject(value: unknown): value is Record<string, unknown> {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}
