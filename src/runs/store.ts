/**
 * The run journal: every run with its steps, and what runs own. One SQLite file in the state folder. What a method
 * has returned from is on disk and survives kill -9 of the process and a power cut.
 */
import { BackplanError } from '../errors.ts';
import type { OwnedThing } from '../steps/step-kind.ts';
import { JOURNAL_APPLICATION_ID, JOURNAL_MIGRATIONS } from './migrations.ts';
import { ownIdentity, type ProcessIdentity } from './process-identity.ts';
import type { RunRecord, RunStatus, StepRecord } from './record.ts';
import { journalFile } from './run-id.ts';
import { type Slots, slotsOf } from './slots.ts';
import { type Database, openDatabase, type SqlRow } from './sqlite.ts';

export interface RunFilter {
  readonly plan?: string;
  readonly job?: string;
  readonly status?: RunStatus | readonly RunStatus[];
  /** Default 50. */
  readonly limit?: number;
}

/** A line of ownership that is still open. */
export interface OwnedEntry {
  readonly id: number;
  readonly run: string;
  readonly thing: OwnedThing;
}

/** A run that the journal calls running, with what is needed to know whether it still is. */
export interface RunningRun {
  readonly run: RunRecord;
  readonly identity: ProcessIdentity;
  /** Last sign of life. */
  readonly beatAt: Date;
}

export interface Journal {
  readonly file: string;
  /** Records a run and all its steps, as run by this process. */
  startRun(run: RunRecord): void;
  /** Changes fields of a run; its steps are changed by `saveStep`. */
  updateRun(id: string, change: Partial<Omit<RunRecord, 'id' | 'steps'>>): void;
  saveStep(run: string, step: StepRecord): void;
  /** Records the run and its steps as they are in the end, in one transaction. */
  finishRun(run: RunRecord): void;
  /** A sign of life: readers on other hosts go by it. */
  beat(run: string): void;
  /** Newest first. */
  listRuns(filter?: RunFilter): RunRecord[];
  /** By id, by an unambiguous beginning or end of one, or `latest`. @throws RUN_NOT_FOUND */
  getRun(reference: string, plan?: string): RunRecord;
  /** The newest run of each job of a plan. */
  latestRuns(plan: string): RunRecord[];
  running(): RunningRun[];
  /** Writes ownership down; to be called before the thing is made. Returns the id for `release`. */
  own(run: string, thing: OwnedThing): number;
  /** The thing is gone or belongs to someone else. Idempotent. */
  release(id: number): void;
  /** What a run still owns, newest first. */
  ownedBy(run: string): OwnedEntry[];
  /** What runs that have ended still own, newest first: a clean-up that failed or never came. */
  orphans(): OwnedEntry[];
  /** What the daemon remembers of schedules and their firings. */
  readonly slots: Slots;
  /** What an integrity check finds; empty when all is well. */
  problems(): string[];
  close(): void;
}

const DAMAGED =
  'Backups and their proofs are kept in the repositories and are still listed from there. ' +
  'Move the file away (with its -wal and -shm) to start a new journal; only the history of runs is lost.';

/**
 * Opens the journal of a state folder, making both where they are missing.
 * @throws JOURNAL_FAILED when the file is damaged or newer than this program; PERMISSION_DENIED
 */
export async function openJournal(stateDirectory: string): Promise<Journal> {
  return journalOf(
    openDatabase(journalFile(stateDirectory), {
      label: 'run journal',
      damagedHint: DAMAGED,
      migrations: JOURNAL_MIGRATIONS,
      journalMode: 'wal',
      applicationId: JOURNAL_APPLICATION_ID,
    }),
  );
}

function journalOf(db: Database): Journal {
  return {
    file: db.file,
    ...runsOf(db),
    ...ownershipOf(db),
    slots: slotsOf(db),
    problems: () => db.problems(),
    close: () => db.close(),
  };
}

type RunMethods = Omit<
  Journal,
  'file' | 'own' | 'release' | 'ownedBy' | 'orphans' | 'slots' | 'problems' | 'close'
>;

function runsOf(db: Database): RunMethods {
  const saveSteps = (run: RunRecord) => {
    for (const step of run.steps) saveStep(db, run.id, step);
  };
  const read = (rows: readonly SqlRow[]) => rows.map((row) => toRun(row, stepsOf(db, String(row.id))));
  return {
    startRun: (run) =>
      db.transaction(() => {
        const columns = {
          ...toColumns(run),
          identity: JSON.stringify(ownIdentity()),
          beat_at: run.startedAt,
        };
        const names = Object.keys(columns);
        db.run(
          `INSERT INTO runs (${names.join(', ')}) VALUES (${names.map(() => '?').join(', ')})`,
          ...Object.values(columns),
        );
        saveSteps(run);
      }),
    updateRun: (id, change) => {
      const { id: _, ...columns } = toColumns({ ...change, id });
      const names = Object.keys(columns);
      if (names.length === 0) return;
      db.run(
        `UPDATE runs SET ${names.map((name) => `${name} = ?`).join(', ')} WHERE id = ?`,
        ...Object.values(columns),
        id,
      );
    },
    saveStep: (run, step) => db.transaction(() => saveStep(db, run, step)),
    finishRun: (run) =>
      db.transaction(() => {
        const { id, ...columns } = toColumns(run);
        db.run(
          `UPDATE runs SET ${Object.keys(columns)
            .map((name) => `${name} = ?`)
            .join(', ')} WHERE id = ?`,
          ...Object.values(columns),
          id ?? run.id,
        );
        saveSteps(run);
      }),
    beat: (run) => {
      db.run('UPDATE runs SET beat_at = ? WHERE id = ?', new Date().toISOString(), run);
    },
    listRuns: (filter = {}) => {
      const statuses = filter.status === undefined ? [] : [filter.status].flat();
      const conditions = [
        ...(filter.plan === undefined ? [] : [['plan = ?', filter.plan]]),
        ...(filter.job === undefined ? [] : [['job = ?', filter.job]]),
        ...(statuses.length === 0
          ? []
          : [[`status IN (${statuses.map(() => '?').join(', ')})`, ...statuses]]),
      ];
      const where = conditions.length === 0 ? '' : `WHERE ${conditions.map(([text]) => text).join(' AND ')}`;
      const values = conditions.flatMap(([, ...rest]) => rest);
      return read(
        db.all(
          `SELECT * FROM runs ${where} ORDER BY started_at DESC, rowid DESC LIMIT ?`,
          ...values,
          filter.limit ?? 50,
        ),
      );
    },
    getRun: (reference, plan) => {
      const rows = findRuns(db, reference, plan);
      const [row] = rows;
      if (row === undefined || rows.length > 1) throw notFound(db, reference, plan, rows);
      return toRun(row, stepsOf(db, String(row.id)));
    },
    latestRuns: (plan) =>
      read(
        db.all(
          `SELECT * FROM runs AS r WHERE plan = ? AND rowid = (
             SELECT rowid FROM runs WHERE plan = r.plan AND job = r.job ORDER BY started_at DESC, rowid DESC LIMIT 1
           ) ORDER BY job`,
          plan,
        ),
      ),
    running: () =>
      db.all(`SELECT * FROM runs WHERE status = 'running' ORDER BY started_at`).map((row) => ({
        run: toRun(row, stepsOf(db, String(row.id))),
        identity: JSON.parse(String(row.identity)) as ProcessIdentity,
        beatAt: new Date(String(row.beat_at)),
      })),
  };
}

type OwnershipMethods = Pick<Journal, 'own' | 'release' | 'ownedBy' | 'orphans'>;

function ownershipOf(db: Database): OwnershipMethods {
  const entries = (rows: readonly SqlRow[]): OwnedEntry[] =>
    rows.map((row) => ({
      id: Number(row.id),
      run: String(row.run),
      thing: JSON.parse(String(row.thing)) as OwnedThing,
    }));
  return {
    own: (run, thing) => {
      const row = db.first(
        'INSERT INTO owned (run, thing, owned_at) VALUES (?, ?, ?) RETURNING id',
        run,
        JSON.stringify(thing),
        new Date().toISOString(),
      );
      return Number(row?.id);
    },
    release: (id) => {
      db.run(
        'UPDATE owned SET released_at = ? WHERE id = ? AND released_at IS NULL',
        new Date().toISOString(),
        id,
      );
    },
    ownedBy: (run) =>
      entries(db.all('SELECT * FROM owned WHERE run = ? AND released_at IS NULL ORDER BY id DESC', run)),
    orphans: () =>
      entries(
        db.all(
          `SELECT owned.* FROM owned JOIN runs ON runs.id = owned.run
            WHERE owned.released_at IS NULL AND runs.status <> 'running' ORDER BY owned.id DESC`,
        ),
      ),
  };
}

function saveStep(db: Database, run: string, step: StepRecord): void {
  db.run(
    `INSERT INTO steps (run, position, name, status, record)
     VALUES (?1, (SELECT count(*) FROM steps WHERE run = ?1), ?2, ?3, ?4)
     ON CONFLICT (run, name) DO UPDATE SET status = excluded.status, record = excluded.record`,
    run,
    step.name,
    step.status,
    JSON.stringify(step),
  );
}

function stepsOf(db: Database, run: string): StepRecord[] {
  return db
    .all('SELECT record FROM steps WHERE run = ? ORDER BY position', run)
    .map((row) => JSON.parse(String(row.record)) as StepRecord);
}

const LIKE_ESCAPE = (text: string) => text.replace(/[\\%_]/g, '\\$&');

function findRuns(db: Database, reference: string, plan: string | undefined): SqlRow[] {
  const scope = plan === undefined ? '1' : 'plan = ?';
  const values = plan === undefined ? [] : [plan];
  if (reference === 'latest') {
    return db.all(
      `SELECT * FROM runs WHERE ${scope} ORDER BY started_at DESC, rowid DESC LIMIT 1`,
      ...values,
    );
  }
  const exact = db.all(`SELECT * FROM runs WHERE ${scope} AND id = ?`, ...values, reference);
  if (exact.length === 1) return exact;
  const text = LIKE_ESCAPE(reference);
  return db.all(
    `SELECT * FROM runs WHERE ${scope} AND (id LIKE ? ESCAPE '\\' OR id LIKE ? ESCAPE '\\') ORDER BY started_at DESC, rowid DESC LIMIT 6`,
    ...values,
    `${text}%`,
    `%${text}`,
  );
}

function notFound(
  db: Database,
  reference: string,
  plan: string | undefined,
  matches: readonly SqlRow[],
): BackplanError {
  const of = plan === undefined ? '' : ` of plan ${plan}`;
  if (matches.length > 1) {
    const names = matches.slice(0, 5).map((row) => String(row.id));
    return new BackplanError(
      'RUN_NOT_FOUND',
      `"${reference}" fits several runs${of}: ${names.join(', ')}${matches.length > 5 ? ', …' : ''}`,
      {
        hint: 'Write more of the id; its end after the dash is enough.',
      },
    );
  }
  const newest = findRuns(db, 'latest', plan)[0];
  return new BackplanError('RUN_NOT_FOUND', `there is no run "${reference}"${of} in ${db.file}`, {
    hint:
      newest === undefined
        ? `No run${of} is recorded there yet. Is --state the folder that the runs used?`
        : `The newest one is ${String(newest.id)} (job ${String(newest.job)}); \`backplan runs\` lists them.`,
  });
}

/** Only what is given, so that the same function serves a whole record and a change. */
function toColumns(run: Partial<RunRecord>): Record<string, string | number | null> {
  const columns: Record<string, string | number | null | undefined> = {
    id: run.id,
    plan: run.plan,
    plan_file: run.planFile,
    job: run.job,
    status: run.status,
    exit_code: run.exitCode,
    verdict: run.verdict,
    trigger: run.trigger,
    scheduled_for: run.scheduledFor,
    inputs: json(run.inputs),
    started_at: run.startedAt,
    ended_at: run.endedAt,
    duration_ms: run.durationMs === undefined ? undefined : Math.round(run.durationMs),
    error: json(run.error),
    log_file: run.logFile,
    host: run.host,
    pid: run.pid,
  };
  return Object.fromEntries(
    Object.entries(columns).filter(
      (entry): entry is [string, string | number | null] => entry[1] !== undefined,
    ),
  );
}

function json(value: unknown): string | undefined {
  return value === undefined ? undefined : JSON.stringify(value);
}

function toRun(row: SqlRow, steps: readonly StepRecord[]): RunRecord {
  const optional = {
    exitCode: row.exit_code,
    verdict: row.verdict,
    scheduledFor: row.scheduled_for,
    endedAt: row.ended_at,
    durationMs: row.duration_ms,
    error: row.error === null ? null : JSON.parse(String(row.error)),
    logFile: row.log_file,
  };
  return {
    id: row.id,
    plan: row.plan,
    planFile: row.plan_file,
    job: row.job,
    status: row.status,
    trigger: row.trigger,
    inputs: JSON.parse(String(row.inputs)),
    startedAt: row.started_at,
    host: row.host,
    pid: row.pid,
    ...Object.fromEntries(Object.entries(optional).filter(([, value]) => value !== null)),
    steps,
  } as unknown as RunRecord;
}
