/** What the role that looked may not look at, for people. Pure. */
import { type ObjectName, showName } from '../postgres/object-name.ts';
import type { LiveSchema } from './live-schema.ts';

const SHOWN = 10;

/** One line for each sort of thing; empty where all was seen. */
export function notSeen(schema: LiveSchema): string[] {
  const blind = schema.tables.filter(({ kind, readable }) => /^[rpm]$/.test(kind) && !readable);
  const busy = schema.tables.filter(
    ({ kind, readable, populated, hasRows }) =>
      /^[rpm]$/.test(kind) && readable && populated && hasRows === undefined,
  );
  const sequences = schema.sequences.filter(({ readable }) => !readable);
  return [
    ...said(
      blind,
      'this role may not read all rows (a right, or a policy), so they are not counted nor compared',
    ),
    ...said(busy, 'could not be looked into (a lock, or a right on a part), so without a row count'),
    ...said(sequences, 'this role may not read them or their columns, so how far they are is not checked'),
    ...(schema.unseen.length === 0
      ? []
      : [`Not looked at in the catalog, and left out of catalogHealth: ${schema.unseen.join(', ')}.`]),
  ];
}

function said(names: readonly ObjectName[], why: string): string[] {
  if (names.length === 0) return [];
  const shown = names.slice(0, SHOWN).map(showName).join(', ');
  const more = names.length > SHOWN ? ` and ${names.length - SHOWN} more` : '';
  return [`${shown}${more}: ${why}.`];
}
