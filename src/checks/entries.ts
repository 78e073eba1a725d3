/** The entries of a suite as the plan writes them → single checks with their kind, name, severity and limits. */
import { BackplanError, toBackplanError } from '../errors.ts';
import type { CheckDefinition } from '../plan/model.ts';
import { didYouMean } from '../suggest.ts';
import { parseDuration } from '../units.ts';
import {
  type BackupFacts,
  type CheckKind,
  type CheckOptions,
  ROW_KEYS,
  type Severity,
} from './check-kind.ts';
import { parsePart, parseThreshold, type Thresholds } from './thresholds.ts';

/** What every check has besides the parameters of its kind. */
const SHARED_KEYS = ['name', 'severity', 'timeout', 'sample', 'tags', ...ROW_KEYS] as const;

const DEFAULT_SAMPLE = 5;

/** One check to run, or the reason why it cannot be run. */
export interface Entry {
  readonly name: string;
  readonly kind: string;
  readonly severity: Severity;
  readonly tags: readonly string[];
  readonly thresholds: Thresholds;
  readonly timeoutMs: number;
  /** Milliseconds from the start of the run in which it must be done: the timeout of its suite. */
  readonly withinMs: number;
  /** What its suite says; undefined: what the server looks like decides. */
  readonly trustIndexes?: boolean;
  readonly options: Omit<CheckOptions, 'trustIndexes'>;
  readonly check?: { readonly kind: CheckKind; readonly params: unknown };
  readonly error?: string;
  /** The name that the plan gives to the whole entry, where it stands for several checks. */
  readonly given?: string;
}

export interface EntryOptions {
  readonly kinds: ReadonlyMap<string, CheckKind>;
  /** Milliseconds, for checks that set none. */
  readonly timeoutMs: number;
  /** Names of checks whose failure is only a warning. */
  readonly tolerate: ReadonlySet<string>;
  readonly baseDirectory?: string;
  readonly sandbox?: boolean;
  readonly backup?: BackupFacts;
}

/** Every definition yields at least one entry: what cannot be understood becomes one with an `error`, never nothing. */
export function toEntries(definitions: readonly CheckDefinition[], options: EntryOptions): Entry[] {
  const entries = definitions.flatMap((definition) => expand(definition, options));
  const seen = new Map<string, number>();
  return entries.map((entry) => {
    const times = (seen.get(entry.name) ?? 0) + 1;
    seen.set(entry.name, times);
    return times === 1 ? entry : { ...entry, name: `${entry.name} #${times}` };
  });
}

/**
 * The entries that `only` names (all, where it names none) without those that `skip` names: by tag, by name, or by
 * the name of the entry that they came from.
 * @throws INPUT_INVALID for a name that fits nothing, which would quietly leave out what was meant
 */
export function choose(
  entries: readonly Entry[],
  { only = [], skip = [] }: { readonly only?: readonly string[]; readonly skip?: readonly string[] },
): Entry[] {
  const labels = (entry: Entry) => [
    entry.name,
    ...(entry.given === undefined ? [] : [entry.given]),
    ...entry.tags,
  ];
  const known = new Set(entries.flatMap(labels));
  for (const [word, names] of [
    ['only', only],
    ['skip', skip],
  ] as const) {
    const stray = names.find((name) => !known.has(name));
    if (stray === undefined) continue;
    throw new BackplanError(
      'INPUT_INVALID',
      `${word} names "${stray}", but no check or tag is called so${didYouMean(stray, known)}`,
      { hint: `The checks are ${entries.map(({ name }) => `"${name}"`).join(', ') || 'none'}.` },
    );
  }
  const fits = (entry: Entry, names: readonly string[]) =>
    labels(entry).some((label) => names.includes(label));
  return entries.filter((entry) => (only.length === 0 || fits(entry, only)) && !fits(entry, skip));
}

function expand(definition: CheckDefinition, options: EntryOptions): Entry[] {
  const kind = options.kinds.get(definition.kind);
  const { shared, params } = separate(definition, kind);
  const given = typeof shared.name === 'string' ? shared.name : undefined;
  const severity: Severity = shared.severity === 'warn' ? 'warn' : 'error';
  const base = {
    kind: definition.kind,
    severity,
    tags: Array.isArray(shared.tags) ? shared.tags.map(String) : [],
    thresholds: {},
    timeoutMs: options.timeoutMs,
    withinMs: definition.limits?.withinMs ?? Number.POSITIVE_INFINITY,
    ...(definition.limits?.trustIndexes === undefined
      ? {}
      : { trustIndexes: definition.limits.trustIndexes }),
    options: {
      sample: DEFAULT_SAMPLE,
      rows: shared.rows === true,
      ...(typeof shared.where === 'string' ? { where: shared.where } : {}),
      ...(options.sandbox === undefined ? {} : { sandbox: options.sandbox }),
      ...(options.baseDirectory === undefined ? {} : { baseDirectory: options.baseDirectory }),
      ...(options.backup === undefined ? {} : { backup: options.backup }),
    },
    ...(given === undefined ? {} : { given }),
  } satisfies Partial<Entry>;
  const refused = (error: string): Entry[] => [{ ...base, name: given ?? definition.kind, error }];
  if (kind === undefined) {
    const known = [...options.kinds.keys()].join(', ');
    return refused(`there is no check kind "${definition.kind}"; known are ${known}`);
  }
  // A condition that is not heeded would let a check pass that looked at something else.
  const foreign = ROW_KEYS.find((key) => Object.hasOwn(shared, key) && kind.keys?.includes(key) !== true);
  if (foreign !== undefined) return refused(`"${foreign}" is not possible for ${kind.kind}`);
  try {
    const all = kind.expand?.(params) ?? [params];
    const limits = {
      thresholds: {
        ...(shared.warnAbove === undefined ? {} : { warnAbove: parseThreshold(shared.warnAbove) }),
        ...(shared.failAbove === undefined ? {} : { failAbove: parseThreshold(shared.failAbove) }),
      },
      ...(shared.timeout === undefined ? {} : { timeoutMs: parseDuration(String(shared.timeout)) }),
      options: {
        ...base.options,
        ...(shared.part === undefined ? {} : { part: parsePart(shared.part) }),
        ...(typeof shared.sample === 'number' ? { sample: Math.max(0, Math.floor(shared.sample)) } : {}),
      },
    };
    return all.map((each) => {
      const title = kind.title(each);
      const name = given === undefined ? title : all.length === 1 ? given : `${given}: ${title}`;
      const tolerated = options.tolerate.has(name) || (given !== undefined && options.tolerate.has(given));
      return {
        ...base,
        ...limits,
        name,
        severity: tolerated ? 'warn' : severity,
        check: { kind, params: each },
      };
    });
  } catch (error) {
    // Validation refuses such a plan; a check that slipped through is reported, not dropped.
    return refused(toBackplanError(error).message);
  }
}

/**
 * Shared keys may stand beside the kind key or inside its object; inside they belong to the kind where the kind has a
 * parameter of that name (`index: {name: …}`).
 */
function separate(
  definition: CheckDefinition,
  kind: CheckKind | undefined,
): { shared: Record<string, unknown>; params: unknown } {
  const shared: Record<string, unknown> = { ...definition.shared };
  const given = definition.with;
  if (given === null || typeof given !== 'object' || Array.isArray(given)) return { shared, params: given };
  const own = kind?.params.properties ?? {};
  const isShared = (key: string) =>
    (SHARED_KEYS as readonly string[]).includes(key) && !Object.hasOwn(own, key);
  const params: [string, unknown][] = [];
  for (const [key, value] of Object.entries(given)) {
    if (isShared(key)) shared[key] = value;
    else params.push([key, value]);
  }
  return { shared, params: Object.fromEntries(params) };
}
