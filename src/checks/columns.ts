import { identifier } from '../postgres/client.ts';
import { type JsonSchema, tableNameSchema } from '../schema.ts';
import { conclude, defineCatalogCheck, withoutTable } from './catalog-check.ts';
import type { CheckClient, Finding } from './check-kind.ts';
import { closest, findTables, isMissing, type Relation, showColumns, showName } from './names.ts';
import { sameType } from './type-names.ts';

const columnSchema = {
  type: 'object',
  description: 'What the column must be like; what is left out is not looked at.',
  additionalProperties: false,
  properties: {
    type: {
      type: 'string',
      minLength: 1,
      description: 'Its type with length and precision.',
      examples: ['varchar(20)', 'timestamptz', 'Status[]'],
    },
    nullable: { type: 'boolean', description: 'Whether NULL is allowed.' },
    default: {
      type: ['string', 'boolean', 'null'],
      description:
        'The default as an expression of SQL; true for any, false or null for none. A cast at its end counts for nothing.',
      examples: ["'active'", 'now()', false],
    },
    generated: {
      type: ['string', 'boolean'],
      description: 'The expression that it is generated from; true for any, false for an ordinary column.',
      examples: ['(price * amount)'],
    },
    identity: {
      enum: ['always', 'byDefault', false],
      description: 'GENERATED ALWAYS or BY DEFAULT AS IDENTITY, or no identity column.',
    },
    collation: {
      type: 'string',
      minLength: 1,
      description: 'Its collation; `default` for that of the database.',
      examples: ['C', 'de-x-icu'],
    },
    exists: { type: 'boolean', description: 'false: there must be no column of this name.' },
  },
} as const satisfies JsonSchema;

interface ColumnFacts extends Record<string, unknown> {
  relation: number;
  name: string;
  type: string;
  not_null: boolean;
  expression: string | null;
  identity: string;
  generated: string;
  collation: string | null;
}

interface Wanted {
  readonly type?: string | undefined;
  readonly nullable?: boolean | undefined;
  readonly default?: string | boolean | null | undefined;
  readonly generated?: string | boolean | undefined;
  readonly identity?: 'always' | 'byDefault' | false | undefined;
  readonly collation?: string | undefined;
  readonly exists?: boolean | undefined;
}

interface Problem {
  readonly message: string;
  readonly hint?: string;
}

/** `columns: {table, columns: {id: bigint, email: {type: citext, nullable: false}}}`: the columns are as declared. */
export const columns = defineCatalogCheck({
  kind: 'columns',
  summary: 'Columns have this type, nullability, default, generation and collation.',
  params: {
    type: 'object',
    description: 'Columns of a table and what they must be like.',
    required: ['table', 'columns'],
    additionalProperties: false,
    properties: {
      table: { ...tableNameSchema, description: 'The table.', examples: ['User'] },
      columns: {
        type: 'object',
        description: 'Column name → its type, or all that is wanted of it.',
        additionalProperties: { anyOf: [{ type: 'string', minLength: 1 }, columnSchema] },
        minProperties: 1,
        examples: [{ id: 'bigint', email: { type: 'citext', nullable: false } }],
      },
      exact: { type: 'boolean', description: 'true: the table has no other columns.' },
    },
    examples: [{ table: 'User', columns: { id: 'bigint', email: { type: 'citext', nullable: false } } }],
  },
  title: ({ table, columns: wanted }) => `columns ${table} (${Object.keys(wanted).join(', ')})`,
  async runAll(client, all) {
    const tables = await findTables(
      client,
      all.map(({ table }) => table),
    );
    const facts = await loadFacts(
      client,
      tables.flatMap((table) => (isMissing(table) ? [] : [table.oid])),
    );
    return all.map(({ columns: wanted, exact }, index): Finding => {
      const table = tables[index] as (typeof tables)[number];
      if (isMissing(table)) return withoutTable(table, true);
      const own = facts.filter((each) => each.relation === table.oid);
      const problems = Object.entries(wanted).flatMap(([name, spec]) =>
        compareColumn(table, name, typeof spec === 'string' ? { type: spec } : spec, own),
      );
      const more = own.filter(({ name }) => !Object.hasOwn(wanted, name)).map(({ name }) => name);
      if (exact === true && more.length > 0) {
        problems.push({
          message: `${showName(table)} has ${showColumns(more)} too`,
          hint: `Those columns are not in the plan: list them, or leave out exact.`,
        });
      }
      const count = Object.keys(wanted).length;
      return conclude(
        problems,
        `${count} column${count === 1 ? '' : 's'} of ${showName(table)} as declared: ${showColumns(Object.keys(wanted))}`,
      );
    });
  },
});

// Source: https://www.postgresql.org/docs/current/catalog-pg-attribute.html
async function loadFacts(client: CheckClient, tables: readonly number[]): Promise<ColumnFacts[]> {
  if (tables.length === 0) return [];
  return await client.query<ColumnFacts>(
    `SELECT a.attrelid AS relation, a.attname AS name, pg_catalog.format_type(a.atttypid, a.atttypmod) AS type,
       a.attnotnull AS not_null, pg_catalog.pg_get_expr(d.adbin, d.adrelid) AS expression,
       a.attidentity AS identity, a.attgenerated AS generated, co.collname AS collation
     FROM pg_catalog.pg_attribute a
     LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
     LEFT JOIN pg_catalog.pg_collation co ON co.oid = a.attcollation
     WHERE a.attrelid = ANY ($1::pg_catalog.oid[]) AND a.attnum > 0 AND NOT a.attisdropped
     ORDER BY a.attrelid, a.attnum`,
    [tables],
  );
}

function compareColumn(
  table: Relation,
  name: string,
  wanted: Wanted,
  all: readonly ColumnFacts[],
): Problem[] {
  const column = all.find((each) => each.name === name);
  const alter = `ALTER TABLE ${table.sql}`;
  if (wanted.exists === false) {
    return column === undefined
      ? []
      : [
          {
            message: `${showName(table)} has a column ${identifier(name)} and must not`,
            hint: `${alter} DROP COLUMN ${identifier(name)};`,
          },
        ];
  }
  if (column === undefined) {
    const near = closest(
      name,
      all.map((each) => each.name),
    );
    const add = `${alter} ADD COLUMN ${identifier(name)} ${wanted.type ?? 'text'};`;
    return [
      {
        message: `${showName(table)} has no column ${identifier(name)}`,
        hint: near === undefined ? add : `${identifier(near)} exists, wanted ${identifier(name)}.`,
      },
    ];
  }
  const change = `${alter} ALTER COLUMN ${identifier(name)}`;
  const say = (is: string, expected: string, hint?: string): Problem => ({
    message: `${identifier(name)} ${is}, expected ${expected}`,
    ...(hint === undefined ? {} : { hint }),
  });
  const problems: Problem[] = [];
  if (wanted.type !== undefined && !sameType(wanted.type, column.type)) {
    problems.push(say(`is ${column.type}`, wanted.type, `${change} TYPE ${wanted.type};`));
  }
  if (wanted.nullable !== undefined && wanted.nullable === column.not_null) {
    problems.push(
      column.not_null
        ? say('is NOT NULL', 'that NULL is allowed', `${change} DROP NOT NULL;`)
        : say('allows NULL', 'NOT NULL', `${change} SET NOT NULL;`),
    );
  }
  const isGenerated = column.generated !== '';
  const standard = isGenerated ? null : column.expression;
  if (wanted.default !== undefined && !fits(wanted.default, standard)) {
    const none = wanted.default === null || wanted.default === false;
    const is = standard === null ? 'has no default' : `has the default ${standard}`;
    problems.push(
      none
        ? say(is, 'none', `${change} DROP DEFAULT;`)
        : wanted.default === true
          ? say(is, 'one')
          : say(is, String(wanted.default), `${change} SET DEFAULT ${wanted.default};`),
    );
  }
  const expression = isGenerated ? column.expression : null;
  if (wanted.generated !== undefined && !fits(wanted.generated, expression)) {
    const expected =
      typeof wanted.generated === 'boolean'
        ? wanted.generated
          ? 'a generated one'
          : 'an ordinary column'
        : wanted.generated;
    problems.push(
      say(expression === null ? 'is not generated' : `is generated from ${expression}`, expected),
    );
  }
  const identity = ({ a: 'always', d: 'byDefault' } as const)[column.identity] ?? false;
  if (wanted.identity !== undefined && wanted.identity !== identity) {
    problems.push(
      say(
        identity === false ? 'is no identity column' : `is GENERATED ${IDENTITY[identity]} AS IDENTITY`,
        wanted.identity === false
          ? 'no identity column'
          : `GENERATED ${IDENTITY[wanted.identity]} AS IDENTITY`,
        identity === false
          ? undefined
          : wanted.identity === false
            ? `${change} DROP IDENTITY;`
            : `${change} SET GENERATED ${IDENTITY[wanted.identity]};`,
      ),
    );
  }
  if (wanted.collation !== undefined && wanted.collation !== column.collation) {
    problems.push(say(`has the collation ${column.collation ?? '(none)'}`, wanted.collation));
  }
  return problems;
}

const IDENTITY = { always: 'ALWAYS', byDefault: 'BY DEFAULT' } as const;

/** true: any expression; false or null: none; a text: that one, without regard to spaces, outer brackets and a last cast. */
function fits(wanted: string | boolean | null, actual: string | null): boolean {
  if (wanted === null || wanted === false) return actual === null;
  if (wanted === true) return actual !== null;
  return actual !== null && (wanted.trim() === actual || plain(wanted) === plain(actual));
}

function plain(expression: string): string {
  return (
    expression
      .trim()
      .replace(/^\((.*)\)$/s, '$1')
      .replace(/::("[^"]*"|[\w .])+(\(\d+(,\d+)?\))?(\[\])?$/, '')
      .replace(/^\((.*)\)$/s, '$1')
      .replaceAll(/\s+/g, ' ')
      // Not inside quotes: 'A' and 'a' are two defaults.
      .replaceAll(/'(?:[^']|'')*'|"(?:[^"]|"")*"|[^'"]+/g, (part) =>
        /^['"]/.test(part) ? part : part.toLowerCase(),
      )
  );
}
