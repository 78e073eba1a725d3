/** What can happen that somebody may want to be told of. Whoever sees it happen hands it to `Notifications.handle`. */
import type { ErrorRecord } from '../errors.ts';
import type { RunRecord } from '../runs/record.ts';
import type { MessageLevel } from './notifier.ts';

/** A backup as a message names it. */
export interface ProvenBackup {
  /** `repository:id`. */
  readonly backup: string;
  /** ISO instant: how old the data is. */
  readonly takenAt: string;
}

export type Occurrence =
  /** A run of a job began. */
  | { readonly type: 'runStarted'; readonly run: RunRecord }
  /** It ended, however; also one that was found interrupted. `remarks`: lines about checks that did not pass. */
  | { readonly type: 'runFinished'; readonly run: RunRecord; readonly remarks?: readonly string[] }
  /** It could not even begin: locked, a value missing, the journal unusable. */
  | { readonly type: 'notStarted'; readonly job: string; readonly error: ErrorRecord }
  /** Scheduled firings that did not take place. */
  | {
      readonly type: 'missed';
      readonly job: string;
      /** ISO instants, oldest first. */
      readonly due: readonly string[];
      /** For example "the daemon was not running". */
      readonly because: string;
      /** A run that makes up for them has been started. */
      readonly madeUp: boolean;
    }
  /** The plan file has errors, and an older version of it goes on. `problems` as `validate` prints them. */
  | { readonly type: 'planInvalid'; readonly problems: string }
  | { readonly type: 'planValid' }
  /** The newest proven backup of a database is older than its rpo. */
  | {
      readonly type: 'proofOverdue';
      readonly database: string;
      /** As declared, for example 26h. */
      readonly rpo: string;
      readonly newest: ProvenBackup | null;
    }
  | { readonly type: 'proofMet'; readonly database: string; readonly newest: ProvenBackup }
  /** Little room is left where backups, scratch files or the journal go. */
  | {
      readonly type: 'diskLow';
      readonly path: string;
      readonly freeBytes: number;
      /** What is wanted. */
      readonly wantedBytes: number;
    }
  | { readonly type: 'diskEnough'; readonly path: string; readonly freeBytes: number };

/** What a person wrote in a plan, to be told as it is. */
export interface Announcement {
  readonly level: MessageLevel;
  readonly title: string;
  readonly text: string;
}
