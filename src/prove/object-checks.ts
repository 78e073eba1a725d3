/** Mutations for checks of other objects: one that is missing, other than it should be, or there although it must not be. */
import { requireTable } from '../checks/names.ts';
import { identifier, literal } from '../postgres/client.ts';
import { parseName } from '../postgres/object-name.ts';
import { aspectOf, lie, OTHER, qualified, type Statement, text } from './catalog.ts';
import { damage, type Existence, type Mutation, mutation } from './mutation.ts';

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
