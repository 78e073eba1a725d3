/**
 * Database-level state, which pg_dump of one database leaves out and a rename leaves behind: owner, grants,
 * connection limit, settings, comment, security labels. Captured as data, put back as SQL.
 * Source: https://www.postgresql.org/docs/current/app-pgdump.html (Notes), catalogs pg_database, pg_db_role_setting.
 */
import { BackplanError } from '../errors.ts';
import type { DatabaseLocale, LocaleProvider } from './catalog.ts';
import { type Client, identifier, literal } from './client.ts';
import { type Membership, membershipsOf, type RoleState, rolesOf } from './roles.ts';
import { settingValue } from './setting.ts';

export interface Grant {
  /** Role, or `PUBLIC`. */
  readonly grantee: string;
  /** CONNECT, CREATE or TEMPORARY. */
  readonly privilege: string;
  readonly grantable: boolean;
}

export interface Setting {
  /** null: for everybody (ALTER DATABASE … SET); otherwise ALTER ROLE … IN DATABASE … SET. */
  readonly role: string | null;
  readonly name: string;
  /** As the server stores it. */
  readonly value: string;
}

/** Plain JSON; what `database.json` of a backup holds. */
export interface DatabaseState extends DatabaseLocale {
  readonly stateVersion: 1;
  readonly name: string;
  readonly owner: string;
  /** Effective grants, the defaults included, in a fixed order. */
  readonly acl: readonly Grant[];
  /** -1: no limit. */
  readonly connectionLimit: number;
  readonly settings: readonly Setting[];
  readonly comment: string | null;
  readonly securityLabels: readonly { readonly provider: string; readonly label: string }[];
  readonly tablespace: string;
}

/** What a backup keeps beside the archive. */
export interface CapturedState extends DatabaseState {
  readonly roles: readonly RoleState[];
  readonly memberships: readonly Membership[];
}

/**
 * Reads the state of a database (by default the connected one). Needs no special right.
 * @throws DATABASE_MISSING
 */
export async function captureDatabaseState(client: Client, database?: string): Promise<DatabaseState> {
  const name = database ?? client.connection.database;
  const version = client.serverVersion;
  const provider =
    version >= 150_000
      ? "CASE d.datlocprovider WHEN 'i' THEN 'icu' WHEN 'b' THEN 'builtin' ELSE 'libc' END"
      : "'libc'";
  const locale = version >= 170_000 ? 'd.datlocale' : version >= 150_000 ? 'd.daticulocale' : 'NULL';
  const row = await client.first<{
    oid: number;
    owner: string;
    limit: number;
    comment: string | null;
    encoding: string;
    collate: string;
    ctype: string;
    provider: LocaleProvider;
    locale: string | null;
    rules: string | null;
    tablespace: string;
  }>(
    // -2 marks what a DROP DATABASE that was cut has left: no limit that anybody has set.
    `SELECT d.oid, pg_catalog.pg_get_userbyid(d.datdba) AS owner, greatest(d.datconnlimit, -1) AS limit,
            pg_catalog.shobj_description(d.oid, 'pg_database') AS comment,
            pg_catalog.pg_encoding_to_char(d.encoding) AS encoding, d.datcollate AS "collate", d.datctype AS ctype,
            ${provider} AS provider, ${locale} AS locale, ${version >= 160_000 ? 'd.daticurules' : 'NULL'} AS rules,
            t.spcname AS tablespace
       FROM pg_catalog.pg_database d JOIN pg_catalog.pg_tablespace t ON t.oid = d.dattablespace
      WHERE d.datname = $1`,
    [name],
  );
  if (row === undefined) {
    throw new BackplanError('DATABASE_MISSING', `there is no database "${name}" on this server`);
  }
  const acl = await client.query<{ grantee: string; privilege: string; grantable: boolean }>(
    `SELECT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.pg_get_userbyid(a.grantee)::text END AS grantee,
            a.privilege_type AS privilege, pg_catalog.bool_or(a.is_grantable) AS grantable
       FROM pg_catalog.pg_database d,
            pg_catalog.aclexplode(coalesce(d.datacl, pg_catalog.acldefault('d', d.datdba))) a
      WHERE d.oid = $1 GROUP BY a.grantee, a.privilege_type ORDER BY 1, 2`,
    [row.oid],
  );
  const settings = await client.query<{ role: string | null; name: string; value: string }>(
    `SELECT r.rolname AS role, pg_catalog.split_part(c.entry, '=', 1) AS name,
            pg_catalog.substr(c.entry, pg_catalog.strpos(c.entry, '=') + 1) AS value
       FROM pg_catalog.pg_db_role_setting s LEFT JOIN pg_catalog.pg_roles r ON r.oid = s.setrole,
            pg_catalog.unnest(s.setconfig) AS c(entry)
      WHERE s.setdatabase = $1 ORDER BY r.rolname NULLS FIRST, 2`,
    [row.oid],
  );
  const labels = await client.query<{ provider: string; label: string }>(
    `SELECT provider, label FROM pg_catalog.pg_shseclabel
      WHERE classoid = 'pg_catalog.pg_database'::regclass AND objoid = $1 ORDER BY 1`,
    [row.oid],
  );
  return {
    stateVersion: 1,
    name,
    owner: row.owner,
    encoding: row.encoding,
    collate: row.collate,
    ctype: row.ctype,
    localeProvider: row.provider,
    locale: row.locale,
    icuRules: row.rules,
    acl,
    connectionLimit: row.limit,
    settings,
    comment: row.comment,
    securityLabels: labels,
    tablespace: row.tablespace,
  };
}

/** The state of the connected database with the roles that it needs. */
export async function captureState(client: Client): Promise<CapturedState> {
  const roles = await rolesOf(client);
  return {
    ...(await captureDatabaseState(client)),
    roles,
    memberships: await membershipsOf(client, roles),
  };
}

export interface StateSqlOptions {
  /** Roles that the target does not have: statements that need them are left out. */
  readonly skipRoles?: readonly string[];
  /** First take away what the database has of its own (grants, settings). Default false: it is a fresh one. */
  readonly reset?: boolean;
  /** Default true. */
  readonly comment?: boolean;
  /** Default true. */
  readonly owner?: boolean;
  /** Default true. */
  readonly grants?: boolean;
}

/**
 * Statements that give a database this state. The owner comes first, because changing it rewrites the grants;
 * a connection limit comes last, because it could lock the rest out.
 */
export function databaseStateSql(
  state: DatabaseState,
  database: string,
  options: StateSqlOptions = {},
): string[] {
  const name = identifier(database);
  const skip = new Set(options.skipRoles ?? []);
  const statements: string[] = [];
  if (options.owner !== false && !skip.has(state.owner)) {
    statements.push(`ALTER DATABASE ${name} OWNER TO ${identifier(state.owner)}`);
  }
  if (options.reset === true) statements.push(resetSql(database));
  if (options.grants !== false) statements.push(...grantSql(state, name, skip, options.reset === true));
  for (const setting of state.settings) {
    if (setting.role !== null && skip.has(setting.role)) continue;
    const subject =
      setting.role === null
        ? `ALTER DATABASE ${name}`
        : `ALTER ROLE ${identifier(setting.role)} IN DATABASE ${name}`;
    statements.push(
      `${subject} SET ${identifier(setting.name)} TO ${settingValue(setting.name, setting.value)}`,
    );
  }
  for (const { provider, label } of state.securityLabels) {
    statements.push(`SECURITY LABEL FOR ${identifier(provider)} ON DATABASE ${name} IS ${literal(label)}`);
  }
  if (options.comment !== false && (state.comment !== null || options.reset === true)) {
    const comment = state.comment === null ? 'NULL' : literal(state.comment);
    statements.push(`COMMENT ON DATABASE ${name} IS ${comment}`);
  }
  if (state.connectionLimit !== -1 || options.reset === true) {
    statements.push(`ALTER DATABASE ${name} CONNECTION LIMIT ${state.connectionLimit}`);
  }
  return statements;
}

/** A fresh database has the default grants: nothing to say when they are what is wanted. */
function grantSql(state: DatabaseState, name: string, skip: ReadonlySet<string>, always: boolean): string[] {
  const isDefault =
    state.acl.length === 5 &&
    state.acl.every(
      ({ grantee, privilege, grantable }) =>
        !grantable && (grantee === state.owner || (grantee === 'PUBLIC' && privilege !== 'CREATE')),
    );
  if (isDefault && !always) return [];
  const statements = [`REVOKE ALL ON DATABASE ${name} FROM PUBLIC`];
  if (!skip.has(state.owner))
    statements.push(`REVOKE ALL ON DATABASE ${name} FROM ${identifier(state.owner)}`);
  for (const { grantee, privilege, grantable } of state.acl) {
    if (skip.has(grantee)) continue;
    const to = grantee === 'PUBLIC' ? 'PUBLIC' : identifier(grantee);
    statements.push(
      `GRANT ${privilege} ON DATABASE ${name} TO ${to}${grantable ? ' WITH GRANT OPTION' : ''}`,
    );
  }
  return statements;
}

/** Takes away grants and settings, whoever has them: only the server knows, so the server does it. */
function resetSql(database: string): string {
  const name = literal(database);
  return `DO ${literal(`
DECLARE
  target pg_catalog.pg_database;
  entry record;
BEGIN
  SELECT * INTO STRICT target FROM pg_catalog.pg_database WHERE datname = ${name};
  FOR entry IN
    SELECT DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) END AS grantee
      FROM pg_catalog.aclexplode(target.datacl) a
  LOOP
    EXECUTE pg_catalog.format('REVOKE ALL ON DATABASE %I FROM %s CASCADE', target.datname, entry.grantee);
  END LOOP;
  EXECUTE pg_catalog.format('ALTER DATABASE %I RESET ALL', target.datname);
  FOR entry IN
    SELECT pg_catalog.pg_get_userbyid(s.setrole) AS role FROM pg_catalog.pg_db_role_setting s
     WHERE s.setdatabase = target.oid AND s.setrole <> 0
  LOOP
    EXECUTE pg_catalog.format('ALTER ROLE %I IN DATABASE %I RESET ALL', entry.role, target.datname);
  END LOOP;
END
`)}`;
}
