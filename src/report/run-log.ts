/** The log of a run: one JSON-lines file, every line with run, job and step. */
import { type Log, type LogFields, loadLog } from '../log.ts';
import type { LogLevel, RunEvent, RunRecord, StepRecord } from '../runs/record.ts';
import { formatBytes } from '../units.ts';
import type { Reporter } from './reporter.ts';

export interface RunLogOptions {
  /** Told once when the log cannot be written; the run does not suffer. Default: a line on stderr. */
  readonly onProblem?: (message: string) => void;
}

/** Progress goes to the file this often per step: enough to see later where the time went. */
const PROGRESS_MS = 10_000;

/** Writes to the `logFile` of the run that starts. Texts arrive masked. */
export async function makeRunLogReporter(options: RunLogOptions = {}): Promise<Reporter> {
  const open = await loadLog();
  const onProblem = options.onProblem ?? ((message: string) => process.stderr.write(`${message}\n`));
  let log: Log | undefined;
  const progressAt = new Map<string, number>();

  const start = (run: RunRecord) => {
    if (run.logFile === undefined) return;
    try {
      log = open({ destination: run.logFile, base: { run: run.id, job: run.job }, onProblem });
    } catch (error) {
      onProblem(
        `the log ${run.logFile} cannot be opened: ${error instanceof Error ? error.message : String(error)}`,
      );
    }
  };
  const write = (step: string | null, level: LogLevel, message: string, fields: LogFields = {}) =>
    log?.log(level, message, { step, ...fields });

  return {
    name: 'run-log',
    on: (event) => {
      if (event.type === 'run:started') start(event.run);
      if (event.type === 'step:progress' && !isDue(progressAt, event.step)) return;
      const line = lineOf(event);
      write(line.step, line.level, line.message, line.fields);
    },
    close: async () => {
      log?.close();
      log = undefined;
    },
  };
}

function isDue(progressAt: Map<string, number>, step: string): boolean {
  const now = performance.now();
  if (now - (progressAt.get(step) ?? Number.NEGATIVE_INFINITY) < PROGRESS_MS) return false;
  progressAt.set(step, now);
  return true;
}

interface Line {
  readonly step: string | null;
  readonly level: LogLevel;
  readonly message: string;
  readonly fields?: LogFields;
}

function lineOf(event: RunEvent): Line {
  switch (event.type) {
    case 'run:started': {
      const { plan, planFile, trigger, inputs, host, pid } = event.run;
      return {
        step: null,
        level: 'info',
        message: `run started: job ${event.run.job} of plan ${plan}`,
        fields: { plan, planFile, trigger, inputs, host, pid, node: process.version, order: event.order },
      };
    }
    case 'step:started':
      return {
        step: event.step,
        level: 'info',
        message: event.attempt === 1 ? 'step started' : `step started, try ${event.attempt}`,
        fields: { uses: event.uses, attempt: event.attempt },
      };
    case 'step:progress': {
      const { done, unit, note } = event.progress;
      const amount = unit === 'bytes' ? formatBytes(done) : `${done} ${unit}`;
      return {
        step: event.step,
        level: 'debug',
        message: note === undefined ? amount : `${amount}, ${note}`,
        fields: { progress: event.progress },
      };
    }
    case 'step:log':
      return {
        step: event.step,
        level: event.level,
        message: event.message,
        fields: withoutReserved(event.fields),
      };
    case 'step:retrying':
      return {
        step: event.step,
        level: 'warn',
        message: `try ${event.attempt} in ${event.delayMs} ms, after: ${event.error.message}`,
        fields: { attempt: event.attempt, delayMs: event.delayMs, error: event.error },
      };
    case 'step:finished':
      return stepLine(event.step, event.report);
    case 'run:log':
      return { step: null, level: event.level, message: event.message };
    case 'run:finished':
      return runLine(event.run);
    default:
      event satisfies never;
      return { step: null, level: 'debug', message: 'unknown event' };
  }
}

function stepLine(step: StepRecord, report: unknown): Line {
  const { name, status, skippedBecause, error, ...fields } = step;
  const why = error?.message ?? skippedBecause;
  const level = status !== 'failed' ? 'info' : step.tolerated === true ? 'warn' : 'error';
  return {
    step: name,
    level,
    message: `step ${status}${why === undefined ? '' : `: ${why}`}`,
    fields: {
      status,
      ...fields,
      ...(error === undefined ? {} : { error }),
      ...(report === undefined ? {} : { report }),
    },
  };
}

function runLine(run: RunRecord): Line {
  const { status, exitCode, verdict, durationMs, error } = run;
  return {
    step: null,
    level: status === 'succeeded' ? 'info' : 'error',
    message: `run ${status}${error === undefined ? '' : `: ${error.message}`}`,
    fields: { status, exitCode, verdict, durationMs, error },
  };
}

/** A kind's field of the same name must not replace what every line carries. */
function withoutReserved(fields: LogFields | undefined): LogFields {
  const reserved = new Set(['run', 'job', 'step', 'level', 'time', 'message']);
  return Object.fromEntries(
    Object.entries(fields ?? {}).map(([key, value]) => [reserved.has(key) ? `${key}_` : key, value]),
  );
}
