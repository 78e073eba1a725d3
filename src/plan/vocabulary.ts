/** What the plan language must know of step, check and notifier kinds: data only, so that it depends on none of them. */
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

/** The part of a notifier kind that validation reads; `NotifierKind` fits. */
export interface NotifierVocabulary {
  readonly kind: string;
  readonly summary?: string;
  /** What may stand under the key of its name. */
  readonly settings: JsonSchema;
  /** It is told of these, and `on` means nothing to it. */
  readonly fixedEvents?: string;
  /** Meaning that a schema cannot say. The values are secret: messages do not repeat them. Pure. */
  validate?(settings: unknown): readonly {
    readonly path: readonly (string | number)[];
    readonly message: string;
    readonly hint?: string;
  }[];
}

export interface Vocabulary {
  readonly steps: ReadonlyMap<string, StepVocabulary>;
  readonly checks: ReadonlyMap<string, CheckVocabulary>;
  readonly notifiers: ReadonlyMap<string, NotifierVocabulary>;
}
