/** The shape of notifiers: one key names the kind and holds its settings, the others are shared by all kinds. */
import type { JsonSchema } from '../schema.ts';
import { isRecord } from '../schema-walk.ts';
import { didYouMean, listNames } from '../suggest.ts';
import type { Collector } from './diagnostic.ts';
import { type NotifierDocument, notifierSchema, type PlanDocument } from './schema.ts';
import { at, type Path } from './source.ts';
import { isTemplate } from './template.ts';
import type { NotifierVocabulary, Vocabulary } from './vocabulary.ts';

/** A notifier as far as it has the right shape, and where its settings stand. */
export interface NotifierEntry {
  readonly name: string;
  readonly kind: string;
  readonly settings: unknown;
  readonly shared: NotifierDocument;
  /** Of the settings. */
  readonly path: Path;
}

/** The keys beside the kind. */
export const NOTIFIER_KEYS: readonly string[] = Object.keys(notifierSchema.properties);

/** Validates a value by a schema and reports its problems under a path; true when there are none. */
type Check = (schema: JsonSchema, value: unknown, path: Path) => Promise<boolean>;

/** Names of the notifiers whose `on` is written in the plan; to be asked before defaults are filled in. */
export function notifiersWithOn(plan: unknown): Set<string> {
  const notifiers = at(plan, ['notifiers']);
  const entries = isRecord(notifiers) ? Object.entries(notifiers) : [];
  return new Set(
    entries.filter(([, entry]) => isRecord(entry) && Object.hasOwn(entry, 'on')).map(([name]) => name),
  );
}

export async function checkNotifiers(
  document: PlanDocument,
  withOn: ReadonlySet<string>,
  vocabulary: Vocabulary,
  collector: Collector,
  check: Check,
): Promise<NotifierEntry[]> {
  const entries: NotifierEntry[] = [];
  for (const [name, entry] of Object.entries(document.notifiers) as [string, Record<string, unknown>][]) {
    const base = ['notifiers', name];
    const kind = kindOf(entry, base, vocabulary, collector);
    if (kind === undefined) continue;
    const path = [...base, kind.kind];
    const settings = entry[kind.kind];
    if (kind.fixedEvents !== undefined && withOn.has(name)) {
      collector.report([...base, 'on'], `"on" is not possible for ${kind.kind}: ${kind.fixedEvents}`, {
        at: 'key',
      });
    }
    if (await check(kind.settings, settings, path)) checkRules(kind, settings, path, collector);
    entries.push({ name, kind: kind.kind, settings, shared: entry as NotifierDocument, path });
  }
  return entries;
}

/** The one key of a notifier that names its kind. */
function kindOf(
  entry: Record<string, unknown>,
  path: Path,
  vocabulary: Vocabulary,
  collector: Collector,
): NotifierVocabulary | undefined {
  const known = [...vocabulary.notifiers.keys()];
  const kinds = Object.keys(entry).filter((key) => vocabulary.notifiers.has(key));
  const others = Object.keys(entry).filter((key) => !kinds.includes(key) && !NOTIFIER_KEYS.includes(key));
  const ways = `A notifier is reached by one of ${listNames(known, 'or')}.`;
  for (const key of others) {
    const near = didYouMean(key, [...known, ...NOTIFIER_KEYS]);
    collector.report([...path, key], `unknown key${near}`, {
      at: 'key',
      hint: near === '' ? ways : undefined,
    });
  }
  if (kinds.length === 0 && others.length === 0) {
    collector.report(path, 'it is not said how this notifier is reached', { at: 'key', hint: ways });
  }
  for (const extra of kinds.slice(1)) {
    collector.report([...path, extra], `a second way to reach this notifier, the first is "${kinds[0]}"`, {
      at: 'key',
      hint: 'Make two notifiers of it; jobs can name several.',
    });
  }
  return vocabulary.notifiers.get(kinds[0] ?? '');
}

function checkRules(kind: NotifierVocabulary, settings: unknown, path: Path, collector: Collector): void {
  for (const problem of kind.validate?.(settings) ?? []) {
    const value = at(settings, problem.path);
    // What begins with a variable may become anything.
    if (typeof value === 'string' && isTemplate(value) && /^\s*\$\{/.test(value)) continue;
    collector.report([...path, ...problem.path], problem.message, { hint: problem.hint, secret: true });
  }
}
