/** What a live schema has that a suite does not check, and what a suite checks that the schema has lost. Pure. */
import type { CheckDefinition } from '../plan/model.ts';
import { isRecord } from '../schema-walk.ts';
import { generators, mergeSuggestions, suggestChecks } from './generators/index.ts';
import type { LiveSchema } from './live-schema.ts';
import type { Suggestion } from './subject.ts';

/** A check of the suite whose subject is gone. */
interface Lost {
  /** Its place in the suite. */
  readonly index: number;
  /** For kinds that are lists: its place in the list, where the list has others that are still there. */
  readonly entry?: number;
  /** The check also looks at what is still there, so it cannot simply go. */
  readonly partly?: boolean;
  readonly kind: string;
  readonly params: unknown;
}

/** Accepted values or labels that are others now. */
interface Changed {
  readonly index: number;
  readonly kind: string;
  readonly params: unknown;
  /** Of the list among its parameters. */
  readonly key: string;
  readonly to: readonly unknown[];
}

export interface SuiteDifference {
  readonly missing: readonly Suggestion[];
  readonly lost: readonly Lost[];
  readonly changed: readonly Changed[];
}

/** @param definitions the suite, its environment resolved */
export function compareSuite(definitions: readonly CheckDefinition[], schema: LiveSchema): SuiteDifference {
  const covered = new Set<string>();
  const lost: Lost[] = [];
  const changed: Changed[] = [];
  for (const [index, { kind, with: params }] of definitions.entries()) {
    const subjects = subjectsOf(kind, params, schema);
    const gone = subjects.filter(({ exists }) => !exists);
    if (subjects.length > 0 && gone.length === subjects.length) lost.push({ index, kind, params });
    else if (Array.isArray(params)) {
      for (const { entry = 0 } of gone) lost.push({ index, entry, kind, params: [params[entry]] });
    } else if (gone.length > 0) lost.push({ index, kind, params, partly: true });
    for (const { subject, list } of subjects) {
      covered.add(subject);
      if (list !== undefined && !sameValues(list.from, list.to)) {
        changed.push({ index, kind, params, key: list.key, to: list.to });
      }
    }
  }
  const missing = suggestChecks(schema).filter(({ subject }) => !covered.has(subject));
  return { missing: mergeSuggestions(missing), lost, changed };
}

function subjectsOf(kind: string, params: unknown, schema: LiveSchema) {
  return generators.find((each) => each.kind === kind)?.subjects(params, schema) ?? [];
}

function sameValues(left: readonly unknown[], right: readonly unknown[]): boolean {
  const text = (value: unknown) => (isRecord(value) ? JSON.stringify(value) : String(value));
  const texts = (values: readonly unknown[]) => JSON.stringify([...new Set(values.map(text))].sort());
  return texts(left) === texts(right);
}
