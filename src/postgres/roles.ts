/**
 * Roles that a database needs: those that own something in it or were granted something, everybody who is a member
 * of those (they get their rights through them), and the groups that all of these belong to. No passwords: reading
 * them needs a superuser, and a backup is no place for them.
 * Source: https://www.postgresql.org/docs/current/catalog-pg-shdepend.html, …/catalog-pg-auth-members.html
 */
import { type Client, identifier, literal } from './client.ts';
import { settingValue } from './setting.ts';

export interface RoleState {
  readonly name: string;
  readonly superuser: boolean;
  readonly inherit: boolean;
  readonly createRole: boolean;
  readonly createDatabase: boolean;
  readonly login: boolean;
  readonly replication: boolean;
  readonly bypassRowSecurity: boolean;
  /** -1: no limit. */
  readonly connectionLimit: number;
  readonly validUntil: string | null;
  /** `name=value`, as the server stores them. */
  readonly settings: readonly string[];
  readonly comment: string | null;
}

export interface Membership {
  readonly role: string;
  readonly member: string;
  readonly admin: boolean;
  /** Since 16; null before. */
  readonly inherit: boolean | null;
  readonly set: boolean | null;
}

/** pg_shdepend knows who owns or was granted what; the bootstrap superuser (oid 10) is not recorded there. */
const NEEDED = `
WITH RECURSIVE here AS (SELECT oid, datdba FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()),
named(oid) AS (
  SELECT d.refobjid FROM pg_catalog.pg_shdepend d, here
   WHERE d.refclassid = 'pg_catalog.pg_authid'::regclass
     AND (d.dbid = here.oid OR (d.dbid = 0 AND d.classid = 'pg_catalog.pg_database'::regclass AND d.objid = here.oid))
  UNION SELECT datdba FROM here
  UNION SELECT s.setrole FROM pg_catalog.pg_db_role_setting s, here WHERE s.setdatabase = here.oid AND s.setrole <> 0
  UNION SELECT 10::oid WHERE EXISTS (
    SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relowner = 10 AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema')
),
down(oid) AS (
  SELECT oid FROM named
  UNION SELECT m.member FROM pg_catalog.pg_auth_members m JOIN down ON down.oid = m.roleid
   WHERE (SELECT rolname FROM pg_catalog.pg_roles WHERE oid = m.roleid) !~ '^pg_'
),
needed(oid) AS (
  SELECT oid FROM down
  UNION SELECT m.roleid FROM pg_catalog.pg_auth_members m JOIN needed ON needed.oid = m.member
)`;

/** The roles that the connected database needs, by name; predefined ones (pg_…) exist everywhere and are left out. */
export async function rolesOf(client: Client): Promise<RoleState[]> {
  const rows = await client.query<{
    name: string;
    super: boolean;
    inherit: boolean;
    createrole: boolean;
    createdb: boolean;
    login: boolean;
    replication: boolean;
    bypass: boolean;
    limit: number;
    until: string | null;
    config: string[] | null;
    comment: string | null;
  }>(
    `${NEEDED}
     SELECT r.rolname AS name, r.rolsuper AS super, r.rolinherit AS inherit, r.rolcreaterole AS createrole,
            r.rolcreatedb AS createdb, r.rolcanlogin AS login, r.rolreplication AS replication,
            r.rolbypassrls AS bypass, r.rolconnlimit AS limit,
            CASE WHEN pg_catalog.isfinite(r.rolvaliduntil)
                 THEN pg_catalog.to_char(r.rolvaliduntil AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US+00')
                 ELSE r.rolvaliduntil::text END AS until,
            r.rolconfig AS config, pg_catalog.shobj_description(r.oid, 'pg_authid') AS comment
       FROM pg_catalog.pg_roles r JOIN needed ON needed.oid = r.oid WHERE r.rolname !~ '^pg_' ORDER BY 1`,
  );
  return rows.map((row) => ({
    name: row.name,
    superuser: row.super,
    inherit: row.inherit,
    createRole: row.createrole,
    createDatabase: row.createdb,
    login: row.login,
    replication: row.replication,
    bypassRowSecurity: row.bypass,
    connectionLimit: row.limit,
    validUntil: row.until,
    settings: row.config ?? [],
    comment: row.comment,
  }));
}

/** Memberships of these roles in each other and in predefined roles. */
export async function membershipsOf(client: Client, roles: readonly RoleState[]): Promise<Membership[]> {
  const options = client.serverVersion >= 160_000 ? 'bool_or(m.inherit_option)' : 'NULL::boolean';
  const set = client.serverVersion >= 160_000 ? 'bool_or(m.set_option)' : 'NULL::boolean';
  return await client.query<{
    role: string;
    member: string;
    admin: boolean;
    inherit: boolean | null;
    set: boolean | null;
  }>(
    `SELECT r.rolname AS role, u.rolname AS member, bool_or(m.admin_option) AS admin,
            ${options} AS inherit, ${set} AS set
       FROM pg_catalog.pg_auth_members m
       JOIN pg_catalog.pg_roles r ON r.oid = m.roleid JOIN pg_catalog.pg_roles u ON u.oid = m.member
      WHERE u.rolname::text = ANY ($1::text[]) AND (r.rolname::text = ANY ($1::text[]) OR r.rolname ~ '^pg_')
      GROUP BY 1, 2 ORDER BY 1, 2`,
    [roles.map((role) => role.name)],
  );
}

/**
 * SQL that makes what is missing of these roles and leaves alone what exists: safe to run again, and on a server
 * that has its own ideas about some of them. A role that was there before keeps its attributes.
 */
export function rolesSql(roles: readonly RoleState[], memberships: readonly Membership[]): string {
  return [
    '-- Roles and memberships that the backup needs, without passwords. Existing roles are not changed.\n',
    ...roles.map(roleSql),
    ...memberships.map(membershipSql),
  ].join('\n');
}

function roleSql(role: RoleState): string {
  const name = identifier(role.name);
  const attributes = [
    flag(role.superuser, 'SUPERUSER'),
    flag(role.inherit, 'INHERIT'),
    flag(role.createRole, 'CREATEROLE'),
    flag(role.createDatabase, 'CREATEDB'),
    flag(role.login, 'LOGIN'),
    flag(role.replication, 'REPLICATION'),
    flag(role.bypassRowSecurity, 'BYPASSRLS'),
    `CONNECTION LIMIT ${role.connectionLimit}`,
    ...(role.validUntil === null ? [] : [`VALID UNTIL ${literal(role.validUntil).trim()}`]),
  ];
  const more = [
    ...role.settings.map((setting) => {
      const at = setting.indexOf('=');
      const [key, value] = [setting.slice(0, at), setting.slice(at + 1)];
      return `ALTER ROLE ${name} SET ${identifier(key)} TO ${settingValue(key, value)}`;
    }),
    ...(role.comment === null ? [] : [`COMMENT ON ROLE ${name} IS ${literal(role.comment).trim()}`]),
  ];
  return block(
    `  IF EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = ${literal(role.name).trim()}) THEN RETURN; END IF;
  CREATE ROLE ${name} WITH ${attributes.join(' ')};
${more.map((statement) => `  ${statement};\n`).join('')}`,
  );
}

function membershipSql({ role, member, admin, inherit, set }: Membership): string {
  const grant = `GRANT ${identifier(role)} TO ${identifier(member)}`;
  const old = `${grant}${admin ? ' WITH ADMIN OPTION' : ''}`;
  const options = [
    ...(admin ? ['ADMIN TRUE'] : []),
    ...(inherit === null ? [] : [`INHERIT ${inherit ? 'TRUE' : 'FALSE'}`]),
    ...(set === null ? [] : [`SET ${set ? 'TRUE' : 'FALSE'}`]),
  ];
  const withOptions = options.length === 0 ? grant : `${grant} WITH ${options.join(', ')}`;
  const exists = `SELECT FROM pg_catalog.pg_auth_members m
    WHERE m.roleid = (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = ${literal(role).trim()})
      AND m.member = (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = ${literal(member).trim()})`;
  return block(
    `  IF EXISTS (${exists}) THEN RETURN; END IF;
  IF pg_catalog.current_setting('server_version_num')::integer >= 160000 THEN
    EXECUTE ${literal(withOptions).trim()};
  ELSE
    EXECUTE ${literal(old).trim()};
  END IF;
`,
  );
}

function flag(value: boolean, word: string): string {
  return value ? word : `NO${word}`;
}

/** A DO block whose dollar tag does not occur in its body. */
function block(body: string): string {
  let tag = '$backplan$';
  for (let n = 1; body.includes(tag); n++) tag = `$backplan${n}$`;
  return `DO ${tag}\nBEGIN\n${body}END\n${tag};\n`;
}
