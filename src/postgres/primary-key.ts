/** The columns of a primary key. */
import type { Queryable } from './columns.ts';

// Source: https://www.postgresql.org/docs/current/catalog-pg-index.html (indkey goes on with INCLUDE columns)
const KEY = `
SELECT a.attname AS name
FROM pg_catalog.pg_index i
CROSS JOIN LATERAL pg_catalog.unnest(i.indkey) WITH ORDINALITY AS k (number, position)
JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number
WHERE i.indrelid = $1::pg_catalog.regclass AND i.indisprimary AND k.position <= i.indnkeyatts
ORDER BY k.position`;

/**
 * In the order of the key; none where there is no such key.
 * @param table its oid, or its name, quoted and with its schema
 */
export async function primaryKeyColumns(client: Queryable, table: string | number): Promise<string[]> {
  return (await client.query<{ name: string }>(KEY, [table])).map(({ name }) => name);
}
