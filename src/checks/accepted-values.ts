import { identifier } from '../postgres/client.ts';
import type { Column } from '../postgres/columns.ts';
import { tableNameSchema } from '../schema.ts';
import { type CheckClient, defineCheck, type Finding } from './check-kind.ts';
import { type Relation, requireColumns, requireTable, showName } from './names.ts';

/**
 * `acceptedValues: {table, column, values}`: every row holds one of the values, byte for byte: no folding of case,
 * no trimming, no collation that calls two of them equal. Works on text, enums, numbers and booleans.
 */
export const acceptedValues = defineCheck({
  kind: 'acceptedValues',
  summary: 'A column holds nothing but these values.',
  params: {
    type: 'object',
    description: 'A column and all values that it may hold.',
    required: ['table', 'column', 'values'],
    additionalProperties: false,
    properties: {
      table: { ...tableNameSchema, description: 'The table (or view).', examples: ['User'] },
      column: { type: 'string', minLength: 1, description: 'The column.', examples: ['status'] },
      values: {
        type: 'array',
        items: { type: ['string', 'number', 'boolean'] },
        minItems: 1,
        description: 'The values, exactly as stored.',
        examples: [['active', 'disabled', 'pending']],
      },
      nullable: {
        type: 'boolean',
        default: true,
        description: 'NULL is accepted too. Set it to false where NULL is a fault.',
      },
    },
    examples: [{ table: 'User', column: 'status', values: ['active', 'disabled', 'pending'] }],
  },
  title: ({ table, column }) => `acceptedValues ${table}.${column}`,
  async run(client, { table: name, column: columnName, values, nullable = true }, { sample }) {
    const table = await requireTable(client, name);
    const [column] = await requireColumns(client, table, [columnName]);
    const accepted = values.map(String);
    const labels = column?.base.kind === 'e' ? await enumLabels(client, column.base.oid) : undefined;
    const test = membership(column as Column, values);
    const [row] = await client.query<{ rows: string; bad: string; nulls: string }>(
      `SELECT pg_catalog.count(*) AS rows,
         pg_catalog.count(*) FILTER (WHERE ${identifier(columnName)} IS NOT NULL AND (${test}) IS NOT TRUE) AS bad,
         pg_catalog.count(*) FILTER (WHERE ${identifier(columnName)} IS NULL) AS nulls
       FROM ${table.sql}`,
      [accepted],
    );
    const [rows, bad, nulls] = [Number(row?.rows), Number(row?.bad), Number(row?.nulls)];
    const offending = bad + (nullable ? 0 : nulls);
    const where = `${showName(table)}.${identifier(columnName)}`;
    if (offending > 0) {
      return await failure(client, table, columnName, test, accepted, { rows, offending, nullable }, sample);
    }
    const surplus = labels?.filter((label) => !accepted.includes(label)) ?? [];
    const absent = labels === undefined ? [] : accepted.filter((value) => !labels.includes(value));
    // An enum that has no other labels shows it without a row.
    if (rows === 0 && (labels === undefined || surplus.length > 0)) {
      return { outcome: 'vacuous', message: `${showName(table)} is empty: there was no value to look at` };
    }
    const notes = [
      surplus.length === 0
        ? undefined
        : `its type ${column?.type} would also allow ${surplus.map(visible).join(', ')}`,
      absent.length === 0
        ? undefined
        : `its type ${column?.type} has no label ${absent.map(visible).join(', ')}`,
      nulls === 0 ? undefined : `${nulls} NULL accepted`,
    ].filter((note) => note !== undefined);
    return {
      outcome: 'passed',
      message: `${rows} row${rows === 1 ? '' : 's'} of ${where} hold accepted values${notes.length === 0 ? '' : ` (${notes.join('; ')})`}`,
    };
  },
});

/** Characters of a value that are shown; what is longer is wrong anyway. */
const SHOWN = 200;

/** A value with its white space and control characters visible: `"active "`, `"a\u00a0b"`. */
export function visible(value: string | null): string {
  if (value === null) return 'NULL';
  return JSON.stringify(value).replace(
    // White space other than a plain space, zero-width and direction marks: what looks the same but is not.
    /[\u007f-\u00a0\u00ad\u1680\u2000-\u200f\u2028-\u202f\u205f-\u2064\u3000\ufeff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** The SQL test "is one of $1". Never NOT IN: a NULL on either side would make that pass everything. */
function membership(column: Column, values: readonly unknown[]): string {
  const sql = identifier(column.name);
  // 1, 1.0 and 1.00 are the same number; everywhere else the stored text decides.
  const numeric = column.base.category === 'N' && values.every((value) => typeof value === 'number');
  return numeric
    ? `${sql}::pg_catalog.numeric = ANY ($1::pg_catalog.text[]::pg_catalog.numeric[])`
    : `${sql}::pg_catalog.text COLLATE pg_catalog."C" = ANY ($1::pg_catalog.text[])`;
}

async function enumLabels(client: CheckClient, type: number): Promise<string[]> {
  const rows = await client.query<{ label: string }>(
    'SELECT enumlabel AS label FROM pg_catalog.pg_enum WHERE enumtypid = $1::pg_catalog.oid ORDER BY enumsortorder',
    [type],
  );
  return rows.map((row) => row.label);
}

async function failure(
  client: CheckClient,
  table: Relation,
  column: string,
  test: string,
  accepted: readonly string[],
  seen: { readonly rows: number; readonly offending: number; readonly nullable: boolean },
  sample: number,
): Promise<Finding> {
  const sql = identifier(column);
  const histogram = await client.query<{ value: string | null; n: string }>(
    `SELECT pg_catalog.left(${sql}::pg_catalog.text COLLATE pg_catalog."C", ${SHOWN}) AS value, pg_catalog.count(*) AS n
     FROM ${table.sql}
     WHERE ${seen.nullable ? `${sql} IS NOT NULL AND ` : ''}(${test}) IS NOT TRUE
     GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT ${Math.max(1, sample)}`,
    [accepted],
  );
  const values = histogram.map((row) => `${visible(row.value)} (${row.n})`);
  return {
    outcome: 'failed',
    message: `${seen.offending} of ${seen.rows} rows of ${showName(table)}.${sql} hold other values: ${values.join(', ')}${histogram.length === Math.max(1, sample) ? ', …' : ''}`,
    hint: `Accepted are ${accepted.map(visible).join(', ')}${seen.nullable ? ' and NULL' : ''}.`,
    count: seen.offending,
    samples: histogram.slice(0, sample).map((row) => ({ value: row.value, count: Number(row.n) })),
  };
}
