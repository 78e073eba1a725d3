/**
 * What has been told to whom: a problem that goes on is told once in a while and counted in between, and nobody gets
 * more messages than the limit. One SQLite file in the state folder, because runs started by cron share it.
 */
import { join } from 'node:path';
import type { NotifierDefinition } from '../plan/model.ts';
import { type Database, openDatabase } from '../runs/sqlite.ts';

/** What is to be told, as far as the ledger minds. */
export interface Entry {
  readonly plan: string;
  readonly notifier: Pick<NotifierDefinition, 'name' | 'repeat' | 'limit'>;
  /** What it is about. */
  readonly key: string;
  /** What the problem is; undefined for what is no problem. The same problem is told once in `repeat`. */
  readonly problem?: string;
  readonly at: Date;
}

export type Admission =
  | {
      readonly tell: true;
      /** How often the same problem was not told since the last time. */
      readonly repeated: number;
      /** How many other messages were left out because of the limit. */
      readonly dropped: number;
    }
  | { readonly tell: false; readonly because: 'repeated' | 'limit' };

export interface Ledger {
  /** Decides, and writes down that it is told. @throws JOURNAL_FAILED */
  admit(entry: Entry): Admission;
  /** It was not delivered after all: the next one is not held back because of it. @throws JOURNAL_FAILED */
  undelivered(entry: Entry): void;
  /** The problem that is open under a key, if any. @throws JOURNAL_FAILED */
  openProblem(plan: string, notifier: string, key: string): string | undefined;
  /** The problem has ended. @throws JOURNAL_FAILED */
  close(plan: string, notifier: string, key: string): void;
  end(): void;
}

/** "BPLN" as a number. */
const APPLICATION_ID = 0x42504c4e;

const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE problems (
    plan     TEXT NOT NULL,
    notifier TEXT NOT NULL,
    key      TEXT NOT NULL,
    problem  TEXT NOT NULL,
    -- milliseconds since 1970; 0: it was never told, or in vain
    told_at  INTEGER NOT NULL,
    repeated INTEGER NOT NULL,
    PRIMARY KEY (plan, notifier, key)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE sent (
    plan     TEXT NOT NULL,
    notifier TEXT NOT NULL,
    at       INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX sent_by_notifier ON sent (plan, notifier, at);

  CREATE TABLE dropped (
    plan     TEXT NOT NULL,
    notifier TEXT NOT NULL,
    messages INTEGER NOT NULL,
    PRIMARY KEY (plan, notifier)
  ) STRICT, WITHOUT ROWID;
  `,
];

/** @throws JOURNAL_FAILED, PERMISSION_DENIED */
export function openLedger(stateDirectory: string): Ledger {
  const db = openDatabase(join(stateDirectory, 'notifications.db'), {
    label: 'ledger of notifications',
    damagedHint:
      'Move the file away: what was told is forgotten, and a problem that goes on is told once more.',
    migrations: MIGRATIONS,
    journalMode: 'wal',
    applicationId: APPLICATION_ID,
  });
  return {
    admit: (entry) => db.transaction(() => admit(db, entry)),
    undelivered: ({ plan, notifier: { name }, key, problem }) => {
      if (problem === undefined) return;
      db.run(
        'UPDATE problems SET told_at = 0, repeated = repeated + 1 WHERE plan = ? AND notifier = ? AND key = ?',
        plan,
        name,
        key,
      );
    },
    openProblem: (plan, notifier, key) => {
      const row = db.first(
        'SELECT problem FROM problems WHERE plan = ? AND notifier = ? AND key = ?',
        plan,
        notifier,
        key,
      );
      return row === undefined ? undefined : String(row.problem);
    },
    close: (plan, notifier, key) => {
      db.run('DELETE FROM problems WHERE plan = ? AND notifier = ? AND key = ?', plan, notifier, key);
    },
    end: () => db.close(),
  };
}

function admit(db: Database, { plan, notifier, key, problem, at }: Entry): Admission {
  const { name, repeat, limit } = notifier;
  const now = at.getTime();
  const known = db.first(
    'SELECT problem, told_at, repeated FROM problems WHERE plan = ? AND notifier = ? AND key = ?',
    plan,
    name,
    key,
  );
  const same = problem !== undefined && known?.problem === problem;
  // A clock that was set back must not hold messages back for longer than the window.
  const since = same ? Math.abs(now - Number(known.told_at)) : Number.POSITIVE_INFINITY;
  if (since < repeat) {
    db.run(
      'UPDATE problems SET repeated = repeated + 1 WHERE plan = ? AND notifier = ? AND key = ?',
      plan,
      name,
      key,
    );
    return { tell: false, because: 'repeated' };
  }
  const repeated = same ? Number(known.repeated) : 0;
  db.run(
    'DELETE FROM sent WHERE plan = ? AND notifier = ? AND (at <= ? OR at > ?)',
    plan,
    name,
    now - limit.per,
    now,
  );
  const sent = Number(
    db.first('SELECT count(*) AS n FROM sent WHERE plan = ? AND notifier = ?', plan, name)?.n ?? 0,
  );
  const full = sent >= limit.messages;
  if (problem !== undefined) {
    db.run(
      `INSERT INTO problems (plan, notifier, key, problem, told_at, repeated) VALUES (?, ?, ?, ?, ?, ?)
       ON CONFLICT (plan, notifier, key) DO UPDATE
       SET problem = excluded.problem, told_at = excluded.told_at, repeated = excluded.repeated`,
      plan,
      name,
      key,
      problem,
      full ? 0 : now,
      full ? repeated + 1 : 0,
    );
  }
  if (full) {
    db.run(
      `INSERT INTO dropped (plan, notifier, messages) VALUES (?, ?, 1)
       ON CONFLICT (plan, notifier) DO UPDATE SET messages = messages + 1`,
      plan,
      name,
    );
    return { tell: false, because: 'limit' };
  }
  const dropped = Number(
    db.first('DELETE FROM dropped WHERE plan = ? AND notifier = ? RETURNING messages', plan, name)
      ?.messages ?? 0,
  );
  db.run('INSERT INTO sent (plan, notifier, at) VALUES (?, ?, ?)', plan, name, now);
  return { tell: true, repeated, dropped };
}
