/** A step's `with`: expressions replaced by values, then checked against the kind's schema. */
import { evaluate, mentionedSteps, type Scope } from '../plan/expressions.ts';
import type { Plan, Step } from '../plan/model.ts';
import { validateWith } from '../plan/with.ts';
import type { StepKind } from '../steps/step-kind.ts';

/**
 * What the kind's `run` gets. A property that is null where the kind knows no null is left out, so that an optional
 * input can be handed through to an optional setting.
 * @throws EXPRESSION_FAILED, INPUT_INVALID
 */
export async function paramsOf(step: Step, kind: StepKind, scope: Scope, plan: Plan): Promise<unknown> {
  return await validateWith(kind, evaluate(step.with, scope), plan);
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
