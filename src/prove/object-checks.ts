/** Mutations for checks of objects: one that is missing, other than it should be, or there although it must not be. */
import { findIndex, findTable, isMissing, requireTable } from '../checks/names.ts';
import { identifier, literal } from '../postgres/client.ts';
import { parseName } from '../postgres/object-name.ts';
import { type Damage, damage, type Existence, type Mutation, mutation } from './mutation.ts';
import { rowsOf } from './rows.ts';

/** How an object is called that has another name from now on. */
const OTHER = '"backplan: renamed"';

/** A name of a plan as SQL; without a schema the object is made in public. */
function qualified(text: string): string {
  const { schema = 'public', name } = parseName(text);
  return `${identifier(schema)}.${identifier(name)}`;
}

/** Renames or drops a relation that must be there, or makes one that must not. */
function relation(kind: string, type: string, create: (name: string) => string): Mutation {
  return mutation<Existence & { name: string }>(kind, async (client, { name, exists }) => {
    if (exists === false) return [damage(`make ${name}`, create(qualified(name)))];
    const oids = await client.query<{ name: string }>(
      `SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) AS name
       FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
       WHERE c.relname = $1 AND ($2::pg_catalog.text IS NULL OR n.nspname = $2::pg_catalog.text)
         AND n.nspname NOT IN ('pg_catalog', 'information_schema')
       ORDER BY n.nspname <> 'public', n.nspname LIMIT 1`,
      [parseName(name).name, parseName(name).schema ?? null],
    );
    return oids.map(({ name: found }) =>
      damage(`rename ${name}`, `ALTER ${type} ${found} RENAME TO ${OTHER}`),
    );
  });
}

const table = relation('table', 'TABLE', (name) => `CREATE TABLE ${name} ()`);
const view = relation('view', 'VIEW', (name) => `CREATE VIEW ${name} AS SELECT 1 AS n`);
const materializedView = relation(
  'materializedView',
  'MATERIALIZED VIEW',
  (name) => `CREATE MATERIALIZED VIEW ${name} AS SELECT 1 AS n`,
);
const sequence = relation('sequence', 'SEQUENCE', (name) => `CREATE SEQUENCE ${name}`);

type Tables =
  | readonly string[]
  | (Existence & { readonly names: readonly string[]; readonly exact?: boolean; schema?: string });

const tables = mutation<Tables>('tables', async (client, params) => {
  const list = Array.isArray(params)
    ? { names: params as readonly string[] }
    : (params as Exclude<Tables, readonly string[]>);
  if (list.exists === false) {
    return list.names.map((name) => damage(`make ${name}`, `CREATE TABLE ${qualified(name)} ()`));
  }
  if (list.exact === true) {
    return [
      damage('one table more', `CREATE TABLE ${identifier(list.schema ?? 'public')}."backplan: one more" ()`),
    ];
  }
  const damages: Damage[] = [];
  for (const name of list.names) {
    const found = await requireTable(client, name);
    damages.push(damage(`rename ${name}`, `ALTER TABLE ${found.sql} RENAME TO ${OTHER}`));
  }
  return damages;
});

const columns = mutation<{ table: string; columns: Record<string, string | Existence> }>(
  'columns',
  async (client, { table: name, columns: wanted }) => {
    const { sql } = await requireTable(client, name);
    return Object.entries(wanted).map(([column, facts]) =>
      typeof facts !== 'string' && facts.exists === false
        ? damage(
            `add column ${column}`,
            `ALTER TABLE ${sql} ADD COLUMN ${identifier(column)} pg_catalog.text`,
          )
        : damage(
            `rename column ${column}`,
            `ALTER TABLE ${sql} RENAME COLUMN ${identifier(column)} TO ${OTHER}`,
          ),
    );
  },
);

interface Statement extends Record<string, unknown> {
  readonly sql: string;
}

/** Statements that drop what guards keys of a table. Source: catalog-pg-constraint.html, catalog-pg-index.html */
const DROP_KEYS = `
SELECT pg_catalog.format('ALTER TABLE %s DROP CONSTRAINT IF EXISTS %I CASCADE', c.conrelid::pg_catalog.regclass, c.conname) AS sql
FROM pg_catalog.pg_constraint c
WHERE c.conrelid = $1::pg_catalog.oid AND c.contype::pg_catalog.text = ANY ($2::pg_catalog.text[])
UNION ALL
SELECT pg_catalog.format('DROP INDEX IF EXISTS %s', i.indexrelid::pg_catalog.regclass)
FROM pg_catalog.pg_index i
WHERE i.indrelid = $1::pg_catalog.oid AND i.indisunique AND 'u' = ANY ($2::pg_catalog.text[])
  AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_constraint c WHERE c.conindid = i.indexrelid AND c.contype IN ('u', 'p', 'x'))`;

interface Keys extends Existence {
  readonly table: string;
  readonly columns?: readonly string[];
}

function keys(kind: string, types: readonly string[], make: string): Mutation {
  return mutation<Keys>(kind, async (client, { table: name, columns: list = [], exists }) => {
    const found = await requireTable(client, name);
    if (exists === false) {
      const on = list.map(identifier).join(', ');
      return [damage(`add ${make} (${on})`, `ALTER TABLE ${found.sql} ADD ${make} (${on})`)];
    }
    const sql = (await client.query<Statement>(DROP_KEYS, [found.oid, types])).map((each) => each.sql);
    return [damage(`drop the keys of ${name}`, ...sql)];
  });
}

const primaryKey = keys('primaryKey', ['p'], 'PRIMARY KEY');
const unique = keys('unique', ['u', 'p'], 'UNIQUE');

interface Reference extends Keys {
  readonly columns: readonly string[];
  readonly references: { readonly table: string; readonly columns: readonly string[] };
  readonly data?: boolean;
}

const foreignKey = mutation<Reference>('foreignKey', async (client, params) => {
  const { table: found, columns: list } = await rowsOf(client, params.table, params.columns);
  const target = await requireTable(client, params.references.table);
  if (params.exists === false) {
    const names = (all: readonly string[]) => all.map(identifier).join(', ');
    return [
      damage(
        'add the foreign key',
        `ALTER TABLE ${found.sql} ADD FOREIGN KEY (${names(params.columns)}) REFERENCES ${target.sql} (${names(params.references.columns)}) NOT VALID`,
      ),
    ];
  }
  const drops = await client.query<Statement>(
    `SELECT pg_catalog.format('ALTER TABLE %s DROP CONSTRAINT IF EXISTS %I CASCADE', conrelid::pg_catalog.regclass, conname) AS sql
     FROM pg_catalog.pg_constraint WHERE contype = 'f' AND conrelid = $1 AND confrelid = $2
       AND conkey::pg_catalog.int4[] @> $3::pg_catalog.int4[]`,
    [found.oid, target.oid, list.map(({ number }) => number)],
  );
  return [
    damage('drop the foreign key', ...drops.map(({ sql }) => sql)),
    damage('disable its triggers', `ALTER TABLE ${found.sql} DISABLE TRIGGER ALL`),
  ];
});

const constraint = mutation<Existence & { table?: string; domain?: string; name: string }>(
  'constraint',
  async (client, { table: on, domain, name, exists }) => {
    if (on === undefined) {
      const type = qualified(domain ?? '');
      return exists === false
        ? [
            damage(
              'add the constraint',
              `ALTER DOMAIN ${type} ADD CONSTRAINT ${identifier(name)} CHECK (true) NOT VALID`,
            ),
          ]
        : [damage('drop the constraint', `ALTER DOMAIN ${type} DROP CONSTRAINT ${identifier(name)}`)];
    }
    const { sql } = await requireTable(client, on);
    return exists === false
      ? [
          damage(
            'add the constraint',
            `ALTER TABLE ${sql} ADD CONSTRAINT ${identifier(name)} CHECK (true) NOT VALID`,
          ),
        ]
      : [damage('drop the constraint', `ALTER TABLE ${sql} DROP CONSTRAINT ${identifier(name)} CASCADE`)];
  },
);

const index = mutation<Existence & { name: string; table?: string }>(
  'index',
  async (client, { name, table: on, exists }) => {
    const owner = on === undefined ? undefined : await findTable(client, on);
    if (exists === false) {
      if (owner === undefined || isMissing(owner)) return [];
      return [
        damage('make the index', `CREATE INDEX ${identifier(parseName(name).name)} ON ${owner.sql} ((1))`),
      ];
    }
    const schema = owner === undefined || isMissing(owner) ? undefined : owner.schema;
    const found = await findIndex(client, name, schema);
    if (isMissing(found)) return [];
    return [damage('rename the index', `ALTER INDEX ${found.sql} RENAME TO ${OTHER}`)];
  },
);

/** Values of sequences are set in their definition: unlike setval that is undone by ROLLBACK. */
const sequences = mutation<object>('sequences', async (client) => {
  const all = await client.query<{ name: string; max: string }>(
    `SELECT pg_catalog.format('%I.%I', schemaname, sequencename) AS name, max_value::pg_catalog.text AS max
     FROM pg_catalog.pg_sequences WHERE increment_by > 0 ORDER BY last_value DESC NULLS LAST LIMIT 20`,
  );
  return all.flatMap(({ name, max }) => [
    damage(`${name} starts anew`, `ALTER SEQUENCE ${name} RESTART`),
    damage(`${name} is at its end`, `ALTER SEQUENCE ${name} RESTART WITH ${max}`),
  ]);
});

const functionExists = mutation<Existence & { name: string; arguments?: readonly string[] }>(
  'function',
  async (client, { name, arguments: types = [], exists }) => {
    if (exists === false) {
      return [
        damage(
          'make the function',
          `CREATE FUNCTION ${qualified(name)} (${types.join(', ')}) RETURNS pg_catalog.int4 LANGUAGE sql AS 'SELECT 1'`,
        ),
      ];
    }
    const { schema, name: bare } = parseName(name);
    const found = await client.query<Statement>(
      `SELECT pg_catalog.format('ALTER ROUTINE %s RENAME TO ${OTHER}', p.oid::pg_catalog.regprocedure) AS sql
       FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
       WHERE p.proname = $1 AND p.prokind <> 'a' AND ($2::pg_catalog.text IS NULL OR n.nspname = $2::pg_catalog.text)
         AND n.nspname NOT IN ('pg_catalog', 'information_schema')`,
      [bare, schema ?? null],
    );
    return [damage(`rename ${name}`, ...found.map(({ sql }) => sql))];
  },
);

const trigger = mutation<Existence & { table: string; name: string; enabled?: boolean | string }>(
  'trigger',
  async (client, { table: on, name, enabled = true, exists }) => {
    const { sql } = await requireTable(client, on);
    const change = (word: string) => `ALTER TABLE ${sql} ${word} TRIGGER ${identifier(name)}`;
    if (exists === false) {
      return [
        damage(
          'make the trigger',
          `CREATE TRIGGER ${identifier(name)} BEFORE UPDATE ON ${sql} FOR EACH ROW EXECUTE FUNCTION pg_catalog.suppress_redundant_updates_trigger()`,
        ),
      ];
    }
    return [
      enabled === false || enabled === 'disabled'
        ? damage('enable the trigger', change('ENABLE'))
        : damage('disable the trigger', change('DISABLE')),
    ];
  },
);

const enumType = mutation<Existence & { name: string; labels?: readonly string[] }>(
  'enumType',
  async (client, { name, labels, exists }) => {
    if (exists === false) return [damage('make the type', `CREATE TYPE ${qualified(name)} AS ENUM ('a')`)];
    const { schema, name: bare } = parseName(name);
    const [found] = await client.query<{ name: string; label: string | null }>(
      `SELECT pg_catalog.format('%I.%I', n.nspname, t.typname) AS name,
         (SELECT enumlabel::pg_catalog.text FROM pg_catalog.pg_enum WHERE enumtypid = t.oid ORDER BY enumsortorder DESC LIMIT 1) AS label
       FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
       WHERE t.typname = $1 AND t.typtype = 'e' AND ($2::pg_catalog.text IS NULL OR n.nspname = $2::pg_catalog.text)
       ORDER BY n.nspname <> 'public', n.nspname LIMIT 1`,
      [bare, schema ?? null],
    );
    if (found === undefined) return [];
    return [
      ...(labels === undefined || found.label === null
        ? []
        : [
            damage(
              `rename label ${found.label}`,
              `ALTER TYPE ${found.name} RENAME VALUE ${literal(found.label).trim()} TO 'backplan: renamed'`,
            ),
          ]),
      damage(`rename ${name}`, `ALTER TYPE ${found.name} RENAME TO ${OTHER}`),
    ];
  },
);

const extension = mutation<Existence & { name: string }>('extension', async (_client, { name, exists }) => [
  exists === false
    ? damage('install it', `CREATE EXTENSION ${identifier(name)}`)
    : damage('drop the extension', `DROP EXTENSION ${identifier(name)} CASCADE`),
]);

const schema = mutation<Existence & { name: string }>('schema', async (_client, { name, exists }) => [
  exists === false
    ? damage('make the schema', `CREATE SCHEMA ${identifier(name)}`)
    : damage('rename the schema', `ALTER SCHEMA ${identifier(name)} RENAME TO ${OTHER}`),
]);

const partition = mutation<Existence & { table: string }>(
  'partition',
  async (client, { table: name, exists }) => {
    const { oid, sql } = await requireTable(client, name);
    if (exists === false) return [];
    const parts = await client.query<Statement>(
      `SELECT pg_catalog.format('ALTER TABLE ${sql.replaceAll('%', '%%').replaceAll("'", "''")} DETACH PARTITION %s', inhrelid::pg_catalog.regclass) AS sql
     FROM pg_catalog.pg_inherits WHERE inhparent = $1`,
      [oid],
    );
    return [
      damage('detach every partition', ...parts.map((each) => each.sql)),
      damage('a plain table in its place', `ALTER TABLE ${sql} RENAME TO ${OTHER}`, `CREATE TABLE ${sql} ()`),
    ];
  },
);

const rowLevelSecurity = mutation<Existence & { table: string }>(
  'rowLevelSecurity',
  async (client, { table: name, exists }) => {
    const { sql } = await requireTable(client, name);
    const word = exists === false ? 'ENABLE' : 'DISABLE';
    return [
      damage(`${word.toLowerCase()} row-level security`, `ALTER TABLE ${sql} ${word} ROW LEVEL SECURITY`),
    ];
  },
);

const role = mutation<Existence & { name: string }>('role', async (_client, { name, exists }) => [
  exists === false
    ? damage('make the role', `CREATE ROLE ${identifier(name)}`)
    : damage('rename the role', `ALTER ROLE ${identifier(name)} RENAME TO ${OTHER}`),
]);

const databaseSettings = mutation<{ roles?: Record<string, unknown> }>(
  'databaseSettings',
  async (client, { roles = {} }) => {
    const [row] = await client.query<{ name: string }>('SELECT pg_catalog.current_database() AS name');
    const database = identifier(row?.name ?? '');
    return [
      damage(
        'reset the settings',
        `ALTER DATABASE ${database} RESET ALL`,
        ...Object.keys(roles).map(
          (name) => `ALTER ROLE ${identifier(name)} IN DATABASE ${database} RESET ALL`,
        ),
      ),
    ];
  },
);

const isolation = mutation<object>('isolation', async () => [
  damage(
    'make a foreign server',
    'CREATE FOREIGN DATA WRAPPER "backplan: broken"',
    'CREATE SERVER "backplan: broken" FOREIGN DATA WRAPPER "backplan: broken"',
  ),
  damage(
    'make an event trigger',
    `CREATE FUNCTION public."backplan: broken"() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'`,
    'CREATE EVENT TRIGGER "backplan: broken" ON sql_drop EXECUTE FUNCTION public."backplan: broken"()',
  ),
]);

const catalogHealth = mutation<object>('catalogHealth', async () => {
  const made = 'CREATE TABLE public."backplan: broken" (id serial PRIMARY KEY)';
  return [
    damage(
      'a NOT VALID constraint',
      made,
      'ALTER TABLE public."backplan: broken" ADD CHECK (id > 0) NOT VALID',
    ),
    damage('a sequence behind its column', made, 'INSERT INTO public."backplan: broken" VALUES (100)'),
    damage(
      'a materialized view without data',
      'CREATE MATERIALIZED VIEW public."backplan: broken" AS SELECT 1 AS n WITH NO DATA',
    ),
  ];
});

export const objectMutations: readonly Mutation[] = [
  tables,
  table,
  columns,
  primaryKey,
  unique,
  foreignKey,
  constraint,
  index,
  view,
  materializedView,
  sequence,
  sequences,
  functionExists,
  trigger,
  enumType,
  extension,
  schema,
  partition,
  rowLevelSecurity,
  role,
  databaseSettings,
  isolation,
  catalogHealth,
];
