import { BackplanError } from '../errors.ts';
import { identifier } from '../postgres/client.ts';
import { type Column, equalityOperators } from '../postgres/columns.ts';
import { plainRow } from '../postgres/row.ts';
import { columnsSchema, tableNameSchema } from '../schema.ts';
import { type CheckClient, defineCheck, useOwnNames } from './check-kind.ts';
import { type Relation, requireColumns, requireTable, showColumns, showName } from './names.ts';
import { fromWhere, rowsText } from './rows.ts';

/** `cycles: {table, columns, references}`: parent chains within a table come to an end. */
export const cycles = defineCheck({
  kind: 'cycles',
  summary: 'Rows of a table that refer to their parents in it form no circle.',
  keys: ['where', 'rows', 'warnAbove', 'failAbove'],
  params: {
    type: 'object',
    description: 'The columns that lead to the parent row, and those of the parent that they name.',
    required: ['table', 'columns', 'references'],
    additionalProperties: false,
    properties: {
      table: { ...tableNameSchema, description: 'The table.', examples: ['Category'] },
      columns: {
        ...columnsSchema,
        uniqueItems: true,
        description: 'The referring columns.',
        examples: [['parentId']],
      },
      references: {
        ...columnsSchema,
        uniqueItems: true,
        description: 'The columns of the same table that they refer to, pair by pair.',
        examples: [['id']],
      },
    },
    examples: [{ table: 'Category', columns: ['parentId'], references: ['id'] }],
  },
  title: ({ table, columns, references }) =>
    `cycles ${table} (${columns.join(', ')}) → (${references.join(', ')})`,
  async run(client, { table: name, columns, references }, options) {
    if (columns.length !== references.length) {
      throw new BackplanError(
        'INPUT_INVALID',
        `${columns.length} columns cannot refer to ${references.length}`,
      );
    }
    const table = await requireTable(client, name);
    const up = await requireColumns(client, table, columns);
    const key = await requireColumns(client, table, references);
    const equality = await equalityOperators(
      client,
      key.map((column) => column.base.oid),
    );
    const leads = (child: string, parent: string) =>
      key
        .map((column, index) => {
          const from = up[index] as Column;
          const operator =
            from.base.oid === column.base.oid ? equality(column.base.oid) : 'OPERATOR(pg_catalog.=)';
          return `${parent}.${identifier(column.name)} ${operator} ${child}.${identifier(from.name)}`;
        })
        .join(' AND ');
    const list = (alias: string) => key.map((column) => `${alias}.${identifier(column.name)}`).join(', ');
    // From the roots down; who is never reached is in a circle, or below one.
    const reached = `
      WITH RECURSIVE reached AS (
        SELECT ${list('t')} FROM ${table.sql} AS t
        WHERE NOT EXISTS (SELECT FROM ${table.sql} AS p WHERE ${leads('t', 'p')})
        UNION
        SELECT ${list('t')} FROM reached JOIN ${table.sql} AS t ON ${leads('t', 'reached')}
      )`;
    const same = key
      .map(
        (column) =>
          `reached.${identifier(column.name)} ${equality(column.base.oid)} t.${identifier(column.name)}`,
      )
      .join(' AND ');
    const lost = `EXISTS (SELECT FROM ${table.sql} AS p WHERE ${leads('t', 'p')}) AND NOT EXISTS (SELECT FROM reached WHERE ${same})`;
    // Ways lead over all rows; only where they begin is a matter of the plan.
    const from = fromWhere(table, options.where);
    if (options.where !== undefined) await useOwnNames(client);
    const [row] = await client.query<{ rows: string; bad: string; refer: string }>(
      `${reached} SELECT pg_catalog.count(*) AS rows, pg_catalog.count(*) FILTER (WHERE ${lost}) AS bad,
         pg_catalog.count(*) FILTER (WHERE ${up.map((column) => `t.${identifier(column.name)} IS NOT NULL`).join(' AND ')}) AS refer
       FROM ${from} AS t`,
    );
    const [rows, bad, refer] = [Number(row?.rows), Number(row?.bad), Number(row?.refer)];
    if (refer === 0) {
      return {
        outcome: 'vacuous',
        message: `no row of ${showName(table)}${options.where === undefined ? '' : ' that meets "where"'} refers to another by ${showColumns(columns)}`,
      };
    }
    if (bad === 0) {
      return {
        outcome: 'passed',
        message: `${rowsText(refer)} of ${showName(table)} lead to a root by ${showColumns(columns)}`,
        of: rows,
      };
    }
    const samples = await client.query(
      `${reached} SELECT ${options.rows ? 't.*' : list('t')} FROM ${from} AS t WHERE ${lost} LIMIT ${Math.max(1, options.sample)}`,
    );
    const chain = await followChain(client, table, key, up, samples[0] ?? {});
    return {
      outcome: 'failed',
      message: `${rowsText(bad)} of ${showName(table)} never come to a root by ${showColumns(columns)}${chain === undefined ? '' : `: ${chain}`}`,
      hint: 'Set the parent of one row of each circle to NULL or to the right row.',
      count: bad,
      of: rows,
      samples: samples.slice(0, options.sample).map(plainRow),
    };
  },
});

/** Steps after which a circle is not shown in full. */
const STEPS = 50;

/** `a → b → a`, beginning where the way from one row first comes back. */
async function followChain(
  client: CheckClient,
  table: Relation,
  key: readonly Column[],
  up: readonly Column[],
  start: Readonly<Record<string, unknown>>,
): Promise<string | undefined> {
  const seen: string[] = [];
  let at: unknown[] = key.map((column) => start[column.name]);
  for (let step = 0; step < STEPS; step++) {
    const shown = at.map(String).join(', ');
    const before = seen.indexOf(shown);
    if (before >= 0) return [...seen.slice(before), shown].join(' → ');
    seen.push(shown);
    const [next] = await client.query<Record<string, unknown>>(
      `SELECT ${up.map((column, index) => `t.${identifier(column.name)}::pg_catalog.text AS k${index}`).join(', ')} FROM ${table.sql} AS t
       WHERE ${key.map((column, index) => `t.${identifier(column.name)}::pg_catalog.text = $${index + 1}`).join(' AND ')} LIMIT 1`,
      at.map(String),
    );
    if (next === undefined) return undefined;
    at = up.map((_column, index) => next[`k${index}`]);
  }
  return undefined;
}
