/**
 * Locks between processes: whoever writes to a database or to the backups of a database in a repository holds its
 * lock. SQLite is the mutex, in a file of its own beside what it protects; a lock is a row that says who holds it.
 *
 * A lock outlives a process that is killed, so each row carries enough to tell whether its holder still lives: on
 * this host pid, start time and boot; elsewhere a heartbeat that must not be older than ten minutes (which asks for
 * clocks that agree better than that). A dead holder's lock is taken over by the next who wants it.
 */
import { BackplanError } from '../errors.ts';
import { formatAge, formatInstant } from '../units.ts';
import { liveness, ownIdentity, type ProcessIdentity } from './process-identity.ts';
import { type Database, openDatabase, type SqlRow } from './sqlite.ts';

export type LockMode = 'exclusive' | 'shared';

export interface LockOwner {
  readonly run: string;
  readonly job: string;
  readonly plan: string;
}

export interface LockHolder extends LockOwner {
  readonly resource: string;
  readonly mode: LockMode;
  readonly host: string;
  readonly pid: number;
  /** ISO instant. */
  readonly since: string;
  /** False when the holder is dead and the next who asks gets the lock. */
  readonly alive: boolean;
}

export interface LockHandle {
  readonly resource: string;
  readonly mode: LockMode;
  /** Idempotent; never throws: a lock that cannot be given back dies with the process. */
  release(): void;
}

export interface Locks {
  readonly file: string;
  /**
   * Takes a lock at once or fails; never waits. A run that holds it already gets it again. Any number of `shared`
   * holders go together, an `exclusive` one is alone.
   * @throws LOCKED naming the holder, since when, and what to do
   */
  acquire(resource: string, mode: LockMode, owner: LockOwner): LockHandle;
  /** Who holds what, dead holders included. */
  holders(resource?: string): LockHolder[];
  /** Gives back what is still held and closes the file. */
  close(): void;
}

export interface LockOptions {
  /** Who asks. Default: this process. */
  readonly identity?: ProcessIdentity;
  readonly now?: () => Date;
}

/** A holder on another host shows itself this often, */
const HEARTBEAT_MS = 60_000;
/** and counts as dead when it has not for this long. */
const STALE_MS = 10 * 60_000;

const MIGRATIONS = [
  `
  CREATE TABLE locks (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    resource TEXT NOT NULL,
    mode     TEXT NOT NULL CHECK (mode IN ('exclusive', 'shared')),
    run      TEXT NOT NULL,
    job      TEXT NOT NULL,
    plan     TEXT NOT NULL,
    identity TEXT NOT NULL,
    since    TEXT NOT NULL,
    beat_at  TEXT NOT NULL
  ) STRICT;
  CREATE INDEX locks_by_resource ON locks (resource);
  `,
];

/** "BPLL" as a number. */
const APPLICATION_ID = 0x42504c4c;

/** @throws JOURNAL_FAILED when the file is damaged; PERMISSION_DENIED when it cannot be written */
export function openLocks(file: string, options: LockOptions = {}): Locks {
  const db = openDatabase(file, {
    label: 'lock file',
    damagedHint: 'It holds nothing but locks: when no backplan is running, delete it and run again.',
    migrations: MIGRATIONS,
    // A repository may be on a network file system, where WAL's shared memory does not work.
    journalMode: 'delete',
    applicationId: APPLICATION_ID,
  });
  const identity = options.identity ?? ownIdentity();
  const now = options.now ?? (() => new Date());
  const held = new Map<number, LockHandle>();
  const heart = heartbeat(db, held, now);

  const acquire = (resource: string, mode: LockMode, owner: LockOwner): LockHandle => {
    const id = db.transaction(() => {
      const others = toHolders(db.all('SELECT * FROM locks WHERE resource = ?', resource), now()).filter(
        (holder) => !isSame(holder, owner, identity),
      );
      for (const dead of others.filter((holder) => !holder.alive)) {
        db.run('DELETE FROM locks WHERE id = ?', dead.id);
      }
      const inTheWay = others.find(
        (holder) => holder.alive && (mode === 'exclusive' || holder.mode === 'exclusive'),
      );
      if (inTheWay !== undefined) throw lockedError(inTheWay, now(), identity);
      const at = now().toISOString();
      const row = db.first(
        `INSERT INTO locks (resource, mode, run, job, plan, identity, since, beat_at)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING id`,
        resource,
        mode,
        owner.run,
        owner.job,
        owner.plan,
        JSON.stringify(identity),
        at,
        at,
      );
      return Number(row?.id);
    });
    const handle: LockHandle = {
      resource,
      mode,
      release: () => {
        if (!held.delete(id)) return;
        heart.check();
        try {
          db.run('DELETE FROM locks WHERE id = ?', id);
        } catch {
          // The file may be gone with its folder; whoever asks next finds this process dead.
        }
      },
    };
    held.set(id, handle);
    heart.check();
    return handle;
  };

  return {
    file,
    acquire,
    holders: (resource) =>
      toHolders(
        resource === undefined
          ? db.all('SELECT * FROM locks ORDER BY id')
          : db.all('SELECT * FROM locks WHERE resource = ? ORDER BY id', resource),
        now(),
      ).map(({ id: _, identity: __, ...holder }) => holder),
    close: () => {
      for (const handle of [...held.values()]) handle.release();
      db.close();
    },
  };
}

interface Row extends LockHolder {
  readonly id: number;
  readonly identity: ProcessIdentity;
}

function toHolders(rows: readonly SqlRow[], now: Date): Row[] {
  return rows.map((row) => {
    const identity = JSON.parse(String(row.identity)) as ProcessIdentity;
    return {
      id: Number(row.id),
      identity,
      resource: String(row.resource),
      mode: row.mode === 'shared' ? 'shared' : 'exclusive',
      run: String(row.run),
      job: String(row.job),
      plan: String(row.plan),
      host: identity.host,
      pid: identity.pid,
      since: String(row.since),
      alive: isAlive(identity, new Date(String(row.beat_at)), now),
    };
  });
}

/** Whether a holder or a run still lives, by its process where that can be seen, otherwise by its heartbeat. */
export function isAlive(identity: ProcessIdentity, beatAt: Date, now: Date): boolean {
  const state = liveness(identity);
  return state === 'elsewhere' ? now.getTime() - beatAt.getTime() < STALE_MS : state === 'alive';
}

/** The same run in the same process: it may take its own lock again. */
function isSame(holder: Row, owner: LockOwner, identity: ProcessIdentity): boolean {
  return (
    holder.run === owner.run &&
    holder.pid === identity.pid &&
    holder.identity.start === identity.start &&
    holder.host === identity.host
  );
}

function lockedError(holder: Row, now: Date, here: ProcessIdentity): BackplanError {
  const since = new Date(holder.since);
  const local = liveness(holder.identity) !== 'elsewhere';
  const who =
    holder.identity.pid === here.pid && local
      ? 'this very process'
      : `process ${holder.pid} on ${holder.host}`;
  return new BackplanError(
    'LOCKED',
    `${holder.resource} is locked by run ${holder.run} (job ${holder.job} of plan ${holder.plan}), ${who}, ` +
      `since ${formatInstant(since)} (${formatAge(since, now)})`,
    {
      hint: local
        ? `Wait until it has ended, or end it with: kill -TERM ${holder.pid}. A lock left by a dead process needs no help, it is taken over.`
        : `Wait until it has ended, or end it on ${holder.host}. If that host is gone, its lock is taken over 10 minutes after its last sign of life.`,
      transient: true,
    },
  );
}

/** Refreshes what is held, while anything is. Does not keep the process running. */
function heartbeat(db: Database, held: ReadonlyMap<number, LockHandle>, now: () => Date) {
  let timer: NodeJS.Timeout | undefined;
  const beat = () => {
    try {
      for (const id of held.keys())
        db.run('UPDATE locks SET beat_at = ? WHERE id = ?', now().toISOString(), id);
    } catch {
      // Missing one beat does no harm, the next comes in a minute.
    }
  };
  return {
    check: () => {
      if (held.size > 0 && timer === undefined) timer = setInterval(beat, HEARTBEAT_MS).unref();
      if (held.size === 0) {
        clearInterval(timer);
        timer = undefined;
      }
    },
  };
}
