/** What the console says when a run has ended. */
import type { ErrorRecord } from '../errors.ts';
import type { RunRecord, StepRecord } from '../runs/record.ts';
import { formatDuration } from '../units.ts';
import { clean, formatOutputs, markOf, type Paint, type Style, shorten } from './format.ts';

/** Lines of a tool's output that are shown with an error; all of it is in the log. */
const DETAIL_LINES = 12;

export interface SummaryOptions {
  readonly paint: Paint;
  readonly unicode: boolean;
}

/** Table of steps, the errors, and the verdict. */
export function summarize(run: RunRecord, options: SummaryOptions): string[] {
  return [
    '',
    ...stepTable(run.steps, options),
    ...run.steps.flatMap((step) => errorBlock(step, options.paint)),
    '',
    ...conclusion(run, options.paint),
  ];
}

function stepTable(steps: readonly StepRecord[], { paint, unicode }: SummaryOptions): string[] {
  const nameWidth = Math.min(32, Math.max(4, ...steps.map(({ name }) => name.length)));
  const wordWidth = Math.max(...steps.map((step) => markOf(step, unicode).word.length), 0);
  return steps.map((step) => {
    const mark = markOf(step, unicode);
    const time = (step.durationMs === undefined ? '' : formatDuration(step.durationMs)).padStart(8);
    const said =
      step.skippedBecause !== undefined
        ? paint('dim', clean(step.skippedBecause))
        : clean(formatOutputs(step.outputs));
    const tries = step.attempts > 1 ? ` (${step.attempts} tries)` : '';
    return `  ${paint(mark.style, mark.symbol)} ${step.name.padEnd(nameWidth)}  ${paint(mark.style, mark.word.padEnd(wordWidth))} ${time}  ${said}${tries}`.trimEnd();
  });
}

function errorBlock(step: StepRecord, paint: Paint): string[] {
  if (step.error === undefined || step.status === 'cancelled') return [];
  const style: Style = step.tolerated === true ? 'yellow' : 'red';
  return [
    '',
    `${paint(style, `${step.name} failed:`)} ${paint('bold', step.error.code)} ${clean(step.error.message)}`,
    // What checks found stands above, each with its hint; once is enough.
    ...(step.error.code.startsWith('CHECKS_') ? [] : evidence(step.error, step.stderr, paint)),
  ];
}

function evidence(error: ErrorRecord, stderr: string | undefined, paint: Paint): string[] {
  const text = error.detail ?? stderr;
  const lines = text === undefined || text.trim() === '' ? [] : clean(text).trim().split('\n');
  const shown = lines.slice(-DETAIL_LINES).map((line) => paint('dim', `  | ${shorten(line, 240)}`));
  const cut = lines.length - shown.length;
  return [
    ...(error.hint === undefined ? [] : [`  ${paint('cyan', 'hint:')} ${clean(error.hint)}`]),
    ...(cut > 0 ? [paint('dim', `  | … ${cut} more lines in the log`)] : []),
    ...shown,
  ];
}

function conclusion(run: RunRecord, paint: Paint): string[] {
  const style: Style = run.status === 'succeeded' ? 'green' : run.status === 'cancelled' ? 'yellow' : 'red';
  const said = [
    ...(run.verdict === undefined ? [] : [`verdict ${VERDICT_WORDS[run.verdict]}`]),
    ...(run.durationMs === undefined ? [] : [formatDuration(run.durationMs)]),
    `exit code ${run.exitCode ?? '?'}`,
  ];
  // An error that no step shows: the job's time limit, the journal.
  const shown = run.steps.some(
    ({ error }) => error !== undefined && run.error?.message.endsWith(error.message),
  );
  return [
    `${paint(['bold', style], run.status)}: job ${run.job} of ${run.plan}, ${said.join(', ')}`,
    ...(run.error === undefined || shown
      ? []
      : [`${paint(style, run.error.code)} ${clean(run.error.message)}`]),
    ...(run.error?.hint === undefined || shown
      ? []
      : [`  ${paint('cyan', 'hint:')} ${clean(run.error.hint)}`]),
    ...(run.logFile === undefined ? [] : [paint('dim', `log ${run.logFile}`)]),
  ];
}

const VERDICT_WORDS = {
  verified: 'verified',
  verifiedWithWarnings: 'verified with warnings',
  rejected: 'rejected',
  inconclusive: 'inconclusive',
} as const;
