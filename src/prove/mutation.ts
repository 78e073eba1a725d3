/**
 * The contract of a mutation: how a copy is broken so that a check of one kind must go red. It only says what to run;
 * each damage is done in a transaction of its own on a throw-away copy and rolled back.
 */
import type { CheckClient, CheckOptions } from '../checks/check-kind.ts';
import type { Relation } from '../checks/names.ts';

export interface Damage {
  /** For people: `drop the index`, `"status" = 'backplan: broken' in one row`. */
  readonly what: string;
  /** Which part of the assertion it breaks. Each part must go red by one of its damages; default: all of it. */
  readonly aspect?: string;
  /** Statements, in this order. Triggers and foreign keys do not fire meanwhile (session_replication_role). */
  readonly sql: readonly string[];
  /**
   * The table whose rows change: where its own constraints refuse that, it is done again without them. A copy that
   * lost its constraints is what a check of rows is for.
   */
  readonly table?: Relation;
}

export interface Mutation {
  /** The check kind that it is for. */
  readonly kind: string;
  /**
   * Ways to break what the check asserts, the smallest first. Of each aspect they are tried until one of them turns
   * the check red.
   * @throws when what is to be broken cannot be found
   */
  damages(client: CheckClient, params: unknown, options: CheckOptions): Promise<readonly Damage[]>;
}

/** Typed definition → plain Mutation: `P` is what the check kind takes, as far as the mutation looks at it. */
export function mutation<P>(
  kind: string,
  damages: (client: CheckClient, params: P, options: CheckOptions) => Promise<readonly Damage[]>,
): Mutation {
  return { kind, damages: damages as Mutation['damages'] };
}

/** Parameters of kinds that can assert absence, too. */
export interface Existence {
  readonly exists?: boolean;
}

/** A damage of one statement. */
export function damage(what: string, ...sql: readonly string[]): Damage {
  return { what, sql };
}
