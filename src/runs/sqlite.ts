/**
 * The only door to node:sqlite: opens a database file, brings its schema up to date and turns SQLite's errors
 * into errors that a person can act on.
 */
import { closeSync, existsSync, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { BackplanError } from '../errors.ts';

export type SqlValue = string | number | null;
export type SqlRow = Readonly<Record<string, SqlValue>>;

export interface DatabaseOptions {
  /** What the file is, for messages: `run journal`, `lock file`. */
  readonly label: string;
  /** What to tell a person whose file is damaged. */
  readonly damagedHint: string;
  /** SQL that takes the schema from version n to n + 1; the position in the list is the version. Never edit one that was released. */
  readonly migrations: readonly string[];
  /**
   * `wal`: readers never wait for the writer; local disks only, because all users share memory.
   * `delete`: the classic rollback journal, right wherever POSIX locks are, network file systems included.
   */
  readonly journalMode: 'wal' | 'delete';
  /** Marks the file as ours, so that another program's database is never written to. */
  readonly applicationId: number;
}

export interface Database {
  readonly file: string;
  /** Number of changed rows. @throws JOURNAL_FAILED */
  run(sql: string, ...values: SqlValue[]): number;
  all(sql: string, ...values: SqlValue[]): SqlRow[];
  first(sql: string, ...values: SqlValue[]): SqlRow | undefined;
  /** All or nothing; takes the write lock at once, so that what was read inside stays true until the end. */
  transaction<T>(work: () => T): T;
  /** What `PRAGMA integrity_check` says; empty when all is well. */
  problems(): string[];
  close(): void;
}

/** How long a writer waits for another one. Transactions here take milliseconds. */
const BUSY_TIMEOUT_MS = 10_000;

/** @throws JOURNAL_FAILED when the file is damaged, foreign, or newer than this program; PERMISSION_DENIED */
export function openDatabase(file: string, options: DatabaseOptions): Database {
  const failed = (error: unknown) => explain(error, file, options);
  const db = open(file, options, failed);
  const statements = new Map<string, StatementSync>();
  const prepare = (sql: string) => {
    const known = statements.get(sql);
    if (known !== undefined) return known;
    const statement = db.prepare(sql);
    statements.set(sql, statement);
    return statement;
  };
  const guarded = <T>(work: () => T): T => {
    try {
      return work();
    } catch (error) {
      throw failed(error);
    }
  };
  return {
    file,
    run: (sql, ...values) => guarded(() => Number(prepare(sql).run(...values).changes)),
    all: (sql, ...values) => guarded(() => prepare(sql).all(...values) as SqlRow[]),
    first: (sql, ...values) => guarded(() => prepare(sql).get(...values) as SqlRow | undefined),
    transaction: (work) => inTransaction(db, work, failed),
    problems: () => integrityProblems(db),
    close: () => {
      if (db.isOpen) db.close();
    },
  };
}

function open(
  file: string,
  options: DatabaseOptions,
  failed: (error: unknown) => BackplanError,
): DatabaseSync {
  let db: DatabaseSync | undefined;
  try {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    // Outputs and error texts are masked, but still nobody else's business; SQLite gives its side files the same mode.
    if (!existsSync(file)) closeSync(openSync(file, 'a', 0o600));
    db = new DatabaseSync(file, { timeout: BUSY_TIMEOUT_MS });
    configure(db, options);
    migrate(db, file, options, failed);
    return db;
  } catch (error) {
    if (db?.isOpen) db.close();
    throw failed(error);
  }
}

function configure(db: DatabaseSync, options: DatabaseOptions): void {
  // FULL: what was acknowledged survives a power cut too. Ownership of a staging database is written before the
  // database is made; NORMAL could lose that line and leave the database for ever. A run writes some dozens of lines.
  db.exec('PRAGMA synchronous = FULL');
  db.exec('PRAGMA foreign_keys = ON');
  // SQLite does not call its busy handler while it changes the journal mode, so two first openers may collide.
  for (let attempt = 1; ; attempt += 1) {
    try {
      db.exec(`PRAGMA journal_mode = ${options.journalMode}`);
      return;
    } catch (error) {
      if (primaryCode(error) !== SQLITE.busy || attempt === 100) throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
    }
  }
}

function migrate(
  db: DatabaseSync,
  file: string,
  options: DatabaseOptions,
  failed: (error: unknown) => BackplanError,
): void {
  const { migrations, label, applicationId } = options;
  const version = () => numberOf(db.prepare('PRAGMA user_version').get());
  if (
    version() === migrations.length &&
    numberOf(db.prepare('PRAGMA application_id').get()) === applicationId
  )
    return;
  inTransaction(
    db,
    () => {
      const found = version();
      const owner = numberOf(db.prepare('PRAGMA application_id').get());
      const tables = numberOf(db.prepare('SELECT count(*) AS n FROM sqlite_schema').get());
      if (owner !== applicationId && tables > 0) {
        throw new BackplanError(
          'JOURNAL_FAILED',
          `${file} is a database of another program, not a ${label}`,
          {
            hint: 'Choose another folder for the state (--state).',
          },
        );
      }
      if (found > migrations.length) {
        throw new BackplanError(
          'JOURNAL_FAILED',
          `the ${label} ${file} was written by a newer backplan (its schema is ${found}, this one knows ${migrations.length})`,
          { hint: 'Use that newer version, or choose another folder for the state (--state).' },
        );
      }
      for (const sql of migrations.slice(found)) db.exec(sql);
      db.exec(`PRAGMA application_id = ${applicationId}`);
      db.exec(`PRAGMA user_version = ${migrations.length}`);
    },
    failed,
  );
}

function inTransaction<T>(db: DatabaseSync, work: () => T, failed: (error: unknown) => BackplanError): T {
  try {
    db.exec('BEGIN IMMEDIATE');
  } catch (error) {
    throw failed(error);
  }
  try {
    const result = work();
    db.exec('COMMIT');
    return result;
  } catch (error) {
    // Some errors (a full disk) have rolled back already.
    if (db.isTransaction) db.exec('ROLLBACK');
    throw failed(error);
  }
}

function integrityProblems(db: DatabaseSync): string[] {
  try {
    return db
      .prepare('PRAGMA integrity_check')
      .all()
      .map((row) => String(Object.values(row)[0]))
      .filter((line) => line !== 'ok');
  } catch (error) {
    return [error instanceof Error ? error.message : String(error)];
  }
}

function numberOf(row: unknown): number {
  return Number(Object.values((row ?? {}) as Record<string, unknown>)[0] ?? 0);
}

/** Primary result codes. Source: https://www.sqlite.org/rescode.html */
const SQLITE = {
  permission: 3,
  busy: 5,
  locked: 6,
  readOnly: 8,
  inputOutput: 10,
  corrupt: 11,
  full: 13,
  cannotOpen: 14,
  notADatabase: 26,
} as const;

function primaryCode(error: unknown): number | undefined {
  const code = (error as { errcode?: unknown } | undefined)?.errcode;
  return typeof code === 'number' ? code & 0xff : undefined;
}

function explain(error: unknown, file: string, { label, damagedHint }: DatabaseOptions): BackplanError {
  if (error instanceof BackplanError) return error;
  const reason = error instanceof Error ? error.message : String(error);
  const fail = (what: string, hint: string, transient = false) =>
    new BackplanError('JOURNAL_FAILED', `the ${label} ${file} ${what}: ${reason}`, {
      hint,
      cause: error,
      transient,
    });
  const denied = new BackplanError('PERMISSION_DENIED', `the ${label} ${file} cannot be written: ${reason}`, {
    hint: 'Give the user that runs backplan write permission on the file and its folder, or choose another folder.',
    cause: error,
  });
  switch (primaryCode(error)) {
    case SQLITE.corrupt:
    case SQLITE.notADatabase:
      return fail('is damaged', damagedHint);
    case SQLITE.busy:
    case SQLITE.locked:
      return fail(
        'is busy',
        'Another process held it for too long. Try again; if it stays so, see who has the file open.',
        true,
      );
    case SQLITE.full:
      return fail('cannot grow', 'The file system is full. Free space there, then run again.');
    case SQLITE.permission:
    case SQLITE.readOnly:
    case SQLITE.cannotOpen:
      return denied;
    case SQLITE.inputOutput:
      return fail(
        'cannot be read or written',
        'The disk or the network file system reported an error; see dmesg.',
      );
    default:
  }
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS') return denied;
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return fail('cannot be created', 'The file system is full. Free space there, then run again.');
  }
  return fail('failed', 'Check the folder; another one can be chosen with --state.');
}
