import { identifier } from '../postgres/client.ts';
import { findDuplicates } from '../postgres/duplicates.ts';
import { isSubset, loadUniqueIndexes } from '../postgres/unique-indexes.ts';
import { columnsSchema, tableNameSchema } from '../schema.ts';
import { defineCheck, useOwnNames } from './check-kind.ts';
import { requireColumns, requireTable, showColumns, showName } from './names.ts';
import { nothingToLookAt, rowsText } from './rows.ts';

/** `uniqueValues: {table, columns}`: no value comes twice, whether an index sees to it or not. */
export const uniqueValues = defineCheck({
  kind: 'uniqueValues',
  summary: 'No two rows hold the same values; needs no unique index.',
  keys: ['where', 'warnAbove', 'failAbove'],
  params: {
    type: 'object',
    description: 'Columns whose values, taken together, no two rows share.',
    required: ['table', 'columns'],
    additionalProperties: false,
    properties: {
      table: { ...tableNameSchema, description: 'The table (or view).', examples: ['User'] },
      columns: { ...columnsSchema, uniqueItems: true, description: 'The columns.', examples: [['email']] },
      nulls: {
        enum: ['distinct', 'same'],
        default: 'distinct',
        description: 'distinct: rows with a NULL are like no other. same: NULL is a value like others.',
      },
      ignore: {
        type: 'array',
        items: { enum: ['case', 'space'] },
        minItems: 1,
        uniqueItems: true,
        description:
          'What does not make two texts different: capitals, and white space at both ends. Finds what people see as the same.',
        examples: [['case', 'space']],
      },
    },
    examples: [{ table: 'User', columns: ['email'], ignore: ['case', 'space'] }],
  },
  title: ({ table, columns, ignore }) =>
    `uniqueValues ${table} (${columns.join(', ')})${ignore === undefined ? '' : ` ignoring ${ignore.join(' and ')}`}`,
  async run(client, { table: name, columns: names, nulls = 'distinct', ignore = [] }, options) {
    const table = await requireTable(client, name);
    const columns = await requireColumns(client, table, names);
    const on = `${showName(table)} (${showColumns(names)})`;
    if (options.trustIndexes && nulls === 'distinct' && ignore.length === 0) {
      const guard = (await loadUniqueIndexes(client, table.oid)).find(
        (index) =>
          index.valid &&
          index.immediate &&
          index.predicate === undefined &&
          !index.expressions &&
          isSubset(index.columns, names),
      );
      if (guard !== undefined) {
        return { outcome: 'passed', message: `${identifier(guard.name)} keeps ${on} unique` };
      }
    }
    if (options.where !== undefined) await useOwnNames(client);
    const list = columns.map((column) => {
      const sql = `t.${identifier(column.name)}`;
      if (column.base.category !== 'S') return sql;
      const trimmed = ignore.includes('space')
        ? `pg_catalog.btrim(${sql}::pg_catalog.text, E' \\t\\r\\n\\u00a0')`
        : sql;
      return `${ignore.includes('case') ? `pg_catalog.lower(${trimmed}::pg_catalog.text)` : trimmed} AS ${identifier(column.name)}`;
    });
    const where = options.where === undefined ? '' : ` WHERE (\n${options.where}\n)`;
    const from = `(SELECT ${list.join(', ')} FROM ${table.sql} AS t${where}) AS t`;
    const found = await findDuplicates(client, from, names, {
      limit: Math.max(1, options.sample),
      nullsNotDistinct: nulls === 'same',
    });
    const [row] = await client.query<{ n: string }>(`SELECT pg_catalog.count(*) AS n FROM ${from}`);
    const rows = Number(row?.n ?? 0);
    if (rows === 0) return nothingToLookAt(table, options);
    if (found.groups === 0) {
      return { outcome: 'passed', message: `${rowsText(rows)} of ${on} hold no value twice`, of: rows };
    }
    return {
      outcome: 'failed',
      message: `${found.groups} value${found.groups === 1 ? ' is' : 's are'} there more than once in ${on}, in ${rowsText(found.rows)}`,
      hint: 'Resolve the duplicates; a unique index then keeps them out.',
      count: found.rows,
      of: rows,
      samples: found.top.slice(0, options.sample).map(({ key, rows: times }) => ({ ...key, rows: times })),
    };
  },
});
