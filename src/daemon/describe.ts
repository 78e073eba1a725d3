/** Events of the daemon as lines for people. */
import type { RunRecord } from '../runs/record.ts';
import { formatDuration } from '../units.ts';
import type { DaemonEvent } from './events.ts';

export type EventLevel = 'info' | 'success' | 'warning' | 'error';

export interface EventLine {
  readonly level: EventLevel;
  readonly text: string;
  /** More lines, such as every mistake in a plan. */
  readonly detail?: string;
}

/** Undefined for what is no news: every step of every run, firings whose run is told anyway. */
export function describeEvent(event: DaemonEvent): EventLine | undefined {
  switch (event.type) {
    case 'started':
      return info(
        `started, process ${event.pid}: ${count(event.jobs, 'schedule')} of ${count(event.plans, 'plan')}`,
      );
    case 'planLoaded':
      return info(`plan ${event.plan} ${event.first ? 'loaded' : 'reloaded'} from ${event.file}`);
    case 'planInvalid': {
      const rest =
        event.plan === undefined ? 'nothing of it runs' : `plan ${event.plan} goes on as it was before`;
      return {
        level: 'error',
        text: `${event.file} cannot be used; ${rest}: ${event.error.message}`,
        ...(event.error.detail === undefined ? {} : { detail: event.error.detail }),
      };
    }
    case 'planRemoved':
      return warning(`plan ${event.plan} is gone with its file ${event.file}`);
    case 'jobAdded':
      return info(`job ${event.plan}/${event.job} is new`);
    case 'jobChanged':
      return info(`job ${event.plan}/${event.job} was changed`);
    case 'jobRemoved':
      return warning(`job ${event.plan}/${event.job} is gone`);
    case 'reloaded': {
      const why = { signal: 'by SIGHUP', change: 'after a change', api: 'on request' }[event.reason];
      const bad = event.invalid === 0 ? '' : `, ${count(event.invalid, 'file')} cannot be used`;
      return {
        level: bad === '' ? 'info' : 'warning',
        text: `reloaded ${why}: ${count(event.plans, 'plan')}${bad}`,
      };
    }
    case 'fired':
      return event.trigger === 'catchUp'
        ? info(`making up for ${event.slot}, run ${event.runId}`)
        : undefined;
    case 'missed':
      return warning(
        `missed ${event.plan}/${event.job}: ${
          event.count === 1 ? event.from : `${event.count} firings from ${event.from} to ${event.to}`
        }; ${event.reason}`,
      );
    case 'overlapped':
      return warning(`not run: ${event.slot}, because of run ${event.other} (overlap: ${event.overlap})`);
    case 'runStarted':
      return info(`run ${event.run.id} of ${nameOf(event.run)} started (${event.run.trigger})`);
    case 'runFinished':
      return runLine(event.run, event.retryAt);
    case 'clockJumped':
      return warning(
        `the clock jumped ${event.byMs > 0 ? 'ahead' : 'back'} by ${formatDuration(Math.abs(event.byMs))}`,
      );
    case 'problem':
      return { level: 'error', text: event.error.message };
    case 'stopping':
      return info(
        event.running === 0
          ? 'stopping'
          : `stopping: ${count(event.running, 'run')} may go on for ${formatDuration(event.graceMs)}`,
      );
    case 'stopped':
      return info('stopped');
    case 'runEvent':
      return undefined;
    default:
      event satisfies never;
      return undefined;
  }
}

function runLine(run: RunRecord, retryAt: string | undefined): EventLine {
  const took = run.durationMs === undefined ? '' : ` in ${formatDuration(run.durationMs)}`;
  const why = run.error === undefined ? '' : `: ${run.error.message}`;
  const again = retryAt === undefined ? '' : `; next try at ${retryAt}`;
  const levels = { succeeded: 'success', cancelled: 'warning' } as const;
  const level =
    retryAt !== undefined ? 'warning' : ((levels as Record<string, EventLevel>)[run.status] ?? 'error');
  return { level, text: `run ${run.id} of ${nameOf(run)} ${run.status}${took}${why}${again}` };
}

const nameOf = (run: RunRecord) => `${run.plan}/${run.job}`;
const info = (text: string): EventLine => ({ level: 'info', text });
const warning = (text: string): EventLine => ({ level: 'warning', text });
const count = (number: number, word: string) => `${number} ${word}${number === 1 ? '' : 's'}`;
