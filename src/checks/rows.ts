/** What checks of rows share: the plan's own condition, keys of offending rows, percentages. */
import { identifier } from '../postgres/client.ts';
import { primaryKeyColumns } from '../postgres/primary-key.ts';
import { plainRow } from '../postgres/row.ts';
import { type CheckClient, type CheckOptions, type Finding, type Scan, useOwnNames } from './check-kind.ts';
import { type Relation, showName } from './names.ts';

/** `(condition) AND (the plan's where)`, for a row `t`. On lines of its own: a comment in the plan ends there. */
export function restricted(condition: string, { where }: Pick<CheckOptions, 'where'>): string {
  return where === undefined ? `(${condition})` : `(\n${where}\n) AND (${condition})`;
}

/** The table, or its rows that meet a condition, to be read under an alias. */
export function fromWhere(table: Relation, where: string | undefined): string {
  return where === undefined ? table.sql : `(SELECT * FROM ${table.sql} AS t WHERE (\n${where}\n))`;
}

/** An aggregate that counts the rows that meet a condition (and the plan's). */
export function countWhere(condition: string | undefined, options: Pick<CheckOptions, 'where'>): string {
  if (condition === undefined) {
    return options.where === undefined
      ? 'pg_catalog.count(*)'
      : `pg_catalog.count(*) FILTER (WHERE (\n${options.where}\n))`;
  }
  return `pg_catalog.count(*) FILTER (WHERE ${restricted(condition, options)})`;
}

/**
 * Some rows of a table that meet a condition on `t`: their primary key (without one, the place in the table) or, when
 * the plan asks for it, the whole row.
 */
export async function offenders(
  client: CheckClient,
  table: Relation,
  condition: string,
  options: CheckOptions,
): Promise<NonNullable<Finding['samples']>> {
  if (options.sample === 0) return [];
  const keys = options.rows ? [] : await primaryKeyColumns(client, table.oid);
  const list = options.rows
    ? 't.*'
    : keys.length > 0
      ? keys.map((name) => `t.${identifier(name)}`).join(', ')
      : table.kind === 'r' || table.kind === 'p' || table.kind === 'm'
        ? 't.ctid::pg_catalog.text AS ctid'
        : 't.*';
  if (options.where !== undefined) await useOwnNames(client);
  const rows = await client.query(
    `SELECT ${list} FROM ${table.sql} AS t WHERE ${restricted(condition, options)} LIMIT ${options.sample}`,
  );
  return rows.map(plainRow);
}

/** `1 row`, `3 rows`. */
export function rowsText(count: number): string {
  return `${count} row${count === 1 ? '' : 's'}`;
}

/** Nothing was looked at: the table is empty, or no row meets the plan's condition. */
export function nothingToLookAt(table: Relation, { where }: Pick<CheckOptions, 'where'>): Finding {
  return {
    outcome: 'vacuous',
    message:
      where === undefined
        ? `${showName(table)} is empty: there was no row to look at`
        : `no row of ${showName(table)} meets "where": there was nothing to look at`,
  };
}

/** What a check of rows says of them. */
interface Wording {
  /** `have NULL in "email"`. */
  readonly say: string;
  /** What is said when all is well: `have a value in "email"`. */
  readonly fine: string;
  readonly hint?: string;
}

/**
 * How many rows of a table a condition finds wrong: what most kinds of row checks want to know.
 * @param condition on `t`, which offending rows meet
 */
export function rowScan(table: Relation, condition: string, wording: Wording, options: CheckOptions): Scan {
  return {
    from: table.sql,
    ownNames: options.where !== undefined,
    columns: [countWhere(undefined, options), countWhere(condition, options)],
    conclude: (client, [rows, bad]) =>
      concludeRows(client, { table, condition, rows: Number(rows), bad: Number(bad), ...wording }, options),
  };
}

async function concludeRows(
  client: CheckClient,
  seen: Wording & {
    readonly table: Relation;
    readonly rows: number;
    readonly bad: number;
    readonly condition: string;
  },
  options: CheckOptions,
): Promise<Finding> {
  const { table, rows, bad } = seen;
  if (rows === 0) return nothingToLookAt(table, options);
  const of = `of ${showName(table)}`;
  if (bad === 0) return { outcome: 'passed', message: `${rowsText(rows)} ${of} ${seen.fine}`, of: rows };
  return {
    outcome: 'failed',
    message: `${bad} of ${rowsText(rows)} ${of} ${seen.say}`,
    ...(seen.hint === undefined ? {} : { hint: seen.hint }),
    count: bad,
    of: rows,
    samples: await offenders(client, table, seen.condition, options),
  };
}
