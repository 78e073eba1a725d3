/** What the results of single checks mean together. Pure. */
import type { Verdict } from '../runs/record.ts';
import type { CheckResult, CheckStatus } from './check-kind.ts';

export type Counts = Readonly<Record<CheckStatus | 'total', number>>;

export function countResults(results: readonly CheckResult[]): Counts {
  const of = (status: CheckStatus) => results.filter((result) => result.status === status).length;
  return {
    total: results.length,
    passed: of('passed'),
    warned: of('warned'),
    failed: of('failed'),
    errored: of('errored'),
    skipped: of('skipped'),
    vacuous: of('vacuous'),
  };
}

/**
 * `rejected` when a check of severity error failed; else `inconclusive` when one of them could not look, had nothing
 * to look at or was skipped, or there was none at all; a check of severity warn never stops anything but leaves `verifiedWithWarnings`.
 */
export function judge(results: readonly CheckResult[]): Verdict {
  const required = results.filter((result) => result.severity === 'error');
  if (results.some((result) => result.status === 'failed')) return 'rejected';
  const shown: readonly CheckStatus[] = ['passed', 'warned'];
  if (required.some((result) => !shown.includes(result.status))) return 'inconclusive';
  if (!results.some((result) => shown.includes(result.status))) return 'inconclusive';
  return results.every((result) => result.status === 'passed' || result.status === 'skipped')
    ? 'verified'
    : 'verifiedWithWarnings';
}

/** `15/15 checks passed`, or `41/44 passed, 1 warned, 1 failed, 1 errored`: nothing is left out of the sum. */
export function summarize(counts: Counts): string {
  if (counts.total === 0) return 'no checks: nothing was shown';
  if (counts.passed === counts.total) {
    return `${counts.passed}/${counts.total} check${counts.total === 1 ? '' : 's'} passed`;
  }
  const others = (['warned', 'failed', 'errored', 'vacuous', 'skipped'] as const)
    .filter((status) => counts[status] > 0)
    .map((status) => `, ${counts[status]} ${status}`);
  return `${counts.passed}/${counts.total} passed${others.join('')}`;
}
