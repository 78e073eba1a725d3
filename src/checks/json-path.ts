import { BackplanError } from '../errors.ts';
import { identifier, literal } from '../postgres/client.ts';
import { type JsonSchema, tableNameSchema } from '../schema.ts';
import { defineScan, ROW_KEYS } from './check-kind.ts';
import { requireColumns, requireTable } from './names.ts';
import { rowScan } from './rows.ts';

const path = { type: 'string', minLength: 1 } as const satisfies JsonSchema;

/** `jsonPath: {table, column, matches}`: documents meet a condition of SQL/JSON path. */
export const jsonPath = defineScan({
  kind: 'jsonPath',
  summary: 'JSON documents meet a condition in the path language of SQL/JSON.',
  keys: ROW_KEYS,
  params: {
    type: 'object',
    description: 'A column of json or jsonb and one condition on its documents; NULL is accepted.',
    required: ['table', 'column'],
    minProperties: 3,
    'x-expected': 'a table, a column and one of matches, exists and missing',
    additionalProperties: false,
    properties: {
      table: { ...tableNameSchema, description: 'The table (or view).', examples: ['AuditLog'] },
      column: { type: 'string', minLength: 1, description: 'The column.', examples: ['details'] },
      matches: {
        ...path,
        description: 'A condition that must be true; a document in which it cannot be told fails.',
        examples: ['$.seats > 0', '$.version == 2 && exists($.user)'],
      },
      exists: { ...path, description: 'Something that every document has.', examples: ['$.user.id'] },
      missing: { ...path, description: 'Something that no document has.', examples: ['$.password'] },
    },
    examples: [{ table: 'AuditLog', column: 'details', exists: '$.user.id' }],
  },
  title: ({ table, column, ...condition }) => {
    const [word, text] = Object.entries(condition)[0] ?? ['', ''];
    return `jsonPath ${table}.${column} ${word} ${text}`;
  },
  async scan(client, { table: name, column: columnName, ...conditions }, options) {
    const table = await requireTable(client, name);
    const [column] = await requireColumns(client, table, [columnName]);
    const [given, other] = OPERATORS.filter(({ key }) => conditions[key] !== undefined);
    if (given === undefined || other !== undefined) {
      throw new BackplanError('INPUT_INVALID', 'expected one of matches, exists and missing');
    }
    if (!['json', 'jsonb'].includes(column?.base.name ?? '')) {
      throw new BackplanError(
        'INPUT_INVALID',
        `${identifier(columnName)} is ${column?.type}, not json or jsonb`,
      );
    }
    const text = conditions[given.key] ?? '';
    const sql = `t.${identifier(columnName)}`;
    const test = `${sql}::pg_catalog.jsonb OPERATOR(pg_catalog.${given.operator}) ${literal(text).trim()}::pg_catalog.jsonpath`;
    const condition = `${sql} IS NOT NULL AND (${test}) IS ${given.wrong}`;
    return rowScan(
      table,
      condition,
      {
        say: `${given.say} ${text} in ${identifier(columnName)}`,
        fine: `${given.fine} ${text} in ${identifier(columnName)}, or are NULL`,
      },
      options,
    );
  },
});

const OPERATORS = [
  { key: 'matches', operator: '@@', wrong: 'NOT TRUE', say: 'do not match', fine: 'match' },
  { key: 'exists', operator: '@?', wrong: 'NOT TRUE', say: 'lack', fine: 'have' },
  { key: 'missing', operator: '@?', wrong: 'TRUE', say: 'have', fine: 'do not have' },
] as const;
