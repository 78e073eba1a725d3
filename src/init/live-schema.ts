/**
 * What a live database has that a suite can check: tables, keys, references, grants, functions and the rest. Read-only.
 * What extensions brought along is left out, and so are partitions: they come and go, their parent speaks for them.
 * Source: https://www.postgresql.org/docs/current/catalogs.html
 */

import type { Client } from '../postgres/client.ts';
import { type LiveDatabase, loadDatabase } from './live/database.ts';
import { findNamed } from './live/find.ts';
import { type LiveKeys, loadKeys } from './live/keys.ts';
import { type LiveObjects, loadObjects } from './live/objects.ts';
import { type LiveSecurity, loadSecurity } from './live/security.ts';
import { type LiveSequence, loadSequences } from './live/sequences.ts';
import { type LiveTable, type LiveTables, loadTables } from './live/table.ts';

export interface LiveSchema extends LiveTables, LiveKeys, LiveObjects, LiveSecurity, LiveDatabase {
  readonly database: string;
  readonly sequences: readonly LiveSequence[];
  /** The table or view that a plan calls so, as checks find it. */
  find(text: string): LiveTable | undefined;
}

export interface InspectOptions {
  /** Only these schemas. */
  readonly schemas?: readonly string[];
}

/**
 * Looks at everything that a suite can check, as far as this role may. Never throws for a right that is missing: what
 * could not be looked at says so (`readable`, `unseen`).
 * @throws QUERY_FAILED, CONNECTION_FAILED
 */
export async function inspectSchema(client: Client, options: InspectOptions = {}): Promise<LiveSchema> {
  const whole = options.schemas === undefined;
  const wanted = (schema: string) => options.schemas?.includes(schema) ?? true;
  // Else a policy would hide rows, and a table look empty.
  await client.query('SET row_security = off');
  const { tables, partitions } = await loadTables(client, wanted);
  const all = [...tables, ...partitions];
  const database = await loadDatabase(client);
  return {
    database: client.connection.database,
    tables,
    partitions,
    ...(await loadKeys(client, tables, all, wanted)),
    ...(await loadObjects(client, tables, wanted)),
    ...(await loadSecurity(client, tables, wanted, whole)),
    sequences: await loadSequences(client, wanted),
    ...database,
    settings: whole ? database.settings : [],
    find: (text) => findNamed(all, text),
  };
}
