/** A loaded plan remembers its source, so that errors at run time can still say where in the file they come from. */
import type { Plan } from './model.ts';
import type { Path, PlanSource } from './source.ts';
import type { Vocabulary } from './vocabulary.ts';

export interface Origin {
  readonly source: PlanSource;
  /** Paths of values that are secrets by their schema, as `pathKey` writes them. */
  readonly secrets: ReadonlySet<string>;
  /** The kinds that the plan was validated with. */
  readonly vocabulary: Vocabulary;
}

const ORIGIN = Symbol('origin');

/** A symbol survives `{...plan}` and is not seen by JSON. */
type WithOrigin = Plan & { readonly [ORIGIN]?: Origin };

export function withOrigin(plan: Plan, origin: Origin): Plan {
  return { ...plan, [ORIGIN]: origin } as WithOrigin;
}

export function originOf(plan: Plan): Origin | undefined {
  return (plan as WithOrigin)[ORIGIN];
}

export function pathKey(path: Path): string {
  return path.join('\u0000');
}
