/** For people: live progress on a terminal, plain lines elsewhere, and at the end what happened. */
import type { Writable } from 'node:stream';
import type { LogLevel, RunEvent, RunRecord, StepRecord } from '../runs/record.ts';
import { formatDuration, formatInstant } from '../units.ts';
import {
  asCheckReport,
  asProveReport,
  clean,
  formatChecks,
  formatOutputs,
  formatProofs,
  makePaint,
  markOf,
  type Paint,
  shorten,
} from './format.ts';
import { type LiveArea, liveArea } from './live.ts';
import { type ProgressTracker, trackProgress } from './progress.ts';
import type { Reporter } from './reporter.ts';
import { summarize } from './summary.ts';

export interface ConsoleOptions {
  readonly stream: Writable & { readonly columns?: number };
  readonly color: boolean;
  /** Lines that change in place; for terminals only. */
  readonly live: boolean;
  /** Also what steps log at debug and info level. */
  readonly verbose?: boolean;
  /** Symbols beyond ASCII. Default: what the locale says. */
  readonly unicode?: boolean;
  /** Milliseconds between two progress lines when not live. Default 10 s. */
  readonly progressEveryMs?: number;
}

export function makeConsoleReporter(options: ConsoleOptions): Reporter {
  const { stream, live } = options;
  const unicode = options.unicode ?? localeIsUnicode(process.env);
  const paint = makePaint(options.color);
  // The terminal may go away (closed window, `| head`); the run does not end because of that.
  let broken = false;
  stream.on('error', () => {
    broken = true;
  });
  const view: View = { paint, unicode, verbose: options.verbose === true, names: new Map() };
  const tracker = trackProgress();
  const screen = live
    ? liveArea(stream, (columns) => liveLines(tracker, view, columns))
    : plainLines(stream, tracker, options.progressEveryMs ?? 10_000);
  return {
    name: 'console',
    on: (event) => {
      if (broken) return;
      tracker.on(event);
      learnNames(view, event);
      if (event.type === 'run:finished') screen.end();
      screen.print(live ? liveEvent(event, view) : plainEvent(event, view));
    },
    close: async () => {
      screen.end();
      if (!broken) await new Promise<void>((resolve) => stream.write('', () => resolve()));
    },
  };
}

interface View {
  readonly paint: Paint;
  readonly unicode: boolean;
  readonly verbose: boolean;
  /** Steps still to come or running, in order. */
  readonly names: Map<string, 'waiting' | 'running'>;
  width?: number;
}

function learnNames(view: View, event: RunEvent): void {
  if (event.type === 'run:started') {
    for (const { name } of event.run.steps) view.names.set(name, 'waiting');
    view.width = Math.min(32, Math.max(4, ...event.run.steps.map(({ name }) => name.length)));
  }
  if (event.type === 'step:started') view.names.set(event.step, 'running');
  if (event.type === 'step:finished') view.names.delete(event.step.name);
}

/** For pipes and files: a line per event that matters, with its time; running steps are heard of now and then. */
function plainLines(stream: Writable, tracker: ProgressTracker, everyMs: number): LiveArea {
  const print = (lines: readonly string[]) => {
    if (lines.length > 0) stream.write(`${lines.join('\n')}\n`);
  };
  const timer = setInterval(() => {
    const running = tracker.running();
    print(running.map((step) => `${stamp(new Date())} ${step.step}: ${clean(tracker.describe(step))}`));
  }, everyMs).unref();
  return { print, draw: () => {}, end: () => clearInterval(timer) };
}

function plainEvent(event: RunEvent, view: View): string[] {
  const at = stamp(new Date(event.at));
  switch (event.type) {
    case 'run:started':
      return [`${at} run ${event.run.id}: job ${event.run.job} of ${clean(event.run.plan)}`];
    case 'step:started':
      return [
        `${at} ${event.step}: started (${event.uses}${event.attempt > 1 ? `, try ${event.attempt}` : ''})`,
      ];
    case 'step:finished': {
      const said = [durationOf(event.step), saidBy(event.step)].filter((text) => text !== '').join(', ');
      const mark = markOf(event.step, view.unicode);
      return [
        `${at} ${event.step.name}: ${view.paint(mark.style, mark.word)}${said === '' ? '' : `, ${said}`}`,
        ...checkLines(event.report, view),
      ];
    }
    case 'run:finished':
      return finished(event.run, view);
    default:
      return remarks(event, view).map((line) => `${at} ${line}`);
  }
}

function liveEvent(event: RunEvent, view: View): string[] {
  switch (event.type) {
    case 'run:started':
      return [
        `${view.paint('bold', `${clean(event.run.plan)} · ${event.run.job}`)}  ${view.paint('dim', `run ${event.run.id}`)}`,
      ];
    case 'step:started':
      return [];
    case 'step:finished': {
      const mark = markOf(event.step, view.unicode);
      const name = event.step.name.padEnd(view.width ?? 0);
      const said = saidBy(event.step);
      const quiet = event.step.status === 'skipped';
      return [
        `  ${view.paint(mark.style, mark.symbol)} ${name}  ${durationOf(event.step).padStart(8)}  ${quiet ? view.paint('dim', said) : said}`.trimEnd(),
        ...checkLines(event.report, view),
      ];
    }
    case 'run:finished':
      return finished(event.run, view);
    default:
      return remarks(event, view).map((line) => `    ${line}`);
  }
}

/** Warnings, errors, retries; with `verbose` everything that steps say. */
function remarks(event: RunEvent, view: View): string[] {
  switch (event.type) {
    case 'step:retrying':
      return [
        `${view.paint('yellow', `${event.step}: try ${event.attempt} in ${formatDuration(event.delayMs)}`)}, after ${event.error.code} ${clean(event.error.message)}`,
      ];
    case 'step:log':
      return remark(event.level, `${event.step}: ${event.message}`, view);
    case 'run:log':
      return remark(event.level, event.message, view);
    default:
      return [];
  }
}

function remark(level: LogLevel, message: string, { verbose, paint }: View): string[] {
  if (level === 'error') return [`${paint('red', 'error')} ${clean(message)}`];
  if (level === 'warn') return [`${paint('yellow', 'warning')} ${clean(message)}`];
  return verbose ? [paint('dim', clean(message))] : [];
}

function liveLines(tracker: ProgressTracker, view: View, columns: number): string[] {
  const { paint, unicode } = view;
  const mark = markOf({ status: 'running' }, unicode);
  const width = view.width ?? 0;
  const room = Math.max(20, columns - width - 7);
  const running = tracker
    .running()
    .map(
      (step) =>
        `  ${paint(mark.style, mark.symbol)} ${step.step.padEnd(width)}  ${shorten(tracker.describe(step), room)}`,
    );
  const waiting = [...view.names].filter(([, state]) => state === 'waiting').map(([name]) => name);
  if (waiting.length === 0) return running;
  return [...running, paint('dim', `    then ${shorten(waiting.join(', '), Math.max(20, columns - 10))}`)];
}

function finished(run: RunRecord, view: View): string[] {
  return summarize(run, view);
}

function checkLines(report: unknown, view: View): string[] {
  const checks = asCheckReport(report);
  const proofs = asProveReport(report);
  const lines =
    checks !== undefined
      ? formatChecks(checks, view.paint)
      : proofs !== undefined
        ? formatProofs(proofs, view.paint)
        : [];
  return lines.map((line) => `      ${line}`);
}

function saidBy(step: StepRecord): string {
  if (step.skippedBecause !== undefined) return clean(step.skippedBecause);
  if (step.error !== undefined) return `${step.error.code} ${clean(step.error.message)}`;
  return clean(formatOutputs(step.outputs));
}

function durationOf(step: StepRecord): string {
  return step.durationMs === undefined ? '' : formatDuration(step.durationMs);
}

function stamp(date: Date): string {
  return formatInstant(date).slice(11);
}

/** Source: https://man7.org/linux/man-pages/man7/locale.7.html (the order in which the variables count). */
function localeIsUnicode(env: NodeJS.ProcessEnv): boolean {
  if (process.platform === 'win32' || process.platform === 'darwin') return true;
  const locale = [env.LC_ALL, env.LC_CTYPE, env.LANG].find((value) => value !== undefined && value !== '');
  return /utf-?8/i.test(locale ?? '');
}
