/** Rules on schedules that a schema cannot say: cron expressions, time zones, what fits together, what ever fires. */
import { listNames } from '../suggest.ts';
import { parseDuration } from '../units.ts';
import { cronProblems } from './cron.ts';
import type { Collector } from './diagnostic.ts';
import { cycles } from './graph.ts';
import type { JobDocument, PlanDocument } from './schema.ts';
import type { Path } from './source.ts';
import { isTemplate } from './template.ts';
import { timeZoneProblem } from './zone.ts';

type ScheduleDocument = NonNullable<JobDocument['schedule']>;

/** Reports what is wrong with the time zone of the plan and the schedules of its jobs. */
export async function checkSchedules(document: PlanDocument, collector: Collector): Promise<void> {
  checkZone(document.timezone, ['timezone'], collector);
  for (const [name, job] of Object.entries(document.jobs)) {
    const { schedule } = job;
    if (schedule === undefined) continue;
    const path = ['jobs', name, 'schedule'];
    if (schedule.timezone !== undefined) checkZone(schedule.timezone, [...path, 'timezone'], collector);
    if (typeof schedule.cron === 'string' && !isTemplate(schedule.cron)) {
      for (const { message, hint, severity } of await cronProblems(schedule.cron)) {
        collector.report([...path, 'cron'], message, { hint, severity });
      }
    }
    // What has a wrong type is not in the document any more, but it was meant.
    if (!KINDS.some((kind) => collector.hasErrorAt([...path, kind]))) checkKind(schedule, path, collector);
    checkPeriod(schedule, path, collector);
    checkInputsOf(job, path, collector);
    await checkFires(schedule, document.timezone, path, collector);
  }
  checkOrder(document, collector);
}

function checkZone(zone: string, path: Path, collector: Collector): void {
  if (isTemplate(zone)) return;
  const problem = timeZoneProblem(zone);
  if (problem !== undefined) collector.report(path, problem.message, { hint: problem.hint });
}

const KINDS = ['cron', 'every', 'after'] as const;

/** Settings that mean nothing without a cron expression, or without firings of its own. */
const ONLY_FOR: readonly [keyof ScheduleDocument, readonly (typeof KINDS)[number][]][] = [
  ['dst', ['cron']],
  ['jitter', ['cron', 'every']],
];

function checkKind(schedule: ScheduleDocument, path: Path, collector: Collector): void {
  const given = KINDS.filter((kind) => schedule[kind] !== undefined);
  const [kind] = given;
  if (kind === undefined) {
    collector.report(path, 'it does not say when: one of cron, every and after is needed', {
      at: 'key',
      hint: 'For example cron: "0 2 * * *", every: 6h, or after: the name of another job.',
    });
  } else if (given.length > 1) {
    collector.report([...path, given[1] ?? kind], `${given.join(' and ')} do not go together`, {
      at: 'key',
      hint: 'Use two jobs if both are meant; YAML anchors save writing the steps twice.',
    });
  } else {
    for (const [setting, kinds] of ONLY_FOR) {
      if (schedule[setting] === undefined || kinds.includes(kind)) continue;
      collector.report([...path, setting], `${setting} means nothing for a schedule with ${kind}`, {
        at: 'key',
        hint: `It is for ${listNames([...kinds])}; take it out.`,
      });
    }
  }
}

function checkPeriod({ every }: ScheduleDocument, path: Path, collector: Collector): void {
  const period = duration(every);
  if (period !== undefined && period < 1000) collector.report([...path, 'every'], 'must be at least 1s');
}

/** Nobody is there to type a value. */
function checkInputsOf({ inputs }: JobDocument, path: Path, collector: Collector): void {
  const required = Object.entries(inputs)
    .filter(([, input]) => input.default === undefined && !input.optional)
    .map(([name]) => name);
  if (required.length === 0) return;
  collector.report(path, `the job needs a value for its input ${required[0]}, which no schedule can give`, {
    at: 'key',
    hint: 'Give the input a default, or make it optional.',
  });
}

/** Only blackouts can keep a valid schedule from ever firing. */
async function checkFires(
  schedule: ScheduleDocument,
  planZone: string,
  path: Path,
  collector: Collector,
): Promise<void> {
  const { notDuring, timezone = planZone } = schedule;
  if (notDuring === undefined || collector.hasErrors || timeZoneProblem(timezone) !== undefined) return;
  const { loadTimetables } = await import('./timetable.ts');
  const timetable = (await loadTimetables())(schedule, { timezone: planZone, key: '' });
  const start = Date.UTC(2026, 0, 1);
  if (schedule.after === undefined ? timetable.next(start) !== undefined : hasGap(timetable, start)) return;
  collector.report([...path, 'notDuring'], 'these windows leave no time to run at all', {
    hint: 'A firing inside a window is left out; make the windows shorter, or move the schedule.',
  });
}

function hasGap(timetable: { blackedOutUntil(instant: number): number | undefined }, start: number): boolean {
  const end = timetable.blackedOutUntil(start);
  return end === undefined || end < start + 300 * 86_400_000;
}

/** Jobs that start after each other in a circle never start. */
function checkOrder(document: PlanDocument, collector: Collector): void {
  const after = new Map(
    Object.entries(document.jobs).map(([name, { schedule }]) => [
      name,
      typeof schedule?.after === 'string' ? [schedule.after] : [],
    ]),
  );
  for (const cycle of cycles(after)) {
    const [first = ''] = cycle;
    collector.report(
      ['jobs', first, 'schedule', 'after'],
      cycle.length === 1
        ? `job "${first}" would start after itself`
        : `jobs would start after each other in a circle: ${cycle.join(' → ')}`,
    );
  }
}

/** Milliseconds; undefined for what is none, which the schema has reported. */
function duration(text: unknown): number | undefined {
  try {
    return typeof text === 'string' ? parseDuration(text) : undefined;
  } catch {
    return undefined;
  }
}
