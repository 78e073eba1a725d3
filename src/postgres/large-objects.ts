/**
 * Large objects: how many there are, and one sum of hashes over all their bytes. A server whose role may read
 * pg_largeobject reads it once; any other asks for each object through the functions for clients. Both give the same
 * sum: pages of 2 kB, those of zeros left out (a hole has none), and the size of each object.
 * Source: https://www.postgresql.org/docs/current/catalog-pg-largeobject.html, …/lo-funcs.html
 */
import { BackplanError } from '../errors.ts';
import { type Client, sqlState } from './client.ts';

const PAGE = 2048;

export async function countLargeObjects(client: Client): Promise<number> {
  const row = await client.first<{ n: string }>(
    'SELECT pg_catalog.count(*) AS n FROM pg_catalog.pg_largeobject_metadata',
  );
  return Number(row?.n ?? 0);
}

const MAY_READ = `
SELECT pg_catalog.has_table_privilege('pg_catalog.pg_largeobject', 'SELECT')
  AND pg_catalog.current_setting('block_size')::int / 4 = ${PAGE} AS direct`;

/** Of a page `data` with its `number` of the object `oid`. A page may be stored without the zeros at its end. */
const PAGE_HASH = `CASE WHEN pg_catalog.btrim(data, '\\x00'::bytea) = ''::bytea THEN 0
  ELSE pg_catalog.hashtextextended(pg_catalog.encode(data, 'hex') || pg_catalog.repeat('00', ${PAGE} - pg_catalog.octet_length(data)) COLLATE pg_catalog."C",
    pg_catalog.hashint8extended(number, oid::pg_catalog.int8)) END`;

const SUM = (objects: string) => `
SELECT coalesce(pg_catalog.sum(coalesce(pages, 0) + pg_catalog.hashint8extended(coalesce(size, 0), oid::pg_catalog.int8)), 0)::pg_catalog.text AS sum
FROM (${objects}) AS objects`;

const DIRECT = SUM(`
  SELECT m.oid, o.pages, o.size FROM pg_catalog.pg_largeobject_metadata m
  LEFT JOIN (
    SELECT oid, pg_catalog.sum(${PAGE_HASH}) AS pages, pg_catalog.max(number * ${PAGE} + pg_catalog.octet_length(data)) AS size
    FROM (SELECT loid AS oid, pageno::pg_catalog.int8 AS number, data FROM pg_catalog.pg_largeobject) AS p GROUP BY oid
  ) o ON o.oid = m.oid`);

// 262144 is INV_READ, 2 is SEEK_END. OFFSET 0 keeps the object from being opened once for each use of its descriptor.
const BY_FUNCTIONS = SUM(`
  SELECT s.oid, s.size, (
    SELECT pg_catalog.sum(${PAGE_HASH}) FROM (
      SELECT s.oid, number, pg_catalog.lo_get(s.oid, number * ${PAGE}, ${PAGE}) AS data
      FROM pg_catalog.generate_series(0::pg_catalog.int8, (s.size - 1) / ${PAGE}) AS number WHERE s.size > 0) AS p) AS pages
  FROM (
    SELECT f.oid, pg_catalog.lo_lseek64(f.fd, 0, 2) + pg_catalog.lo_close(f.fd) AS size
    FROM (SELECT m.oid, pg_catalog.lo_open(m.oid, 262144) AS fd FROM pg_catalog.pg_largeobject_metadata m OFFSET 0) AS f
    OFFSET 0
  ) AS s`);

/**
 * The sum over all large objects; why not, where this role may not read them all or the time is up.
 * @param timeoutMs milliseconds it may take
 */
export async function sumLargeObjects(
  client: Client,
  timeoutMs?: number,
): Promise<{ readonly sum: string } | { readonly reason: string }> {
  const timeout = timeoutMs === undefined ? '' : `; SET LOCAL statement_timeout = ${Math.max(1, timeoutMs)}`;
  await client.query(`SAVEPOINT backplan_large_objects${timeout}`);
  try {
    const row = await client.first<{ direct: boolean }>(MAY_READ);
    const result = await client.first<{ sum: string }>(row?.direct === true ? DIRECT : BY_FUNCTIONS);
    return { sum: result?.sum ?? '0' };
  } catch (error) {
    const state = sqlState(error);
    // 42501: one of them belongs to somebody else. 57014: our own timeout.
    if (state === '57014' && timeoutMs !== undefined) return { reason: 'the time for content was used up' };
    if (state !== '42501' || !(error instanceof BackplanError)) throw error;
    return { reason: error.message };
  } finally {
    await client
      .query('ROLLBACK TO SAVEPOINT backplan_large_objects; RELEASE SAVEPOINT backplan_large_objects')
      .catch(() => {});
  }
}
