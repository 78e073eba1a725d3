/** What happened → which events it is, to whom it may matter, and which problem it begins or ends. Pure. */
import type { NotifierDefinition, Plan } from '../plan/model.ts';
import { isFailure } from '../runs/record.ts';
import type { MessageEvent, NotifierKind } from './notifier.ts';
import type { Occurrence } from './occurrence.ts';
import { warningsOf } from './run-words.ts';

/** Problems go on until their end is seen; what is told of them is remembered. */
export const PROBLEMS: ReadonlySet<MessageEvent> = new Set([
  'failure',
  'checksFailed',
  'warning',
  'proofOverdue',
  'missed',
  'planInvalid',
  'diskLow',
]);

/** Who may be told: the notifiers of the job, or all when it is about the plan as a whole. */
export function receivers(plan: Plan, occurrence: Occurrence): NotifierDefinition[] {
  const job = jobOf(occurrence);
  const names = job === undefined ? Object.keys(plan.notifiers) : (plan.jobs[job]?.notify ?? []);
  return names.flatMap((name) => plan.notifiers[name] ?? []);
}

export function jobOf(occurrence: Occurrence): string | undefined {
  if ('run' in occurrence) return occurrence.run.job;
  return 'job' in occurrence ? occurrence.job : undefined;
}

/** What it is about: the end of a problem finds its beginning by this. */
export function keyOf(plan: Plan, occurrence: Occurrence): string {
  switch (occurrence.type) {
    case 'planInvalid':
    case 'planValid':
      return `${plan.name}/plan`;
    case 'proofOverdue':
    case 'proofMet':
      return `${plan.name}/proof/${occurrence.database}`;
    case 'diskLow':
    case 'diskEnough':
      return `${plan.name}/disk/${occurrence.path}`;
    default:
      return `${plan.name}/job/${jobOf(occurrence) ?? ''}`;
  }
}

/** What the problem is: another one is told at once, the same one now and then. */
export function problemOf(occurrence: Occurrence, event: MessageEvent): string {
  switch (occurrence.type) {
    case 'runFinished': {
      if (event === 'warning') return 'warning';
      const { run } = occurrence;
      const step = run.steps.find(isFailure);
      return `failed ${step?.name ?? run.status} ${step?.error?.code ?? run.error?.code ?? ''}`;
    }
    case 'notStarted':
      return `failed to start ${occurrence.error.code}`;
    case 'planInvalid':
      return `planInvalid ${occurrence.problems.slice(0, 1000)}`;
    default:
      return occurrence.type;
  }
}

/** Whether what happened is the end of the problem that is open. */
export function ends(occurrence: Occurrence, open: string | undefined): boolean {
  if (open === undefined) return false;
  if (occurrence.type === 'planValid' || occurrence.type === 'proofMet' || occurrence.type === 'diskEnough')
    return true;
  if (occurrence.type !== 'runFinished' || occurrence.run.status !== 'succeeded') return false;
  return open !== 'warning' || warningsOf(occurrence.run, occurrence.remarks ?? []).length === 0;
}

/** The first of its events, the most telling first, that the notifier wants. */
export function eventFor(
  occurrence: Occurrence,
  notifier: NotifierDefinition,
  kind: NotifierKind,
  open: string | undefined,
  failedBefore: boolean,
): MessageEvent | undefined {
  const wanted = new Set<MessageEvent>([
    ...(kind.fixedEvents === undefined ? notifier.on : []),
    ...(kind.always ?? []),
  ]);
  return eventsOf(occurrence, ends(occurrence, open), failedBefore).find((event) => wanted.has(event));
}

function eventsOf(occurrence: Occurrence, ended: boolean, failedBefore: boolean): readonly MessageEvent[] {
  switch (occurrence.type) {
    case 'runStarted':
      return ['started'];
    case 'runFinished': {
      const { run, remarks = [] } = occurrence;
      if (run.status === 'cancelled') return ['cancelled'];
      // 3: checks failed, 5: they could not be made; in both cases nothing is shown to be well.
      if (run.status !== 'succeeded')
        return run.exitCode === 3 || run.exitCode === 5 ? ['checksFailed', 'failure'] : ['failure'];
      return [
        ...(ended || failedBefore ? (['recovered'] as const) : []),
        ...(warningsOf(run, remarks).length > 0 ? (['warning'] as const) : []),
        'success',
      ];
    }
    case 'notStarted':
      return ['failure'];
    case 'planValid':
    case 'proofMet':
    case 'diskEnough':
      return ended ? ['recovered'] : [];
    default:
      return [occurrence.type];
  }
}
