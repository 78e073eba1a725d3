/**
 * What the daemon remembers: how far each schedule is dealt with, which firings were claimed, which came to nothing.
 * A firing (plan, job, instant) can be claimed once, whatever clocks, restarts and second daemons do.
 */
import type { Overlap } from '../plan/model.ts';
import type { RunStatus, Trigger } from './record.ts';
import type { Database, SqlRow } from './sqlite.ts';

export interface Firing {
  readonly plan: string;
  readonly job: string;
  /** Milliseconds since 1970. */
  readonly instant: number;
}

export interface Claim extends Firing {
  /** The run that it gets. */
  readonly run: string;
  readonly trigger: Trigger;
}

/** Firings of one job that will not be run; `count` of them, the oldest and the newest. Milliseconds since 1970. */
export interface MissedFirings {
  readonly plan: string;
  readonly job: string;
  readonly oldest: number;
  readonly newest: number;
  readonly count: number;
  readonly reason: string;
}

/** How far a schedule is dealt with. */
export interface Handled {
  readonly plan: string;
  readonly job: string;
  readonly until: number;
}

/** A claimed firing whose run never started, or was cut by the end of the daemon. */
export interface UnfinishedFiring extends Firing {
  readonly started: boolean;
  readonly claims: number;
}

/** For listings: firings that came to nothing. ISO instants. */
export interface NotRun {
  readonly job: string;
  readonly kind: 'missed' | 'overlapped';
  readonly oldest: string;
  readonly newest: string;
  readonly count: number;
  readonly reason: string;
}

export interface Slots {
  /**
   * Tells a schedule to the journal and how far it is dealt with: one that is new or was changed owes nothing from
   * before `now`.
   * @param definition tells whether it was changed
   */
  anchor(plan: string, job: string, definition: string, now: number): number;
  /** The job has no schedule any more: should it come back, it owes nothing. */
  forget(plan: string, job: string): void;
  /** Every schedule that is remembered. */
  remembered(): { readonly plan: string; readonly job: string }[];
  /**
   * Claims firings, records missed ones and how far schedules are dealt with, all or nothing. Returns the claims that
   * were given: a firing that was claimed before is not.
   */
  record(entry: {
    readonly claims: readonly Claim[];
    readonly missed: readonly MissedFirings[];
    readonly handled: readonly Handled[];
  }): Claim[];
  /** Claims a firing again whose run was cut. */
  reclaim(claim: Claim): void;
  /** Another run is for that firing now: a retry. */
  hand(firing: Firing, run: string): void;
  /** They were claimed but not run, because of another run of the job. */
  overlapped(entries: readonly (Firing & { readonly other: string; readonly overlap: Overlap })[]): void;
  /** The daemon ends before their runs did. */
  cut(firings: readonly Firing[]): void;
  /** Firings of a job that were claimed and neither ran to an end nor were given up; the newest first. */
  unfinished(plan: string, job: string): UnfinishedFiring[];
  /** Newest first. */
  notRun(filter: { readonly plan: string; readonly job?: string; readonly limit: number }): NotRun[];
  /** Forgets what is older; returns how many lines that were. */
  purge(before: number): number;
}

/** Which of the newest claims of a job are looked at after a restart: a job runs once and waits once. */
const LOOK_BACK = 20;

export function slotsOf(db: Database): Slots {
  const text = (instant: number) => new Date(instant).toISOString();
  const setState = (state: string, { plan, job, instant }: Firing, other: string | null = null) =>
    db.run(
      'UPDATE slots SET state = ?, other = ? WHERE plan = ? AND job = ? AND instant = ?',
      state,
      other,
      plan,
      job,
      text(instant),
    );
  const claim = ({ plan, job, instant, run, trigger }: Claim) =>
    db.run(
      `INSERT INTO slots (plan, job, instant, run, trigger, state, claims, claimed_at)
       VALUES (?, ?, ?, ?, ?, 'claimed', 1, ?) ON CONFLICT DO NOTHING`,
      plan,
      job,
      text(instant),
      run,
      trigger,
      new Date().toISOString(),
    ) === 1;
  const miss = ({ plan, job, oldest, newest, count, reason }: MissedFirings) => {
    db.run(
      'INSERT INTO missed (plan, job, oldest, newest, count, reason, noticed_at) VALUES (?, ?, ?, ?, ?, ?, ?)',
      plan,
      job,
      text(oldest),
      text(newest),
      count,
      reason,
      new Date().toISOString(),
    );
    // Should they have been claimed once, they are not looked at again.
    db.run(
      `UPDATE slots SET state = 'missed'
        WHERE plan = ? AND job = ? AND instant BETWEEN ? AND ? AND state IN ('claimed', 'cut')
          AND NOT EXISTS (SELECT 1 FROM runs WHERE id = slots.run AND status IN ('succeeded', 'failed', 'running'))`,
      plan,
      job,
      text(oldest),
      text(newest),
    );
  };
  return {
    anchor: (plan, job, definition, now) =>
      db.transaction(() => {
        const row = db.first('SELECT * FROM schedules WHERE plan = ? AND job = ?', plan, job);
        if (row?.definition === definition) return Date.parse(String(row.handled_until));
        db.run(
          `INSERT INTO schedules (plan, job, definition, handled_until) VALUES (?, ?, ?, ?)
           ON CONFLICT (plan, job) DO UPDATE SET definition = excluded.definition, handled_until = excluded.handled_until`,
          plan,
          job,
          definition,
          text(now),
        );
        return now;
      }),
    forget: (plan, job) => {
      db.run('DELETE FROM schedules WHERE plan = ? AND job = ?', plan, job);
    },
    remembered: () =>
      db
        .all('SELECT plan, job FROM schedules ORDER BY plan, job')
        .map(({ plan, job }) => ({ plan: String(plan), job: String(job) })),
    record: ({ claims, missed, handled }) =>
      db.transaction(() => {
        for (const each of missed) miss(each);
        for (const { plan, job, until } of handled) {
          db.run('UPDATE schedules SET handled_until = ? WHERE plan = ? AND job = ?', text(until), plan, job);
        }
        return claims.filter(claim);
      }),
    reclaim: ({ plan, job, instant, run, trigger }) => {
      db.run(
        `UPDATE slots SET run = ?, trigger = ?, state = 'claimed', claims = claims + 1
          WHERE plan = ? AND job = ? AND instant = ?`,
        run,
        trigger,
        plan,
        job,
        text(instant),
      );
    },
    hand: ({ plan, job, instant }, run) => {
      db.run(
        'UPDATE slots SET run = ? WHERE plan = ? AND job = ? AND instant = ?',
        run,
        plan,
        job,
        text(instant),
      );
    },
    overlapped: (entries) =>
      db.transaction(() => {
        for (const { other, overlap, ...firing } of entries) {
          setState('overlapped', firing, `${overlap} ${other}`);
        }
      }),
    cut: (firings) =>
      db.transaction(() => {
        for (const firing of firings) setState('cut', firing);
      }),
    unfinished: (plan, job) =>
      db
        .all(
          `SELECT instant, claims, state, (SELECT status FROM runs WHERE id = slots.run) AS status
             FROM slots WHERE plan = ? AND job = ? ORDER BY instant DESC LIMIT ${LOOK_BACK}`,
          plan,
          job,
        )
        .filter(isUnfinished)
        .map((row) => ({
          plan,
          job,
          instant: Date.parse(String(row.instant)),
          claims: Number(row.claims),
          started: row.status !== null,
        })),
    notRun: ({ plan, job, limit }) =>
      db
        .all(
          `SELECT job, 'missed' AS kind, oldest, newest, count, reason FROM missed WHERE plan = ?1 AND (?2 IS NULL OR job = ?2)
           UNION ALL
           SELECT job, 'overlapped', instant, instant, 1, other FROM slots
            WHERE plan = ?1 AND (?2 IS NULL OR job = ?2) AND state = 'overlapped'
           ORDER BY newest DESC LIMIT ?3`,
          plan,
          job ?? null,
          limit,
        )
        .map((row) => ({
          job: String(row.job),
          kind: row.kind === 'missed' ? 'missed' : 'overlapped',
          oldest: String(row.oldest),
          newest: String(row.newest),
          count: Number(row.count),
          reason: row.kind === 'missed' ? String(row.reason) : overlapReason(String(row.reason)),
        })),
    purge: (before) =>
      db.transaction(
        () =>
          db.run('DELETE FROM slots WHERE claimed_at < ?', text(before)) +
          db.run('DELETE FROM missed WHERE noticed_at < ?', text(before)),
      ),
  };
}

function isUnfinished({ state, status }: SqlRow): boolean {
  if (state === 'cut') return true;
  const ended: readonly unknown[] = ['succeeded', 'failed', 'cancelled', 'running'] satisfies RunStatus[];
  return state === 'claimed' && !ended.includes(status);
}

function overlapReason(text: string): string {
  const [overlap, other = ''] = text.split(' ');
  if (overlap === 'skip') return `run ${other} was still going on`;
  return overlap === 'queue'
    ? `gave way to the newer ${other} while waiting`
    : `gave way to the newer ${other}`;
}
