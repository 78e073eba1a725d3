/** What a live schema has that a suite does not check, and what a suite checks that the schema has lost. Pure. */
import type { CheckDefinition } from '../plan/model.ts';
import { generators, type Suggestion, suggestChecks } from './generators.ts';
import type { LiveSchema } from './live-schema.ts';

/** A check of the suite whose subject is gone. */
interface Lost {
  /** Its place in the suite. */
  readonly index: number;
  /** For kinds that are lists: its place in the list, where the list has others that are still there. */
  readonly entry?: number;
  readonly kind: string;
  readonly params: unknown;
}

/** Accepted values that are others now. */
interface Changed {
  readonly index: number;
  readonly kind: string;
  readonly params: unknown;
  readonly from: readonly unknown[];
  readonly to: readonly unknown[];
}

export interface SuiteDifference {
  readonly missing: readonly Suggestion[];
  readonly lost: readonly Lost[];
  readonly changed: readonly Changed[];
}

/** @param definitions the suite, its environment resolved */
export function compareSuite(definitions: readonly CheckDefinition[], schema: LiveSchema): SuiteDifference {
  const suggestions = new Map(suggestChecks(schema).map((each) => [each.subject, each]));
  const covered = new Set<string>();
  const lost: Lost[] = [];
  const changed: Changed[] = [];
  for (const [index, { kind, with: params }] of definitions.entries()) {
    const subjects = subjectsOf(kind, params, schema);
    const gone = subjects.filter(({ exists }) => !exists);
    if (subjects.length > 0 && gone.length === subjects.length) lost.push({ index, kind, params });
    else {
      for (const { entry } of gone) {
        if (entry !== undefined)
          lost.push({ index, entry, kind, params: [(params as readonly unknown[])[entry]] });
      }
    }
    for (const { subject, values } of subjects) {
      covered.add(subject);
      const live = (suggestions.get(subject)?.params as { values?: readonly unknown[] } | undefined)?.values;
      if (values !== undefined && live !== undefined && !sameValues(values, live)) {
        changed.push({ index, kind, params, from: values, to: live });
      }
    }
  }
  return { missing: [...suggestions.values()].filter(({ subject }) => !covered.has(subject)), lost, changed };
}

function subjectsOf(kind: string, params: unknown, schema: LiveSchema) {
  return generators.find((each) => each.kind === kind)?.subjects(params, schema) ?? [];
}

function sameValues(left: readonly unknown[], right: readonly unknown[]): boolean {
  const texts = (values: readonly unknown[]) => JSON.stringify([...new Set(values.map(String))].sort());
  return texts(left) === texts(right);
}
