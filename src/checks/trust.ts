/** Whether indexes may be trusted: text sorts by rules of the operating system, which change under an index. */
import { type Client, sqlState } from '../postgres/client.ts';

// Source: https://www.postgresql.org/docs/current/sql-altercollation.html (notes on versions)
const COLLATIONS = `
SELECT n.nspname || '.' || c.collname AS name
FROM pg_catalog.pg_collation c JOIN pg_catalog.pg_namespace n ON n.oid = c.collnamespace
WHERE c.collversion IS NOT NULL
  AND c.oid IN (SELECT o FROM pg_catalog.pg_index i CROSS JOIN LATERAL pg_catalog.unnest(i.indcollation) AS o)
  AND c.collversion IS DISTINCT FROM pg_catalog.pg_collation_actual_version(c.oid)
LIMIT 1`;

// Source: https://www.postgresql.org/docs/current/catalog-pg-database.html (since 15)
const DATABASE = `
SELECT datcollversion AS recorded, pg_catalog.pg_database_collation_actual_version(oid) AS actual
FROM pg_catalog.pg_database
WHERE datname = pg_catalog.current_database() AND datcollversion IS NOT NULL
  AND datcollversion IS DISTINCT FROM pg_catalog.pg_database_collation_actual_version(oid)`;

/** Why the indexes of a database are under suspicion, or undefined. Inside a transaction. */
export async function suspectIndexes(client: Client): Promise<string | undefined> {
  await client.query('SAVEPOINT backplan_trust');
  try {
    if (client.serverVersion >= 150_000) {
      const row = await client.first<{ recorded: string; actual: string | null }>(DATABASE);
      if (row !== undefined) {
        return `the collation of the database has version ${row.recorded}, the server offers ${row.actual ?? 'another'}`;
      }
    }
    const row = await client.first<{ name: string }>(COLLATIONS);
    return row === undefined
      ? undefined
      : `the collation ${row.name} has another version than the server offers`;
  } catch (error) {
    if (sqlState(error) === undefined) throw error;
    // A collation that the server does not know at all: nothing speaks for the index.
    return 'versions of collations cannot be told';
  } finally {
    await client
      .query('ROLLBACK TO SAVEPOINT backplan_trust; RELEASE SAVEPOINT backplan_trust')
      .catch(() => {});
  }
}
