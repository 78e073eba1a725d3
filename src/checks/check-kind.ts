/**
 * The contract of a check kind: one assertion about a database.
 *
 * A kind only reads. It is called inside a REPEATABLE READ, READ ONLY transaction with `row_security = off`,
 * `search_path = ''`, a savepoint and a statement timeout of its own; it returns what it found and throws only
 * when it could not look (the suite then records `errored`, which is never a pass).
 */
import type { Infer, JsonSchema } from '../schema.ts';

export type CheckStatus = 'passed' | 'warned' | 'failed' | 'errored' | 'skipped' | 'vacuous';
export type Severity = 'error' | 'warn';

/** What a kind says; the suite turns it into a status by severity. */
export interface Finding {
  /** `vacuous`: there was nothing to look at, so nothing was shown. */
  readonly outcome: 'passed' | 'failed' | 'vacuous';
  /** One line: what was found, e.g. `3 orphans: "userId" → "User"."id"`. */
  readonly message: string;
  /** What to do about it, e.g. the DDL that would mend it. */
  readonly hint?: string;
  /** How many rows or objects offend. */
  readonly count?: number;
  /** Up to `sample` offenders: keys only unless the plan asks for rows. */
  readonly samples?: readonly Readonly<Record<string, unknown>>[];
}

export interface CheckResult extends Omit<Finding, 'outcome'> {
  readonly name: string;
  readonly kind: string;
  readonly severity: Severity;
  readonly status: CheckStatus;
  readonly durationMs: number;
  readonly error?: string;
}

/** The only way a check talks to the database. */
export interface CheckClient {
  query<Row extends Record<string, unknown> = Record<string, unknown>>(
    sql: string,
    values?: readonly unknown[],
  ): Promise<Row[]>;
  /** `server_version_num`, for example 150018. */
  readonly serverVersion: number;
}

export interface CheckOptions {
  /** How many offenders to show. */
  readonly sample: number;
}

export interface CheckKind {
  readonly kind: string;
  readonly summary: string;
  /** The parameters, without what all checks share (name, severity, timeout, sample). May be an object, an array or a string. */
  readonly params: JsonSchema;
  /** The name shown when the plan gives none; stable for equal parameters. */
  title(params: unknown): string;
  /** One entry may stand for several checks (`tables: [A, B]` is two). Default: itself. */
  expand?(params: unknown): readonly unknown[];
  run(client: CheckClient, params: unknown, options: CheckOptions): Promise<Finding>;
  /**
   * Looks up the targets of several checks of this kind in one query, for kinds that only read the catalog. One
   * finding for each of `all`, in its order. Where it throws, the suite asks `run` for each of them instead.
   */
  runAll?(
    client: CheckClient,
    all: readonly unknown[],
    options: readonly CheckOptions[],
  ): Promise<readonly Finding[]>;
}

/** Typed definition → plain CheckKind. */
export function defineCheck<const S extends JsonSchema>(definition: {
  readonly kind: string;
  readonly summary: string;
  readonly params: S;
  title(params: Infer<S>): string;
  expand?(params: Infer<S>): readonly Infer<S>[];
  run(client: CheckClient, params: Infer<S>, options: CheckOptions): Promise<Finding>;
  runAll?(
    client: CheckClient,
    all: readonly Infer<S>[],
    options: readonly CheckOptions[],
  ): Promise<readonly Finding[]>;
}): CheckKind {
  return definition as unknown as CheckKind;
}
