import { BackplanError } from '../errors.ts';
import { identifier, literal } from '../postgres/client.ts';
import type { Column } from '../postgres/columns.ts';
import { type JsonSchema, tableNameSchema } from '../schema.ts';
import { defineScan, ROW_KEYS } from './check-kind.ts';
import { requireColumns, requireTable } from './names.ts';
import { rowScan } from './rows.ts';

const bound = { type: ['number', 'string'], minLength: 1 } as const satisfies JsonSchema;

/** `range: {table, column, min, max}`: numbers, dates, times, text of a column lie between two bounds. */
export const range = defineScan({
  kind: 'range',
  summary: 'Values of a column lie between bounds.',
  keys: ROW_KEYS,
  params: {
    type: 'object',
    description: 'A column and at least one bound of its values; NULL is accepted, NaN is not.',
    required: ['table', 'column'],
    minProperties: 3,
    'x-expected': 'a table, a column and at least one of min, max, above and below',
    additionalProperties: false,
    properties: {
      table: { ...tableNameSchema, description: 'The table (or view).', examples: ['TenantLicense'] },
      column: { type: 'string', minLength: 1, description: 'The column.', examples: ['seats'] },
      min: { ...bound, description: 'The least value.', examples: [1, '2015-01-01'] },
      max: { ...bound, description: 'The greatest value.', examples: [100000] },
      above: { ...bound, description: 'Every value is greater.', examples: [0] },
      below: { ...bound, description: 'Every value is less.', examples: ['2100-01-01'] },
    },
    examples: [{ table: 'TenantLicense', column: 'seats', min: 1 }],
  },
  title: ({ table, column, ...bounds }) => `range ${table}.${column} ${showBounds(bounds)}`,
  async scan(client, { table: name, column: columnName, ...bounds }, options) {
    const table = await requireTable(client, name);
    const [column] = await requireColumns(client, table, [columnName]);
    const given = BOUNDS.filter(({ key }) => bounds[key] !== undefined);
    if (given.length === 0) {
      throw new BackplanError('INPUT_INVALID', `the range of ${name}.${columnName} has no bound`, {
        hint: 'Give at least one of min, max, above and below.',
      });
    }
    const sql = `t.${identifier(columnName)}`;
    // NaN is above every number, and so within any range that has no upper bound.
    const float = ['float4', 'float8', 'numeric'].includes(column?.base.name ?? '');
    const outside = given.map(
      ({ key, wrong }) => `${sql} ${wrong} ${sqlValue(bounds[key], column as Column)}`,
    );
    const condition = [...outside, ...(float ? [`${sql} = ${sqlValue('NaN', column as Column)}`] : [])].join(
      ' OR ',
    );
    const shown = `${showBounds(bounds)} in ${identifier(columnName)}`;
    return rowScan(
      table,
      condition,
      {
        say: `are not ${shown}`,
        fine: `are ${shown}, or NULL`,
      },
      options,
    );
  },
});

/** A bound in the type of the column without its length: 100000 is a fine bound for a numeric(4, 2). */
function sqlValue(value: unknown, { base }: Column): string {
  return typeof value === 'number' && base.category === 'N' && base.name !== 'money'
    ? `(${value})`
    : `${literal(String(value)).trim()}::${identifier(base.schema)}.${identifier(base.name)}`;
}

const BOUNDS = [
  { key: 'min', sign: '≥', wrong: '<' },
  { key: 'max', sign: '≤', wrong: '>' },
  { key: 'above', sign: '>', wrong: '<=' },
  { key: 'below', sign: '<', wrong: '>=' },
] as const;

function showBounds(bounds: Partial<Record<(typeof BOUNDS)[number]['key'], unknown>>): string {
  return BOUNDS.filter(({ key }) => bounds[key] !== undefined)
    .map(({ key, sign }) => `${sign} ${bounds[key]}`)
    .join(' ');
}
