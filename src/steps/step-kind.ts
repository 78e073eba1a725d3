/**
 * The contract of a step kind.
 *
 * Words: a *kind* is what `uses` names; `with` holds its settings, described by a JSON Schema literal;
 * *outputs* are plain JSON that later steps read as `steps.NAME.outputs.KEY`; a *handle* is the text by which
 * steps pass a database to each other (`crm`, `staging:crm/…`, `sandbox:…`), never a url.
 *
 * Promises of a kind: it obeys `context.signal` promptly; whatever it makes outside the repository is written
 * down with `context.own` before it is made and released when it is gone or handed over; running it again
 * after a failure is safe; it throws `BackplanError` and nothing else on purpose.
 */

import type { CheckKind } from '../checks/check-kind.ts';
import type { Delivery } from '../notify/deliver.ts';
import type { Announcement } from '../notify/occurrence.ts';
import type { Plan } from '../plan/model.ts';
import type { Connection } from '../postgres/connection.ts';
import type { Repository } from '../repository/repository.ts';
import type { LogLevel, Outputs, Progress } from '../runs/record.ts';
import type { Infer, JsonSchema } from '../schema.ts';
import type { Masker } from '../secret.ts';

/** A database that a step can work on. */
export interface DatabaseTarget {
  readonly handle: string;
  readonly kind: 'plan' | 'staging' | 'sandbox' | 'named';
  readonly connection: Connection;
  /** The plan's database that this is, or is a copy of. */
  readonly database?: string;
  /** Set on what a restore step made: which backup it holds and whether it is the whole of it. */
  readonly restoredFrom?: RestoredFrom;
  /** True once a step wrote to a restored copy: what checks say of it no longer proves the backup. */
  modified?: boolean;
  /** Suites whose last run on it did not pass, tolerated or not. */
  readonly failing?: Set<string>;
}

export interface RestoredFrom {
  /** Repository and id; absent for archives that no repository holds. */
  readonly backup?: { readonly repository: string; readonly id: string };
  /** Path of an archive that no repository holds. */
  readonly archive?: string;
  /** False for partial, schema-only and data-only restores. */
  readonly whole: boolean;
  /** What the restore left out on purpose; a comparison with the source minds it. */
  readonly without?: { readonly owners?: boolean; readonly grants?: boolean; readonly schema?: boolean };
}

/** Things that must not outlive their run. `ref` is plain JSON without secrets, enough for another process to remove the thing. */
export type OwnedThing =
  | { readonly kind: 'folder'; readonly path: string }
  | { readonly kind: 'sandbox'; readonly dataDirectory: string; readonly folder: string }
  | { readonly kind: 'stagingDatabase'; readonly database: string; readonly name: string };

export interface Owned {
  /** The thing is gone, or belongs to someone else now. Idempotent. */
  release(): void;
}

/** What a run writes to; two live runs never hold the same one. */
export type Resource =
  | { readonly database: string }
  | { readonly repository: string; readonly database: string };

export interface StepLog {
  debug(message: string, fields?: Readonly<Record<string, unknown>>): void;
  info(message: string, fields?: Readonly<Record<string, unknown>>): void;
  warn(message: string, fields?: Readonly<Record<string, unknown>>): void;
  error(message: string, fields?: Readonly<Record<string, unknown>>): void;
  log(level: LogLevel, message: string, fields?: Readonly<Record<string, unknown>>): void;
}

/** What a step sees of the world. */
export interface StepContext {
  readonly run: { readonly id: string; readonly job: string; readonly startedAt: Date };
  readonly step: string;
  /** The plan with its environment resolved. */
  readonly plan: Plan;
  readonly signal: AbortSignal;
  readonly log: StepLog;
  readonly masker: Masker;
  /** Where relative paths in the plan start: the folder of the plan file. */
  readonly baseDirectory: string;
  progress(progress: Progress): void;
  /** A child process's stderr line: kept with the step, masked, logged at debug. */
  stderr(line: string): void;
  /** @throws DATABASE_MISSING when the handle is unknown in this run */
  database(handle: string): DatabaseTarget;
  /** Makes a handle known to the steps that follow. Returns the target it was given. */
  addDatabase(target: DatabaseTarget): DatabaseTarget;
  /** @throws REPOSITORY_UNUSABLE */
  repository(name: string): Promise<Repository>;
  /** Writes ownership down; call it BEFORE the thing is made. */
  own(thing: OwnedThing): Owned;
  /** Runs when the run ends, however it ends, last in first out. For sandboxes and the like. */
  defer(cleanup: () => Promise<void>): void;
  /** Tells notifiers of the plan something, and waits for what becomes of it. Never rejects because of them. */
  notify(names: readonly string[], announcement: Announcement): Promise<readonly Delivery[]>;
  readonly checkKinds: ReadonlyMap<string, CheckKind>;
  /** Attaches a machine-readable report (check results, prune decisions) to the step's finished event. */
  report(report: unknown): void;
}

/** Types of outputs, for validation of expressions and for documentation. */
export type OutputType = 'string' | 'number' | 'boolean' | 'list' | 'map';

export interface StepKind {
  readonly kind: string;
  readonly summary: string;
  /** An object schema. `x-ref` on properties lets validation check names; `x-secret` masks. */
  readonly with: JsonSchema;
  readonly outputs: Readonly<Record<string, { readonly type: OutputType; readonly description: string }>>;
  /** True when the kind replaces or deletes something of value: the ad-hoc command line asks first. */
  readonly destructive?: boolean;
  /** Why it should not run after a failure: what happens then. Validation warns of an `if` that allows it. */
  readonly onlyAfterSuccess?: string;
  /** What it writes to, as far as `with` tells before expressions are evaluated. */
  writes?(params: unknown): readonly Resource[];
  /** Meaning that a schema cannot say. Returns messages with the path inside `with`. Pure. */
  validate?(
    params: unknown,
    plan: Plan,
  ): readonly {
    readonly path: readonly (string | number)[];
    readonly message: string;
    readonly hint?: string;
  }[];
  /** One line for `explain`: what the step would do, e.g. `dump crm into local as zstd`. */
  describe?(params: unknown): string;
  run(params: unknown, context: StepContext): Promise<Outputs>;
}

/** Typed definition → plain StepKind: `params` inside `run` is inferred from the `with` schema. */
export function defineStep<const S extends JsonSchema>(definition: {
  readonly kind: string;
  readonly summary: string;
  readonly with: S;
  readonly outputs: StepKind['outputs'];
  readonly destructive?: boolean;
  readonly onlyAfterSuccess?: string;
  writes?(params: Infer<S>): readonly Resource[];
  validate?(params: Infer<S>, plan: Plan): ReturnType<NonNullable<StepKind['validate']>>;
  describe?(params: Infer<S>): string;
  run(params: Infer<S>, context: StepContext): Promise<Outputs>;
}): StepKind {
  return definition as unknown as StepKind;
}
