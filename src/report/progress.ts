/** How the running steps are doing: elapsed time, amount and current speed. */
import type { Progress, RunEvent } from '../runs/record.ts';
import { formatDuration } from '../units.ts';
import { formatAmount, formatSpeed } from './format.ts';

export interface RunningStep {
  readonly step: string;
  readonly uses: string;
  readonly startedAt: number;
  readonly attempt: number;
  readonly progress?: Progress;
  /** While it waits for its next try. */
  readonly retryAt?: number;
}

export interface ProgressTracker {
  on(event: RunEvent): void;
  running(): RunningStep[];
  /** `98 MB of 180 MB (54%), 42.1 MB/s, 2.3s, table Order`. */
  describe(step: RunningStep): string;
}

/** The speed shown is that of the last seconds, so that a stall is seen. */
const WINDOW_MS = 5000;

interface Sample {
  readonly at: number;
  readonly done: number;
}

export function trackProgress(now: () => number = () => performance.now()): ProgressTracker {
  const steps = new Map<string, RunningStep>();
  const samples = new Map<string, Sample[]>();
  const update = (step: string, change: Partial<RunningStep>) => {
    const known = steps.get(step);
    if (known !== undefined) steps.set(step, { ...known, ...change });
  };
  return {
    on: (event) => {
      switch (event.type) {
        case 'step:started': {
          const { step, uses, attempt } = event;
          steps.set(step, { step, uses, attempt, startedAt: steps.get(step)?.startedAt ?? now() });
          samples.set(step, []);
          break;
        }
        case 'step:progress':
          samples.set(
            event.step,
            addSample(samples.get(event.step) ?? [], { at: now(), done: event.progress.done }),
          );
          update(event.step, { progress: event.progress });
          break;
        case 'step:retrying':
          update(event.step, { retryAt: now() + event.delayMs, progress: undefined });
          break;
        case 'step:finished':
          steps.delete(event.step.name);
          samples.delete(event.step.name);
          break;
        default:
      }
    },
    running: () => [...steps.values()],
    describe: (running) => describe(running, samples.get(running.step) ?? [], now()),
  };
}

function addSample(samples: readonly Sample[], sample: Sample): Sample[] {
  const last = samples.at(-1);
  // Another phase of the step counts from the beginning again.
  if (last !== undefined && sample.done < last.done) return [sample];
  const recent = samples.filter(({ at }) => sample.at - at <= WINDOW_MS);
  // One older sample stays, so that the stretch never shrinks to nothing.
  const anchor = samples[samples.length - recent.length - 1];
  return [...(anchor === undefined ? [] : [anchor]), ...recent, sample];
}

function describe(step: RunningStep, samples: readonly Sample[], now: number): string {
  const elapsed = formatDuration(now - step.startedAt);
  if (step.retryAt !== undefined && step.progress === undefined) {
    return `waits ${formatDuration(Math.max(0, step.retryAt - now))} before it tries again, ${elapsed}`;
  }
  const { progress } = step;
  const attempt = step.attempt > 1 ? [`try ${step.attempt}`] : [];
  if (progress === undefined) return [...attempt, elapsed].join(', ');
  const first = samples[0];
  const speed =
    first !== undefined && now - first.at >= 500
      ? [formatSpeed(progress.unit, progress.done - first.done, now - first.at)]
      : [];
  const note = progress.note === undefined ? [] : [progress.note];
  return [formatAmount(progress), ...speed, elapsed, ...attempt, ...note].join(', ');
}
