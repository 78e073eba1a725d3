/** Findings of kinds as results of checks. */
import { toBackplanError } from '../errors.ts';
import type { CheckResult, Finding } from './check-kind.ts';
import type { Entry } from './entries.ts';
import type { Failure } from './failure.ts';
import { statusOf } from './thresholds.ts';

/** What a kind found → what is reported. */
export function toResult(entry: Entry, finding: Finding | undefined, durationMs: number): CheckResult {
  if (finding === undefined) return errored(entry, 'the check said nothing', durationMs);
  const { outcome: _outcome, of: _of, ...rest } = finding;
  try {
    const { status, note } = inPart(entry, statusOf(finding, entry.severity, entry.thresholds));
    return {
      name: entry.name,
      kind: entry.kind,
      // Nobody waits for what does not apply.
      severity: status === 'skipped' ? 'warn' : entry.severity,
      status,
      durationMs,
      ...rest,
      ...(note === undefined ? {} : { message: `${rest.message}; ${note}` }),
      ...(rest.samples === undefined ? {} : { samples: rest.samples.map(shorten) }),
    };
  } catch (error) {
    const { message, hint } = toBackplanError(error);
    return errored(entry, hint === undefined ? { message } : { message, hint }, durationMs);
  }
}

/** Part of a table can show that it is bad, never that it is good. */
function inPart({ options: { part }, severity }: Entry, said: ReturnType<typeof statusOf>): typeof said {
  const red = said.status === 'failed' || (said.status === 'warned' && severity === 'warn');
  if (part === undefined || red || said.status === 'skipped') return said;
  const notes = [
    said.note,
    `only ${part}% of its pages were read, which can show faults and never their absence`,
  ];
  return { status: 'vacuous', note: notes.filter((note) => note !== undefined).join('; ') };
}

/** Samples are to recognise a row by, not to carry documents into reports. */
const SAMPLE_CHARACTERS = 300;

function shorten(sample: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(sample).map(([key, value]) => {
      const text = typeof value === 'object' && value !== null ? JSON.stringify(value) : value;
      return typeof text === 'string' && text.length > SAMPLE_CHARACTERS
        ? [key, `${text.slice(0, SAMPLE_CHARACTERS)}…`]
        : [key, value];
    }),
  );
}

/** A check that could not look. */
export function errored(
  entry: Entry,
  why: string | Pick<Failure, 'message' | 'hint' | 'environment'>,
  durationMs: number,
): CheckResult {
  const { message, ...rest } = typeof why === 'string' ? { message: why } : why;
  return {
    name: entry.name,
    kind: entry.kind,
    severity: entry.severity,
    status: 'errored',
    durationMs,
    message,
    error: message,
    ...rest,
  };
}
