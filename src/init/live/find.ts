/** Finds things by the name that a plan gives them. */
import { type ObjectName, parseName } from '../../postgres/object-name.ts';

/** As checks do: without a schema the one in `public` first, then any. */
export function findNamed<T extends Required<ObjectName>>(all: readonly T[], text: string): T | undefined {
  const named = allNamed(all, text);
  return named.find(({ schema }) => schema === 'public') ?? named[0];
}

/** All that may be meant by a name; none where it is malformed. */
export function allNamed<T extends Required<ObjectName>>(all: readonly T[], text: string): T[] {
  let wanted: ObjectName;
  try {
    wanted = parseName(text);
  } catch {
    return [];
  }
  return all.filter(
    ({ schema, name }) => name === wanted.name && (wanted.schema === undefined || schema === wanted.schema),
  );
}
