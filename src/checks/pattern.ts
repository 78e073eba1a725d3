import { BackplanError } from '../errors.ts';
import { identifier, literal } from '../postgres/client.ts';
import { tableNameSchema } from '../schema.ts';
import { defineScan, ROW_KEYS } from './check-kind.ts';
import { requireColumns, requireTable } from './names.ts';
import { rowScan } from './rows.ts';

/** `pattern: {table, column, matches}`: every value that there is matches a regular expression of PostgreSQL. */
export const pattern = defineScan({
  kind: 'pattern',
  summary: 'Values of a column match a regular expression.',
  keys: ROW_KEYS,
  params: {
    type: 'object',
    description: 'A column and what its values look like; NULL is accepted.',
    required: ['table', 'column', 'matches'],
    additionalProperties: false,
    properties: {
      table: { ...tableNameSchema, description: 'The table (or view).', examples: ['User'] },
      column: { type: 'string', minLength: 1, description: 'The column.', examples: ['email'] },
      matches: {
        type: 'string',
        minLength: 1,
        description:
          'A regular expression as PostgreSQL writes them. It may match anywhere in the value: ^ and $ tie it to both ends.',
        examples: ['^[^@\\s]+@[^@\\s]+$'],
      },
      ignoreCase: {
        type: 'boolean',
        default: false,
        description: 'Capitals and small letters are the same.',
      },
      not: { type: 'boolean', default: false, description: 'Values must not match.' },
    },
    examples: [{ table: 'User', column: 'email', matches: '^[^@\\s]+@[^@\\s]+$' }],
  },
  title: ({ table, column, not: negated }) => `pattern ${table}.${column}${negated === true ? ' (not)' : ''}`,
  async scan(
    client,
    { table: name, column: columnName, matches, ignoreCase = false, not: negated = false },
    options,
  ) {
    const table = await requireTable(client, name);
    const [column] = await requireColumns(client, table, [columnName]);
    if (matches.includes('\0')) throw new BackplanError('INPUT_INVALID', 'the pattern holds a zero byte');
    const operator = `OPERATOR(pg_catalog.${negated ? '' : '!'}~${ignoreCase ? '*' : ''})`;
    // citext and char(n) as what they show; a collation decides what is a letter, so the column keeps its own.
    const condition = `t.${identifier(columnName)}::pg_catalog.text ${operator} ${literal(matches).trim()}`;
    const where = `"${columnName}"`;
    return rowScan(
      table,
      condition,
      {
        say: `${negated ? 'match' : 'do not match'} ${matches} in ${where}`,
        fine: `${negated ? 'do not match' : 'match'} ${matches} in ${where}, or are NULL`,
        ...(column?.base.category === 'S'
          ? {}
          : { hint: `${where} is ${column?.type}; its text was looked at.` }),
      },
      options,
    );
  },
});
