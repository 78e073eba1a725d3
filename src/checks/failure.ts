/** Why a check could not look, in words for the person who reads the report. */
import { BackplanError, EXIT, toBackplanError } from '../errors.ts';
import { sqlState } from '../postgres/client.ts';
import { formatDuration } from '../units.ts';

export interface Failure {
  readonly message: string;
  readonly hint?: string;
  /** The server lacks something that the check needs. */
  readonly environment?: true;
  /** The connection is gone, and the snapshot with it. */
  readonly lost: boolean;
}

export function explainFailure(error: unknown, timeoutMs: number): Failure {
  const known = toBackplanError(error);
  const state = sqlState(error);
  if (state === '57014' || known.code === 'TIMEOUT') {
    return {
      message: `timed out after ${formatDuration(timeoutMs)}`,
      hint: 'Give the check a longer timeout, an index on its columns, or run it on a quieter server.',
      lost: false,
    };
  }
  if (state === '55P03') {
    return {
      message: 'waited too long for a lock on the table',
      hint: 'Something holds an exclusive lock (a migration, VACUUM FULL). pg_stat_activity tells who.',
      lost: false,
    };
  }
  if (state === '42501' && known.code !== 'PERMISSION_DENIED') {
    const rowSecurity = /row-level security/.test(known.message);
    return {
      message: known.message,
      hint: rowSecurity
        ? 'Row-level security would hide rows from this role. Check as the owner of the table or as a role with BYPASSRLS.'
        : 'Grant SELECT on the table (and USAGE on its schema) to the role that checks.',
      lost: false,
    };
  }
  return {
    message: known.message,
    ...(known.hint === undefined ? {} : { hint: known.hint }),
    ...(known.exitCode === EXIT.environment ? { environment: true } : {}),
    lost:
      error instanceof BackplanError && (error.code === 'CONNECTION_FAILED' || error.code === 'CANCELLED'),
  };
}
