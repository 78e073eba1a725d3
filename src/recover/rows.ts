/** Rows as texts, as the types' own output writes them: what comes out of one database goes into another unchanged. */
import { BackplanError } from '../errors.ts';
import { type Client, identifier, literal } from '../postgres/client.ts';
import type { RecoveryTable } from './tables.ts';

/** Column → text, null for NULL. */
export type Row = ReadonlyMap<string, string | null>;

/** Rows asked for in one statement. */
const AT_ONCE = 500;

/** Settings under which both sides write their values alike. */
export const TEXT_SETTINGS = {
  search_path: '',
  row_security: 'off',
  statement_timeout: '0',
  bytea_output: 'hex',
  datestyle: 'ISO, YMD',
  intervalstyle: 'postgres',
  timezone: 'UTC',
  extra_float_digits: '3',
  lc_monetary: 'C',
  standard_conforming_strings: 'on',
} as const;

/** @param condition SQL over the table, called t. @throws INPUT_INVALID when there are more than `limit` */
export async function readRows(
  client: Client,
  table: RecoveryTable,
  columns: readonly string[],
  condition: string,
  limit = Number.POSITIVE_INFINITY,
): Promise<Row[]> {
  const list = columns.map((column, index) => {
    const sql = `t.${identifier(column)}`;
    // Not a cast: somebody may have made one that says something else. num_nulls knows a NULL from a row of NULLs.
    return `CASE WHEN pg_catalog.num_nulls(${sql}) = 0 THEN pg_catalog.format('%s', ${sql}) END AS c${index}`;
  });
  const bound = Number.isFinite(limit) ? ` LIMIT ${limit + 1}` : '';
  const rows = await client.query<Record<string, string | null>>(
    `SELECT ${list.join(', ')} FROM ${table.sql} AS t WHERE ${condition}${bound}`,
  );
  if (rows.length > limit) {
    throw new BackplanError('INPUT_INVALID', `more than ${limit} rows of ${table.sql} are concerned`, {
      hint: 'Narrow the condition, raise the limit, or restore the whole table.',
    });
  }
  return rows.map((row) => new Map(columns.map((column, index) => [column, row[`c${index}`] ?? null])));
}

/** The rows whose `columns` hold one of these tuples; tuples with a NULL are none. */
export async function readByValues(
  client: Client,
  table: RecoveryTable,
  columns: readonly string[],
  wanted: readonly string[],
  tuples: readonly (readonly (string | null)[])[],
  limit?: number,
): Promise<Row[]> {
  const whole = new Map(
    tuples
      .filter((tuple) => !tuple.includes(null))
      .map((tuple) => [JSON.stringify(tuple), tuple as string[]]),
  );
  const all = [...whole.values()];
  const found: Row[] = [];
  const left = wanted.map((column) => `t.${identifier(column)}`).join(', ');
  for (let start = 0; start < all.length; start += AT_ONCE) {
    const some = all.slice(start, start + AT_ONCE);
    const list = some
      .map((tuple) => `(${tuple.map((value) => literal(value).trim()).join(', ')})`)
      .join(', ');
    found.push(...(await readRows(client, table, columns, `(${left}) IN (${list})`, limit)));
  }
  return found;
}

/** The values of some columns of a row, and as one text. */
export function tupleOf(row: Row, columns: readonly string[]): (string | null)[] {
  return columns.map((column) => row.get(column) ?? null);
}

export function textOf(row: Row, columns: readonly string[]): string {
  return JSON.stringify(tupleOf(row, columns));
}

/** A value as SQL; the column it goes into gives it its type. */
export function valueSql(value: string | null | undefined): string {
  return value === null || value === undefined ? 'NULL' : literal(value).trim();
}
