/** What a run amounts to: status, exit code, the error to show first, and what its checks said. */
import { type BackplanError, ERRORS, type ErrorRecord, EXIT, type ExitCode, worstExit } from '../errors.ts';
import { isFailure, type RunRecord, type StepRecord, type Verdict } from '../runs/record.ts';

export interface RunFacts {
  /** Records of the job's steps, without those of `onFailure`: they cannot make or mend a failure. */
  readonly steps: readonly StepRecord[];
  /** The cancellation or the job's time limit, if it cut or kept any step from running. */
  readonly stop?: { readonly kind: 'cancelled' | 'timedOut'; readonly error: BackplanError };
  readonly journalFailure?: BackplanError;
}

export type Outcome = Pick<RunRecord, 'status' | 'exitCode'> & { readonly error?: ErrorRecord };

export function outcomeOf({ steps, stop, journalFailure }: RunFacts): Outcome {
  if (stop?.kind === 'cancelled') {
    return { status: 'cancelled', exitCode: EXIT.interrupted, error: stop.error.toRecord() };
  }
  const failures = failuresOf(steps);
  const codes: ExitCode[] = failures.map(({ exit }) => exit);
  if (stop !== undefined) codes.push(stop.error.exitCode);
  if (journalFailure !== undefined) codes.push(journalFailure.exitCode);
  const exitCode = worstExit(codes);
  if (exitCode === EXIT.success) return { status: 'succeeded', exitCode };
  // The limit explains why steps were cut; their own TIMEOUT says the same again.
  const spokesman = failures.find(({ exit }) => exit === exitCode);
  const error =
    stop?.error.exitCode === exitCode
      ? stop.error.toRecord()
      : (spokesman?.error ?? journalFailure?.toRecord());
  return { status: 'failed', exitCode, error };
}

/** A failed step that nothing tolerates makes the job fail. */
export function hasFailed(steps: readonly StepRecord[]): boolean {
  return failuresOf(steps).length > 0;
}

function failuresOf(steps: readonly StepRecord[]) {
  return steps
    .filter(isFailure)
    .sort((a, b) => (a.endedAt ?? '').localeCompare(b.endedAt ?? ''))
    .map(({ name, error }) => {
      const record = error ?? { code: 'STEP_FAILED' as const, message: 'it failed without saying why' };
      return {
        exit: ERRORS[record.code],
        error: { ...record, message: `step ${name} failed: ${record.message}` },
      };
    });
}

const VERDICTS: readonly Verdict[] = ['verified', 'verifiedWithWarnings', 'inconclusive', 'rejected'];

/** The worst of several verdicts; undefined when nothing was checked. */
export function worstVerdict(verdicts: readonly (Verdict | undefined)[]): Verdict | undefined {
  return VERDICTS.findLast((verdict) => verdicts.includes(verdict));
}

/** What a step's report, outputs or error say about data that it checked, if it checked any. */
export function verdictOf(step: StepRecord, report: unknown): Verdict | undefined {
  const said = [report, step.outputs]
    .map((value) => (value as { verdict?: unknown } | null | undefined)?.verdict)
    .find((verdict): verdict is Verdict => VERDICTS.includes(verdict as Verdict));
  if (said !== undefined) return said;
  if (step.error?.code === 'CHECKS_FAILED') return 'rejected';
  return step.error?.code === 'CHECKS_INCONCLUSIVE' ? 'inconclusive' : undefined;
}
