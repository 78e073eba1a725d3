/** How one run tells people: by what it shares with other runs, or by notifications of its own that end with it. */
import type { BackplanError } from '../errors.ts';
import type { Job } from '../plan/model.ts';
import type { Reporter } from '../report/reporter.ts';
import type { Delivery } from './deliver.ts';
import type { Notifications } from './notifications.ts';
import type { Announcement } from './occurrence.ts';

export interface RunNotifications {
  /** Empty when nobody is told of the run itself. */
  readonly reporters: readonly Reporter[];
  announce(names: readonly string[], announcement: Announcement): Promise<readonly Delivery[]>;
  /** It never began: nothing has happened, which is what somebody must know of a backup that should have. */
  notStarted(error: BackplanError): void;
  /** Waits some seconds for what is still to be delivered. */
  close(): Promise<void>;
}

export interface RunNotificationsOptions {
  readonly job: Job;
  readonly run: string;
  /** Used and left open; `null`: the run itself tells nobody. */
  readonly shared: Notifications | null | undefined;
  readonly make: () => Notifications;
  readonly signal: AbortSignal;
}

/** A run that a person or cron started waits this long at its end. */
const WAIT_MS = 10_000;
/** The same when it was cancelled: whoever did that wants it to end. */
const WAIT_CANCELLED_MS = 3000;

export function notificationsForRun(options: RunNotificationsOptions): RunNotifications {
  const { job, run, shared, signal } = options;
  let own: Notifications | undefined;
  const use = (): Notifications => {
    if (shared !== undefined && shared !== null) return shared;
    own ??= options.make();
    return own;
  };
  const tells = shared !== null && job.notify.length > 0;
  return {
    reporters: tells ? [use().reporter(job)] : [],
    announce: (names, announcement) => use().announce(names, announcement, { id: run, job: job.name }),
    notStarted: (error) => {
      if (tells && error.code !== 'CANCELLED') {
        use().handle({ type: 'notStarted', job: job.name, error: error.toRecord() });
      }
    },
    close: async () => {
      await own?.close(signal.aborted ? WAIT_CANCELLED_MS : WAIT_MS);
    },
  };
}
