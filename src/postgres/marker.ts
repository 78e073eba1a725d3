/**
 * Databases that backplan made or set aside carry a comment that says so. It is the only state about them that
 * survives a lost state folder, and the only licence to drop one.
 */
import { compactInstant } from '../units.ts';
import type { Client } from './client.ts';

/**
 * What a marked database is. `name` is the one that backplan gave it: a database that a person renamed (a previous one
 * back into production, by hand) is not what its mark says any more. `comment` is the database's own comment, put
 * back when it becomes production again.
 */
export type Marker =
  /** A restore is filling it, or was cut off: nobody's to use, and its run's to remove. */
  | { readonly filling: string; readonly run: string; readonly name?: string }
  | {
      readonly stagingFor: string;
      readonly run: string;
      readonly name?: string;
      readonly backup: string | null;
      /** False where parts of the database were left out on purpose. */
      readonly whole?: boolean;
      readonly comment?: string | null;
    }
  | {
      readonly previousOf: string;
      readonly name?: string;
      readonly run: string;
      /** ISO instant of the swap. */
      readonly at: string;
      /** ISO instant until which it is kept for rollback. */
      readonly keepUntil: string;
      readonly comment?: string | null;
    };

const PREFIX = 'backplan:';

/** The longest name PostgreSQL keeps: NAMEDATALEN - 1 bytes. */
const NAME_BYTES = 63;

export function formatMarker(marker: Marker): string {
  return PREFIX + JSON.stringify(marker);
}

/** undefined for every comment that is not ours. */
export function parseMarker(comment: string | null | undefined): Marker | undefined {
  if (comment === null || comment === undefined || !comment.startsWith(PREFIX)) return undefined;
  try {
    const value: unknown = JSON.parse(comment.slice(PREFIX.length));
    if (typeof value !== 'object' || value === null) return undefined;
    const { filling, stagingFor, previousOf, run } = value as Record<string, unknown>;
    if (typeof run !== 'string') return undefined;
    return [filling, stagingFor, previousOf].some((each) => typeof each === 'string')
      ? (value as Marker)
      : undefined;
  } catch {
    return undefined;
  }
}

/** The mark of a database, unless a person has renamed the database since. */
export function markOf(name: string, comment: string | null | undefined): Marker | undefined {
  const marker = parseMarker(comment);
  if (marker === undefined) return undefined;
  const replaced =
    'stagingFor' in marker ? marker.stagingFor : 'previousOf' in marker ? marker.previousOf : '';
  return name === (marker.name ?? name) && name !== replaced ? marker : undefined;
}

/** The comment that a database has of its own: under a mark, the one that the mark keeps. */
export function ownComment(comment: string | null | undefined): string | null {
  const marker = parseMarker(comment);
  if (marker === undefined) return comment ?? null;
  return ('comment' in marker ? marker.comment : undefined) ?? null;
}

export interface MarkedDatabase {
  readonly name: string;
  readonly marker: Marker;
}

/** Every marked database of the server. Works from any database: the catalogs are shared. */
export async function markedDatabases(client: Client): Promise<MarkedDatabase[]> {
  const rows = await client.query<{ name: string; comment: string | null }>(
    `SELECT d.datname AS name, pg_catalog.shobj_description(d.oid, 'pg_database') AS comment
       FROM pg_catalog.pg_database d ORDER BY d.datname`,
  );
  return rows.flatMap(({ name, comment }) => {
    const marker = markOf(name, comment);
    return marker === undefined ? [] : [{ name, marker }];
  });
}

/** The mark of one database, and whether there is such a database at all. */
export async function readMark(
  client: Client,
  name: string,
): Promise<{ readonly exists: boolean; readonly commented: boolean; readonly marker?: Marker | undefined }> {
  const comment = await commentOf(client, name);
  if (comment === undefined) return { exists: false, commented: false };
  return { exists: true, commented: comment !== null, marker: markOf(name, comment) };
}

/** The comment of a database, null where it has none; undefined where there is no such database. */
export async function commentOf(client: Client, name: string): Promise<string | null | undefined> {
  const row = await client.first<{ comment: string | null }>(
    "SELECT pg_catalog.shobj_description(oid, 'pg_database') AS comment FROM pg_catalog.pg_database WHERE datname = $1",
    [name],
  );
  return row?.comment;
}

/** `crm` and `_previous_20261124T052358Z` → a name within 63 bytes; the end is what must survive. */
export function derivedName(database: string, ending: string): string {
  let start = database;
  while (Buffer.byteLength(start + ending) > NAME_BYTES) start = [...start].slice(0, -1).join('');
  return start + ending;
}

/** Ending of a previous database's name: when it was replaced, and by which run, so that two swaps in one second differ. */
export function previousEnding(at: Date, run: string): string {
  return `_previous_${compactInstant(at)}_${run.slice(-4)}`;
}
