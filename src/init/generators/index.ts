/**
 * What of a live schema becomes which check. One entry for each sort of thing: it suggests checks for all that the
 * database has, and tells what a check that a suite already has is about, so that both can be compared. To add one,
 * write its entry in the file of its family and list it below.
 */
import { isRecord } from '../../schema-walk.ts';
import type { LiveSchema } from '../live-schema.ts';
import { type Generator, key, type Suggestion } from '../subject.ts';
import { constraint } from './constraints.ts';
import { catalogHealth, databaseSettings, sequence } from './database.ts';
import { index } from './indexes.ts';
import { foreignKey, primaryKey, unique } from './keys.ts';
import { routine, trigger } from './routines.ts';
import { grant, role, rowLevelSecurity, schema } from './security.ts';
import { columns, partition, rowCount, table, tables } from './tables.ts';
import { acceptedValues, enumType, extension } from './types.ts';
import { materializedView, view } from './views.ts';

/** In the order in which a new suite has them. */
export const generators: readonly Generator[] = [
  schema,
  tables,
  table,
  columns,
  primaryKey,
  unique,
  foreignKey,
  index,
  constraint,
  partition,
  view,
  materializedView,
  routine,
  trigger,
  enumType,
  acceptedValues,
  sequence,
  extension,
  rowLevelSecurity,
  grant,
  role,
  databaseSettings,
  catalogHealth,
  rowCount,
];

/**
 * One check instead of several that only differ in what they list: the columns of a table. Done last, when it is
 * known which of them are wanted.
 */
export function mergeSuggestions(suggestions: readonly Suggestion[]): Suggestion[] {
  const merged = new Map<string, Suggestion>();
  for (const suggestion of suggestions) {
    const { kind, subject, params } = suggestion;
    const merges = generators.find((each) => each.kind === kind)?.merges === true && isRecord(params);
    const group = merges ? key(kind, String(params.table)) : key(kind, subject);
    const before = merged.get(group);
    merged.set(
      group,
      before === undefined ? suggestion : { ...suggestion, params: deepMerge(before.params, params) },
    );
  }
  return [...merged.values()];
}

function deepMerge(before: unknown, after: unknown): unknown {
  if (!isRecord(before) || !isRecord(after)) return after;
  const both = { ...before };
  for (const [name, value] of Object.entries(after)) {
    both[name] = Object.hasOwn(both, name) ? deepMerge(both[name], value) : value;
  }
  return both;
}

/** Checks for everything that the database has, one for each subject; columns are still one by one. */
export function suggestChecks(schema: LiveSchema): Suggestion[] {
  const seen = new Set<string>();
  return generators.flatMap(({ kind, suggest }) =>
    suggest(schema).flatMap((suggestion) => {
      if (seen.has(suggestion.subject)) return [];
      seen.add(suggestion.subject);
      return [{ kind, ...suggestion }];
    }),
  );
}
