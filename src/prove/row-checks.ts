/** Mutations for checks of rows: a value, a row or a reference that must not be. */
import type { CheckClient } from '../checks/check-kind.ts';
import { requireTable } from '../checks/names.ts';
import { identifier } from '../postgres/client.ts';
import { type Damage, type Mutation, mutation } from './mutation.ts';
import {
  allRowsOf,
  breakAsText,
  breakValues,
  copyRows,
  deleteRows,
  plainValue,
  type Rows,
  rowsOf,
  update,
} from './rows.ts';

interface Columns {
  readonly table: string;
  readonly columns: readonly string[];
}
interface OneColumn {
  readonly table: string;
  readonly column: string;
}
interface References extends Columns {
  readonly references: Columns;
}

const acceptedValues = mutation<OneColumn & { nullable?: boolean; values: readonly unknown[] }>(
  'acceptedValues',
  async (client, { table: name, column: only, nullable, values }, options) => {
    const rows = await rowsOf(client, name, [only]);
    const [column] = rows.columns;
    if (column === undefined) return [];
    const labels = await client.query<{ label: string }>(
      'SELECT enumlabel::pg_catalog.text AS label FROM pg_catalog.pg_enum WHERE enumtypid = $1',
      [column.base.oid],
    );
    return [
      ...labels
        .filter(({ label }) => !values.includes(label))
        .flatMap(({ label }) => update(rows.table, [[only, plainValue(label)]], options)),
      ...breakValues(rows, options),
      ...(nullable === false ? update(rows.table, [[only, 'NULL']], options) : []),
      breakAsText(rows.table, column, options),
    ];
  },
);

const notNull = mutation<Columns>('notNull', async (client, { table, columns }, options) => {
  const rows = await rowsOf(client, table, columns);
  return rows.columns.flatMap(({ name }) => update(rows.table, [[name, 'NULL']], options));
});

const uniqueValues = mutation<Columns>('uniqueValues', async (client, { table, columns }, options) => {
  const all = await allRowsOf(client, table);
  const { columns: keys } = await rowsOf(client, table, columns);
  return [
    copyRows(all, options, 1, keys),
    copyRows(all, options, 1),
    copyRows(all, options, 1_000_000, keys),
  ];
});

const pattern = mutation<OneColumn & { matches: string }>(
  'pattern',
  async (client, { table: name, column: only, matches }, options) => {
    const rows = await rowsOf(client, name, [only]);
    const [column] = rows.columns;
    // Where the pattern must not match, its own plain letters are the likeliest to match it.
    const plain = matches.replaceAll(/[\\^$()[\]{}*+?|]/g, '');
    return [
      ...breakValues(rows, options),
      ...update(rows.table, [[only, plainValue(plain)]], options),
      ...update(rows.table, [[only, plainValue(matches)]], options),
      ...(column === undefined ? [] : [breakAsText(rows.table, column, options)]),
    ];
  },
);

const range = mutation<OneColumn>('range', async (client, { table, column }, options) =>
  breakValues(await rowsOf(client, table, [column]), options),
);

const jsonPath = mutation<OneColumn & { missing?: string; exists?: string }>(
  'jsonPath',
  async (client, { table: name, column, missing }, options) => {
    const rows = await rowsOf(client, name, [column]);
    const document = missing === undefined ? undefined : documentWith(missing);
    return [
      ...(document === undefined ? [] : update(rows.table, [[column, plainValue(document)]], options)),
      ...breakValues(rows, options),
      ...update(rows.table, [[column, 'NULL']], options),
    ];
  },
);

/** `$.a."b c"` → `{"a":{"b c":1}}`; undefined for paths that do more than go down. */
function documentWith(path: string): string | undefined {
  const keys = [...path.matchAll(/\.(?:"([^"\\]+)"|(\w+))/g)];
  if (
    keys.length === 0 ||
    keys.map(([text]) => text).join('') !== path.trim().replace(/^(strict|lax)?\s*\$/, '')
  )
    return undefined;
  return keys.reduceRight<string>((inner, [, quoted, plain]) => {
    return `{${JSON.stringify(quoted ?? plain)}:${inner}}`;
  }, '1');
}

const freshness = mutation<OneColumn>('freshness', async (client, { table, column }, options) => {
  const rows = await rowsOf(client, table, [column]);
  return [`'1900-01-01'`, `'2900-01-01'`]
    .flatMap((value) => update(rows.table, [[column, value]], options))
    .reverse();
});

const aggregate = mutation<{ table: string; value: string }>(
  'aggregate',
  async (client, { table, value }, options) => {
    const all = await allRowsOf(client, table);
    const named = { ...all, columns: all.columns.filter(({ name }) => value.includes(name)) };
    return [
      ...breakValues(named, options),
      deleteRows(all.table, options),
      copyRows(all, options, 1_000),
      ...named.columns.flatMap(({ name }) => update(all.table, [[name, 'NULL']], options)),
    ];
  },
);

const orphans = mutation<Columns & { references?: Columns; discriminator?: { column: string } }>(
  'orphans',
  async (client, { table, columns, references, discriminator }, options) => {
    const rows = await rowsOf(client, table, columns);
    return [
      ...breakValues(rows, options),
      ...(references === undefined ? [] : [deleteRows(await requireTable(client, references.table), {})]),
      ...(discriminator === undefined
        ? []
        : breakValues(await rowsOf(client, table, [discriminator.column]), options)),
    ];
  },
);

const cycles = mutation<Columns & { references: readonly string[] }>(
  'cycles',
  async (client, { table: name, columns, references }, options) => {
    const { table } = await rowsOf(client, name, columns);
    const itself = columns.map((column, index) => {
      return [column, `t.${identifier(references[index] ?? '')}`] as const;
    });
    return [...update(table, itself, options), ...circle(table.sql, columns, references)];
  },
);

/** Two rows that refer to each other, for checks that let a row refer to itself. */
function circle(table: string, columns: readonly string[], references: readonly string[]): Damage[] {
  const keys = references.map(identifier).join(', ');
  const two = `SELECT ${keys}, pg_catalog.row_number() OVER () AS "backplan n" FROM (SELECT ${keys} FROM ${table} LIMIT 2) AS s`;
  const set = columns.map(
    (column, index) => `${identifier(column)} = b.${identifier(references[index] ?? '')}`,
  );
  const same = references.map((key) => `t.${identifier(key)} = a.${identifier(key)}`).join(' AND ');
  return [
    {
      what: `two rows of ${table} refer to each other`,
      sql: [
        `WITH two AS MATERIALIZED (${two}) UPDATE ${table} AS t SET ${set.join(', ')} FROM two AS a, two AS b` +
          ` WHERE a."backplan n" <> b."backplan n" AND ${same}`,
      ],
    },
  ];
}

const tenantConsistency = mutation<References & { tenant: string }>(
  'tenantConsistency',
  async (client, { table, tenant }, options) => breakValues(await rowsOf(client, table, [tenant]), options),
);

const rowCount = mutation<{ table: string; max?: number; equals?: number; asBackup?: unknown }>(
  'rowCount',
  async (client, { table, max }, options) => {
    const all = await allRowsOf(client, table);
    return [...(max === undefined ? [] : [copyRows(all, options, max + 1)]), deleteRows(all.table, options)];
  },
);

interface Side {
  readonly table: string;
  readonly where: string;
}

const recoveryPoint = mutation<{ present: Side }>('recoveryPoint', async (client, { present }) => [
  deleteRows(await requireTable(client, present.table), present),
]);

const canary = mutation<Side>('canary', async (client, { table, where }) => [
  deleteRows(await requireTable(client, table), { where }),
]);

const migrations = mutation<{ tool: string; table?: string }>(
  'migrations',
  async (client, { tool, table }) => {
    // What a tool that was cut leaves behind: a migration that began and did not end.
    if (tool === 'prisma') {
      const rows = await rowsOf(client, table ?? '_prisma_migrations', []);
      return update(
        rows.table,
        [
          ['finished_at', 'NULL'],
          ['rolled_back_at', 'NULL'],
        ],
        {},
      );
    }
    if (tool === 'flyway') {
      const rows = await rowsOf(client, table ?? 'flyway_schema_history', []);
      return update(rows.table, [['success', 'false']], {});
    }
    if (table === undefined) return [];
    const rows = await rowsOf(client, table, []);
    return [
      deleteRows(rows.table, {}),
      { what: `drop ${rows.table.sql}`, sql: [`DROP TABLE ${rows.table.sql} CASCADE`] },
    ];
  },
);

/** How many damages are tried against one query. */
const MOST = 200;

interface PlanNode {
  readonly 'Relation Name'?: string;
  readonly Schema?: string;
  readonly Plans?: readonly PlanNode[];
}

/** The tables that a query reads are broken, column by column: those columns first that it names. */
const sql = mutation<{ query: string }>('sql', async (client, { query }) => {
  const [plan] = await client.query<{ 'QUERY PLAN': readonly { Plan: PlanNode }[] }>(
    `EXPLAIN (VERBOSE, FORMAT JSON) ${query}`,
  );
  const names = new Map<string, string>();
  const visit = (node: PlanNode) => {
    const { 'Relation Name': name, Schema: schema = 'public' } = node;
    if (name !== undefined) names.set(`${schema}.${name}`, `${identifier(schema)}.${identifier(name)}`);
    for (const child of node.Plans ?? []) visit(child);
  };
  for (const { Plan } of plan?.['QUERY PLAN'] ?? []) visit(Plan);
  // What the planner sees through (a condition that no row can meet) has no table in its plan.
  if (names.size === 0) for (const name of await namedIn(client, query)) names.set(name, name);
  const tables: Rows[] = [];
  for (const name of names.values()) tables.push(await allRowsOf(client, name));
  const damages = tables.flatMap(({ table, columns }) => {
    const named = columns.filter(({ name }) => query.includes(name));
    return [
      ...named.flatMap(({ name }) => update(table, [[name, 'NULL']], {})),
      ...breakValues({ table, columns: named }, {}),
    ];
  });
  const whole = tables.flatMap((rows) => [deleteRows(rows.table, {}), copyRows(rows, {}, 1_000)]);
  // Of each pair the one with a single row first: it is cheap on large tables.
  const single = damages.filter((_, index) => index % 2 === 0);
  const all = damages.filter((_, index) => index % 2 === 1);
  return [...single, ...whole, ...all].slice(0, MOST);
});

/** Tables whose names stand in a text. */
async function namedIn(client: CheckClient, text: string): Promise<string[]> {
  const rows = await client.query<{ name: string }>(
    `SELECT pg_catalog.format('"%s"."%s"', pg_catalog.replace(n.nspname, '"', '""'), pg_catalog.replace(c.relname, '"', '""')) AS name
     FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND n.nspname !~ '^(pg_|information_schema$)'
       AND pg_catalog.strpos($1::pg_catalog.text, c.relname::pg_catalog.text) > 0`,
    [text],
  );
  return rows.map(({ name }) => name);
}

export const rowMutations: readonly Mutation[] = [
  acceptedValues,
  notNull,
  uniqueValues,
  pattern,
  range,
  jsonPath,
  freshness,
  aggregate,
  orphans,
  cycles,
  tenantConsistency,
  rowCount,
  recoveryPoint,
  canary,
  migrations,
  sql,
];
