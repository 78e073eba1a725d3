import { identifier, literal } from '../postgres/client.ts';
import type { Column } from '../postgres/columns.ts';
import { tableNameSchema } from '../schema.ts';
import {
  type CheckClient,
  type CheckOptions,
  defineScan,
  type Finding,
  ROW_KEYS,
  useOwnNames,
} from './check-kind.ts';
import { type Relation, requireColumns, requireTable, showName } from './names.ts';
import { countWhere, nothingToLookAt, offenders, restricted, rowsText } from './rows.ts';

/**
 * `acceptedValues: {table, column, values}`: every row holds one of the values, byte for byte: no folding of case,
 * no trimming, no collation that calls two of them equal. Works on text, enums, numbers and booleans.
 */
export const acceptedValues = defineScan({
  kind: 'acceptedValues',
  summary: 'A column holds nothing but these values.',
  keys: ROW_KEYS,
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
  async scan(client, { table: name, column: columnName, values, nullable = true }, options) {
    const table = await requireTable(client, name);
    const [column] = await requireColumns(client, table, [columnName]);
    const accepted = values.map(String);
    const labels = column?.base.kind === 'e' ? await enumLabels(client, column.base.oid) : undefined;
    const sql = `t.${identifier(columnName)}`;
    const other = `(${membership(column as Column, values)}) IS NOT TRUE`;
    const condition = nullable ? `${sql} IS NOT NULL AND ${other}` : other;
    return {
      from: table.sql,
      ownNames: options.where !== undefined,
      columns: [
        countWhere(undefined, options),
        countWhere(condition, options),
        countWhere(`${sql} IS NULL`, options),
      ],
      async conclude(inside, [all, bad, null_]) {
        const [rows, offending, nulls] = [Number(all), Number(bad), Number(null_)];
        if (offending > 0) {
          const seen = { rows, offending, nullable };
          return await failure(inside, table, columnName, condition, accepted, seen, options);
        }
        const surplus = labels?.filter((label) => !accepted.includes(label)) ?? [];
        const absent = labels === undefined ? [] : accepted.filter((value) => !labels.includes(value));
        // An enum that has no other labels shows it without a row.
        if (rows === 0 && (labels === undefined || surplus.length > 0)) {
          return nothingToLookAt(table, options);
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
          message: `${rowsText(rows)} of ${showName(table)}.${identifier(columnName)} hold accepted values${notes.length === 0 ? '' : ` (${notes.join('; ')})`}`,
          of: rows,
        };
      },
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

/** The SQL test "is one of these". Never NOT IN: a NULL on either side would make that pass everything. */
function membership(column: Column, values: readonly unknown[]): string {
  const sql = `t.${identifier(column.name)}`;
  const list = `ARRAY[${values.map((value) => literal(String(value)).trim()).join(', ')}]::pg_catalog.text[]`;
  // 1, 1.0 and 1.00 are the same number; everywhere else the stored text decides.
  const numeric = column.base.category === 'N' && values.every((value) => typeof value === 'number');
  return numeric
    ? `${sql}::pg_catalog.numeric = ANY (${list}::pg_catalog.numeric[])`
    : `${sql}::pg_catalog.text COLLATE pg_catalog."C" = ANY (${list})`;
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
  condition: string,
  accepted: readonly string[],
  seen: { readonly rows: number; readonly offending: number; readonly nullable: boolean },
  options: CheckOptions,
): Promise<Finding> {
  const sql = identifier(column);
  const limit = Math.max(1, options.sample);
  if (options.where !== undefined) await useOwnNames(client);
  const histogram = await client.query<{ value: string | null; n: string }>(
    `SELECT pg_catalog.left(t.${sql}::pg_catalog.text COLLATE pg_catalog."C", ${SHOWN}) AS value, pg_catalog.count(*) AS n
     FROM ${table.sql} AS t WHERE ${restricted(condition, options)}
     GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT ${limit}`,
  );
  const values = histogram.map((row) => `${visible(row.value)} (${row.n})`);
  return {
    outcome: 'failed',
    message: `${seen.offending} of ${rowsText(seen.rows)} of ${showName(table)}.${sql} hold other values: ${values.join(', ')}${histogram.length === limit ? ', …' : ''}`,
    hint: `Accepted are ${accepted.map(visible).join(', ')}${seen.nullable ? ' and NULL' : ''}.`,
    count: seen.offending,
    of: seen.rows,
    samples: options.rows
      ? await offenders(client, table, condition, options)
      : histogram.slice(0, options.sample).map((row) => ({ value: row.value, count: Number(row.n) })),
  };
}
