import { identifier } from '../postgres/client.ts';
import { absence, conclude, defineCatalogCheck, existenceTitle, existsSchema } from './catalog-check.ts';
import { closest, showColumns } from './names.ts';

interface RoleFacts extends Record<string, unknown> {
  name: string;
  login: boolean;
  superuser: boolean;
  inherit: boolean;
  createRole: boolean;
  createDatabase: boolean;
  replication: boolean;
  bypassRowSecurity: boolean;
  connectionLimit: number;
  memberOf: string[];
}

/** Attribute → the words of ALTER ROLE, without NO. */
const ATTRIBUTES = {
  login: 'LOGIN',
  superuser: 'SUPERUSER',
  inherit: 'INHERIT',
  createRole: 'CREATEROLE',
  createDatabase: 'CREATEDB',
  replication: 'REPLICATION',
  bypassRowSecurity: 'BYPASSRLS',
} as const;

/** `role: {name: app, login: true, memberOf: [readers]}`: the role exists on the server with these attributes. */
export const role = defineCatalogCheck({
  kind: 'role',
  summary: 'A role exists on the server with these attributes and memberships.',
  params: {
    type: 'object',
    description: 'A role that must exist. Roles belong to the server: no backup of a database brings them.',
    required: ['name'],
    additionalProperties: false,
    properties: {
      name: { type: 'string', minLength: 1, description: 'The role.', examples: ['app'] },
      login: { type: 'boolean', description: 'Whether it can log in.' },
      superuser: { type: 'boolean', description: 'Whether it may do everything.' },
      inherit: { type: 'boolean', description: 'Whether it has the rights of its groups without SET ROLE.' },
      createRole: { type: 'boolean', description: 'Whether it may create roles.' },
      createDatabase: { type: 'boolean', description: 'Whether it may create databases.' },
      replication: { type: 'boolean', description: 'Whether it may replicate and take base backups.' },
      bypassRowSecurity: { type: 'boolean', description: 'Whether no policy hides rows from it.' },
      connectionLimit: {
        type: 'integer',
        minimum: -1,
        description: 'How many connections it may have; -1: no limit.',
        examples: [50],
      },
      memberOf: {
        type: 'array',
        items: { type: 'string', minLength: 1 },
        uniqueItems: true,
        description: 'Roles that it must be a direct member of, among others.',
        examples: [['readers']],
      },
      exact: { type: 'boolean', description: 'true: it is a member of no other roles.' },
      exists: existsSchema,
    },
    examples: [{ name: 'app', login: true, superuser: false, memberOf: ['readers'] }],
  },
  title: ({ name, exists }) => existenceTitle(`role ${name}`, exists),
  async runAll(client, all) {
    const rows = await client.query<RoleFacts>(ROLES);
    return all.map((wanted) => {
      const facts = rows.find((row) => row.name === wanted.name);
      const label = `role ${identifier(wanted.name)}`;
      if (wanted.exists === false) {
        return absence(label, facts !== undefined, `DROP ROLE ${identifier(wanted.name)};`);
      }
      if (facts === undefined) {
        const near = closest(
          wanted.name,
          rows.map((row) => row.name),
        );
        const create = `CREATE ROLE ${identifier(wanted.name)}${wanted.login === true ? ' LOGIN' : ''};`;
        return conclude(
          [
            {
              message: `${label} does not exist on this server`,
              hint:
                near === undefined
                  ? `Roles belong to the server, not to the backup of a database. ${create}`
                  : `${identifier(near)} exists, wanted ${identifier(wanted.name)}.`,
            },
          ],
          '',
        );
      }
      return conclude(compare(facts, wanted), `${label}: ${describe(facts)}`, `${label} `);
    });
  },
});

// pg_roles is readable by everybody; pg_authid is not.
const ROLES = `
SELECT r.rolname::pg_catalog.text AS name, r.rolcanlogin AS login, r.rolsuper AS superuser, r.rolinherit AS inherit,
  r.rolcreaterole AS "createRole", r.rolcreatedb AS "createDatabase", r.rolreplication AS replication,
  r.rolbypassrls AS "bypassRowSecurity", r.rolconnlimit AS "connectionLimit",
  ARRAY(SELECT DISTINCT g.rolname::pg_catalog.text FROM pg_catalog.pg_auth_members m
    JOIN pg_catalog.pg_roles g ON g.oid = m.roleid WHERE m.member = r.oid ORDER BY 1) AS "memberOf"
FROM pg_catalog.pg_roles r`;

function compare(
  facts: RoleFacts,
  wanted: { readonly [Key in keyof typeof ATTRIBUTES]?: boolean | undefined } & {
    readonly connectionLimit?: number | undefined;
    readonly memberOf?: readonly string[] | undefined;
    readonly exact?: boolean | undefined;
  },
): { message: string; hint: string }[] {
  const problems: { message: string; hint: string }[] = [];
  const alter = `ALTER ROLE ${identifier(facts.name as string)}`;
  for (const [key, word] of Object.entries(ATTRIBUTES) as [keyof typeof ATTRIBUTES, string][]) {
    if (wanted[key] === undefined || wanted[key] === facts[key]) continue;
    problems.push({
      message: facts[key] ? `is ${word} and must not be` : `is not ${word}`,
      hint: `${alter} ${wanted[key] === true ? '' : 'NO'}${word};`,
    });
  }
  if (wanted.connectionLimit !== undefined && wanted.connectionLimit !== facts.connectionLimit) {
    problems.push({
      message: `has the connection limit ${facts.connectionLimit}, expected ${wanted.connectionLimit}`,
      hint: `${alter} CONNECTION LIMIT ${wanted.connectionLimit};`,
    });
  }
  const groups = wanted.memberOf ?? [];
  const lacking = groups.filter((group) => !facts.memberOf.includes(group));
  if (lacking.length > 0) {
    problems.push({
      message: `is no member of ${showColumns(lacking)}`,
      hint: `GRANT ${showColumns(lacking)} TO ${identifier(facts.name)};`,
    });
  }
  const more = facts.memberOf.filter((group) => !groups.includes(group));
  if (wanted.exact === true && more.length > 0) {
    problems.push({
      message: `is a member of ${showColumns(more)} too`,
      hint: `REVOKE ${showColumns(more)} FROM ${identifier(facts.name)};`,
    });
  }
  return problems;
}

function describe(facts: RoleFacts): string {
  const words = (Object.entries(ATTRIBUTES) as [keyof typeof ATTRIBUTES, string][])
    .filter(([key]) => facts[key])
    .map(([, word]) => word);
  const groups = facts.memberOf.length === 0 ? '' : `, member of ${showColumns(facts.memberOf)}`;
  return `${words.length === 0 ? 'no attributes' : words.join(' ')}${groups}`;
}
