/** `runs`: the history of a plan; or one run with its steps, errors and the end of its log. */
import { open } from 'node:fs/promises';
import { EXIT } from '../errors.ts';
import { formatOutputs } from '../report/format.ts';
import type { RunRecord, RunStatus, StepRecord } from '../runs/record.ts';
import type { NotRun } from '../runs/slots.ts';
import { formatAge, formatDuration, formatInstant } from '../units.ts';
import { defineCommand, option, optionalArgument, parsedOption, planArgument } from './command.ts';
import type { RunsListing } from './listings/runs.ts';
import { formatError, indent, type Paint } from './output.ts';
import { positiveInteger } from './parse.ts';
import { byName, openPlan } from './plan.ts';
import { recoverState } from './state.ts';
import { pairs, table } from './table.ts';

const STATUSES = ['running', 'succeeded', 'failed', 'cancelled', 'interrupted'] as const;

export const runs = defineCommand({
  name: 'runs',
  summary: 'list the runs of a plan, or show one run with its steps and log',
  description:
    'A run is named by its id, the beginning or the end of it, or `latest`. The history is in the state folder of this machine (--state); what was proven of a backup is also kept beside the backup itself.',
  group: 'Runs',
  arguments: { plan: planArgument, run: optionalArgument('show this run', 'run') },
  options: {
    job: option('-j, --job <name>', 'only runs of this job', { completes: 'job' }),
    status: option('--status <status>', 'only runs that ended so', { choices: STATUSES }),
    limit: parsedOption('-n, --limit <count>', 'how many (default 20)', positiveInteger),
    lines: parsedOption(
      '--lines <count>',
      'how many lines of the log of one run (default 20)',
      positiveInteger,
    ),
  },
  examples: [
    { line: 'runs plans/crm.yaml', does: 'the last 20 runs' },
    { line: 'runs plans/crm.yaml latest', does: 'steps, errors and log of the last one' },
    { line: 'runs plans/crm.yaml --status failed', does: 'what went wrong lately' },
  ],
  exits: [EXIT.stepFailed],
  async run({ plan: file, run: reference, job, status, limit = 20, lines = 20 }, context) {
    const { plan } = await openPlan(context, file);
    const { out } = context;
    await using state = await recoverState(context, plan);
    if (reference !== undefined) {
      const record = state.journal.getRun(reference, plan.name);
      const log = await logTail(record.logFile, lines);
      out.document({ ...record, log });
      out.print(oneRun(record, log, out.paint));
      return EXIT.success;
    }
    const records = state.journal.listRuns({
      plan: plan.name,
      limit,
      ...(job === undefined ? {} : { job }),
      ...(status === undefined ? {} : { status: status as RunStatus }),
    });
    // Jobs that the plan lost since, and ad-hoc ones, are asked for by name as well; only a typing error is refused.
    if (job !== undefined && records.length === 0 && !job.startsWith('adhoc-')) byName('job', plan.jobs, job);
    // Asked for runs that ended in some way, nobody wants those that never began.
    const notRun =
      status === undefined
        ? state.journal.slots.notRun({ plan: plan.name, limit, ...(job === undefined ? {} : { job }) })
        : [];
    out.document({
      plan: plan.name,
      runs: records.map(summary),
      notRun: notRun.map((each) => ({ ...each })),
    } satisfies RunsListing);
    out.print(
      records.length === 0 ? `no runs of ${plan.name} in ${state.journal.file}` : list(records, out.paint),
    );
    if (notRun.length > 0) out.print(`\n${listNotRun(notRun, out.paint)}`);
    return EXIT.success;
  },
});

function summary(run: RunRecord): RunsListing['runs'][number] {
  const { id, job, status, trigger, scheduledFor, exitCode, verdict } = run;
  const { startedAt, endedAt, durationMs, host, pid, error } = run;
  return {
    id,
    job,
    status,
    trigger,
    startedAt,
    host,
    pid,
    ...(scheduledFor === undefined ? {} : { scheduledFor }),
    ...(exitCode === undefined ? {} : { exitCode }),
    ...(verdict === undefined ? {} : { verdict }),
    ...(endedAt === undefined ? {} : { endedAt }),
    ...(durationMs === undefined ? {} : { durationMs: Math.round(durationMs) }),
    ...(error === undefined ? {} : { error }),
    failedSteps: run.steps.filter(({ status: each }) => each === 'failed').map(({ name }) => name),
  };
}

function list(records: readonly RunRecord[], paint: Paint): string {
  const now = new Date();
  return table(
    records,
    [
      { title: 'RUN', value: ({ id }) => id },
      { title: 'JOB', value: ({ job }) => job },
      { title: 'STATUS', value: ({ status }) => paintStatus(status, paint) },
      { title: 'AGE', align: 'right', value: ({ startedAt }) => formatAge(new Date(startedAt), now) },
      {
        title: 'TOOK',
        align: 'right',
        value: ({ durationMs }) => (durationMs === undefined ? '' : formatDuration(durationMs)),
      },
      { title: 'BY', value: ({ trigger }) => trigger },
      { title: 'CHECKS', value: ({ verdict }) => verdict ?? '' },
      {
        title: 'WHY',
        value: ({ error }) => (error === undefined ? '' : clip(`${error.code}: ${error.message}`, 70)),
      },
    ],
    (header) => paint('dim', header),
  );
}

/** Firings of schedules without a run. */
function listNotRun(entries: readonly NotRun[], paint: Paint): string {
  const now = new Date();
  return table(
    entries,
    [
      { title: 'NOT RUN', value: ({ oldest, newest }) => firings(oldest, newest) },
      { title: 'JOB', value: ({ job }) => job },
      { title: 'FIRINGS', align: 'right', value: ({ count: each }) => String(each) },
      { title: 'AGE', align: 'right', value: ({ newest }) => formatAge(new Date(newest), now) },
      { title: 'WHY', value: ({ kind, reason }) => clip(`${kind}: ${reason}`, 90) },
    ],
    (header) => paint('dim', header),
  );
}

function firings(oldest: string, newest: string): string {
  const last = formatInstant(new Date(newest));
  return oldest === newest ? last : `${formatInstant(new Date(oldest))} … ${last}`;
}

function oneRun(run: RunRecord, log: readonly LogLine[], paint: Paint): string {
  const inputs = Object.entries(run.inputs).map(([name, value]) => `${name}=${JSON.stringify(value)}`);
  const sections = [
    pairs(
      (
        [
          ['run', run.id],
          ['job', run.job],
          [
            'status',
            paintStatus(run.status, paint) +
              (run.exitCode === undefined ? '' : ` (exit code ${run.exitCode})`),
          ],
          ['checks', run.verdict ?? ''],
          [
            'started',
            `${formatInstant(new Date(run.startedAt))} (${run.trigger}, ${run.host}, pid ${run.pid})`,
          ],
          ['firing', run.scheduledFor === undefined ? '' : formatInstant(new Date(run.scheduledFor))],
          ['took', run.durationMs === undefined ? '' : formatDuration(run.durationMs)],
          ['inputs', inputs.join(' ')],
          ['plan', run.planFile],
          ['log', run.logFile ?? ''],
        ] as const
      ).filter(([, value]) => value !== ''),
    ),
    table(run.steps, stepColumns(paint), (header) => paint('dim', header)),
  ];
  for (const step of run.steps) {
    if (step.error !== undefined) {
      sections.push(`${paint('bold', step.name)}: ${formatError(step.error, paint)}`);
    }
    // The error's own detail is the end of it already.
    if (
      step.stderr !== undefined &&
      step.stderr !== '' &&
      step.error !== undefined &&
      step.error.detail === undefined
    ) {
      sections.push(paint('dim', indent(step.stderr, '  | ')));
    }
  }
  if (run.error !== undefined && !run.steps.some(({ error }) => error?.message === run.error?.message)) {
    sections.push(formatError(run.error, paint));
  }
  if (log.length > 0) sections.push(log.map((line) => formatLogLine(line, paint)).join('\n'));
  return sections.join('\n\n');
}

function stepColumns(paint: Paint) {
  return [
    { title: 'STEP', value: ({ name }: StepRecord) => name },
    { title: 'USES', value: ({ uses }: StepRecord) => uses },
    { title: 'STATUS', value: ({ status }: StepRecord) => paintStatus(status, paint) },
    {
      title: 'TOOK',
      align: 'right' as const,
      value: ({ durationMs }: StepRecord) => (durationMs === undefined ? '' : formatDuration(durationMs)),
    },
    {
      title: 'TRIES',
      align: 'right' as const,
      value: ({ attempts }: StepRecord) => (attempts > 1 ? String(attempts) : ''),
    },
    {
      title: 'NOTE',
      value: ({ skippedBecause, tolerated, outputs }: StepRecord) =>
        skippedBecause ?? (tolerated === true ? 'failure tolerated' : clip(formatOutputs(outputs), 90)),
    },
  ];
}

function paintStatus(status: string, paint: Paint): string {
  switch (status) {
    case 'succeeded':
      return paint('green', status);
    case 'failed':
    case 'interrupted':
      return paint(['bold', 'red'], status);
    case 'running':
      return paint('cyan', status);
    case 'cancelled':
      return paint('yellow', status);
    default:
      return paint('dim', status);
  }
}

function clip(text: string, length: number): string {
  const line = text.replaceAll(/\s+/g, ' ');
  return line.length <= length ? line : `${line.slice(0, length - 1)}…`;
}

interface LogLine {
  readonly time: string;
  readonly level: string;
  readonly step?: string;
  readonly message: string;
}

const LEVELS: Readonly<Record<number, string>> = {
  10: 'trace',
  20: 'debug',
  30: 'info',
  40: 'warn',
  50: 'error',
  60: 'fatal',
};

/** The last lines of a run's log; none when it is gone. Reads the end of the file only. */
async function logTail(file: string | undefined, lines: number): Promise<LogLine[]> {
  if (file === undefined) return [];
  try {
    await using handle = await open(file);
    const { size } = await handle.stat();
    const length = Math.min(size, 262_144);
    const buffer = Buffer.alloc(length);
    await handle.read(buffer, 0, length, size - length);
    const text = buffer.toString('utf8').split('\n');
    // The first line may have lost its beginning.
    return (length < size ? text.slice(1) : text).flatMap(parseLogLine).slice(-lines);
  } catch {
    return [];
  }
}

function parseLogLine(text: string): LogLine[] {
  try {
    const line = JSON.parse(text) as Record<string, unknown>;
    return [
      {
        time: formatInstant(new Date(line.time as string | number)),
        level:
          typeof line.level === 'number' ? (LEVELS[line.level] ?? String(line.level)) : String(line.level),
        ...(typeof line.step === 'string' ? { step: line.step } : {}),
        message: String(line.msg ?? line.message ?? ''),
      },
    ];
  } catch {
    // A run that was killed leaves half a line.
    return [];
  }
}

function formatLogLine({ time, level, step, message }: LogLine, paint: Paint): string {
  const painted =
    level === 'error' ? paint('red', level) : level === 'warn' ? paint('yellow', level) : paint('dim', level);
  return `${paint('dim', time)} ${painted} ${step === undefined ? '' : `${paint('bold', step)} `}${message}`;
}
