import { BackplanError } from '../errors.ts';
import { tableNameSchema } from '../schema.ts';
import { defineCheck } from './check-kind.ts';
import { requireTable, showName } from './names.ts';

const bound = { type: 'integer', minimum: 0 } as const;

/** `rowCount: {table: Tenant, min: 1}`: an exact count(*), never the planner's estimate, which a restore leaves wrong. */
export const rowCount = defineCheck({
  kind: 'rowCount',
  summary: 'A table has at least, at most or exactly so many rows.',
  params: {
    type: 'object',
    description: 'Bounds of the exact number of rows; at least one of min, max and equals.',
    required: ['table'],
    minProperties: 2,
    'x-expected': 'a table and at least one of min, max and equals',
    additionalProperties: false,
    properties: {
      table: { ...tableNameSchema, description: 'The table (or view).', examples: ['Tenant'] },
      min: { ...bound, description: 'At least so many rows.', examples: [1] },
      max: { ...bound, description: 'At most so many rows.', examples: [1000000] },
      equals: { ...bound, description: 'Exactly so many rows.', examples: [14] },
    },
    examples: [{ table: 'Tenant', min: 1 }],
  },
  title: ({ table, min, max, equals }) =>
    `rows of ${table}${equals === undefined ? '' : ` = ${equals}`}${min === undefined ? '' : ` ≥ ${min}`}${max === undefined ? '' : ` ≤ ${max}`}`,
  async run(client, { table: name, min, max, equals }) {
    if (min === undefined && max === undefined && equals === undefined) {
      throw new BackplanError('INPUT_INVALID', `the row count of ${name} has no bound`, {
        hint: 'Give at least one of min, max and equals.',
      });
    }
    const table = await requireTable(client, name);
    const [row] = await client.query<{ rows: string }>(
      `SELECT pg_catalog.count(*) AS rows FROM ${table.sql}`,
    );
    const rows = BigInt(row?.rows ?? 0);
    const has = `${showName(table)} has ${rows} row${rows === 1n ? '' : 's'}`;
    const expected = [
      equals !== undefined && rows !== BigInt(equals) ? `exactly ${equals}` : undefined,
      min !== undefined && rows < BigInt(min) ? `at least ${min}` : undefined,
      max !== undefined && rows > BigInt(max) ? `at most ${max}` : undefined,
    ].filter((text) => text !== undefined);
    if (expected.length > 0) {
      return { outcome: 'failed', message: `${has}, expected ${expected.join(' and ')}`, count: 1 };
    }
    // Every table has at least 0 rows: on an empty one that shows nothing.
    const says = (min ?? 0) > 0 || max !== undefined || equals !== undefined;
    return says || rows > 0n
      ? { outcome: 'passed', message: has }
      : { outcome: 'vacuous', message: `${has}, and min: 0 demands none` };
  },
});
