/**
 * The error table. Every error that reaches a person has a stable code, an exit code and, where one is
 * known, a hint that says what to do next. Codes are part of the interface: scripts and alerts match on them.
 */

/** Exit codes of the command line. Documented in `backplan --help` and the README. */
export const EXIT = {
  success: 0,
  stepFailed: 1,
  invalidPlan: 2,
  checksFailed: 3,
  locked: 4,
  inconclusive: 5,
  environment: 6,
  interrupted: 130,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** code → exit code. Hints are given where the error is raised, because only that place knows the details. */
export const ERRORS = {
  // plan and usage
  PLAN_INVALID: EXIT.invalidPlan,
  PLAN_UNREADABLE: EXIT.invalidPlan,
  USAGE: EXIT.invalidPlan,
  ENV_MISSING: EXIT.invalidPlan,
  INPUT_INVALID: EXIT.invalidPlan,
  CONFIRMATION_REQUIRED: EXIT.invalidPlan,
  EXPRESSION_FAILED: EXIT.invalidPlan,
  // backups and repositories
  BACKUP_NOT_FOUND: EXIT.stepFailed,
  BACKUP_CORRUPT: EXIT.stepFailed,
  REPOSITORY_UNUSABLE: EXIT.stepFailed,
  STORAGE_FAILED: EXIT.stepFailed,
  DISK_FULL: EXIT.stepFailed,
  RETENTION_REFUSED: EXIT.stepFailed,
  // postgres
  CONNECTION_FAILED: EXIT.stepFailed,
  QUERY_FAILED: EXIT.stepFailed,
  TOOL_FAILED: EXIT.stepFailed,
  DUMP_FAILED: EXIT.stepFailed,
  RESTORE_FAILED: EXIT.stepFailed,
  RESTORE_INCOMPLETE: EXIT.stepFailed,
  PROMOTE_REFUSED: EXIT.stepFailed,
  PROMOTE_FAILED: EXIT.stepFailed,
  DROP_REFUSED: EXIT.stepFailed,
  DATABASE_MISSING: EXIT.stepFailed,
  REBUILD_REFUSED: EXIT.stepFailed,
  RECOVERY_REFUSED: EXIT.stepFailed,
  REPAIR_REFUSED: EXIT.stepFailed,
  REPAIR_FAILED: EXIT.stepFailed,
  // engine
  STEP_FAILED: EXIT.stepFailed,
  TIMEOUT: EXIT.stepFailed,
  CANCELLED: EXIT.interrupted,
  LOCKED: EXIT.locked,
  JOURNAL_FAILED: EXIT.stepFailed,
  RUN_NOT_FOUND: EXIT.invalidPlan,
  INTERNAL: EXIT.stepFailed,
  REPORT_FAILED: EXIT.stepFailed,
  NOTIFY_FAILED: EXIT.stepFailed,
  // checks
  CHECKS_FAILED: EXIT.checksFailed,
  CHECKS_INCONCLUSIVE: EXIT.inconclusive,
  OBJECTIVES_MISSED: EXIT.checksFailed,
  CHECKS_NOT_PROVED: EXIT.checksFailed,
  CHECKS_NOT_TRIED: EXIT.inconclusive,
  // environment
  TOOL_MISSING: EXIT.environment,
  TOOL_TOO_OLD: EXIT.environment,
  VERSION_UNSUPPORTED: EXIT.environment,
  EXTENSION_MISSING: EXIT.environment,
  CHECKS_ENVIRONMENT: EXIT.environment,
  ROLE_MISSING: EXIT.environment,
  LOCALE_MISSING: EXIT.environment,
  DISK_SPACE: EXIT.environment,
  PERMISSION_DENIED: EXIT.environment,
  SANDBOX_FAILED: EXIT.environment,
} as const satisfies Record<string, ExitCode>;

export type ErrorCode = keyof typeof ERRORS;

/** What an error looks like in the journal, in JSON output and in manifests: plain data, secrets masked by the writer. */
export interface ErrorRecord {
  code: ErrorCode;
  message: string;
  hint?: string;
  /** Longer evidence: the tail of a tool's stderr, the offending object, a statement. */
  detail?: string;
}

export interface ErrorOptions {
  /** What to do next, in one or two sentences. */
  hint?: string;
  detail?: string;
  cause?: unknown;
  /** Set where trying again could help (network, server starting, lock timeout). Default false. */
  transient?: boolean;
}

/** The only error class. `message` says what failed, on what and why; `hint` says what to do next. */
export class BackplanError extends Error {
  override readonly name = 'BackplanError';
  readonly code: ErrorCode;
  readonly hint: string | undefined;
  readonly detail: string | undefined;
  readonly transient: boolean;

  constructor(code: ErrorCode, message: string, options: ErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.hint = options.hint;
    this.detail = options.detail;
    this.transient = options.transient ?? false;
  }

  /** The error that a record was made of; what it was caused by, and whether trying again helps, is not in there. */
  static fromRecord({ code, message, ...options }: ErrorRecord): BackplanError {
    return new BackplanError(code, message, options);
  }

  get exitCode(): ExitCode {
    return ERRORS[this.code];
  }

  toRecord(): ErrorRecord {
    return {
      code: this.code,
      message: this.message,
      ...(this.hint === undefined ? {} : { hint: this.hint }),
      ...(this.detail === undefined ? {} : { detail: this.detail }),
    };
  }
}

/** Anything thrown → BackplanError. An unknown error becomes INTERNAL with its message, never a bare stack trace. */
export function toBackplanError(error: unknown, fallback: ErrorCode = 'INTERNAL'): BackplanError {
  if (error instanceof BackplanError) return error;
  if (error instanceof Error) {
    if (error.name === 'AbortError') {
      return error.cause instanceof BackplanError
        ? error.cause
        : new BackplanError('CANCELLED', 'cancelled', { cause: error });
    }
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOSPC' || code === 'EDQUOT') {
      return new BackplanError('DISK_FULL', error.message, {
        cause: error,
        hint: 'Free space on that file system, or let retention keep fewer backups, then run again.',
      });
    }
    if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS') {
      return new BackplanError('PERMISSION_DENIED', error.message, {
        cause: error,
        hint: 'Give the user that runs backplan write permission there, or point the plan at another folder.',
      });
    }
    return new BackplanError(fallback, error.message, { cause: error });
  }
  return new BackplanError(fallback, String(error));
}

/** Which exit code speaks for a run with several failures: the one a person must act on first. */
const PRECEDENCE: readonly ExitCode[] = [
  EXIT.interrupted,
  EXIT.invalidPlan,
  EXIT.environment,
  EXIT.locked,
  EXIT.stepFailed,
  EXIT.checksFailed,
  EXIT.inconclusive,
  EXIT.success,
];

/** @param codes exit codes of everything that failed; empty means success */
export function worstExit(codes: Iterable<ExitCode>): ExitCode {
  const seen = new Set(codes);
  return PRECEDENCE.find((code) => seen.has(code)) ?? EXIT.success;
}
