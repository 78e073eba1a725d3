/**
 * Whether a step runs once all it needs has ended. The rules are those that people know from GitHub Actions:
 *
 * - No `if`, or an `if` without a status function, means `success() && (…)`: no step that it needs, directly or
 *   through others, has failed, and the run is neither cancelled nor out of time. A failure that `continueOnError`
 *   tolerates is none.
 * - `failure()` is true when such a step has failed, or the job has run out of time; `cancelled()` when a person or
 *   the daemon cancelled the run; `always()` is always true. Through needs of needs: a step after an `always()`
 *   step still does not run when what came before that one has failed.
 * - A step whose own `if` is false is skipped and is no reason to skip others: an optional safety backup that is
 *   switched off does not switch off the restore.
 * - A step that asks for outputs of a step that has none (skipped or failed) cannot run: it is skipped, and so are
 *   those who need it, because what they rely on was not done. The run does not fail by that.
 */
import { BackplanError } from '../errors.ts';
import { asksForStatus, evaluateCondition, mentionedSteps, type Scope } from '../plan/expressions.ts';
import type { Step } from '../plan/model.ts';
import type { StepStatus } from '../runs/record.ts';

/** How a step ended, as far as others depend on it. */
export interface Settled {
  readonly status: StepStatus;
  readonly tolerated: boolean;
  /** Skipped because something that it asks for is missing. */
  readonly blocked: boolean;
}

/** What a step finds when its turn comes. */
export interface Circumstances {
  /** Names of steps that it needs, directly or not, which failed. */
  readonly failed: readonly string[];
  /** Those that could not run. */
  readonly blocked: readonly string[];
  readonly stopped: 'cancelled' | 'timedOut' | undefined;
}

export type Decision =
  | { readonly run: true }
  | { readonly run: false; readonly reason: string; readonly blocked: boolean };

export function circumstancesOf(
  ancestors: ReadonlySet<string>,
  settled: ReadonlyMap<string, Settled>,
  stopped: Circumstances['stopped'],
): Circumstances {
  const those = (test: (step: Settled) => boolean) =>
    [...ancestors].filter((name) => {
      const step = settled.get(name);
      return step !== undefined && test(step);
    });
  return {
    failed: those(({ status, tolerated }) => status === 'failed' && !tolerated),
    blocked: those(({ blocked }) => blocked),
    stopped,
  };
}

/**
 * @param jobFailed for steps of `onFailure`: `failure()` is true, whatever they themselves need
 * @throws EXPRESSION_FAILED when the condition cannot be evaluated although all that it mentions succeeded
 */
export function decide(
  step: Step,
  scope: Omit<Scope, 'state'>,
  circumstances: Circumstances,
  jobFailed = false,
): Decision {
  const implicit = step.if === undefined || !asksForStatus(step.if);
  const obstacle = obstacleOf(circumstances);
  if (implicit && obstacle !== undefined) return { run: false, reason: obstacle, blocked: false };
  try {
    if (
      step.if === undefined ||
      evaluateCondition(step.if, { ...scope, state: stateOf(step.if, circumstances, jobFailed) })
    ) {
      return { run: true };
    }
  } catch (error) {
    const missing = missingOutputs(`\${{ ${step.if ?? ''} }}`, scope);
    if (missing === undefined) throw error;
    return { run: false, reason: `its condition asks for ${missing}`, blocked: true };
  }
  return {
    run: false,
    reason: (implicit ? undefined : obstacle) ?? `its condition is false: ${step.if}`,
    blocked: false,
  };
}

/** Would the step still be wanted if the run were stopped now? Then stopping the run does not stop it. */
export function survives(
  step: Step,
  scope: Omit<Scope, 'state'>,
  stopped: 'cancelled' | 'timedOut',
): boolean {
  if (step.if === undefined || !asksForStatus(step.if)) return false;
  try {
    return decide(step, scope, { failed: [], blocked: [], stopped }).run;
  } catch {
    return false;
  }
}

/** Names a step without outputs that the text asks for, and why it has none; undefined when there is none. */
export function missingOutputs(template: unknown, scope: Omit<Scope, 'state'>): string | undefined {
  for (const name of mentionedSteps(template)) {
    const status = scope.steps[name]?.status;
    if (status !== undefined && status !== 'succeeded')
      return `outputs of ${name}, which ${STATUS_WORDS[status] ?? status}`;
  }
  return undefined;
}

const STATUS_WORDS: Readonly<Record<string, string>> = {
  skipped: 'was skipped',
  failed: 'failed',
  cancelled: 'was cancelled',
};

function stateOf(
  condition: string,
  { failed, blocked, stopped }: Circumstances,
  jobFailed: boolean,
): Scope['state'] {
  // For success() what could not run counts like what failed; failure() is about failures alone.
  const blockedCounts = blocked.length > 0 && !/\bfailure\s*\(/.test(condition);
  return {
    failed: jobFailed || failed.length > 0 || stopped === 'timedOut' || blockedCounts,
    cancelled: stopped === 'cancelled',
  };
}

function obstacleOf({ failed, blocked, stopped }: Circumstances): string | undefined {
  if (failed.length > 0) return `${failed.join(', ')} failed`;
  if (stopped === 'cancelled') return 'the run was cancelled';
  if (stopped === 'timedOut') return 'the job had used up its time';
  if (blocked.length > 0) return `${blocked.join(', ')} could not run`;
  return undefined;
}

/** For a step that has no such kind: said here once, because validation has excluded it. */
export function unknownKind(step: Step): BackplanError {
  return new BackplanError('PLAN_INVALID', `step ${step.name} uses "${step.uses}", which is no step kind`);
}
