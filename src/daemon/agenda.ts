/**
 * The schedules of all loaded plans: what is due now is claimed in the journal and handed out, what was missed is
 * recorded. Nothing is started here.
 */
import type { Plan, Schedule } from '../plan/model.ts';
import { jobKey, type MakeTimetable, type Timetable } from '../plan/timetable.ts';
import { newRunId } from '../runs/run-id.ts';
import type { Claim, MissedFirings } from '../runs/slots.ts';
import type { Journal } from '../runs/store.ts';
import { parseDuration } from '../units.ts';
import { type DueAnswer, findDue, LATE_MS, timetableOf } from './due.ts';

/** A firing that is this run's now. */
export interface Granted extends Claim {
  readonly dueAt: number;
}

export interface Collected {
  readonly granted: readonly Granted[];
  readonly missed: readonly MissedFirings[];
}

export interface Agenda {
  /** Takes over the schedules of a plan as it is now. @throws JOURNAL_FAILED */
  sync(plan: Plan, now: number): void;
  /** The plan is gone, and with it what its schedules remember. @throws JOURNAL_FAILED */
  drop(plan: string): void;
  /**
   * What is due, claimed in the journal before it is returned.
   * @param absent the machine slept or the clock jumped ahead: one run makes up for all that was missed
   * @throws JOURNAL_FAILED and then nothing has changed; the next call tries again
   */
  collect(now: number, absent: boolean): Collected;
  /** A run of a job succeeded: those that come after it are claimed. @throws JOURNAL_FAILED */
  succeeded(plan: string, job: string, endedAt: number): readonly Granted[];
  /** The clock went back: firings up to now are dealt with, later ones are still to come. */
  rewind(now: number): void;
  timetable(plan: string, job: string): Timetable | undefined;
  /** How many schedules there are. */
  readonly size: number;
}

interface Item {
  readonly plan: string;
  readonly job: string;
  readonly definition: string;
  readonly schedule: Schedule;
  readonly timetable: Timetable;
  readonly catchUpMs: number;
  handledUntil: number;
  /** Not looked at since the daemon started. */
  fresh: boolean;
  /** When something may be due; before that nothing needs to be asked. */
  lookAt: number;
}

/** Firings of one schedule that were neither run nor told to be missed. */
interface Finding {
  readonly item: Item;
  readonly answer: DueAnswer;
  readonly claims: readonly Granted[];
  readonly missed: readonly MissedFirings[];
  /** A firing that was cut and is made up for. */
  readonly again?: Granted;
}

export function makeAgenda(journal: Journal, timetables: MakeTimetable): Agenda {
  const items = new Map<string, Item>();
  const { slots } = journal;

  const makeItem = (plan: Plan, job: string, schedule: Schedule, now: number): Item => {
    const definition = JSON.stringify([schedule, schedule.timezone ?? plan.timezone]);
    // A watermark in the future was written while the clock was wrong.
    const handledUntil = Math.min(slots.anchor(plan.name, job, definition, now), now);
    return {
      plan: plan.name,
      job,
      definition,
      schedule,
      timetable: timetables(schedule, { timezone: plan.timezone, key: jobKey(plan.name, job) }),
      catchUpMs: schedule.catchUp === undefined ? 0 : parseDuration(schedule.catchUp),
      handledUntil,
      fresh: true,
      lookAt: Number.NEGATIVE_INFINITY,
    };
  };

  const look = (item: Item, now: number, absent: boolean): Finding => {
    const { plan, job, timetable, catchUpMs, handledUntil, fresh } = item;
    const after = item.schedule.after;
    const answer = findDue({
      // What it comes after may have succeeded just before the daemon ended.
      timetable: after === undefined ? timetable : timetableOf(fresh ? successes(plan, after) : []),
      handledUntil,
      now,
      catchUpMs,
      absent: absent || fresh,
    });
    const claims = answer.fire.map(
      ({ instant, dueAt, caughtUp }): Granted => ({
        plan,
        job,
        instant,
        dueAt,
        run: newRunId(),
        trigger: caughtUp ? 'catchUp' : 'schedule',
      }),
    );
    const missed: MissedFirings[] =
      answer.missed === undefined
        ? []
        : [{ plan, job, ...answer.missed, reason: reasonOf(answer.missed.newest, catchUpMs, claims) }];
    const left = fresh ? leftovers(item, now, claims) : { missed: [] };
    return { item, answer, claims, ...left, missed: [...missed, ...left.missed] };
  };

  /** Firings that were claimed before the daemon ended and never ran, or not to their end. */
  const leftovers = (item: Item, now: number, claims: readonly Granted[]) => {
    const { plan, job, catchUpMs } = item;
    const [newest, ...older] = slots.unfinished(plan, job);
    if (newest === undefined) return { missed: [] };
    const age = now - newest.instant;
    // One that was cut may have done harm; twice is enough.
    const isAllowed = newest.started
      ? age <= catchUpMs && newest.claims < 2
      : age <= Math.max(catchUpMs, LATE_MS);
    const isAgain = claims.length === 0 && isAllowed;
    const lost = isAgain ? older : [newest, ...older];
    const missed = lost.map(
      ({ instant, started }): MissedFirings => ({
        plan,
        job,
        oldest: instant,
        newest: instant,
        count: 1,
        reason: started ? 'cut by the end of the daemon' : 'the daemon ended before it could start',
      }),
    );
    if (!isAgain) return { missed };
    const { instant } = newest;
    return {
      missed,
      again: { plan, job, instant, dueAt: instant, run: newRunId(), trigger: 'catchUp' as const },
    };
  };

  const successes = (plan: string, job: string): number[] =>
    journal
      .listRuns({ plan, job, status: 'succeeded', limit: 1 })
      .filter(({ trigger }) => trigger !== 'manual')
      .map(({ endedAt, startedAt }) => Date.parse(endedAt ?? startedAt));

  return {
    sync: (plan, now) => {
      const scheduled = Object.values(plan.jobs).filter(({ schedule }) => schedule !== undefined);
      for (const { name, schedule } of scheduled) {
        if (schedule === undefined) continue;
        const key = jobKey(plan.name, name);
        const known = items.get(key);
        const item = makeItem(plan, name, schedule, now);
        if (known?.definition !== item.definition) items.set(key, item);
      }
      const names = new Set(scheduled.map(({ name }) => name));
      for (const { plan: owner, job } of slots.remembered()) {
        if (owner !== plan.name || names.has(job)) continue;
        slots.forget(owner, job);
        items.delete(jobKey(owner, job));
      }
    },
    drop: (plan) => {
      for (const { plan: owner, job } of slots.remembered()) {
        if (owner !== plan) continue;
        slots.forget(owner, job);
        items.delete(jobKey(owner, job));
      }
    },
    collect: (now, absent) => {
      const findings = [...items.values()]
        .filter(({ lookAt, fresh }) => absent || fresh || lookAt <= now)
        .map((item) => look(item, now, absent));
      const changed = findings.filter(({ claims, missed }) => claims.length > 0 || missed.length > 0);
      const claims = findings.flatMap((finding) => finding.claims);
      const missed = findings.flatMap((finding) => finding.missed);
      const accepted =
        changed.length === 0
          ? []
          : slots.record({
              claims,
              missed,
              handled: changed.map(({ item: { plan, job }, answer: { handledUntil } }) => ({
                plan,
                job,
                until: handledUntil,
              })),
            });
      const again = findings.flatMap((finding) => finding.again ?? []);
      for (const claim of again) slots.reclaim(claim);
      for (const { item, answer } of findings) {
        item.handledUntil = answer.handledUntil;
        item.fresh = false;
        item.lookAt = answer.next?.dueAt ?? Number.POSITIVE_INFINITY;
      }
      const given = new Set(accepted.map(({ run }) => run));
      return { granted: [...again, ...claims.filter(({ run }) => given.has(run))], missed };
    },
    succeeded: (plan, job, endedAt) => {
      const followers = [...items.values()].filter(
        (item) => item.plan === plan && item.schedule.after === job && endedAt > item.handledUntil,
      );
      if (followers.length === 0) return [];
      const claims = followers.map(
        (item): Granted => ({
          plan,
          job: item.job,
          instant: endedAt,
          dueAt: endedAt,
          run: newRunId(),
          trigger: 'schedule',
        }),
      );
      const accepted = slots.record({
        claims,
        missed: [],
        handled: followers.map((item) => ({ plan, job: item.job, until: endedAt })),
      });
      for (const item of followers) item.handledUntil = endedAt;
      const given = new Set(accepted.map(({ run }) => run));
      return claims.filter(({ run }) => given.has(run));
    },
    rewind: (now) => {
      const ahead = [...items.values()].filter(({ handledUntil }) => handledUntil > now);
      for (const item of ahead) item.handledUntil = now;
      for (const item of items.values()) item.lookAt = Number.NEGATIVE_INFINITY;
      if (ahead.length === 0) return;
      const handled = ahead.map(({ plan, job }) => ({ plan, job, until: now }));
      slots.record({ claims: [], missed: [], handled });
    },
    timetable: (plan, job) => items.get(jobKey(plan, job))?.timetable,
    get size() {
      return items.size;
    },
  };
}

function reasonOf(newest: number, catchUpMs: number, claims: readonly Granted[]): string {
  const made = claims.at(-1);
  if (made !== undefined && made.instant > newest)
    return 'the daemon was down or asleep; a newer one was run';
  return catchUpMs === 0
    ? 'the daemon was down or asleep, and the schedule has no catchUp'
    : 'the daemon was down or asleep for longer than catchUp allows';
}
