/** What pg_restore and psql say when they fail → what it was, on which object, and whose fault it is. */
import { BackplanError, type ErrorCode, toBackplanError } from '../errors.ts';

interface Known {
  readonly pattern: RegExp;
  readonly code: ErrorCode;
  readonly hint: (match: RegExpExecArray, user: string) => string;
  readonly transient?: boolean;
}

const KNOWN: readonly Known[] = [
  {
    pattern:
      /extension "?([^"\n]+?)"? is not available|could not open extension control file ".*\/([^/"]+)\.control"/i,
    code: 'EXTENSION_MISSING',
    hint: (match) => `Install the extension ${match[1] ?? match[2]} on the server that is restored to.`,
  },
  {
    pattern: /must be loaded via shared_preload_libraries|can only be loaded via shared_preload_libraries/i,
    code: 'EXTENSION_MISSING',
    hint: () =>
      'The extension must be preloaded: set shared_preload_libraries on the server, for sandboxes in settings.sandbox.parameters of the plan.',
  },
  {
    pattern: /role "((?:[^"]|"")+)" does not exist/i,
    code: 'ROLE_MISSING',
    hint: (match) =>
      `Create the role ${match[1]} (globals.sql of the backup has the statements), or restore with noOwner: true and noPrivileges: true.`,
  },
  {
    pattern:
      /collation "[^\n]*" (for encoding "[^"]*" )?does not exist|could not create locale|could not open collator/i,
    code: 'LOCALE_MISSING',
    hint: () =>
      'Install the locale on the machine of the server (Debian, Ubuntu: dpkg-reconfigure locales) and run pg_import_system_collations there.',
  },
  {
    pattern: /tablespace "([^"]+)" does not exist/i,
    code: 'RESTORE_FAILED',
    hint: (match) => `Create the tablespace ${match[1]} on the server first.`,
  },
  {
    pattern:
      /permission denied|must be (?:owner|superuser|member|able to)|(?:only|must be) (?:a )?superuser/i,
    code: 'PERMISSION_DENIED',
    hint: (_match, user) =>
      `The role ${user} may not do that. Restore as a superuser (or as a member of the owners), or with noOwner: true and noPrivileges: true.`,
  },
  {
    pattern: /no space left on device|could not extend file|disk full/i,
    code: 'DISK_SPACE',
    hint: () => 'Free space where the server keeps its data, then run again.',
  },
  {
    pattern: /deadlock detected/i,
    code: 'RESTORE_FAILED',
    hint: () => "Workers of pg_restore got in each other's way. Run again with jobs: 1.",
    transient: true,
  },
  {
    pattern: /out of shared memory/i,
    code: 'RESTORE_FAILED',
    hint: () => 'Raise max_locks_per_transaction on the server that is restored to.',
  },
  {
    pattern: /unrecognized configuration parameter "([^"]+)"/i,
    code: 'VERSION_UNSUPPORTED',
    hint: (match) =>
      `The target server does not know ${match[1]}: it is older than the tools, or lacks a library.`,
  },
  {
    pattern:
      /server closed the connection|terminating connection|connection to server .*failed|could not connect|database system is (?:shutting down|starting up|in recovery)|no connection to the server|lost synchronization/i,
    code: 'CONNECTION_FAILED',
    hint: () => 'The server stopped, restarted or ended the session. Its log tells why.',
    transient: true,
  },
  {
    pattern:
      /could not read from input file|unexpected end of file|unexpected block ID|corrupt tar header|could not uncompress|could not decompress|input file (?:appears to be|does not appear)|unsupported version|did not find magic string|possibly due to|unrecognized archive format|could not find (?:block|entry)|cross-reference|inflate/i,
    code: 'BACKUP_CORRUPT',
    hint: () => 'Take another copy of it or an older backup.',
  },
];

/** Codes that say nothing about the backup: it may be perfectly good. */
const ENVIRONMENT: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  ...(['EXTENSION_MISSING', 'ROLE_MISSING', 'LOCALE_MISSING', 'PERMISSION_DENIED', 'DISK_SPACE'] as const),
  ...(['DISK_FULL', 'VERSION_UNSUPPORTED', 'CONNECTION_FAILED', 'CANCELLED', 'TIMEOUT', 'LOCKED'] as const),
  ...(['TOOL_MISSING', 'TOOL_TOO_OLD', 'SANDBOX_FAILED', 'INPUT_INVALID', 'BACKUP_NOT_FOUND'] as const),
  ...(['STORAGE_FAILED', 'REPOSITORY_UNUSABLE', 'DATABASE_MISSING', 'QUERY_FAILED', 'INTERNAL'] as const),
]);

/** True when a failed restore shows that the backup itself is bad. */
export function blamesBackup(error: unknown): boolean {
  const { code, message } = toBackplanError(error);
  return (
    !ENVIRONMENT.has(code) &&
    !/was killed by|deadlock detected|out of shared memory|tablespace/i.test(message)
  );
}

/** @param label how the archive is called @param user who restores */
export function restoreError(error: unknown, label: string, user: string): BackplanError {
  const failure = toBackplanError(error, 'RESTORE_FAILED');
  if (failure.code !== 'RESTORE_FAILED') return failure;
  const text = failure.detail ?? failure.message;
  const reason = reasonOf(text) ?? failure.message;
  const object = objectOf(text);
  // The reason first: what else stands in the output (data, statements) may contain the same words.
  const match = [reason, text]
    .flatMap((part) => KNOWN.map((known) => ({ known, found: known.pattern.exec(part) })))
    .find(({ found }) => found !== null);
  const where = object === undefined ? '' : ` at ${object}`;
  return new BackplanError(
    match?.known.code ?? 'RESTORE_FAILED',
    `restoring ${label} failed${where}: ${reason}`,
    {
      cause: failure.cause ?? failure,
      detail: text,
      hint:
        match?.found != null
          ? match.known.hint(match.found, user)
          : (failure.hint ??
            'The target holds nothing usable and is removed. The details hold what the tool said.'),
      transient: match?.known.transient ?? false,
    },
  );
}

/** The first error is the cause; what follows (a worker died) is its consequence. */
function reasonOf(text: string): string | undefined {
  const line = text
    .split('\n')
    .find(
      (each) =>
        /\b(ERROR|FATAL|PANIC):|^(pg_restore|psql): error:/.test(each) && !/worker process died/.test(each),
    );
  return line
    ?.replace(/^(pg_restore|psql(:<stdin>:\d+)?): (error: )?/, '')
    .replace(/^could not execute query: /, '')
    .replace(
      /\b(ERROR|FATAL|PANIC):\s+(?:([0-9A-Z]{5}): )?/,
      (_all, level: string, state: string | undefined) =>
        state === undefined ? `${level}: ` : `${level} ${state}: `,
    )
    .trim();
}

/** `pg_restore: from TOC entry 3970; 2606 16405 CONSTRAINT User User_pkey postgres` → `CONSTRAINT User User_pkey` */
function objectOf(text: string): string | undefined {
  const entry = /from TOC entry \d+; \d+ \d+ (.+)/.exec(text)?.[1];
  if (entry !== undefined) return entry.replace(/ \S+$/, '');
  // Parallel workers tell only the statement.
  const command = /^Command was: ([\s\S]{1,400})/m.exec(text)?.[1]?.split(/;\n/)[0];
  if (command !== undefined) {
    const short = command.replace(/\s+/g, ' ').trim();
    return short.length > 160 ? `${short.slice(0, 160)}…` : short;
  }
  const line = /psql:<stdin>:(\d+): (?:ERROR|FATAL)/.exec(text)?.[1];
  return line === undefined ? undefined : `line ${line} of the script`;
}
