/** What happens in the daemon, for those who tell people (notifiers, log), count (metrics) or show it (HTTP). */
import type { ErrorRecord } from '../errors.ts';
import type { Job, Plan } from '../plan/model.ts';
import type { RunEvent, RunRecord, Trigger } from '../runs/record.ts';

/** What a run was started by and under: the plan as it was then, although it may have changed since. */
export interface RunContext {
  readonly plan: Plan;
  readonly job: Job;
  /** `plan/job@instant`; absent for runs that a person started. */
  readonly slot?: string;
  /** Which try of the job this is (`retry` of the job); 1 is the first. */
  readonly attempt: number;
}

interface OfJob {
  /** Name of the plan. */
  readonly plan: string;
  readonly job: string;
}

/** `at` is an ISO instant; texts are masked. */
export type DaemonEvent = { readonly at: string } & (
  | { readonly type: 'started'; readonly plans: number; readonly jobs: number; readonly pid: number }
  /** A plan file was read and holds; the first time too. */
  | { readonly type: 'planLoaded'; readonly file: string; readonly plan: string; readonly first: boolean }
  /** A plan file cannot be used. `plan`: what was loaded from it before goes on; absent: nothing of it runs. */
  | {
      readonly type: 'planInvalid';
      readonly file: string;
      readonly plan?: string;
      readonly error: ErrorRecord;
    }
  /** The file is gone from the folder that is watched. */
  | { readonly type: 'planRemoved'; readonly file: string; readonly plan: string }
  | ({ readonly type: 'jobAdded' | 'jobChanged' | 'jobRemoved' } & OfJob)
  | {
      readonly type: 'reloaded';
      readonly reason: 'signal' | 'change' | 'api';
      readonly plans: number;
      readonly invalid: number;
    }
  /** A firing was claimed; its run starts now or waits its turn. */
  | ({
      readonly type: 'fired';
      readonly slot: string;
      readonly runId: string;
      readonly trigger: Trigger;
      /** When it was due, jitter included. */
      readonly dueAt: string;
      /** How much later than due it was claimed, in milliseconds. */
      readonly lagMs: number;
    } & OfJob)
  /** Firings that will not be made up for: the daemon was down or the machine asleep. */
  | ({
      readonly type: 'missed';
      /** Oldest and newest of them; the same for one. */
      readonly from: string;
      readonly to: string;
      readonly count: number;
      readonly reason: string;
    } & OfJob)
  /** A firing came while the job still ran or waited; by its `overlap` it was not run. */
  | ({
      readonly type: 'overlapped';
      readonly slot: string;
      readonly overlap: 'skip' | 'queue' | 'cancelPrevious';
      /** The run that was in the way, or gave way. */
      readonly other: string;
    } & OfJob)
  | { readonly type: 'runStarted'; readonly run: RunRecord; readonly context: RunContext }
  /** `retryAt`: it failed and is tried again then; only a run without it is the last word on its firing. */
  | {
      readonly type: 'runFinished';
      readonly run: RunRecord;
      readonly context: RunContext;
      readonly retryAt?: string;
    }
  /** Everything that happens inside a run, as reporters see it. */
  | { readonly type: 'runEvent'; readonly runId: string; readonly event: RunEvent }
  /** The wall clock moved by itself, forward (sleep counts) or back (negative). */
  | { readonly type: 'clockJumped'; readonly byMs: number }
  /** Something the daemon itself could not do; it goes on. */
  | { readonly type: 'problem'; readonly error: ErrorRecord }
  | { readonly type: 'stopping'; readonly graceMs: number; readonly running: number }
  | { readonly type: 'stopped' }
);

/** The event without the definitions of plan and job, which stand in the plan file and may hold what is secret. */
export function withoutDefinitions(event: DaemonEvent): object {
  if (event.type !== 'runStarted' && event.type !== 'runFinished') return event;
  const { slot, attempt } = event.context;
  return { ...event, context: { ...(slot === undefined ? {} : { slot }), attempt } };
}

export type DaemonListener = (event: DaemonEvent) => void;

type WithoutTime<Event> = Event extends unknown ? Omit<Event, 'at'> : never;
export type DaemonEventBody = WithoutTime<DaemonEvent>;

export interface DaemonEvents {
  emit(event: DaemonEventBody): void;
  /** Returns its removal. */
  on(listener: DaemonListener): () => void;
}

/** Listeners are told in turn; one that throws harms neither the daemon nor the others. */
export function makeEvents(now: () => number): DaemonEvents {
  const listeners = new Set<DaemonListener>();
  return {
    emit: (body) => {
      const event = { at: new Date(now()).toISOString(), ...body } as DaemonEvent;
      for (const listener of [...listeners]) {
        try {
          const result: unknown = listener(event);
          if (result instanceof Promise) result.catch(() => {});
        } catch {
          // It may miss what it wanted to do with this event; it is told of the next one all the same.
        }
      }
    },
    on: (listener) => {
      listeners.add(listener);
      return () => {
        listeners.delete(listener);
      };
    },
  };
}
