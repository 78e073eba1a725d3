/** Mutations for checks of objects: one that is missing, other than it should be, or there although it must not be. */
import { isMissingObject } from '../checks/catalog-check.ts';
import type { CheckClient } from '../checks/check-kind.ts';
import { findIndex, findTable, isMissing, requireTable } from '../checks/names.ts';
import { findSequences, sequencePositions } from '../checks/sequence-state.ts';
import { identifier, literal } from '../postgres/client.ts';
import { parseName } from '../postgres/object-name.ts';
import { aspectOf, columnDamages, type IndexSpec, indexDamages, lie, OTHER, text } from './catalog.ts';
import { type Damage, damage, type Existence, type Mutation, mutation } from './mutation.ts';
import { breakValues, deleteRows, rowsOf } from './rows.ts';

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
const sequenceName = relation('sequence', 'SEQUENCE', (name) => `CREATE SEQUENCE ${name}`);
const viewName = relation(
  'materializedView',
  'MATERIALIZED VIEW',
  (name) => `CREATE MATERIALIZED VIEW ${name} AS SELECT 1 AS n`,
);

/** Damages to the relation itself, and more. */
function alsoOf<P extends Existence & { name: string }>(
  base: Mutation,
  more: (client: CheckClient, params: P) => Promise<readonly Damage[]>,
): Mutation {
  return mutation<P>(base.kind, async (client, params, options) => [
    ...(await base.damages(client, params, options)),
    ...(params.exists === false ? [] : await more(client, params)),
  ]);
}

const materializedView = alsoOf<Existence & { name: string; populated?: boolean }>(
  viewName,
  async (client, { name, populated }) => {
    const { oid } = await requireTable(client, name);
    return populated === false
      ? []
      : [lie('rows in it', 'pg_class', 'relispopulated = false', `oid = ${oid}`)];
  },
);

interface SequenceSpec extends Existence {
  readonly name: string;
  readonly table?: string;
  readonly increment?: number;
  readonly type?: string;
  readonly ahead?: boolean;
}

const sequence = alsoOf<SequenceSpec>(sequenceName, async (client, wanted) => {
  const [found] = await findSequences(client, [wanted.name]);
  const [one] = found === undefined || isMissingObject(found) ? [] : found;
  if (one === undefined) return [];
  const used = (await sequencePositions(client, [one])).get(one.oid)?.used ?? [];
  const itself = `seqrelid = ${one.oid}`;
  const anew = `ALTER SEQUENCE ${identifier(one.schema)}.${identifier(one.name)} RESTART WITH ${one.min}`;
  return [
    ...(wanted.ahead === false || !used.some(({ value }) => value >= BigInt(one.min))
      ? []
      : aspectOf('being ahead', damage(`${wanted.name} starts anew`, anew))),
    ...(wanted.increment === undefined
      ? []
      : [lie('increment', 'pg_sequence', 'seqincrement = seqincrement + 1', itself)]),
    ...(wanted.type === undefined
      ? []
      : [lie('type', 'pg_sequence', 'seqtypid = CASE seqtypid WHEN 20 THEN 23 ELSE 20 END', itself)]),
    ...(wanted.table === undefined
      ? []
      : aspectOf(
          'owner',
          damage(
            'owned by no column',
            `DELETE FROM pg_catalog.pg_depend WHERE classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND objid = ${one.oid} AND refobjsubid > 0`,
          ),
        )),
  ];
});
const view = relation('view', 'VIEW', (name) => `CREATE VIEW ${name} AS SELECT 1 AS n`);

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

const columns = mutation<{
  table: string;
  columns: Parameters<typeof columnDamages>[2];
  exact?: boolean;
}>('columns', async (client, { table: name, columns: wanted, exact }) =>
  columnDamages(client, name, wanted, exact === true),
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
    const kindOfIndex = types.includes('u') ? 'indisunique' : 'indisprimary';
    return [
      damage(`drop the keys of ${name}`, ...sql),
      lie('validity', 'pg_index', 'indisvalid = false', `indrelid = ${found.oid} AND ${kindOfIndex}`),
    ];
  });
}

const primaryKey = keys('primaryKey', ['p'], 'PRIMARY KEY');
const unique = keys('unique', ['u', 'p'], 'UNIQUE');

interface Reference extends Keys {
  readonly columns: readonly string[];
  readonly references: { readonly table: string; readonly columns: readonly string[] };
  readonly data?: boolean;
  readonly validated?: boolean;
  readonly onDelete?: string;
  readonly onUpdate?: string;
  readonly deferrable?: boolean;
}

const foreignKey = mutation<Reference>('foreignKey', async (client, params, options) => {
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
  const itself = `contype = 'f' AND conrelid = ${found.oid} AND confrelid = ${target.oid}`;
  const action = (at: string) => `${at} = CASE ${at} WHEN 'c' THEN 'r' ELSE 'c' END::pg_catalog."char"`;
  const say = (aspect: string, set: string) => lie(aspect, 'pg_constraint', set, itself);
  return [
    ...aspectOf('presence', damage('drop the foreign key', ...drops.map(({ sql }) => sql))),
    ...(params.validated === false ? [] : [say('validity', 'convalidated = false')]),
    ...aspectOf('triggers', damage('disable its triggers', `ALTER TABLE ${found.sql} DISABLE TRIGGER ALL`)),
    ...(params.onDelete === undefined ? [] : [say('ON DELETE', action('confdeltype'))]),
    ...(params.onUpdate === undefined ? [] : [say('ON UPDATE', action('confupdtype'))]),
    ...(params.deferrable === undefined ? [] : [say('deferrability', 'condeferrable = NOT condeferrable')]),
    ...(params.data === false
      ? []
      : aspectOf('data', ...breakValues({ table: found, columns: list }, options), deleteRows(target, {}))),
  ];
});

const constraint = mutation<
  Existence & { table?: string; domain?: string; name: string; validated?: boolean }
>('constraint', async (client, { table: on, domain, name, exists, validated }) => {
  const doubt = (owner: string) =>
    validated === false
      ? []
      : [lie('validity', 'pg_constraint', 'convalidated = false', `conname = ${text(name)} AND ${owner}`)];
  if (on === undefined) {
    const type = qualified(domain ?? '');
    return exists === false
      ? [
          damage(
            'add the constraint',
            `ALTER DOMAIN ${type} ADD CONSTRAINT ${identifier(name)} CHECK (true) NOT VALID`,
          ),
        ]
      : [
          damage('drop the constraint', `ALTER DOMAIN ${type} DROP CONSTRAINT ${identifier(name)}`),
          ...doubt('contypid <> 0'),
        ];
  }
  const { oid, sql } = await requireTable(client, on);
  return exists === false
    ? [
        damage(
          'add the constraint',
          `ALTER TABLE ${sql} ADD CONSTRAINT ${identifier(name)} CHECK (true) NOT VALID`,
        ),
      ]
    : [
        damage('drop the constraint', `ALTER TABLE ${sql} DROP CONSTRAINT ${identifier(name)} CASCADE`),
        ...doubt(`conrelid = ${oid}`),
      ];
});

const index = mutation<Existence & IndexSpec & { name: string; table?: string }>(
  'index',
  async (client, { name, table: on, exists, ...spec }) => {
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
    const [row] = await client.query<{ sql: string }>(
      'SELECT indrelid::pg_catalog.regclass::pg_catalog.text AS sql FROM pg_catalog.pg_index WHERE indexrelid = $1::pg_catalog.regclass',
      [found.sql],
    );
    return [
      damage('rename the index', `ALTER INDEX ${found.sql} RENAME TO ${OTHER}`),
      ...indexDamages(found.sql, parseName(name).name, row?.sql ?? '', spec),
    ];
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

const trigger = mutation<
  Existence & {
    table: string;
    name: string;
    enabled?: boolean | string;
    function?: string;
    definition?: string;
  }
>('trigger', async (client, { table: on, name, enabled = true, exists, function: calls, definition }) => {
  const { oid, sql } = await requireTable(client, on);
  const change = (word: string) => `ALTER TABLE ${sql} ${word} TRIGGER ${identifier(name)}`;
  if (exists === false) {
    return [
      damage(
        'make the trigger',
        `CREATE TRIGGER ${identifier(name)} BEFORE UPDATE ON ${sql} FOR EACH ROW EXECUTE FUNCTION pg_catalog.suppress_redundant_updates_trigger()`,
      ),
    ];
  }
  const itself = `tgrelid = ${oid} AND tgname = ${text(name)}`;
  const other = `'pg_catalog.suppress_redundant_updates_trigger()'::pg_catalog.regprocedure`;
  return [
    enabled === false || enabled === 'disabled'
      ? damage('enable the trigger', change('ENABLE'))
      : damage('disable the trigger', change('DISABLE')),
    ...aspectOf('presence', damage('drop the trigger', `DROP TRIGGER ${identifier(name)} ON ${sql}`)),
    ...(calls === undefined ? [] : [lie('function', 'pg_trigger', `tgfoid = ${other}`, itself)]),
    // What it fires on, for each row or statement, before or after.
    ...(definition === undefined
      ? []
      : [28, 1, 2].map((bits) =>
          lie('definition', 'pg_trigger', `tgtype = tgtype # ${bits}::pg_catalog.int2`, itself),
        )),
  ];
});

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

const extension = mutation<Existence & { name: string; version?: string }>(
  'extension',
  async (_client, { name, exists, version }) =>
    exists === false
      ? [damage('install it', `CREATE EXTENSION ${identifier(name)}`)]
      : [
          damage('drop the extension', `DROP EXTENSION ${identifier(name)} CASCADE`),
          ...(version === undefined ? [] : ['0', '9999']).map((other) =>
            lie('version', 'pg_extension', `extversion = '${other}'`, `extname = ${text(name)}`),
          ),
        ],
);

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

const rowLevelSecurity = mutation<
  Existence & { table: string; forced?: boolean; policies?: readonly (string | { readonly name: string })[] }
>('rowLevelSecurity', async (client, { table: name, exists, forced, policies = [] }) => {
  const { oid, sql } = await requireTable(client, name);
  const word = exists === false ? 'ENABLE' : 'DISABLE';
  return [
    damage(`${word.toLowerCase()} row-level security`, `ALTER TABLE ${sql} ${word} ROW LEVEL SECURITY`),
    ...(exists === false || forced === undefined
      ? []
      : [lie('force', 'pg_class', 'relforcerowsecurity = NOT relforcerowsecurity', `oid = ${oid}`)]),
    ...policies.flatMap((policy) => {
      const called = typeof policy === 'string' ? policy : policy.name;
      const what = `policy ${called}`;
      return aspectOf(what, damage(`drop ${what}`, `DROP POLICY ${identifier(called)} ON ${sql}`));
    }),
  ];
});

const ROLE_FACTS = {
  login: 'rolcanlogin',
  superuser: 'rolsuper',
  inherit: 'rolinherit',
  createRole: 'rolcreaterole',
  createDatabase: 'rolcreatedb',
  replication: 'rolreplication',
  bypassRowSecurity: 'rolbypassrls',
} as const;

const role = mutation<
  Existence & { name: string; connectionLimit?: number; memberOf?: readonly string[] } & {
    readonly [Fact in keyof typeof ROLE_FACTS]?: boolean;
  }
>('role', async (_client, params) => {
  const { name, exists } = params;
  if (exists === false) return [damage('make the role', `CREATE ROLE ${identifier(name)}`)];
  const itself = `rolname = ${text(name)}`;
  return [
    damage('rename the role', `ALTER ROLE ${identifier(name)} RENAME TO ${OTHER}`),
    ...Object.entries(ROLE_FACTS)
      .filter(([fact]) => params[fact as keyof typeof ROLE_FACTS] !== undefined)
      .map(([fact, column]) => lie(fact, 'pg_authid', `${column} = NOT ${column}`, itself)),
    ...(params.connectionLimit === undefined
      ? []
      : [lie('connection limit', 'pg_authid', 'rolconnlimit = rolconnlimit + 1', itself)]),
    ...(params.memberOf ?? []).flatMap((group) =>
      aspectOf(
        `member of ${group}`,
        damage(`no member of ${group}`, `REVOKE ${identifier(group)} FROM ${identifier(name)} CASCADE`),
      ),
    ),
  ];
});

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
