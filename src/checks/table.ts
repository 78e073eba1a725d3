import { columnsSchema, tableNameSchema } from '../schema.ts';
import { defineCheck } from './check-kind.ts';
import { tableExists } from './tables.ts';

/** `table: {name: User, columns: [id, email]}`: the table exists and has these columns. */
export const table = defineCheck({
  kind: 'table',
  summary: 'A table exists and has these columns.',
  params: {
    type: 'object',
    description: 'A table (or view) that must exist.',
    required: ['name'],
    additionalProperties: false,
    properties: {
      name: {
        ...tableNameSchema,
        description: 'The table, exactly as written.',
        examples: ['User', 'audit.Log'],
      },
      columns: {
        ...columnsSchema,
        uniqueItems: true,
        description: 'Columns that it must have, in any order, among others.',
        examples: [['id', 'email']],
      },
    },
    examples: [{ name: 'User', columns: ['id', 'email'] }],
  },
  title: ({ name, columns }) => `table ${name}${columns === undefined ? '' : ` with ${columns.join(', ')}`}`,
  run: (client, { name, columns }) => tableExists(client, name, columns ?? []),
});
