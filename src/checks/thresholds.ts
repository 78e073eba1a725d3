/** How many offenders a check puts up with: `warnAbove` and `failAbove`, as a count or a percentage. Pure. */
import { BackplanError } from '../errors.ts';
import type { CheckStatus, Finding, Severity } from './check-kind.ts';

export type Threshold = { readonly count: number } | { readonly percent: number };

export interface Thresholds {
  readonly warnAbove?: Threshold;
  readonly failAbove?: Threshold;
}

/** `5`, `"5"` or `"0.1%"`. @throws INPUT_INVALID */
export function parseThreshold(value: unknown): Threshold {
  const text = String(value).trim();
  const [, digits, percent] = /^(\d+(?:\.\d+)?)(\s*%)?$/.exec(text) ?? [];
  if (digits === undefined || (percent === undefined && digits.includes('.'))) {
    throw new BackplanError('INPUT_INVALID', `"${text}" is no threshold`, {
      hint: 'Write a count such as 5, or a percentage such as "0.1%".',
    });
  }
  return percent === undefined ? { count: Number(digits) } : { percent: Number(digits) };
}

/** `"1%"` → 1, for what a check reads of a table. @throws INPUT_INVALID unless it is above 0 and below 100 */
export function parsePart(value: unknown): number {
  const [, digits] = /^(\d+(?:\.\d+)?)\s*%$/.exec(String(value).trim()) ?? [];
  const percent = Number(digits);
  if (percent > 0 && percent < 100) return percent;
  throw new BackplanError('INPUT_INVALID', `"${value}" is no part of a table`, {
    hint: 'Write a percentage such as "1%"; without part the whole table is read.',
  });
}

/**
 * What a finding means for a check: thresholds, where there are any, decide alone; what is above `failAbove` fails,
 * what is above `warnAbove` warns, anything else passes. A failure of a check of severity warn is a warning.
 */
export function statusOf(
  finding: Finding,
  severity: Severity,
  thresholds: Thresholds,
): { status: CheckStatus; note?: string } {
  const failed = severity === 'warn' ? 'warned' : 'failed';
  if (finding.outcome !== 'passed' && finding.outcome !== 'failed') return { status: finding.outcome };
  const { warnAbove, failAbove } = thresholds;
  const count = finding.count ?? 0;
  if ((warnAbove === undefined && failAbove === undefined) || (finding.outcome === 'failed' && count === 0)) {
    return { status: finding.outcome === 'failed' ? failed : 'passed' };
  }
  if (failAbove !== undefined && isAbove(finding, failAbove)) {
    return { status: failed, note: `above failAbove: ${show(failAbove)}` };
  }
  if (warnAbove !== undefined && isAbove(finding, warnAbove)) {
    return { status: 'warned', note: `above warnAbove: ${show(warnAbove)}` };
  }
  if (finding.outcome === 'passed') return { status: 'passed' };
  const bound = warnAbove ?? failAbove;
  return { status: 'passed', ...(bound === undefined ? {} : { note: `not above ${show(bound)}` }) };
}

function isAbove({ count = 0, of }: Finding, threshold: Threshold): boolean {
  if ('count' in threshold) return count > threshold.count;
  if (count === 0) return false;
  if (of === undefined || of === 0) {
    throw new BackplanError('INPUT_INVALID', 'this check counts offenders, but not of how many', {
      hint: 'Give warnAbove and failAbove as a count here, not as a percentage.',
    });
  }
  return (count / of) * 100 > threshold.percent;
}

function show(threshold: Threshold): string {
  return 'count' in threshold ? `${threshold.count}` : `${threshold.percent}%`;
}
