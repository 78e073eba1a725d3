/** Who may do what in a live database: schemas and their owners, grants, policies, roles. */
import type { Client } from '../../postgres/client.ts';
import { notMember, USER_SCHEMA } from '../../postgres/user-objects.ts';
import type { LiveTable } from './table.ts';

/** What a role was granted on one object, or what everybody was refused that they have by default. */
export interface LiveGrant {
  readonly kind: 'table' | 'sequence' | 'schema' | 'function' | 'type' | 'database';
  /** Empty for schemas and the database. */
  readonly schema: string;
  readonly name: string;
  /** Only of these columns of a table. */
  readonly columns: readonly string[];
  /** `public` for everybody. */
  readonly role: string;
  readonly privileges: readonly string[];
  /** Everybody has this by default, and here it was taken away. */
  readonly revoked: boolean;
}

export interface LivePolicy {
  readonly name: string;
  readonly command: 'all' | 'select' | 'insert' | 'update' | 'delete';
  readonly permissive: boolean;
  /** `public` for everybody. */
  readonly roles: readonly string[];
  readonly using: string | null;
  readonly check: string | null;
}

export interface LiveRowSecurity {
  readonly table: LiveTable;
  readonly forced: boolean;
  readonly policies: readonly LivePolicy[];
}

export interface LiveRole {
  readonly name: string;
  readonly login: boolean;
  readonly superuser: boolean;
  readonly bypass: boolean;
  readonly memberOf: readonly string[];
}

export interface LiveSecurity {
  readonly schemas: readonly { readonly name: string; readonly owner: string }[];
  readonly grants: readonly LiveGrant[];
  /** Tables on which row-level security is on. */
  readonly rowSecurity: readonly LiveRowSecurity[];
  /** All roles of the server but the predefined ones. */
  readonly roles: readonly LiveRole[];
}

const SCHEMAS = `
SELECT n.nspname AS name, pg_catalog.pg_get_userbyid(n.nspowner)::pg_catalog.text AS owner
FROM pg_catalog.pg_namespace n WHERE ${USER_SCHEMA} AND ${notMember('pg_namespace', 'n.oid')}
ORDER BY n.nspname <> 'public', n.nspname`;

/** Objects with grants of their own. Forms of one function are one object. */
const OBJECTS = `
SELECT CASE c.relkind WHEN 'S' THEN 'sequence' ELSE 'table' END AS kind, n.nspname AS schema, c.relname AS name, NULL::name AS column,
  c.relowner AS owner, c.relacl AS acl, CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char" AS type, 1 AS form
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND NOT c.relispartition AND c.relacl IS NOT NULL AND ${USER_SCHEMA} AND ${notMember('pg_class', 'c.oid')}
UNION ALL
SELECT 'table', n.nspname, c.relname, a.attname, c.relowner, a.attacl, 'c', 1
FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE a.attacl IS NOT NULL AND NOT a.attisdropped AND NOT c.relispartition AND ${USER_SCHEMA} AND ${notMember('pg_class', 'c.oid')}
UNION ALL
SELECT 'schema', n.nspname, n.nspname, NULL, n.nspowner, n.nspacl, 'n', 1
FROM pg_catalog.pg_namespace n
WHERE n.nspacl IS NOT NULL AND ${USER_SCHEMA} AND ${notMember('pg_namespace', 'n.oid')}
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_init_privs i WHERE i.classoid = 'pg_catalog.pg_namespace'::pg_catalog.regclass
    AND i.objoid = n.oid AND i.initprivs = n.nspacl)
UNION ALL
SELECT 'function', n.nspname, p.proname, NULL, p.proowner, coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner)), 'f',
  (pg_catalog.count(*) OVER (PARTITION BY p.pronamespace, p.proname))::int
FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
WHERE ${USER_SCHEMA} AND ${notMember('pg_proc', 'p.oid')}
UNION ALL
SELECT 'type', n.nspname, t.typname, NULL, t.typowner, t.typacl, 'T', 1
FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
WHERE t.typacl IS NOT NULL AND t.typtype IN ('e', 'd', 'c', 'r', 'b') AND t.typelem = 0 AND ${USER_SCHEMA} AND ${notMember('pg_type', 't.oid')}
UNION ALL
SELECT 'database', '', '', NULL, d.datdba, d.datacl, 'd', 1
FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database() AND d.datacl IS NOT NULL`;

// Source: https://www.postgresql.org/docs/current/functions-info.html (aclexplode, acldefault)
const GRANTS = `
WITH objects AS MATERIALIZED (${OBJECTS}),
held AS (
  SELECT o.*, a.grantee, a.privilege_type AS privilege FROM objects o, pg_catalog.aclexplode(o.acl) a
  WHERE a.grantee <> o.owner
), common AS (
  SELECT o.*, a.privilege_type AS privilege
  FROM objects o, pg_catalog.aclexplode(pg_catalog.acldefault(CASE o.type WHEN 'c' THEN 'r'::"char" ELSE o.type END, o.owner)) a
  WHERE a.grantee = 0 AND o."column" IS NULL
), found AS (
  SELECT h.kind, h.schema, h.name, h."column", h.form, h.grantee, h.privilege, false AS revoked FROM held h
  WHERE NOT (h.grantee = 0 AND EXISTS (SELECT FROM common d WHERE d.kind = h.kind AND d.schema = h.schema AND d.name = h.name AND d.privilege = h.privilege))
  UNION ALL
  SELECT d.kind, d.schema, d.name, NULL, d.form, 0, d.privilege, true FROM common d
  WHERE NOT EXISTS (SELECT FROM pg_catalog.aclexplode(d.acl) a WHERE a.grantee = 0 AND a.privilege_type = d.privilege)
  UNION ALL
  SELECT 'schema', n.nspname, n.nspname, NULL, 1, 0, 'CREATE', true FROM pg_catalog.pg_namespace n
  WHERE n.nspname = 'public' AND NOT EXISTS (
    SELECT FROM pg_catalog.aclexplode(n.nspacl) a WHERE a.grantee = 0 AND a.privilege_type = 'CREATE')
), each AS (
  -- Of a function with several forms only what holds for all of them.
  SELECT kind, schema, name, "column", grantee, privilege, revoked FROM found
  GROUP BY kind, schema, name, "column", grantee, privilege, revoked, form HAVING pg_catalog.count(*) = form
), columns AS (
  SELECT kind, schema, name, "column", grantee, revoked,
    pg_catalog.array_agg(privilege::pg_catalog.text ORDER BY privilege::pg_catalog.text COLLATE pg_catalog."C") AS privileges
  FROM each GROUP BY kind, schema, name, "column", grantee, revoked
)
SELECT kind, schema::pg_catalog.text, name::pg_catalog.text, revoked, privileges,
  CASE grantee WHEN 0 THEN 'public' ELSE pg_catalog.pg_get_userbyid(grantee)::pg_catalog.text END AS role,
  coalesce(pg_catalog.array_agg("column"::pg_catalog.text ORDER BY "column"::pg_catalog.text COLLATE pg_catalog."C") FILTER (WHERE "column" IS NOT NULL), '{}') AS columns
FROM columns
GROUP BY kind, schema, name, grantee, revoked, privileges, "column" IS NULL
ORDER BY kind <> 'database', kind <> 'schema', schema <> 'public', schema, kind, name, role, 7`;

const ROW_SECURITY = `
SELECT c.oid AS table_oid, c.relforcerowsecurity AS forced,
  coalesce((SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object('name', p.polname,
    'command', CASE p.polcmd WHEN '*' THEN 'all' WHEN 'r' THEN 'select' WHEN 'a' THEN 'insert' WHEN 'w' THEN 'update' ELSE 'delete' END,
    'permissive', p.polpermissive,
    'roles', (SELECT pg_catalog.jsonb_agg(r.role ORDER BY r.role COLLATE pg_catalog."C") FROM (
      SELECT CASE WHEN u.role = 0 THEN 'public' ELSE pg_catalog.pg_get_userbyid(u.role)::pg_catalog.text END AS role
      FROM pg_catalog.unnest(p.polroles) AS u(role)) r),
    'using', pg_catalog.pg_get_expr(p.polqual, p.polrelid), 'check', pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid))
    ORDER BY p.polname) FROM pg_catalog.pg_policy p WHERE p.polrelid = c.oid), '[]') AS policies
FROM pg_catalog.pg_class c WHERE c.relrowsecurity AND c.oid = ANY ($1::pg_catalog.oid[])
ORDER BY pg_catalog.array_position($1::pg_catalog.oid[], c.oid)`;

const ROLES = `
SELECT r.rolname::pg_catalog.text AS name, r.rolcanlogin AS login, r.rolsuper AS superuser, r.rolbypassrls AS bypass,
  ARRAY(SELECT DISTINCT g.rolname::pg_catalog.text FROM pg_catalog.pg_auth_members m
    JOIN pg_catalog.pg_roles g ON g.oid = m.roleid WHERE m.member = r.oid ORDER BY 1) AS "memberOf"
FROM pg_catalog.pg_roles r WHERE r.rolname !~ '^pg_' ORDER BY r.rolname`;

export async function loadSecurity(
  client: Client,
  tables: readonly LiveTable[],
  wanted: (schema: string) => boolean,
  whole: boolean,
): Promise<LiveSecurity> {
  const byOid = new Map(tables.map((table) => [table.oid, table]));
  const grants = await client.query<LiveGrant & Record<string, unknown>>(GRANTS);
  const security = await client.query<{ table_oid: number; forced: boolean; policies: LivePolicy[] }>(
    ROW_SECURITY,
    [[...byOid.keys()]],
  );
  return {
    schemas: (await client.query<{ name: string; owner: string }>(SCHEMAS)).filter(({ name }) =>
      wanted(name),
    ),
    grants: grants.filter(({ kind, schema }) => (kind === 'database' ? whole : wanted(schema))),
    rowSecurity: security.flatMap(({ table_oid, forced, policies }) => {
      const table = byOid.get(table_oid);
      return table === undefined ? [] : [{ table, forced, policies }];
    }),
    roles: await client.query<LiveRole & Record<string, unknown>>(ROLES),
  };
}
