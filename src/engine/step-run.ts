/** Runs one step to its end: settings, locks, tries, record. Never rejects: whatever happens is in the record. */
import { BackplanError, toBackplanError } from '../errors.ts';
import type { Scope } from '../plan/expressions.ts';
import type { Step } from '../plan/model.ts';
import type { Outputs, StepRecord } from '../runs/record.ts';
import type { StepKind } from '../steps/step-kind.ts';
import { attempt } from './attempt.ts';
import { missingOutputs, unknownKind } from './conditions.ts';
import { makeStderrTail, makeStepView, type RunWorld, type StderrTail } from './context.ts';
import type { RunLocks } from './locking.ts';
import { plainOutputs } from './outputs.ts';
import { paramsOf } from './params.ts';
import { delayBefore, isRetryable } from './retry.ts';
import { pause } from './timers.ts';

export interface StepRunOptions {
  readonly world: RunWorld;
  readonly kind: StepKind | undefined;
  readonly locks: RunLocks;
  readonly signal: AbortSignal;
  readonly scope: Scope;
  readonly graceMs: number;
  readonly random: () => number;
  readonly onAbandoned: (end: Promise<unknown>) => void;
}

export interface StepEnd {
  readonly record: StepRecord;
  /** As the step returned them; the record holds them masked. */
  readonly outputs: Outputs;
  readonly report?: unknown;
  /** It could not run, because something that it asks for is missing. */
  readonly blocked: boolean;
}

export async function runStep(step: Step, options: StepRunOptions): Promise<StepEnd> {
  const { kind, scope, world } = options;
  const startedAt = new Date();
  const clock = performance.now();
  const stderr = makeStderrTail();
  const base = { name: step.name, uses: step.uses, startedAt: startedAt.toISOString() };
  const end = (attempts: number, rest: Partial<StepRecord>): StepRecord => ({
    ...base,
    status: 'failed',
    attempts,
    endedAt: new Date().toISOString(),
    durationMs: Math.round(performance.now() - clock),
    ...rest,
    ...(stderr.text() === undefined ? {} : { stderr: stderr.text() }),
  });
  const fail = (attempts: number, error: BackplanError, report?: unknown): StepEnd => ({
    record: end(attempts, failureOf(step, error, world)),
    outputs: {},
    report,
    blocked: false,
  });

  if (kind === undefined) return fail(0, unknownKind(step));
  let params: unknown;
  try {
    params = await paramsOf(step, kind, scope, world.plan);
  } catch (error) {
    const missing = missingOutputs(step.with, scope);
    if (missing === undefined) return fail(0, toBackplanError(error));
    return { record: skippedRecord(step, `it asks for ${missing}`), outputs: {}, blocked: true };
  }

  const tries = step.retry?.attempts ?? 1;
  for (let number = 1; ; number += 1) {
    world.run.save({ ...base, status: 'running', attempts: number });
    world.run.emit({ type: 'step:started', step: step.name, uses: step.uses, attempt: number });
    const outcome = await tryOnce(step, kind, params, stderr, options);
    if (outcome.error === undefined) {
      const outputs = world.masker.maskDeep(outcome.outputs);
      return {
        record: end(number, { status: 'succeeded', outputs }),
        outputs: outcome.outputs,
        report: outcome.report,
        blocked: false,
      };
    }
    if (
      step.retry === undefined ||
      number >= tries ||
      options.signal.aborted ||
      !isRetryable(outcome.error)
    ) {
      return fail(number, outcome.error, outcome.report);
    }
    const delayMs = delayBefore(number + 1, step.retry, options.random());
    const error = world.masker.maskDeep(outcome.error.toRecord());
    world.run.emit({ type: 'step:retrying', step: step.name, attempt: number + 1, delayMs, error });
    try {
      await pause(delayMs, options.signal);
    } catch (reason) {
      const { code, message, hint } = toBackplanError(reason);
      const detail = `It waited to try again after this: ${outcome.error.message}`;
      return fail(number, new BackplanError(code, message, { hint, detail, cause: reason }), outcome.report);
    }
  }
}

interface Try {
  readonly error?: BackplanError;
  readonly outputs: Outputs;
  readonly report: unknown;
}

async function tryOnce(
  step: Step,
  kind: StepKind,
  params: unknown,
  stderr: StderrTail,
  options: StepRunOptions,
): Promise<Try> {
  const { world, signal, graceMs, onAbandoned, locks } = options;
  let view: ReturnType<typeof makeStepView> | undefined;
  try {
    const outputs = await attempt(
      async (trySignal) => {
        await locks.take(kind.writes?.(params) ?? []);
        view = makeStepView(world, step.name, trySignal, stderr);
        // Each try gets its own copy: a kind that changes its settings must not change the next try's.
        return plainOutputs(step.name, await kind.run(structuredClone(params), view.context));
      },
      { step: step.name, signal, timeoutMs: step.timeout, graceMs, onAbandoned },
    );
    return { outputs, report: view?.report() };
  } catch (error) {
    return { error: toBackplanError(error, 'STEP_FAILED'), outputs: {}, report: view?.report() };
  } finally {
    view?.close();
  }
}

/** Cancelled by somebody is not the same as failed. */
function failureOf(step: Step, error: BackplanError, { masker }: RunWorld): Partial<StepRecord> {
  const record = masker.maskDeep(error.toRecord());
  if (error.code === 'CANCELLED') return { status: 'cancelled', error: record };
  return { status: 'failed', error: record, ...(step.continueOnError ? { tolerated: true } : {}) };
}

export function skippedRecord(step: Step, reason: string): StepRecord {
  return { name: step.name, uses: step.uses, status: 'skipped', attempts: 0, skippedBecause: reason };
}
