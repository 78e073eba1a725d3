import { BackplanError } from '../errors.ts';
import { literal } from '../postgres/client.ts';
import { type JsonSchema, tableNameSchema } from '../schema.ts';
import { defineScan } from './check-kind.ts';
import { requireTable, showName } from './names.ts';

const bound = { type: ['number', 'string'], minLength: 1 } as const satisfies JsonSchema;

/** `aggregate: {table, value: 'sum(amount)', min: 0}`: any aggregate over a table lies between bounds. */
export const aggregate = defineScan({
  kind: 'aggregate',
  summary: 'An aggregate over a table (sum, avg, min, max, any expression) lies between bounds.',
  keys: ['where'],
  params: {
    type: 'object',
    description: 'An aggregate and at least one bound of its value.',
    required: ['table', 'value'],
    minProperties: 3,
    'x-expected': 'a table, a value and at least one of min, max and equals',
    additionalProperties: false,
    properties: {
      table: { ...tableNameSchema, description: 'The table (or view).', examples: ['Invoice'] },
      value: {
        type: 'string',
        minLength: 1,
        description: 'An expression of SQL over all rows.',
        examples: ['sum(amount)', 'avg("unitPrice")', 'count(distinct "tenantId")'],
      },
      min: { ...bound, description: 'At least this.', examples: [0] },
      max: { ...bound, description: 'At most this.', examples: [1000000] },
      equals: { ...bound, description: 'Exactly this.', examples: [0] },
    },
    examples: [{ table: 'Invoice', value: 'sum(amount)', min: 0 }],
  },
  title: ({ table, value, min, max, equals }) =>
    `${value.replaceAll(/\s+/g, ' ').trim()} of ${table}${equals === undefined ? '' : ` = ${equals}`}${min === undefined ? '' : ` ≥ ${min}`}${max === undefined ? '' : ` ≤ ${max}`}`,
  async scan(client, { table: name, value, ...bounds }, options) {
    if ([bounds.min, bounds.max, bounds.equals].every((each) => each === undefined)) {
      throw new BackplanError('INPUT_INVALID', `${value} of ${name} has no bound`, {
        hint: 'Give at least one of min, max and equals.',
      });
    }
    const table = await requireTable(client, name);
    return {
      // No FILTER fits an expression that is not known; a condition makes it a scan of its own.
      from:
        options.where === undefined
          ? table.sql
          : `(SELECT * FROM ${table.sql} AS t WHERE (\n${options.where}\n))`,
      ownNames: true,
      // Source: https://www.postgresql.org/docs/current/parallel-plans.html (parallel aggregation)
      ...(/\b(distinct|order\s+by|within\s+group)\b/i.test(value) ? { alone: true } : {}),
      columns: ['pg_catalog.count(*)', ...compared(value, bounds)],
      conclude(_client, [rows, found, ...right]) {
        const what = `${value.trim()} of ${showName(table)} is ${found ?? 'NULL'}`;
        if (found === null || found === undefined) {
          return Number(rows) === 0
            ? { outcome: 'vacuous', message: `${what}: there was no row to look at` }
            : { outcome: 'failed', message: `${what}, expected a value`, count: 1 };
        }
        const wrong = BOUNDS.filter(({ key }) => bounds[key] !== undefined)
          .filter((_each, index) => right[index] !== 'true')
          .map(({ key, word }) => `${word} ${bounds[key]}`);
        return wrong.length === 0
          ? { outcome: 'passed', message: what }
          : { outcome: 'failed', message: `${what}, expected ${wrong.join(' and ')}`, count: 1 };
      },
    };
  },
});

const BOUNDS = [
  { key: 'equals', word: 'exactly', sign: '=' },
  { key: 'min', word: 'at least', sign: '>=' },
  { key: 'max', word: 'at most', sign: '<=' },
] as const;

/** The value and, for each bound, whether it holds: the server compares, so that nothing is rounded on the way. */
function compared(value: string, bounds: Partial<Record<(typeof BOUNDS)[number]['key'], unknown>>): string[] {
  const expression = `(\n${value}\n)`;
  return [
    expression,
    ...BOUNDS.filter(({ key }) => bounds[key] !== undefined).map(({ key, sign }) => {
      const wanted = bounds[key];
      return `${expression} ${sign} ${typeof wanted === 'number' ? `(${wanted})` : literal(String(wanted)).trim()}`;
    }),
  ];
}
