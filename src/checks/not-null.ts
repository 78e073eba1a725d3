import { identifier } from '../postgres/client.ts';
import { columnsSchema, tableNameSchema } from '../schema.ts';
import { defineScan, ROW_KEYS } from './check-kind.ts';
import { requireColumns, requireTable, showColumns } from './names.ts';
import { rowScan } from './rows.ts';

/** `notNull: {table: User, columns: [email]}`: every row has a value, whether a constraint says so or not. */
export const notNull = defineScan({
  kind: 'notNull',
  summary: 'Columns hold a value in every row; needs no constraint.',
  keys: ROW_KEYS,
  params: {
    type: 'object',
    description: 'Columns that may not be NULL in any row.',
    required: ['table', 'columns'],
    additionalProperties: false,
    properties: {
      table: { ...tableNameSchema, description: 'The table (or view).', examples: ['User'] },
      columns: { ...columnsSchema, uniqueItems: true, description: 'The columns.', examples: [['email']] },
      blank: {
        enum: ['accepted', 'missing'],
        default: 'accepted',
        description: 'missing: text of nothing but white space is no value either.',
        examples: ['missing'],
      },
    },
    examples: [{ table: 'User', columns: ['email'] }],
  },
  title: ({ table, columns }) => `notNull ${table} (${columns.join(', ')})`,
  async scan(client, { table: name, columns: names, blank = 'accepted' }, options) {
    const table = await requireTable(client, name);
    const columns = await requireColumns(client, table, names);
    const condition = columns
      .map((column) => {
        const sql = `t.${identifier(column.name)}`;
        // `[[:space:]]` knows the white space of other scripts, btrim() only what it is told.
        return blank === 'missing' && column.base.category === 'S'
          ? `${sql} IS NULL OR ${sql}::pg_catalog.text COLLATE pg_catalog."C" OPERATOR(pg_catalog.~) '^[[:space:]\u00a0\u200b]*$'`
          : `${sql} IS NULL`;
      })
      .join(' OR ');
    return rowScan(
      table,
      condition,
      {
        say: `have no value in ${showColumns(names)}`,
        fine: `have a value in ${showColumns(names)}`,
      },
      options,
    );
  },
});
