/** What happened → what a person reads who was asleep a minute ago: what, where, why, what is safe, what to type. Pure. */
import { shellWord } from '../shell.ts';
import { formatBytes, formatInstant } from '../units.ts';
import type { Message, MessageEvent } from './notifier.ts';
import type { Announcement, Occurrence } from './occurrence.ts';
import { errorLines, runWords, safety } from './run-words.ts';
import { age, commandLine, type Surroundings, times, type Words } from './surroundings.ts';

/** @param event the one of its events that the receiver is told of; @param key what it is about */
export function compose(
  occurrence: Occurrence,
  event: MessageEvent,
  key: string,
  around: Surroundings,
): Message {
  const run = 'run' in occurrence ? occurrence.run : null;
  const words = wordsFor(occurrence, event, around);
  const job = run?.job ?? ('job' in occurrence ? occurrence.job : null);
  const databases = [...around.proven.keys()];
  return finish(words, around, {
    event,
    key,
    job,
    database:
      'database' in occurrence ? occurrence.database : databases.length === 1 ? (databases[0] ?? null) : null,
    run,
  });
}

/** A message that a step of a plan sends, or a test. */
export function composeAnnouncement(
  announcement: Announcement,
  event: MessageEvent,
  key: string,
  around: Surroundings,
  run: { readonly id: string; readonly job: string } | undefined,
): Message {
  const { level, title, text } = announcement;
  const facts = run === undefined ? [] : [{ name: 'run', value: run.id }];
  return finish({ level, title, lines: [text], facts }, around, {
    event,
    key,
    job: run?.job ?? null,
    database: null,
    run: null,
  });
}

function finish(
  words: Words,
  around: Surroundings,
  subject: Pick<Message, 'event' | 'key' | 'job' | 'database' | 'run'>,
): Message {
  const { plan, host, now, repeated, dropped } = around;
  return {
    event: subject.event,
    level: words.level,
    title: words.title.replace(/\s+/g, ' ').slice(0, 300),
    text: [
      ...words.lines,
      repeated === 0
        ? undefined
        : `The same happened ${times(repeated)} more since it was last told${repeated === 1 ? '' : ', and was not told each time'}.`,
      dropped === 0
        ? undefined
        : `${dropped} other ${dropped === 1 ? 'message was' : 'messages were'} left out because of the limit of this notifier.`,
    ]
      .filter((line) => line !== undefined)
      .join('\n'),
    facts: [
      { name: 'plan', value: `${plan.name} (${plan.file})` },
      ...(subject.job === null ? [] : [{ name: 'job', value: subject.job }]),
      ...(words.facts ?? []),
      { name: 'host', value: host },
      { name: 'at', value: formatInstant(now) },
    ],
    next: words.next ?? [],
    at: now.toISOString(),
    host,
    plan: plan.name,
    planFile: plan.file,
    job: subject.job,
    database: subject.database,
    key: subject.key,
    held: repeated,
    run: subject.run,
  };
}

function wordsFor(occurrence: Occurrence, event: MessageEvent, around: Surroundings): Words {
  const { plan } = around;
  switch (occurrence.type) {
    case 'runStarted':
      return {
        level: 'info',
        title: `STARTED: ${occurrence.run.job} of ${plan.name}`,
        lines: [`Run ${occurrence.run.id} has begun.`],
        facts: [{ name: 'run', value: occurrence.run.id }],
      };
    case 'runFinished':
      return runWords(occurrence.run, occurrence.remarks ?? [], event, around);
    case 'notStarted':
      return {
        level: 'error',
        title: `FAILED: ${occurrence.job} of ${plan.name} could not start, ${occurrence.error.code}`,
        lines: [
          'The run could not start; nothing was changed.',
          ...errorLines(occurrence.error),
          ...safety(around),
        ],
        facts: [{ name: 'error', value: occurrence.error.code }],
        next: [
          ...(occurrence.error.code === 'LOCKED'
            ? [commandLine(around, 'runs')]
            : occurrence.error.code === 'ENV_MISSING' || occurrence.error.code === 'INPUT_INVALID'
              ? [`backplan validate ${shellWord(plan.file)}`]
              : [commandLine(around, 'doctor')]),
          commandLine(around, 'run', occurrence.job),
        ],
      };
    case 'missed': {
      const { job, due, because, madeUp } = occurrence;
      const last = due.at(-1) ?? '';
      return {
        level: 'warning',
        title: `MISSED: ${job} of ${plan.name} did not run ${due.length > 1 ? `${times(due.length)}, last due` : 'at'} ${last}`,
        lines: [
          `Due and not run: ${due.slice(-5).join(', ')}${due.length > 5 ? ` and ${due.length - 5} before` : ''}.`,
          `Why: ${because}.`,
          madeUp ? 'A run that makes up for it has been started.' : 'Nothing makes up for it.',
          ...safety(around),
        ],
        next: madeUp ? [commandLine(around, 'runs')] : [commandLine(around, 'run', job)],
      };
    }
    case 'planInvalid':
      return {
        level: 'error',
        title: `PLAN INVALID: ${plan.name} goes on with the version from before`,
        lines: [
          `${plan.file} was changed and has errors. The last good version stays in force; changes wait until it is mended.`,
          ...occurrence.problems.split('\n').slice(0, 20),
        ],
        next: [`backplan validate ${shellWord(plan.file)}`],
      };
    case 'planValid':
      return {
        level: 'success',
        title: `RECOVERED: the plan ${plan.name} is valid again`,
        lines: [`${plan.file} has no errors any more and is in force.`],
      };
    case 'proofOverdue': {
      const { database, rpo, newest } = occurrence;
      return {
        level: 'error',
        title:
          newest === null
            ? `NOT RECOVERABLE: ${database} of ${plan.name} has no proven backup`
            : `PROOF OVERDUE: the newest proven backup of ${database} is ${age(newest, around)} old, ${rpo} allowed`,
        lines: [
          newest === null
            ? `No backup of ${database} has been restored and checked with success. Whether it can be recovered is not known.`
            : `If ${database} were lost now, everything written after ${newest.takenAt} would be lost (the last ${age(newest, around)}); the plan allows ${rpo}.`,
          newest === null ? undefined : `Newest proven backup: ${newest.backup}.`,
        ],
        next: [commandLine(around, 'status'), commandLine(around, 'backups'), ...provingJobs(around)],
      };
    }
    case 'proofMet':
      return {
        level: 'success',
        title: `RECOVERED: ${occurrence.database} of ${plan.name} has a recent proven backup again`,
        lines: [`Newest proven backup: ${occurrence.newest.backup}, ${age(occurrence.newest, around)} old.`],
      };
    case 'diskLow': {
      const { path, freeBytes, wantedBytes } = occurrence;
      return {
        level: 'warning',
        title: `DISK LOW: ${formatBytes(freeBytes)} free at ${path} (${plan.name})`,
        lines: [
          `${formatBytes(freeBytes)} are free at ${path}, ${formatBytes(wantedBytes)} are wanted. Backups fail when it is full.`,
          'Free space there, or let retention keep fewer backups.',
        ],
        next: [
          `df -h ${shellWord(path)}`,
          commandLine(around, 'backups'),
          `${commandLine(around, 'prune')} --dry-run`,
        ],
      };
    }
    case 'diskEnough':
      return {
        level: 'success',
        title: `RECOVERED: enough room again at ${occurrence.path} (${plan.name})`,
        lines: [`${formatBytes(occurrence.freeBytes)} are free at ${occurrence.path}.`],
      };
    default:
      occurrence satisfies never;
      return { level: 'info', title: 'unknown', lines: [] };
  }
}

/** Jobs that would bring a new proof: those that back up. */
function provingJobs(around: Surroundings): string[] {
  return Object.values(around.plan.jobs)
    .filter(({ steps }) => Object.values(steps).some(({ uses }) => uses === 'backup'))
    .filter(({ steps }) => Object.values(steps).some(({ uses }) => uses === 'check'))
    .slice(0, 2)
    .map(({ name }) => commandLine(around, 'run', name));
}
