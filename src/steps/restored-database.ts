/** The databases that restores make beside others: their names, their marks while they are filled, their removal. */
import { type Client, identifier, literal } from '../postgres/client.ts';
import { dropDatabase } from '../postgres/create-database.ts';
import { derivedName, formatMarker, type Marker, readMark } from '../postgres/marker.ts';
import { runTail } from '../runs/run-id.ts';

/** A run may restore beside the same production more than once. */
export function stagingName(production: string, run: string, number: number): string {
  return derivedName(production, `_staging_${runTail(run)}${number === 1 ? '' : `_${number}`}`);
}

export async function setMark(client: Client, name: string, marker: Marker | undefined): Promise<void> {
  const comment = marker === undefined ? 'NULL' : literal(formatMarker(marker));
  await client.query(`COMMENT ON DATABASE ${identifier(name)} IS ${comment}`);
}

/**
 * Drops what a run made, if it still is that. A database of the same name that somebody else made meanwhile, by hand
 * after a crash perhaps, stays, as does one that was promoted.
 */
export async function dropRestored(client: Client, name: string, run: string): Promise<void> {
  const { exists, commented, marker } = await readMark(client, name);
  if (!exists) return;
  const own = marker !== undefined && !('previousOf' in marker) && marker.run === run;
  // Cut between CREATE and COMMENT: a name that holds the run is nobody else's.
  const unmarked = !commented && namesRun(name, run);
  if (own || unmarked) await dropDatabase(client, name);
}

function namesRun(name: string, run: string): boolean {
  const ending = `_staging_${runTail(run)}`;
  return name.endsWith(ending) || name.replace(/_\d+$/, '').endsWith(ending);
}
