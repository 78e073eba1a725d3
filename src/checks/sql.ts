import { BackplanError } from '../errors.ts';
import { sqlState } from '../postgres/client.ts';
import { plainRow } from '../postgres/row.ts';
import { type CheckClient, defineCheck, type Finding, useOwnNames } from './check-kind.ts';

/**
 * `sql: {query, expect}`: one query of the plan's own, read-only, with the database's own search_path. It becomes
 * a sub-select, so that nothing but a query can stand there: no COMMIT, no SET, no COPY, no second statement.
 */
export const sql = defineCheck({
  kind: 'sql',
  summary: 'A query of your own yields what you expect.',
  keys: ['rows', 'warnAbove', 'failAbove'],
  params: {
    type: 'object',
    description: 'A read-only query and what it must yield.',
    required: ['query'],
    additionalProperties: false,
    properties: {
      query: {
        type: 'string',
        minLength: 1,
        description: 'One SELECT, VALUES, TABLE or WITH.',
        examples: ['select id from "TenantLicense" where seats < 1'],
      },
      expect: {
        description:
          'empty: no row (each row is an offender, shown as sample). rows: at least one row. true, false: the first column of the first row. {value: x}: the same, equal to x. {rows: n}: exactly n rows. {set: […]}: exactly these rows, in any order.',
        default: 'empty',
        oneOf: [
          { enum: ['empty', 'rows'] },
          { type: 'boolean' },
          {
            type: 'object',
            required: ['value'],
            additionalProperties: false,
            properties: {
              value: {
                type: ['string', 'number', 'boolean', 'null'],
                description: 'What the first column of the first row must be.',
                examples: [0],
              },
            },
          },
          {
            type: 'object',
            required: ['rows'],
            additionalProperties: false,
            properties: {
              rows: {
                type: 'integer',
                minimum: 0,
                description: 'How many rows there must be.',
                examples: [14],
              },
            },
          },
          {
            type: 'object',
            required: ['set'],
            additionalProperties: false,
            properties: {
              set: {
                type: 'array',
                maxItems: 1000,
                items: {
                  type: 'object',
                  additionalProperties: { type: ['string', 'number', 'boolean', 'null'] },
                },
                description: 'The rows that there must be, in any order, each as column: value.',
                examples: [[{ code: 'DE', name: 'Germany' }]],
              },
            },
          },
        ],
        'x-expected': 'empty, rows, true, false, {value: …}, {rows: …} or {set: […]}',
        examples: ['empty', { value: 0 }, { rows: 14 }, { set: [{ code: 'DE' }, { code: 'FR' }] }],
      },
    },
    examples: [
      { query: 'select id from "TenantLicense" where seats < 1', expect: 'empty' },
      { query: 'select count(*) from "Role"', expect: { value: 5 } },
    ],
  },
  title: ({ query }) => {
    const line = query.replaceAll(/\s+/g, ' ').trim();
    return `sql ${line.length > 60 ? `${line.slice(0, 59)}…` : line}`;
  },
  async run(client, { query, expect = 'empty' }, { sample }) {
    // Plans write table names as applications do; the empty search_path of the other kinds would hide them.
    await useOwnNames(client);
    try {
      return await look(client, stripEnd(query), expect, sample);
    } catch (error) {
      if (sqlState(error) !== '42601') throw error;
      throw new BackplanError('QUERY_FAILED', (error as Error).message, {
        cause: error,
        hint: 'A check is one query: SELECT, VALUES, TABLE or WITH … SELECT; no second statement after a semicolon.',
      });
    }
  },
});

type Expectation =
  | 'empty'
  | 'rows'
  | boolean
  | { value: string | number | boolean | null }
  | { rows: number }
  | { set: readonly RowGiven[] };

type Scalar = string | number | boolean | null;
type RowGiven = Readonly<Record<string, Scalar>>;

async function look(
  client: CheckClient,
  text: string,
  expect: Expectation,
  sample: number,
): Promise<Finding> {
  if (expect === 'empty') return await expectEmpty(client, text, sample);
  if (expect === 'rows') {
    // Not EXISTS: that would not evaluate the columns, and so hide that the query fails.
    const rows = await client.query(`SELECT * FROM (\n${text}\n) AS backplan_query LIMIT 1`);
    return rows.length > 0
      ? { outcome: 'passed', message: 'the query yields rows' }
      : { outcome: 'failed', message: 'the query yields no row, expected some', count: 1 };
  }
  if (typeof expect === 'object' && 'rows' in expect) {
    const rows = await countRows(client, text);
    const message = `the query yields ${rows} row${rows === 1 ? '' : 's'}`;
    return rows === expect.rows
      ? { outcome: 'passed', message }
      : { outcome: 'failed', message: `${message}, expected ${expect.rows}`, count: 1 };
  }
  if (typeof expect === 'object' && 'set' in expect) return await expectSet(client, text, expect.set, sample);
  return await expectValue(client, text, typeof expect === 'object' ? expect.value : expect);
}

/** Rows beyond those that were expected which are read to say how many there are. */
const SURPLUS = 1000;

/** Values are compared as the server writes them, numbers as numbers; a row that comes twice is expected twice. */
async function expectSet(
  client: CheckClient,
  text: string,
  expected: readonly RowGiven[],
  sample: number,
): Promise<Finding> {
  const rows = await client.query<{ row: Record<string, unknown> }>(
    `SELECT pg_catalog.to_jsonb(backplan_query.*) AS row FROM (\n${text}\n) AS backplan_query LIMIT ${expected.length + SURPLUS}`,
  );
  const open = new Map<string, { given: RowGiven; times: number }>();
  for (const given of expected) {
    const key = keyOf(given);
    open.set(key, { given, times: (open.get(key)?.times ?? 0) + 1 });
  }
  const surplus: Record<string, unknown>[] = [];
  for (const { row } of rows) {
    const found = open.get(keyOf(row));
    if (found === undefined || found.times === 0) surplus.push(row);
    else found.times -= 1;
  }
  const missing = [...open.values()].flatMap(({ given, times }) =>
    Array.from({ length: times }, () => given),
  );
  if (missing.length + surplus.length === 0) {
    return expected.length === 0
      ? { outcome: 'passed', message: 'the query yields no row, as expected' }
      : { outcome: 'passed', message: `the query yields the ${expected.length} expected rows` };
  }
  const parts = [
    missing.length === 0
      ? undefined
      : `${missing.length} expected row${missing.length === 1 ? '' : 's'} missing`,
    surplus.length === 0 ? undefined : `${surplus.length} row${surplus.length === 1 ? '' : 's'} not expected`,
  ].filter((part) => part !== undefined);
  return {
    outcome: 'failed',
    message: `the query yields other rows: ${parts.join(', ')}`,
    count: missing.length + surplus.length,
    samples: [
      ...missing.map((row) => ({ expected: JSON.stringify(row) })),
      ...surplus.map((row) => ({ found: JSON.stringify(row) })),
    ].slice(0, sample),
  };
}

/** Equal for rows that hold the same: `1`, `1.0` and `"1"` are, and so is the order of columns. */
function keyOf(row: Readonly<Record<string, unknown>>): string {
  const value = (item: unknown) =>
    item === null || item === undefined
      ? null
      : typeof item === 'object'
        ? JSON.stringify(item)
        : String(item);
  return JSON.stringify(
    Object.entries(row)
      .map(([key, item]) => [key, value(item)] as const)
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  );
}

/** A closing semicolon and blanks after it do no harm; anything more is refused by the server. */
function stripEnd(query: string): string {
  return query.replace(/[\s;]+$/, '');
}

/** Counts whole rows, so that every column is evaluated. */
async function countRows(client: CheckClient, query: string): Promise<number> {
  const [row] = await client.query<{ n: string }>(
    `SELECT pg_catalog.count(backplan_query.*) AS n FROM (\n${query}\n) AS backplan_query`,
  );
  return Number(row?.n ?? 0);
}

async function expectEmpty(client: CheckClient, query: string, sample: number): Promise<Finding> {
  // Not LIMIT: the planner would bet on finding a row early, and in the good case there is none to find.
  await client.query('SET LOCAL cursor_tuple_fraction = 1');
  await client.query(
    `DECLARE backplan_rows NO SCROLL CURSOR FOR SELECT * FROM (\n${query}\n) AS backplan_query`,
  );
  const rows = await client.query(`FETCH ${sample + 1} FROM backplan_rows`);
  await client.query('CLOSE backplan_rows');
  if (rows.length === 0) return { outcome: 'passed', message: 'the query yields no row' };
  const count = rows.length <= sample ? rows.length : await countRows(client, query);
  return {
    outcome: 'failed',
    message: `the query yields ${count} row${count === 1 ? '' : 's'}, expected none`,
    count,
    samples: rows.slice(0, sample).map(plainRow),
  };
}

async function expectValue(
  client: CheckClient,
  query: string,
  expected: string | number | boolean | null,
): Promise<Finding> {
  // A column alias list may be shorter than the list of columns: this names the first one, whatever it was called.
  const [row] = await client.query<{ value: unknown; text: string | null }>(
    `SELECT "backplan value" AS value, "backplan value"::pg_catalog.text AS text
     FROM (\n${query}\n) AS backplan_query ("backplan value") LIMIT 1`,
  );
  const wanted = JSON.stringify(expected);
  if (row === undefined) {
    return { outcome: 'failed', message: `the query yields no row, expected ${wanted}`, count: 1 };
  }
  const shown =
    row.text === null ? 'NULL' : typeof expected === 'string' ? JSON.stringify(row.text) : row.text;
  return equals(row.value, row.text, expected)
    ? { outcome: 'passed', message: `the query yields ${shown}` }
    : { outcome: 'failed', message: `the query yields ${shown}, expected ${wanted}`, count: 1 };
}

function equals(value: unknown, text: string | null, expected: string | number | boolean | null): boolean {
  if (expected === null || text === null) return expected === null && text === null;
  if (typeof expected === 'boolean') {
    if (typeof value !== 'boolean') {
      throw new BackplanError(
        'INPUT_INVALID',
        `the query yields ${JSON.stringify(text)}, which is neither true nor false`,
        { hint: 'Compare in the query: select count(*) = 0 from …' },
      );
    }
    return value === expected;
  }
  // bigint and numeric come as text, so that nothing is rounded on the way.
  if (typeof expected === 'number')
    return /^[-+]?[\d.]+(e[-+]?\d+)?$/i.test(text) && Number(text) === expected;
  return text === expected;
}
