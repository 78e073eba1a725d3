import { identifier } from '../postgres/client.ts';
import { sameExpression } from '../postgres/definition-text.ts';
import { tableNameSchema } from '../schema.ts';
import {
  conclude,
  defineCatalogCheck,
  existenceTitle,
  existsSchema,
  failed,
  withoutTable,
} from './catalog-check.ts';
import type { Finding } from './check-kind.ts';
import { closest, findTables, isMissing, type Relation, showColumns, showName } from './names.ts';

interface SecurityFacts extends Record<string, unknown> {
  table: number;
  enabled: boolean;
  forced: boolean;
  policies: PolicyFacts[];
}

interface PolicyFacts {
  readonly name: string;
  readonly command: string;
  readonly permissive: boolean;
  readonly roles: readonly string[];
  readonly using: string | null;
  readonly check: string | null;
}

interface WantedPolicy {
  readonly name: string;
  readonly command?: string | undefined;
  readonly permissive?: boolean | undefined;
  readonly roles?: readonly string[] | undefined;
  readonly using?: string | undefined;
  readonly check?: string | undefined;
}

const policySchema = {
  type: 'object',
  required: ['name'],
  additionalProperties: false,
  properties: {
    name: {
      type: 'string',
      minLength: 1,
      description: 'The policy, exactly as written.',
      examples: ['tenant'],
    },
    command: {
      enum: ['all', 'select', 'insert', 'update', 'delete'],
      description: 'Which statements it guards.',
    },
    permissive: { type: 'boolean', description: 'false: it is AS RESTRICTIVE.' },
    roles: {
      type: 'array',
      items: { type: 'string', minLength: 1 },
      uniqueItems: true,
      description: 'Exactly these roles; `public` for everybody.',
      examples: [['app']],
    },
    using: {
      type: 'string',
      minLength: 1,
      description: 'What USING says, as PostgreSQL writes it, without regard to spaces and brackets.',
      examples: ['"tenantId" = current_user'],
    },
    check: { type: 'string', minLength: 1, description: 'What WITH CHECK says.', examples: ['true'] },
  },
} as const;

/**
 * `rowLevelSecurity: {table: User, policies: [tenant]}`: it is on, and its policies are there. Policies of a table on
 * which it is off hide nothing.
 */
export const rowLevelSecurity = defineCatalogCheck({
  kind: 'rowLevelSecurity',
  summary: 'Row-level security of a table is on, and its policies are there.',
  params: {
    type: 'object',
    description: 'A table whose rows policies must guard.',
    required: ['table'],
    additionalProperties: false,
    properties: {
      table: { ...tableNameSchema, description: 'The table.', examples: ['User'] },
      forced: { type: 'boolean', description: 'Whether it holds for the owner of the table as well.' },
      policies: {
        type: 'array',
        items: { anyOf: [{ type: 'string', minLength: 1 }, policySchema] },
        description: 'Policies that must be there: their names, or what they must say.',
        examples: [['tenant', { name: 'readers', command: 'select', roles: ['app'] }]],
      },
      exact: { type: 'boolean', description: 'true: there are no other policies.' },
      exists: { ...existsSchema, description: 'false: it must be off.' },
    },
    examples: [{ table: 'User', forced: true, policies: ['tenant'] }],
  },
  title: ({ table, exists }) => existenceTitle(`rowLevelSecurity ${table}`, exists),
  async runAll(client, all) {
    const tables = await findTables(
      client,
      all.map(({ table }) => table),
    );
    const rows = await client.query<SecurityFacts>(SECURITY, [
      tables.flatMap((table) => (isMissing(table) ? [] : [table.oid])),
    ]);
    return all.map((wanted, index): Finding => {
      const table = tables[index] as (typeof tables)[number];
      if (isMissing(table)) return withoutTable(table, wanted.exists);
      const facts = rows.find((row) => row.table === table.oid);
      const enabled = facts?.enabled ?? false;
      const label = `row-level security of ${showName(table)}`;
      if (wanted.exists === false) {
        return enabled
          ? failed(`${label} is on and must not be`, `ALTER TABLE ${table.sql} DISABLE ROW LEVEL SECURITY;`)
          : { outcome: 'passed', message: `${label} is off` };
      }
      const policies = facts?.policies ?? [];
      const problems: { message: string; hint?: string }[] = [];
      if (!enabled) {
        problems.push({
          message: `${label} is off${policies.length === 0 ? '' : `: the policies on it hide nothing`}`,
          hint: `ALTER TABLE ${table.sql} ENABLE ROW LEVEL SECURITY;`,
        });
      }
      if (wanted.forced !== undefined && wanted.forced !== (facts?.forced ?? false)) {
        problems.push({
          message: `${label} is ${wanted.forced ? 'not forced: the owner sees every row' : 'forced'}`,
          hint: `ALTER TABLE ${table.sql} ${wanted.forced ? '' : 'NO '}FORCE ROW LEVEL SECURITY;`,
        });
      }
      for (const policy of wanted.policies ?? []) {
        problems.push(
          ...comparePolicy(table, typeof policy === 'string' ? { name: policy } : policy, policies),
        );
      }
      const names = (wanted.policies ?? []).map((policy) =>
        typeof policy === 'string' ? policy : policy.name,
      );
      const more = policies.map(({ name }) => name).filter((name) => !names.includes(name));
      if (wanted.exact === true && more.length > 0) {
        problems.push({
          message: `${showName(table)} has the policies ${showColumns(more)} too`,
          hint: more.map((name) => `DROP POLICY ${identifier(name)} ON ${table.sql};`).join(' '),
        });
      }
      const list =
        policies.length === 0 ? 'no policies' : `policies ${showColumns(policies.map(({ name }) => name))}`;
      return conclude(problems, `${label} is on${facts?.forced ? ' and forced' : ''}, ${list}`);
    });
  },
});

const SECURITY = `
SELECT c.oid AS table, c.relrowsecurity AS enabled, c.relforcerowsecurity AS forced,
  coalesce((SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object('name', p.polname,
    'command', CASE p.polcmd WHEN '*' THEN 'all' WHEN 'r' THEN 'select' WHEN 'a' THEN 'insert' WHEN 'w' THEN 'update' ELSE 'delete' END,
    'permissive', p.polpermissive,
    'roles', (SELECT pg_catalog.jsonb_agg(CASE WHEN role = 0 THEN 'public' ELSE pg_catalog.pg_get_userbyid(role)::pg_catalog.text END)
      FROM pg_catalog.unnest(p.polroles) AS role),
    'using', pg_catalog.pg_get_expr(p.polqual, p.polrelid), 'check', pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid))
    ORDER BY p.polname) FROM pg_catalog.pg_policy p WHERE p.polrelid = c.oid), '[]') AS policies
FROM pg_catalog.pg_class c WHERE c.oid = ANY ($1::pg_catalog.oid[])`;

function comparePolicy(
  table: Relation,
  wanted: WantedPolicy,
  all: readonly PolicyFacts[],
): { message: string; hint?: string }[] {
  const policy = all.find(({ name }) => name === wanted.name);
  const label = `policy ${identifier(wanted.name)}`;
  if (policy === undefined) {
    const names = all.map(({ name }) => name);
    const near = closest(wanted.name, names);
    return [
      {
        message: `${showName(table)} has no ${label}`,
        hint:
          near === undefined
            ? `CREATE POLICY ${identifier(wanted.name)} ON ${table.sql}${wanted.command === undefined ? '' : ` FOR ${wanted.command.toUpperCase()}`} USING (${wanted.using ?? '…'});`
            : `${identifier(near)} exists, wanted ${identifier(wanted.name)}.`,
      },
    ];
  }
  const problems: { message: string; hint?: string }[] = [];
  if (wanted.command !== undefined && wanted.command !== policy.command) {
    problems.push({
      message: `${label} is for ${policy.command}, expected ${wanted.command}`,
      hint: 'The command of a policy cannot be changed: drop it and create it again.',
    });
  }
  if (wanted.permissive !== undefined && wanted.permissive !== policy.permissive) {
    problems.push({ message: `${label} is ${policy.permissive ? 'permissive' : 'restrictive'}` });
  }
  if (
    wanted.roles !== undefined &&
    [...wanted.roles].sort().join('\0') !== [...policy.roles].sort().join('\0')
  ) {
    problems.push({
      message: `${label} is for the roles ${showColumns(policy.roles)}, expected ${showColumns(wanted.roles)}`,
      hint: `ALTER POLICY ${identifier(wanted.name)} ON ${table.sql} TO ${wanted.roles.map((name) => (name === 'public' ? 'PUBLIC' : identifier(name))).join(', ')};`,
    });
  }
  const plain = (text: string) => text.replaceAll(/[\s()]+/g, '');
  // A dump may bring it back in another form.
  const same = (a: string, b: string) => plain(a) === plain(b) || sameExpression(a, b);
  for (const [key, words] of [
    ['using', 'USING'],
    ['check', 'WITH CHECK'],
  ] as const) {
    const text = wanted[key];
    if (text === undefined || same(text, policy[key] ?? '')) continue;
    problems.push({
      message: `${label} says ${words} ${policy[key] ?? '(nothing)'}, expected ${text}`,
      hint: `ALTER POLICY ${identifier(wanted.name)} ON ${table.sql} ${words} (${text});`,
    });
  }
  return problems;
}
