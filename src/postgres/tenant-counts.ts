/** Rows per tenant: says whose rows are missing where a table is not as it was. */
import { type Client, identifier } from './client.ts';
import { loadColumns } from './columns.ts';
import type { DataTable } from './data-tables.ts';

export interface TenantCounts {
  readonly column: string;
  /** Tenant as text → rows. */
  readonly rows: Readonly<Record<string, number>>;
}

/** More tenants than this are not counted one by one: a manifest is no table. */
const TENANTS = 1000;
const NONE = '(null)';

/** Of each table that has the column, by its oid; not of those with more than a thousand tenants. */
export async function countTenants(
  client: Client,
  tables: readonly DataTable[],
  column: string,
): Promise<Map<number, TenantCounts>> {
  const counts = new Map<number, TenantCounts>();
  const columns = await loadColumns(
    client,
    tables.map(({ oid }) => oid),
  );
  for (const { oid, from } of tables) {
    if (columns.get(oid)?.some(({ name }) => name === column) !== true) continue;
    const rows = await client.query<{ tenant: string | null; n: string }>(
      `SELECT t.${identifier(column)}::pg_catalog.text AS tenant, pg_catalog.count(*) AS n
       FROM ${from} AS t GROUP BY 1 LIMIT ${TENANTS + 1}`,
    );
    if (rows.length > TENANTS) continue;
    counts.set(oid, {
      column,
      rows: Object.fromEntries(
        rows
          .map(({ tenant, n }) => [tenant ?? NONE, Number(n)] as const)
          .sort(([a], [b]) => (a < b ? -1 : 1)),
      ),
    });
  }
  return counts;
}

/** How many tenants a message names. */
const NAMED = 5;

/** `tenantId 7 has 3 rows, 5 in the backup; …`; undefined where all have as many as they had. */
export function describeTenants(
  expected: TenantCounts,
  actual: TenantCounts | undefined,
): string | undefined {
  if (actual === undefined) return undefined;
  const of = ({ rows }: TenantCounts, tenant: string) =>
    Object.hasOwn(rows, tenant) ? (rows[tenant] ?? 0) : 0;
  const tenants = [...new Set([...Object.keys(expected.rows), ...Object.keys(actual.rows)])];
  const different = tenants.filter((tenant) => of(expected, tenant) !== of(actual, tenant));
  if (different.length === 0) return undefined;
  const named = different
    .slice(0, NAMED)
    .map((tenant) => `${tenant} has ${of(actual, tenant)}, ${of(expected, tenant)} in the backup`);
  const rest = different.length > NAMED ? `; and ${different.length - NAMED} more` : '';
  return `by ${identifier(expected.column)}: ${named.join('; ')}${rest}`;
}
