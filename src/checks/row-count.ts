import { BackplanError } from '../errors.ts';
import { type JsonSchema, tableNameSchema } from '../schema.ts';
import { type CheckOptions, defineScan } from './check-kind.ts';
import { type Relation, requireTable, showName } from './names.ts';
import { countWhere, rowsText } from './rows.ts';

const bound = { type: 'integer', minimum: 0 } as const;

const toleranceSchema = {
  type: ['integer', 'string'],
  minimum: 0,
  pattern: '^\\d+(\\.\\d+)?\\s*%?$',
  'x-expected': 'a number of rows such as 100, or a percentage such as "5%"',
  examples: ['5%', 100],
} as const satisfies JsonSchema;

/** `rowCount: {table: Tenant, min: 1}`: an exact count(*), never the planner's estimate, which a restore leaves wrong. */
export const rowCount = defineScan({
  kind: 'rowCount',
  summary: 'A table has at least, at most or exactly so many rows, or as many as its backup counted.',
  keys: ['where'],
  params: {
    type: 'object',
    description: 'Bounds of the exact number of rows; at least one of min, max, equals and asBackup.',
    required: ['table'],
    minProperties: 2,
    'x-expected': 'a table and at least one of min, max, equals and asBackup',
    additionalProperties: false,
    properties: {
      table: { ...tableNameSchema, description: 'The table (or view).', examples: ['Tenant'] },
      min: { ...bound, description: 'At least so many rows.', examples: [1] },
      max: { ...bound, description: 'At most so many rows.', examples: [1000000] },
      equals: { ...bound, description: 'Exactly so many rows.', examples: [14] },
      asBackup: {
        description:
          'As many rows as the fingerprint of the backup counted that the database was restored from; {within} says how many more or fewer are fine.',
        'x-expected': 'true or {within: "5%"}',
        oneOf: [
          { const: true },
          {
            type: 'object',
            required: ['within'],
            additionalProperties: false,
            properties: { within: { ...toleranceSchema, description: 'How far the count may be off.' } },
          },
        ],
        examples: [true, { within: '5%' }],
      },
    },
    examples: [
      { table: 'Tenant', min: 1 },
      { table: 'User', asBackup: true },
    ],
  },
  title: ({ table, min, max, equals, asBackup }) =>
    `rows of ${table}${equals === undefined ? '' : ` = ${equals}`}${min === undefined ? '' : ` ≥ ${min}`}${max === undefined ? '' : ` ≤ ${max}`}${asBackup === undefined ? '' : ' as in the backup'}`,
  async scan(client, { table: name, min, max, equals, asBackup }, options) {
    if ([min, max, equals, asBackup].every((each) => each === undefined)) {
      throw new BackplanError('INPUT_INVALID', `the row count of ${name} has no bound`, {
        hint: 'Give at least one of min, max, equals and asBackup.',
      });
    }
    const table = await requireTable(client, name);
    const expected = asBackup === undefined ? undefined : countedIn(table, options);
    const allowed =
      expected === undefined || asBackup === undefined || asBackup === true
        ? 0
        : tolerance(asBackup.within, expected);
    return {
      from: table.sql,
      ownNames: options.where !== undefined,
      columns: [countWhere(undefined, options)],
      conclude(_client, [counted]) {
        const rows = Number(counted);
        const has = `${showName(table)} has ${rowsText(rows)}${options.where === undefined ? '' : ' that meet "where"'}`;
        const wrong = [
          equals !== undefined && rows !== equals ? `exactly ${equals}` : undefined,
          min !== undefined && rows < min ? `at least ${min}` : undefined,
          max !== undefined && rows > max ? `at most ${max}` : undefined,
          expected !== undefined && Math.abs(rows - expected) > allowed
            ? `${expected}${allowed === 0 ? '' : ` ± ${allowed}`} as in backup ${options.backup?.id}`
            : undefined,
        ].filter((text) => text !== undefined);
        if (wrong.length > 0) {
          return { outcome: 'failed', message: `${has}, expected ${wrong.join(' and ')}`, count: 1 };
        }
        // Every table has at least 0 rows: on an empty one that shows nothing.
        const says = (min ?? 0) > 0 || max !== undefined || equals !== undefined || expected !== undefined;
        return says || rows > 0
          ? { outcome: 'passed', message: has }
          : { outcome: 'vacuous', message: `${has}, and min: 0 demands none` };
      },
    };
  },
});

function countedIn(table: Relation, { backup, where }: CheckOptions): number {
  if (where !== undefined) {
    throw new BackplanError('INPUT_INVALID', 'the backup has counted all rows, not those that meet "where"', {
      hint: 'Leave out "where", or give min, max or equals instead of asBackup.',
    });
  }
  const rows = backup?.rowsOf(table.schema, table.name);
  if (rows !== undefined) return rows;
  throw new BackplanError(
    'INPUT_INVALID',
    backup === undefined
      ? 'nothing says which backup this database was restored from'
      : `the fingerprint of backup ${backup.id} did not count ${showName(table)}`,
    {
      hint:
        backup === undefined
          ? 'asBackup is for databases that a restore step put out; on others give min, max or equals.'
          : 'Back up with fingerprint: counts or content, and without excluding the table.',
    },
  );
}

function tolerance(within: number | string, expected: number): number {
  const text = String(within).trim();
  return text.endsWith('%') ? Math.floor((Number.parseFloat(text) / 100) * expected) : Number(text);
}
