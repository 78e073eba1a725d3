/** What the journal keeps of a run, and the events that everyone downstream reads. */
import type { ErrorRecord, ExitCode } from '../errors.ts';

export type RunStatus = 'running' | 'succeeded' | 'failed' | 'cancelled' | 'interrupted';
export type StepStatus =
  | 'pending'
  | 'running'
  | 'succeeded'
  | 'failed'
  | 'skipped'
  | 'cancelled'
  | 'interrupted';
export type Verdict = 'verified' | 'verifiedWithWarnings' | 'rejected' | 'inconclusive';
export type Trigger = 'manual' | 'schedule' | 'catchUp' | 'retry' | 'api';

/** Plain JSON: what a step hands to later steps. Secrets never belong here; databases travel as handles. */
export type Outputs = Readonly<Record<string, unknown>>;

export interface StepRecord {
  readonly name: string;
  readonly uses: string;
  readonly status: StepStatus;
  readonly attempts: number;
  readonly startedAt?: string;
  readonly endedAt?: string;
  readonly durationMs?: number;
  readonly outputs?: Outputs;
  readonly error?: ErrorRecord;
  /** Why it was skipped: the failed need, or the condition. */
  readonly skippedBecause?: string;
  /** The last lines that child processes wrote to stderr, masked. */
  readonly stderr?: string;
  /** True when the step failed but `continueOnError` lets the job go on as if it had not. */
  readonly tolerated?: boolean;
}

/** It failed, and nothing tolerates that: its job has failed with it. */
export function isFailure({ status, tolerated }: Pick<StepRecord, 'status' | 'tolerated'>): boolean {
  return status === 'failed' && tolerated !== true;
}

export interface RunRecord {
  readonly id: string;
  readonly plan: string;
  readonly planFile: string;
  readonly job: string;
  readonly status: RunStatus;
  readonly exitCode?: ExitCode;
  /** What the checks of the run said, when it had any. */
  readonly verdict?: Verdict;
  readonly trigger: Trigger;
  /** The firing of the schedule that it is for; it may start later, by jitter or because it waited. */
  readonly scheduledFor?: string;
  readonly inputs: Readonly<Record<string, unknown>>;
  readonly startedAt: string;
  readonly endedAt?: string;
  readonly durationMs?: number;
  readonly error?: ErrorRecord;
  readonly logFile?: string;
  readonly host: string;
  readonly pid: number;
  readonly steps: readonly StepRecord[];
}

/** How far a long step is. `total` is an estimate unless `exact` is set. */
export interface Progress {
  readonly done: number;
  readonly total?: number;
  readonly unit: 'bytes' | 'rows' | 'checks' | 'files' | 'objects';
  readonly note?: string;
}

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

/** Everything that happens in a run, in order. Reporters only listen. `at` is an ISO instant. */
export type RunEvent =
  | {
      readonly type: 'run:started';
      readonly at: string;
      readonly run: RunRecord;
      readonly order: readonly (readonly string[])[];
    }
  | {
      readonly type: 'step:started';
      readonly at: string;
      readonly step: string;
      readonly uses: string;
      readonly attempt: number;
    }
  | {
      readonly type: 'step:progress';
      readonly at: string;
      readonly step: string;
      readonly progress: Progress;
    }
  | {
      readonly type: 'step:log';
      readonly at: string;
      readonly step: string;
      readonly level: LogLevel;
      readonly message: string;
      readonly fields?: Readonly<Record<string, unknown>>;
    }
  | {
      readonly type: 'step:retrying';
      readonly at: string;
      readonly step: string;
      readonly attempt: number;
      readonly delayMs: number;
      readonly error: ErrorRecord;
    }
  | {
      readonly type: 'step:finished';
      readonly at: string;
      readonly step: StepRecord;
      readonly report?: unknown;
    }
  | { readonly type: 'run:log'; readonly at: string; readonly level: LogLevel; readonly message: string }
  | { readonly type: 'run:finished'; readonly at: string; readonly run: RunRecord };

export type Listener = (event: RunEvent) => void;
