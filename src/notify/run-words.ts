/** What is said of a run that has ended. Pure. */
import type { ErrorRecord } from '../errors.ts';
import { isFailure, type RunRecord, type StepRecord } from '../runs/record.ts';
import { formatDuration } from '../units.ts';
import type { Fact, MessageEvent } from './notifier.ts';
import { age, commandLine, type Surroundings, type Words } from './surroundings.ts';

export function runWords(
  run: RunRecord,
  remarks: readonly string[],
  event: MessageEvent,
  around: Surroundings,
): Words {
  const name = `${run.job} of ${run.plan}`;
  const facts = runFacts(run);
  const history = around.history;
  if (run.status === 'succeeded') {
    const warnings = warningsOf(run, remarks);
    const before = history?.failures ?? 0;
    const recovered = event === 'recovered';
    return {
      level: warnings.length > 0 && !recovered ? 'warning' : 'success',
      title: recovered
        ? `RECOVERED: ${name} is well again${before > 1 ? ` after ${before} failed runs` : ''}`
        : warnings.length > 0
          ? `WARNING: ${name} succeeded, with something to look at`
          : `OK: ${name}${run.verdict === undefined ? '' : ', proven by its checks'}`,
      lines: [
        `It succeeded${took(run)}.`,
        ...(warnings.length > 0 ? ['To look at:', ...warnings] : []),
        ...safety(around),
      ],
      facts,
      next: warnings.length > 0 ? [commandLine(around, 'runs', run.id)] : [],
    };
  }
  if (run.status === 'cancelled') {
    return {
      level: 'warning',
      title: `CANCELLED: ${name}`,
      lines: [
        `It was cancelled${took(run)}: ${run.error?.message ?? 'nobody said why'}.`,
        'What it had begun was cleaned up.',
        ...safety(around),
      ],
      facts,
      next: [commandLine(around, 'runs', run.id), commandLine(around, 'run', run.job)],
    };
  }
  const step = failedStep(run);
  const error = step?.error ?? run.error;
  const row = (history?.failures ?? 0) + 1;
  const what =
    run.status === 'interrupted'
      ? 'was cut off'
      : step === undefined
        ? (error?.code ?? 'no reason was recorded')
        : `step ${step.name}, ${error?.code ?? 'no reason was recorded'}`;
  return {
    level: 'error',
    title:
      event === 'checksFailed' || run.exitCode === 3
        ? `CHECKS FAILED: ${name}, step ${step?.name ?? '?'}`
        : `FAILED: ${name}: ${what}`,
    lines: [
      run.status === 'interrupted'
        ? `The run was cut off${took(run)}: its process was killed, or the machine went down. What it left behind is removed.`
        : step === undefined
          ? `It failed${took(run)}.`
          : `Step ${step.name} (${step.uses}) failed${took(step)}${step.attempts > 1 ? `, at try ${step.attempts}` : ''}.`,
      ...(error === undefined ? [] : errorLines(error)),
      ...remarks.slice(0, 10),
      ...skippedLine(run),
      ...safety(around),
      row > 1
        ? `This is failure number ${row} in a row${history?.succeededAt === undefined ? '; it has never succeeded' : `; it last succeeded at ${history.succeededAt}`}.`
        : undefined,
    ],
    facts,
    next: [
      commandLine(around, 'runs', run.id),
      ...(event === 'checksFailed' || run.exitCode === 3 ? [] : [commandLine(around, 'doctor')]),
      commandLine(around, 'run', run.job),
    ],
  };
}

/** The step that a person must look at first. */
function failedStep(run: RunRecord): StepRecord | undefined {
  const failed = run.steps.filter(isFailure);
  const named = failed.find(({ name }) => run.error?.message.startsWith(`step ${name} failed`) === true);
  return named ?? failed[0];
}

/** What is not right in a run that succeeded. */
export function warningsOf(run: RunRecord, remarks: readonly string[]): string[] {
  const tolerated = run.steps
    .filter((step) => step.status === 'failed' && step.tolerated === true)
    .map((step) => `step ${step.name} failed, which the plan tolerates: ${step.error?.message ?? ''}`);
  const unsaid = run.verdict === 'verifiedWithWarnings' && remarks.length === 0 && tolerated.length === 0;
  return [
    ...tolerated,
    ...(run.verdict === 'verifiedWithWarnings' ? remarks.slice(0, 10) : []),
    ...(unsaid ? ['checks with severity warn did not pass'] : []),
  ];
}

export function errorLines({ code, message, hint, detail }: ErrorRecord): string[] {
  const evidence = (detail ?? '')
    .trim()
    .split('\n')
    .filter((line) => line.trim() !== '');
  return [
    `${code}: ${message}`,
    ...(hint === undefined ? [] : [`What to do: ${hint}`]),
    ...evidence.slice(-5).map((line) => `  | ${line.slice(0, 300)}`),
  ];
}

function skippedLine(run: RunRecord): string[] {
  const skipped = run.steps.filter(({ status }) => status === 'skipped' || status === 'pending');
  return skipped.length === 0
    ? []
    : [`Not done because of it: ${skipped.map(({ name }) => name).join(', ')}.`];
}

/** What could be recovered now. */
export function safety(around: Surroundings): string[] {
  return [...around.proven].slice(0, 5).map(([database, newest]) => {
    if (newest === undefined) return `Newest proven backup of ${database}: could not be looked up in time.`;
    if (newest === null) return `There is no proven backup of ${database}.`;
    return `Newest proven backup of ${database}: ${newest.backup}, ${age(newest, around)} old.`;
  });
}

function runFacts(run: RunRecord): Fact[] {
  const step = run.status === 'failed' ? failedStep(run) : undefined;
  const error = step?.error ?? run.error;
  return [
    ...(step === undefined ? [] : [{ name: 'step', value: `${step.name} (${step.uses})` }]),
    ...(error === undefined ? [] : [{ name: 'error', value: error.code }]),
    { name: 'run', value: run.id },
    ...(run.durationMs === undefined ? [] : [{ name: 'took', value: formatDuration(run.durationMs) }]),
    ...(run.logFile === undefined ? [] : [{ name: 'log', value: run.logFile }]),
  ];
}

function took({ durationMs }: { readonly durationMs?: number }): string {
  return durationMs === undefined ? '' : ` after ${formatDuration(durationMs)}`;
}
