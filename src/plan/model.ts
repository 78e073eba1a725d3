/**
 * The plan as plain, frozen, typed data. It says what to do and does nothing: no I/O, no clock, no kinds.
 *
 * Values of `with` (and inputs, urls, paths) may still hold `${NAME}` and `${{ … }}`; `resolve.ts` replaces the
 * first when a run starts, `expressions.ts` the second just before a step runs.
 */
import type { NOTIFIER_EVENTS } from './schema.ts';
import type { Position } from './source.ts';

export interface Plan {
  readonly file: string;
  readonly name: string;
  readonly description?: string;
  /** IANA zone for schedules and for times typed without an offset. */
  readonly timezone: string;
  readonly settings: Settings;
  readonly databases: Readonly<Record<string, DatabaseDefinition>>;
  readonly repositories: Readonly<Record<string, RepositoryDefinition>>;
  readonly suites: Readonly<Record<string, SuiteDefinition>>;
  readonly notifiers: Readonly<Record<string, NotifierDefinition>>;
  readonly jobs: Readonly<Record<string, Job>>;
}

export interface Settings {
  /** Folders searched first for pg_dump and friends. */
  readonly binDirectories: readonly string[];
  readonly sandbox: {
    /** Parent folder of throw-away clusters. Default: the system's temporary folder. */
    readonly directory?: string;
    /** The unprivileged user that runs sandboxes when backplan runs as root. Default: postgres, else nobody. */
    readonly user?: string;
    /** Extra postgresql.conf settings, for example shared_preload_libraries. */
    readonly parameters: Readonly<Record<string, string>>;
  };
  /** Folder for temporary copies during a restore. Default: the system's temporary folder. */
  readonly scratchDirectory?: string;
}

export interface DatabaseDefinition {
  readonly name: string;
  readonly url: string;
  /** Where CREATE/ALTER DATABASE are issued from. Default: postgres, then template1. */
  readonly maintenanceDatabase?: string;
  /** A preset's name or the query that yields the schema version. */
  readonly schemaVersion?: string | { readonly sql: string };
  /** How old the newest proven backup may be, as a duration. */
  readonly rpo?: string;
  /** How long its rehearsal may have taken. */
  readonly rto?: string;
}

export interface RepositoryDefinition {
  readonly name: string;
  readonly path: string;
}

/** A suite as written; `suiteChecks` (suites.ts) yields what is to be run. */
export interface SuiteDefinition {
  readonly name: string;
  readonly description?: string;
  /** Suites whose checks come first. */
  readonly extends: readonly string[];
  /** Parameters with their defaults; null: must be given. */
  readonly params: Readonly<Record<string, string | number | boolean | null>>;
  /** Milliseconds in which all of its checks must be done. */
  readonly timeout?: number;
  readonly trustIndexes?: boolean;
  /** Its own. Values may hold `${{ params.… }}`. */
  readonly checks: readonly CheckDefinition[];
}

/** One entry of a suite: exactly one kind with its parameters, plus what all checks share. */
export interface CheckDefinition {
  readonly kind: string;
  /** The kind's own parameters, validated, defaults filled in; the shared keys are taken out of it. */
  readonly with: unknown;
  /** The shared keys `severity`, `name`, `timeout`, …, wherever they stood: beside the kind key or inside `with`. */
  readonly shared?: Readonly<Record<string, unknown>>;
  /** Where it stands in the plan file. */
  readonly position?: Position;
  /** What its suite says of all its checks. */
  readonly limits?: {
    /** Milliseconds from the start in which all checks of the suite must be done. */
    readonly withinMs?: number;
    readonly trustIndexes?: boolean;
  };
}

/** What a notifier can be told of. */
export type NotifierEvent = (typeof NOTIFIER_EVENTS)[number];

export interface NotifierDefinition {
  readonly name: string;
  /** The one key that says how to reach them: `webhook`, `slack`, `email`, … */
  readonly kind: string;
  /** What stands under that key; `${NAME}` in it is replaced when something is sent. */
  readonly settings: unknown;
  readonly on: readonly NotifierEvent[];
  /** Milliseconds in which the same problem is told once. */
  readonly repeat: number;
  readonly limit: {
    readonly messages: number;
    /** Milliseconds. */
    readonly per: number;
  };
  /** Milliseconds for one try. */
  readonly timeout: number;
  readonly retry: Retry;
}

/** Exactly one of `cron`, `every` and `after`. */
export interface Schedule {
  readonly cron?: string;
  /** A duration. */
  readonly every?: string;
  /** Another job of the plan. */
  readonly after?: string;
  readonly timezone?: string;
  readonly jitter?: string;
  readonly catchUp?: string;
  readonly overlap: Overlap;
  readonly dst?: { readonly gap?: 'runAfter' | 'skip'; readonly fold?: 'first' | 'last' | 'both' };
  /** Windows as `blackout.ts` reads them. */
  readonly notDuring?: readonly string[];
}

export type Overlap = 'skip' | 'queue' | 'cancelPrevious';

export type InputType = 'string' | 'number' | 'boolean' | 'backup' | 'timestamp' | 'duration' | 'database';

export interface InputDefinition {
  readonly name: string;
  readonly type: InputType;
  readonly description?: string;
  readonly default?: unknown;
  readonly optional: boolean;
  readonly choices?: readonly unknown[];
}

export interface Job {
  readonly name: string;
  readonly description?: string;
  readonly schedule?: Schedule;
  /** Milliseconds. */
  readonly timeout?: number;
  /** Tries of the whole job; the daemon's business. */
  readonly retry?: Retry;
  /** Groups of jobs, across plans, of which the daemon runs only so many at once. */
  readonly concurrencyGroups?: readonly string[];
  /** How many steps may run at once. */
  readonly concurrency?: number;
  readonly notify: readonly string[];
  readonly inputs: Readonly<Record<string, InputDefinition>>;
  readonly steps: Readonly<Record<string, Step>>;
  /** Run after the others when the job failed; same shape, may refer to the job's steps. */
  readonly onFailure: Readonly<Record<string, Step>>;
}

export interface Retry {
  /** Total tries, the first included. */
  readonly attempts: number;
  /** Milliseconds before the second try; doubles from try to try. */
  readonly backoff: number;
  /** Milliseconds, upper bound of one wait. */
  readonly maxDelay: number;
}

export interface Step {
  readonly name: string;
  readonly uses: string;
  readonly with: Readonly<Record<string, unknown>>;
  /** Declared `needs`; validation guarantees that expressions mention only these and their ancestors. */
  readonly needs: readonly string[];
  /** The expression inside `${{ }}`, or undefined for the default `success()`. */
  readonly if?: string;
  /** Milliseconds, per attempt. */
  readonly timeout?: number;
  readonly retry?: Retry;
  readonly continueOnError: boolean;
  readonly position?: Position;
}
