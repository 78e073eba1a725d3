import { BackplanError } from '../errors.ts';
import { identifier } from '../postgres/client.ts';
import { columnsSchema, tableNameSchema } from '../schema.ts';
import { conclude, defineCatalogCheck, failed } from './catalog-check.ts';
import type { CheckClient, Finding } from './check-kind.ts';
import { grantTargets, type Target } from './grant-targets.ts';

/**
 * `grant: {role: app, privileges: [SELECT], table: User}`: what a role was granted on an object, itself or as PUBLIC.
 * Looks at the grants as they are written down; `effective: true` asks what the role can do in the end, by any way.
 */
export const grant = defineCatalogCheck({
  kind: 'grant',
  summary:
    'A role has (or has not) these privileges on a table, sequence, schema, function, type or the database.',
  params: {
    type: 'object',
    description: 'Privileges that a role must have on one object.',
    required: ['role', 'privileges'],
    additionalProperties: false,
    properties: {
      role: {
        type: 'string',
        minLength: 1,
        description: 'The role; `public` for everybody.',
        examples: ['app'],
      },
      privileges: {
        type: 'array',
        items: {
          enum: [
            'SELECT',
            'INSERT',
            'UPDATE',
            'DELETE',
            'TRUNCATE',
            'REFERENCES',
            'TRIGGER',
            'MAINTAIN',
            'USAGE',
            'CREATE',
            'CONNECT',
            'TEMPORARY',
            'EXECUTE',
          ],
        },
        minItems: 1,
        uniqueItems: true,
        description: 'What it must be allowed to do.',
        examples: [['SELECT', 'INSERT']],
      },
      table: { ...tableNameSchema, description: 'A table or view.', examples: ['User'] },
      columns: {
        ...columnsSchema,
        uniqueItems: true,
        description: 'Only of these columns of the table.',
        examples: [['email']],
      },
      sequence: { ...tableNameSchema, description: 'A sequence.', examples: ['User_id_seq'] },
      schema: { type: 'string', minLength: 1, description: 'A schema.', examples: ['audit'] },
      function: {
        ...tableNameSchema,
        description: 'A function; where it has several forms, all of them.',
        examples: ['audit.log_change'],
      },
      type: { ...tableNameSchema, description: 'A type or domain.', examples: ['Status'] },
      database: { const: true, description: 'The database itself.', examples: [true] },
      effective: {
        type: 'boolean',
        description: 'true: by whatever way, as owner, member of a role or superuser. Default false.',
      },
      exact: { type: 'boolean', description: 'true: it has no other privileges there. Not with effective.' },
      exists: { type: 'boolean', description: 'false: it must have none of them. Default true.' },
    },
    examples: [
      { role: 'app', privileges: ['SELECT', 'INSERT'], table: 'User' },
      { role: 'public', privileges: ['CREATE'], schema: 'public', exists: false },
    ],
  },
  title: (params) =>
    `${params.exists === false ? 'no ' : ''}grant ${params.privileges.join(', ')} on ${targetText(params)} to ${params.role}`,
  async runAll(client, all) {
    const kinds = all.map(targetKind);
    const targets = await grantTargets(
      client,
      all.map((each, index) => ({
        kind: kinds[index] as (typeof kinds)[number],
        name: nameOf(each),
        columns: each.columns ?? [],
      })),
    );
    const roles = await client.query<{ name: string }>(
      'SELECT rolname::pg_catalog.text AS name FROM pg_catalog.pg_roles',
    );
    const findings: Finding[] = [];
    for (const [index, wanted] of all.entries()) {
      const target = targets[index] as (typeof targets)[number];
      if (!Array.isArray(target)) {
        findings.push(
          wanted.exists === false
            ? { outcome: 'vacuous', ...(target as Exclude<typeof target, readonly Target[]>) }
            : failedWith(target as Exclude<typeof target, readonly Target[]>),
        );
      } else if (wanted.role !== 'public' && !roles.some(({ name }) => name === wanted.role)) {
        findings.push(
          wanted.exists === false
            ? { outcome: 'vacuous', message: `role ${identifier(wanted.role)} does not exist on this server` }
            : failed(
                `role ${identifier(wanted.role)} does not exist on this server`,
                `CREATE ROLE ${identifier(wanted.role)}; restore the grants then: a restore leaves out those to roles that are missing.`,
              ),
        );
      } else {
        findings.push(await judge(client, wanted, target as readonly Target[]));
      }
    }
    return findings;
  },
});

type Params = {
  readonly role: string;
  readonly privileges: readonly string[];
  readonly effective?: boolean | undefined;
  readonly exact?: boolean | undefined;
  readonly exists?: boolean | undefined;
};

type Place = {
  readonly [Kind in 'table' | 'sequence' | 'schema' | 'function' | 'type']?: string | undefined;
} & { readonly database?: true | undefined };

const KINDS = ['table', 'sequence', 'schema', 'function', 'type', 'database'] as const;

/** @throws INPUT_INVALID unless exactly one object is named */
function targetKind(params: Place): (typeof KINDS)[number] {
  const [kind, ...more] = KINDS.filter((each) => params[each] !== undefined);
  if (kind === undefined || more.length > 0) {
    throw new BackplanError('INPUT_INVALID', `the check must name one of ${KINDS.join(', ')}`, {
      hint: 'Write a check of its own for each object.',
    });
  }
  return kind;
}

function nameOf(params: Place): string {
  return params.table ?? params.sequence ?? params.schema ?? params.function ?? params.type ?? '';
}

function targetText(params: Place & { readonly columns?: readonly string[] | undefined }): string {
  const kind = KINDS.find((each) => params[each] !== undefined);
  const columns = params.columns === undefined ? '' : ` (${params.columns.join(', ')})`;
  return kind === undefined || kind === 'database' ? 'the database' : `${kind} ${nameOf(params)}${columns}`;
}

function failedWith(missing: { readonly message: string; readonly hint?: string }): Finding {
  return { outcome: 'failed', ...missing, count: 1 };
}

async function judge(client: CheckClient, wanted: Params, targets: readonly Target[]): Promise<Finding> {
  const problems: { message: string; hint: string }[] = [];
  const role = wanted.role === 'public' ? 'PUBLIC' : identifier(wanted.role);
  for (const target of targets) {
    const list = (privileges: readonly string[]) =>
      privileges
        .map((each) => (target.column === undefined ? each : `${each} (${identifier(target.column)})`))
        .join(', ');
    const held =
      wanted.effective === true
        ? await effective(client, wanted, target)
        : target.grants
            .filter(({ role: grantee }) => grantee === wanted.role || grantee === 'public')
            .map(({ privilege }) => privilege);
    const some = wanted.privileges.filter(
      (privilege) => held.includes(privilege) === (wanted.exists === false),
    );
    if (some.length > 0) {
      problems.push(
        wanted.exists === false
          ? {
              message: `${role} has ${some.join(', ')} on ${target.label} and must not`,
              hint: `REVOKE ${list(some)} ON ${target.sql} FROM ${role};`,
            }
          : {
              message: `${role} lacks ${some.join(', ')} on ${target.label}`,
              hint: `GRANT ${list(some)} ON ${target.sql} TO ${role};`,
            },
      );
    }
    if (wanted.exact === true && wanted.effective !== true && wanted.exists !== false) {
      const more = target.grants
        .filter((each) => each.role === wanted.role && !wanted.privileges.includes(each.privilege))
        .map(({ privilege }) => privilege);
      if (more.length > 0) {
        problems.push({
          message: `${role} has ${more.join(', ')} on ${target.label} too`,
          hint: `REVOKE ${list(more)} ON ${target.sql} FROM ${role};`,
        });
      }
    }
  }
  const where = targets.map(({ label }) => label).join(', ');
  return conclude(
    problems,
    `${role} has ${wanted.exists === false ? 'none of ' : ''}${wanted.privileges.join(', ')} on ${where}`,
  );
}

/** Which of the privileges the role has in the end. */
async function effective(client: CheckClient, wanted: Params, target: Target): Promise<string[]> {
  const rows = await client.query<{ privilege: string }>(
    `SELECT privilege FROM pg_catalog.unnest($1::pg_catalog.text[]) AS privilege WHERE ${target.test}`,
    [wanted.privileges, wanted.role, target.oid, ...(target.column === undefined ? [] : [target.column])],
  );
  return rows.map(({ privilege }) => privilege);
}
