/** The entries of a suite as the plan writes them → single checks with their kind, name, severity and limits. */
import { toBackplanError } from '../errors.ts';
import type { CheckDefinition } from '../plan/model.ts';
import { parseDuration } from '../units.ts';
import type { CheckKind, Severity } from './check-kind.ts';

/** What every check has besides the parameters of its kind. */
export const SHARED_KEYS = ['name', 'severity', 'timeout', 'sample'] as const;

export const DEFAULT_SAMPLE = 5;

/** One check to run, or the reason why it cannot be run. */
export interface Entry {
  readonly name: string;
  readonly kind: string;
  readonly severity: Severity;
  readonly sample: number;
  readonly timeoutMs: number;
  readonly check?: { readonly kind: CheckKind; readonly params: unknown };
  readonly error?: string;
}

export interface EntryOptions {
  readonly kinds: ReadonlyMap<string, CheckKind>;
  /** Milliseconds, for checks that set none. */
  readonly timeoutMs: number;
  /** Names of checks whose failure is only a warning. */
  readonly tolerate: ReadonlySet<string>;
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

function expand(definition: CheckDefinition, options: EntryOptions): Entry[] {
  const kind = options.kinds.get(definition.kind);
  const { shared, params } = separate(definition, kind);
  const given = typeof shared.name === 'string' ? shared.name : undefined;
  const severity: Severity = shared.severity === 'warn' ? 'warn' : 'error';
  const base = { kind: definition.kind, severity, sample: DEFAULT_SAMPLE, timeoutMs: options.timeoutMs };
  if (kind === undefined) {
    const known = [...options.kinds.keys()].join(', ');
    const error = `there is no check kind "${definition.kind}"; known are ${known}`;
    return [{ ...base, name: given ?? definition.kind, error }];
  }
  try {
    const limits = {
      ...(typeof shared.sample === 'number' ? { sample: Math.max(0, Math.floor(shared.sample)) } : {}),
      ...(shared.timeout === undefined ? {} : { timeoutMs: parseDuration(String(shared.timeout)) }),
    };
    const all = kind.expand?.(params) ?? [params];
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
    return [{ ...base, name: given ?? definition.kind, error: toBackplanError(error).message }];
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
