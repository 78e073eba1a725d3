/** What was production before a promotion, kept for rollback until its time is over. */
import { BackplanError, toBackplanError } from '../errors.ts';
import type { Client } from '../postgres/client.ts';
import { parseConnection } from '../postgres/connection.ts';
import { dropDatabase } from '../postgres/create-database.ts';
import { markedDatabases } from '../postgres/marker.ts';
import { connectMaintenance } from '../postgres/swap.ts';
import type { StepContext } from './step-kind.ts';

/** A connection beside the databases of a plan's server. @throws DATABASE_MISSING, CONNECTION_FAILED */
export async function connectServerOf(database: string | undefined, context: StepContext): Promise<Client> {
  const definition = database === undefined ? undefined : context.plan.databases[database];
  if (definition === undefined) {
    throw new BackplanError(
      'DATABASE_MISSING',
      `the plan does not know the server of ${database ?? 'this database'}`,
    );
  }
  return await connectMaintenance(parseConnection(definition.url), definition.maintenanceDatabase, {
    applicationName: `backplan ${context.run.id} ${context.step}`,
    signal: context.signal,
  });
}

/**
 * Drops the previous databases of a database of the plan whose `keepPrevious` time is over, with `all` also the
 * others. Returns their names. @throws DATABASE_MISSING, CONNECTION_FAILED, QUERY_FAILED
 */
export async function dropPreviousDatabases(
  database: string,
  context: StepContext,
  { all = false, except }: { readonly all?: boolean; readonly except?: string | undefined } = {},
): Promise<string[]> {
  const production = context.database(database).connection.database;
  await using client = await connectServerOf(database, context);
  const clock = await client.first<{ now: number }>(
    'SELECT (extract(epoch FROM pg_catalog.clock_timestamp()) * 1000)::float8 AS now',
  );
  const dropped: string[] = [];
  for (const { name, marker } of await markedDatabases(client)) {
    if (!('previousOf' in marker) || marker.previousOf !== production || name === except) continue;
    // Dropping is for what is surely over: by both clocks, and not where the time of the mark cannot be read.
    const expired = Date.parse(marker.keepUntil) <= Math.min(Date.now(), clock?.now ?? 0);
    if (!all && !expired) {
      context.log.info(`"${name}" is kept until ${marker.keepUntil}`);
      continue;
    }
    await dropDatabase(client, name);
    context.log.info(`dropped previous database "${name}" (replaced ${marker.at})`);
    dropped.push(name);
  }
  return dropped;
}

/**
 * The same for those whose time is over, after a promotion whose way back stays. Never throws, not even when the step
 * is cancelled: production is replaced by then, and nothing may say otherwise.
 */
export async function tidyPreviousDatabases(
  database: string,
  context: StepContext,
  except: string | undefined,
): Promise<void> {
  try {
    await dropPreviousDatabases(database, context, { except });
  } catch (error) {
    context.log.warn(`previous databases of ${database} stay: ${toBackplanError(error).message}`);
  }
}
