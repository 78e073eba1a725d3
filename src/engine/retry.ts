/** Which failures another try could mend, and how long to wait before it. */
import type { BackplanError, ErrorCode } from '../errors.ts';
import type { Retry } from '../plan/model.ts';

/**
 * `false`: the same try would fail the same way, or must not be repeated behind a person's back. An error that says
 * of itself that it is transient is retried whatever stands here.
 */
const HELPED_BY_RETRY = {
  // The plan, its environment and what was typed do not change between two tries.
  PLAN_INVALID: false,
  PLAN_UNREADABLE: false,
  USAGE: false,
  ENV_MISSING: false,
  INPUT_INVALID: false,
  CONFIRMATION_REQUIRED: false,
  EXPRESSION_FAILED: false,
  RUN_NOT_FOUND: false,
  // What is stored is what it is.
  BACKUP_NOT_FOUND: false,
  BACKUP_CORRUPT: false,
  // A safety rule said no; it is not asked until it says yes.
  RETENTION_REFUSED: false,
  PROMOTE_REFUSED: false,
  DROP_REFUSED: false,
  REBUILD_REFUSED: false,
  RECOVERY_REFUSED: false,
  REPAIR_REFUSED: false,
  REPAIR_FAILED: false,
  // A verdict on the data.
  CHECKS_FAILED: false,
  CHECKS_ENVIRONMENT: false,
  CHECKS_INCONCLUSIVE: false,
  CHECKS_NOT_PROVED: false,
  CHECKS_NOT_TRIED: false,
  OBJECTIVES_MISSED: false,
  // Somebody wants it to end.
  CANCELLED: false,
  // Someone has to install, create or allow something first.
  TOOL_MISSING: false,
  TOOL_TOO_OLD: false,
  VERSION_UNSUPPORTED: false,
  EXTENSION_MISSING: false,
  ROLE_MISSING: false,
  LOCALE_MISSING: false,
  DATABASE_MISSING: false,
  PERMISSION_DENIED: false,
  // Networks recover, servers start, space is freed, other runs end.
  NOTIFY_FAILED: true,
  REPOSITORY_UNUSABLE: true,
  STORAGE_FAILED: true,
  DISK_FULL: true,
  DISK_SPACE: true,
  CONNECTION_FAILED: true,
  QUERY_FAILED: true,
  TOOL_FAILED: true,
  DUMP_FAILED: true,
  RESTORE_FAILED: true,
  RESTORE_INCOMPLETE: true,
  PROMOTE_FAILED: true,
  SANDBOX_FAILED: true,
  STEP_FAILED: true,
  TIMEOUT: true,
  LOCKED: true,
  JOURNAL_FAILED: true,
  REPORT_FAILED: false,
  INTERNAL: true,
} as const satisfies Record<ErrorCode, boolean>;

export function isRetryable(error: BackplanError): boolean {
  return error.transient || HELPED_BY_RETRY[error.code];
}

/**
 * Milliseconds before try `next` (2 is the first that waits): doubles each time up to `maxDelay`; half of it is
 * drawn by chance, so that runs that failed together do not come back together.
 * @param random a number in [0, 1)
 */
export function delayBefore(next: number, retry: Retry, random: number): number {
  // Bounded, because no backoff (0) times infinity is not a number.
  const doublings = Math.min(Math.max(0, next - 2), 60);
  const full = Math.min(retry.maxDelay, retry.backoff * 2 ** doublings);
  return Math.round(full * (0.5 + random / 2));
}
