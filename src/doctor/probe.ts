/**
 * The contract of a probe: it looks at one part of the surroundings that a plan needs and says what it found, with
 * the fix. A probe changes nothing of value, never throws (what it could not look at is a finding), and reads what
 * earlier probes learned from `facts`.
 */
import type { Plan } from '../plan/model.ts';
import type { Connection } from '../postgres/connection.ts';
import type { Repository } from '../repository/repository.ts';
import type { Journal } from '../runs/store.ts';

export type FindingStatus = 'ok' | 'warning' | 'problem';

export interface Finding {
  /** The probe's name. */
  readonly area: string;
  /** What was looked at, for example the name of a database. */
  readonly subject: string;
  readonly status: FindingStatus;
  readonly message: string;
  /** What to do about it. */
  readonly fix?: string;
}

/** What a reachable database told. */
export interface DatabaseFacts {
  readonly name: string;
  readonly connection: Connection;
  readonly serverVersion: number;
  /** Bytes. */
  readonly size: number;
  readonly extensions: readonly string[];
}

export interface ProbeContext {
  /** With its environment resolved as far as it could be. */
  readonly plan: Plan;
  readonly signal: AbortSignal;
  readonly now: Date;
  readonly stateDirectory: string;
  openState(): Promise<Journal>;
  repository(name: string): Promise<Repository>;
  /** Filled by the probe of databases. */
  readonly facts: Map<string, DatabaseFacts>;
}

export interface Probe {
  readonly area: string;
  run(context: ProbeContext): AsyncIterable<Finding>;
}

/** Findings of one subject with less to write. */
export function reporter(area: string, subject: string) {
  return {
    ok: (message: string): Finding => ({ area, subject, status: 'ok', message }),
    warning: (message: string, fix?: string): Finding => ({
      area,
      subject,
      status: 'warning',
      message,
      ...(fix === undefined ? {} : { fix }),
    }),
    problem: (message: string, fix?: string): Finding => ({
      area,
      subject,
      status: 'problem',
      message,
      ...(fix === undefined ? {} : { fix }),
    }),
  };
}
