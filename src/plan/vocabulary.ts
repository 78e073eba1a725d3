/** What the plan language must know of step and check kinds: data only, so that it depends on none of them. */
import type { JsonSchema } from '../schema.ts';
import type { Plan } from './model.ts';

/** The part of a step kind that validation reads; `StepKind` fits. */
export interface StepVocabulary {
  readonly kind: string;
  readonly summary?: string;
  readonly with: JsonSchema;
  readonly outputs: Readonly<Record<string, { readonly type: ValueType; readonly description?: string }>>;
  readonly onlyAfterSuccess?: string;
  validate?(
    params: unknown,
    plan: Plan,
  ): readonly {
    readonly path: readonly (string | number)[];
    readonly message: string;
    readonly hint?: string;
  }[];
}

export type ValueType = 'string' | 'number' | 'boolean' | 'list' | 'map';

/** The part of a check kind that validation reads; `CheckKind` fits. */
export interface CheckVocabulary {
  readonly kind: string;
  readonly summary?: string;
  readonly params: JsonSchema;
  /** Shared keys about rows that it heeds. */
  readonly keys?: readonly string[];
}

export interface Vocabulary {
  readonly steps: ReadonlyMap<string, StepVocabulary>;
  readonly checks: ReadonlyMap<string, CheckVocabulary>;
}
