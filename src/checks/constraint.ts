import { BackplanError } from '../errors.ts';
import { identifier } from '../postgres/client.ts';
import { tableNameSchema } from '../schema.ts';
import {
  absence,
  type CatalogObject,
  conclude,
  defineCatalogCheck,
  existenceTitle,
  existsSchema,
  failed,
  findObjects,
  isMissingObject,
  withoutTable,
} from './catalog-check.ts';
import type { CheckClient, Finding } from './check-kind.ts';
import { closest, findTables, isMissing, type Missing, showColumns, showName } from './names.ts';

interface ConstraintFacts extends Record<string, unknown> {
  owner: number;
  name: string;
  type: string;
  validated: boolean;
  enforced: boolean;
  definition: string;
}

/** The table or domain that a constraint is on. */
interface Owner {
  readonly oid: number;
  readonly label: string;
  /** `ALTER TABLE …`. */
  readonly alter: string;
}

const TYPES: Readonly<Record<string, string>> = {
  c: 'check',
  x: 'exclusion',
  u: 'unique',
  p: 'primary key',
  f: 'foreign key',
  t: 'trigger',
  n: 'not null',
};

/** `constraint: {table: User, name: User_level_check}`: a check or exclusion constraint exists and is validated. */
export const constraint = defineCatalogCheck({
  kind: 'constraint',
  summary: 'A check or exclusion constraint exists and is validated; of a table or a domain.',
  params: {
    type: 'object',
    description: 'A constraint that must exist. For keys there are primaryKey, unique and foreignKey.',
    required: ['name'],
    additionalProperties: false,
    properties: {
      table: { ...tableNameSchema, description: 'The table it is on.', examples: ['User'] },
      domain: { ...tableNameSchema, description: 'Or the domain it is on.', examples: ['PositiveInt'] },
      name: {
        type: 'string',
        minLength: 1,
        description: 'The constraint, exactly as written.',
        examples: ['User_level_check'],
      },
      type: { enum: ['check', 'exclusion'], description: 'Which of both it must be.' },
      expression: {
        type: 'string',
        minLength: 1,
        description:
          'What must stand in its definition as PostgreSQL writes it, without regard to spaces and brackets.',
        examples: ['level >= 0'],
      },
      validated: { type: 'boolean', description: 'false: it may be NOT VALID. Default true.' },
      exists: existsSchema,
    },
    examples: [{ table: 'User', name: 'User_level_check', expression: 'level >= 0' }],
  },
  title: ({ table, domain, name, exists }) =>
    existenceTitle(`constraint ${name} on ${table ?? domain ?? 'nothing'}`, exists),
  async runAll(client, all) {
    const owners = await findOwners(client, all);
    const constraints = await client.query<ConstraintFacts>(CONSTRAINTS, [
      owners.flatMap((owner) => (owner !== undefined && 'oid' in owner ? [owner.oid] : [])),
    ]);
    return all.map((wanted, index): Finding => {
      const owner = owners[index];
      if (owner === undefined) {
        throw new BackplanError('INPUT_INVALID', 'the check names neither a table nor a domain', {
          hint: 'Write table: Name or domain: Name beside the name of the constraint.',
        });
      }
      if (!('oid' in owner)) return withoutTable(owner, wanted.exists);
      const own = constraints.filter((each) => each.owner === owner.oid);
      const one = own.find(({ name }) => name === wanted.name);
      const label = `constraint ${identifier(wanted.name)} on ${owner.label}`;
      if (wanted.exists === false) {
        return absence(
          label,
          one !== undefined,
          `${owner.alter} DROP CONSTRAINT ${identifier(wanted.name)};`,
        );
      }
      if (one === undefined) {
        const names = own.map(({ name }) => name);
        const near = closest(wanted.name, names);
        return failed(
          `${label} does not exist`,
          near !== undefined
            ? `${identifier(near)} exists, wanted ${identifier(wanted.name)}.`
            : wanted.expression !== undefined && wanted.type !== 'exclusion'
              ? `${owner.alter} ADD CONSTRAINT ${identifier(wanted.name)} CHECK (${wanted.expression});`
              : `${owner.label} has ${names.length === 0 ? 'no constraint' : showColumns(names)}.`,
        );
      }
      return conclude(compare(one, owner, wanted), `${label}: ${one.definition}`, `${label} `);
    });
  },
});

// Source: https://www.postgresql.org/docs/current/catalog-pg-constraint.html
const CONSTRAINTS = `
SELECT CASE WHEN con.conrelid <> 0 THEN con.conrelid ELSE con.contypid END AS owner, con.conname::pg_catalog.text AS name,
  con.contype AS type, con.convalidated AS validated,
  coalesce((pg_catalog.to_jsonb(con) ->> 'conenforced')::pg_catalog.bool, true) AS enforced,
  pg_catalog.pg_get_constraintdef(con.oid) AS definition
FROM pg_catalog.pg_constraint con
WHERE con.conrelid = ANY ($1::pg_catalog.oid[]) OR con.contypid = ANY ($1::pg_catalog.oid[])
ORDER BY con.conname`;

async function findOwners(
  client: CheckClient,
  all: readonly { readonly table?: string | undefined; readonly domain?: string | undefined }[],
): Promise<(Owner | Missing | undefined)[]> {
  const names = all.flatMap(({ table }) => (table === undefined ? [] : [table]));
  const domainNames = all.flatMap(({ table, domain }) =>
    table === undefined && domain !== undefined ? [domain] : [],
  );
  const tables = names.length === 0 ? [] : await findTables(client, names);
  const domains =
    domainNames.length === 0
      ? []
      : await findObjects<CatalogObject & { oid: number }>(client, DOMAINS, domainNames);
  return all.map(({ table, domain }) => {
    if (table !== undefined) {
      const found = tables[names.indexOf(table)];
      if (found === undefined || isMissing(found)) return found;
      return { oid: found.oid, label: showName(found), alter: `ALTER TABLE ${found.sql}` };
    }
    const found = domain === undefined ? undefined : domains[domainNames.indexOf(domain)];
    if (found === undefined || isMissingObject(found)) return found;
    const [one] = found as [CatalogObject & { oid: number }];
    const sql = `${identifier(one.schema)}.${identifier(one.name)}`;
    return { oid: one.oid, label: `domain ${showName(one)}`, alter: `ALTER DOMAIN ${sql}` };
  });
}

const DOMAINS = {
  what: 'domain',
  sql: `SELECT t.oid, n.nspname::pg_catalog.text AS schema, t.typname::pg_catalog.text AS name
    FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace WHERE t.typtype = 'd'
    AND n.nspname <> 'information_schema'`,
};

function compare(
  one: ConstraintFacts,
  owner: Owner,
  wanted: {
    readonly type?: 'check' | 'exclusion' | undefined;
    readonly expression?: string | undefined;
    readonly validated?: boolean | undefined;
  },
): { message: string; hint?: string }[] {
  const problems: { message: string; hint?: string }[] = [];
  const type = TYPES[one.type] ?? one.type;
  if (wanted.type !== undefined && wanted.type !== type) {
    problems.push({ message: `is a ${type} constraint, expected ${wanted.type}` });
  }
  const plain = (text: string) => text.replaceAll(/[\s()]+/g, '');
  if (wanted.expression !== undefined && !plain(one.definition).includes(plain(wanted.expression))) {
    problems.push({
      message: `does not say ${wanted.expression}`,
      hint: `It is: ${one.definition}`,
    });
  }
  if (!one.enforced) {
    problems.push({
      message: 'is NOT ENFORCED',
      hint: `${owner.alter} ALTER CONSTRAINT ${identifier(one.name)} ENFORCED;`,
    });
  } else if (wanted.validated !== false && !one.validated) {
    problems.push({
      message: 'is NOT VALID: older rows were never checked',
      hint: `${owner.alter} VALIDATE CONSTRAINT ${identifier(one.name)};`,
    });
  }
  return problems;
}
