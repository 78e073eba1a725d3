/**
 * What may be seen of the daemon and done to it from outside: all that HTTP, notifiers, metrics and the log know.
 */
import type { App } from '../app.ts';
import type { Job } from '../plan/model.ts';
import type { Trigger } from '../runs/record.ts';
import type { Journal } from '../runs/store.ts';
import type { DaemonListener } from './events.ts';
import type { PlanView } from './plans.ts';

/** A job of a loaded plan, scheduled or not. */
export interface JobView {
  readonly plan: string;
  readonly job: Job;
  /** The next firings, jitter included, the soonest first; none for a job without a schedule or with `after`. */
  readonly nextFirings: readonly Date[];
  readonly running: readonly string[];
  /** Runs that wait for their turn, in order. */
  readonly queued: readonly string[];
}

/** Names are those of plan and job. */
export interface DaemonView {
  readonly startedAt: Date;
  readonly stateDirectory: string;
  readonly journal: Journal;
  readonly app: App;
  /** True from the moment plans are loaded and schedules fire, until it is told to stop. */
  readonly accepting: boolean;
  plans(): readonly PlanView[];
  /** @param firings how many of the next firings of each; default 1 */
  jobs(firings?: number): readonly JobView[];
  /**
   * Starts a job now, or as soon as its turn comes; consumes no firing of its schedule. Returns the id of the run.
   * @throws USAGE when there is no such plan or job; LOCKED when the job runs or waits already; CANCELLED while stopping
   */
  start(plan: string, job: string, inputs?: Readonly<Record<string, unknown>>, trigger?: Trigger): string;
  /** Cancels a run that runs or waits. False when there is none of that id. */
  cancel(runId: string): boolean;
  /** Reads all plan files again. */
  reload(reason: 'signal' | 'api'): Promise<void>;
  /** Returns the removal of the listener. */
  onEvent(listener: DaemonListener): () => void;
}

/** Something that lives beside the daemon: the HTTP server, notifiers, metrics. Started in order, closed in reverse. */
export interface DaemonService {
  readonly name: string;
  /** Before plans are loaded, so that it hears of everything. @throws what keeps the daemon from starting, such as a port in use */
  start(daemon: DaemonView): Promise<void>;
  /** After the last run. Must not hang: what cannot be sent in a few seconds is given up. */
  close(): Promise<void>;
}
