/** The comparison with a backup's fingerprint as results beside those of the checks. */
import { withClient } from '../postgres/client.ts';
import type { Connection } from '../postgres/connection.ts';
import { isWhole } from '../postgres/data-tables.ts';
import { type Comparison, compareFingerprint, type Difference } from '../postgres/fingerprint-compare.ts';
import type { Inventory } from '../repository/inventory.ts';
import type { Manifest } from '../repository/manifest.ts';
import type { Progress } from '../runs/record.ts';
import type { CheckResult, Severity } from './check-kind.ts';
import { explainFailure } from './failure.ts';

export const COMPARE_NAME = 'compareFingerprint';

export interface FingerprintCheckOptions {
  readonly connection: Connection;
  readonly manifest: Pick<Manifest, 'id' | 'fingerprint' | 'selection' | 'source'>;
  /** The database holds all that the backup holds; otherwise what is missing is skipped, not failed. */
  readonly whole: boolean;
  /** Reads the schema as the backup knows it; undefined where it does not, or where it does not matter. */
  readonly inventory?: (() => Promise<Inventory | undefined>) | undefined;
  /** What the restore left out on purpose. */
  readonly without?:
    | { readonly owners?: boolean; readonly grants?: boolean; readonly database?: boolean }
    | undefined;
  readonly except: readonly string[];
  readonly tolerate: ReadonlySet<string>;
  readonly applicationName: string;
  readonly signal: AbortSignal;
  readonly onProgress?: (progress: Progress) => void;
}

export interface FingerprintResults {
  readonly results: readonly CheckResult[];
  /** True: every value of every table is as in the backup. False: something differs. Undefined: not shown either way. */
  readonly identical: boolean | undefined;
}

/** One passed result when all is the same, else one for everything that differs; what could not be compared is errored. */
export async function fingerprintResults(options: FingerprintCheckOptions): Promise<FingerprintResults> {
  const { manifest, except, signal, whole } = options;
  const started = performance.now();
  const result = makeResult(options.tolerate, () => Math.round(performance.now() - started));
  let comparison: Comparison;
  try {
    const inventory = await options.inventory?.();
    comparison = await withClient(
      options.connection,
      { applicationName: options.applicationName, signal, settings: { statement_timeout: '0' } },
      (client) =>
        compareFingerprint(client, manifest.fingerprint, {
          except,
          extras: whole && isWhole(manifest.selection),
          ignoreUnlogged: manifest.source.inRecovery,
          partial: !whole,
          ...(inventory === undefined ? {} : { inventory }),
          ...(options.without === undefined ? {} : { without: options.without }),
          signal,
          ...(options.onProgress === undefined ? {} : { onProgress: options.onProgress }),
        }),
    );
  } catch (error) {
    if (signal.aborted) throw error;
    const { message, hint } = explainFailure(error, performance.now() - started);
    return { results: [result(COMPARE_NAME, 'errored', message, hint)], identical: undefined };
  }
  const results = [
    // Of a partial restore, which tables are not there says enough.
    ...comparison.differences
      .filter(({ kind }) => whole || kind !== 'objectMissing')
      .map((difference) => {
        const name = `${COMPARE_NAME} ${difference.object ?? 'large objects'}`;
        return !whole && isAbsence(difference)
          ? {
              ...result(name, 'skipped', `${difference.message}: the restore was partial`),
              severity: 'warn' as const,
            }
          : result(name, 'failed', difference.message, hintFor(difference, manifest.id));
      }),
    ...comparison.unread.map(({ object, reason }) =>
      result(
        `${COMPARE_NAME} ${object}`,
        'errored',
        `the content of ${object} could not be compared: ${reason}`,
      ),
    ),
  ];
  const wrong = results.some(({ status }) => status === 'failed' || status === 'warned');
  if (!wrong && comparison.unread.length === 0)
    results.unshift(agreement(result, comparison, manifest.id, except));
  const everything =
    whole &&
    except.length === 0 &&
    results.length === 1 &&
    comparison.tables > 0 &&
    comparison.content === comparison.tables;
  // Tolerated differences neither prove nor disprove.
  const failed = results.some(({ status }) => status === 'failed');
  return { results, identical: failed ? false : everything && !wrong ? true : undefined };
}

type MakeResult = ReturnType<typeof makeResult>;

function makeResult(tolerate: ReadonlySet<string>, elapsed: () => number) {
  return (
    name: string,
    outcome: 'passed' | 'failed' | 'errored' | 'skipped' | 'vacuous',
    message: string,
    hint?: string,
  ): CheckResult => {
    const severity: Severity = tolerate.has(name) ? 'warn' : 'error';
    return {
      name,
      kind: 'fingerprint',
      severity,
      status: outcome === 'failed' && severity === 'warn' ? 'warned' : outcome,
      durationMs: elapsed(),
      message,
      ...(outcome === 'errored' ? { error: message } : {}),
      ...(hint === undefined ? {} : { hint }),
    };
  };
}

function agreement(
  result: MakeResult,
  comparison: Comparison,
  id: string,
  except: readonly string[],
): CheckResult {
  const { tables, content, sequences, objects } = comparison;
  const apart = except.length === 0 ? '' : `, apart from ${except.join(', ')}`;
  if (tables === 0 && objects > 0)
    return result(COMPARE_NAME, 'passed', `${objects} objects of the schema as in ${id}${apart}`);
  if (tables === 0) return result(COMPARE_NAME, 'vacuous', `there was no table to compare with ${id}`);
  const what =
    content === tables
      ? `content of ${tables} tables`
      : content === 0
        ? `row counts of ${tables} tables`
        : `row counts of ${tables} tables and content of ${content}`;
  return result(
    COMPARE_NAME,
    'passed',
    objects === 0
      ? `${what} and ${sequences} sequences as in ${id}${apart}`
      : `${what}, ${sequences} sequences and ${objects} objects of the schema as in ${id}${apart}`,
  );
}

/** Something of the backup is not there at all. */
function isAbsence({ kind, actual }: Difference): boolean {
  return (
    kind === 'tableMissing' ||
    kind === 'objectMissing' ||
    kind === 'largeObjects' ||
    (kind === 'sequence' && actual === undefined)
  );
}

function hintFor({ kind }: Difference, id: string): string | undefined {
  switch (kind) {
    case 'objectMissing':
    case 'object':
      return 'Either the copy was changed since, or its restore left it out: see the warnings of the restore step.';
    case 'objectExtra':
    case 'tableExtra':
      return 'Name it under except where a step of the plan makes it on purpose.';
    case 'sequence':
      return 'It would hand out values that are taken: setval() it to the highest value in use.';
    default:
      return `Either the copy was written to, or the restore or backup ${id} lost something. Restore again; if it stays, check the source.`;
  }
}
