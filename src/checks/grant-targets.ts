/** Objects that privileges are granted on, with who was granted what. A missing ACL means the default one. */
import { identifier } from '../postgres/client.ts';
import { USER_SCHEMA } from '../postgres/user-objects.ts';
import { type CatalogObject, findObjects, isMissingObject } from './catalog-check.ts';
import type { CheckClient } from './check-kind.ts';
import { closest, findColumns, findTables, isMissing, type Missing, showName } from './names.ts';

type TargetKind = 'table' | 'sequence' | 'schema' | 'function' | 'type' | 'database';

export interface Target {
  readonly oid: number;
  /** For messages. */
  readonly label: string;
  /** After GRANT … ON. */
  readonly sql: string;
  readonly column?: string;
  /** `public` stands for everybody. */
  readonly grants: readonly { readonly role: string; readonly privilege: string }[];
  /** A condition over `privilege`, $2 (role), $3 (oid) and, of a column, $4. */
  readonly test: string;
}

interface Wanted {
  readonly kind: TargetKind;
  readonly name: string;
  readonly columns: readonly string[];
}

interface Acl {
  readonly role: string;
  readonly privilege: string;
}

interface AclRow extends CatalogObject {
  readonly oid: number;
  readonly acl: readonly Acl[] | null;
  readonly signature?: string;
}

// Source: https://www.postgresql.org/docs/current/functions-info.html (aclexplode, acldefault)
const ACL = (acl: string, type: string, owner: string) => `(
  SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
    'role', CASE WHEN a.grantee = 0 THEN 'public' ELSE pg_catalog.pg_get_userbyid(a.grantee)::pg_catalog.text END,
    'privilege', a.privilege_type))
  FROM pg_catalog.aclexplode(coalesce(${acl}, pg_catalog.acldefault('${type}', ${owner}))) AS a) AS acl`;

const HAS = (call: string, column = '') =>
  `pg_catalog.has_${call}_privilege($2::pg_catalog.text::pg_catalog.name, $3::pg_catalog.oid${column}, privilege)`;

/** One entry for each of `all`: the object (several where a function has several forms), or what comes close. */
export async function grantTargets(
  client: CheckClient,
  all: readonly Wanted[],
): Promise<readonly (readonly Target[] | Missing)[]> {
  const results: (readonly Target[] | Missing)[] = all.map(() => []);
  for (const kind of ['table', 'sequence', 'schema', 'function', 'type', 'database'] as const) {
    const positions = all.flatMap((each, index) => (each.kind === kind ? [index] : []));
    if (positions.length === 0) continue;
    const some = positions.map((position) => all[position] as Wanted);
    const found = await LOADERS[kind](client, some);
    for (const [index, position] of positions.entries()) results[position] = found[index] ?? [];
  }
  return results;
}

type Loader = (
  client: CheckClient,
  wanted: readonly Wanted[],
) => Promise<readonly (readonly Target[] | Missing)[]>;

const LOADERS: Readonly<Record<TargetKind, Loader>> = {
  table: async (client, wanted) => {
    const tables = await findTables(
      client,
      wanted.map(({ name }) => name),
    );
    const oids = tables.flatMap((table) => (isMissing(table) ? [] : [table.oid]));
    const acls = await client.query<{ oid: number; acl: Acl[] | null }>(
      `SELECT c.oid, ${ACL('c.relacl', 'r', 'c.relowner')} FROM pg_catalog.pg_class c WHERE c.oid = ANY ($1::pg_catalog.oid[])`,
      [oids],
    );
    const columnAcls = await client.query<{ oid: number; name: string; acl: Acl[] | null }>(
      `SELECT a.attrelid AS oid, a.attname::pg_catalog.text AS name, ${ACL('a.attacl', 'c', 'c.relowner')}
       FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
       WHERE a.attrelid = ANY ($1::pg_catalog.oid[]) AND a.attacl IS NOT NULL AND NOT a.attisdropped`,
      [oids],
    );
    const results: (readonly Target[] | Missing)[] = [];
    for (const [index, { columns }] of wanted.entries()) {
      const table = tables[index] as (typeof tables)[number];
      if (isMissing(table)) {
        results.push(table);
        continue;
      }
      const whole: Target = {
        oid: table.oid,
        label: showName(table),
        sql: `TABLE ${table.sql}`,
        grants: acls.find(({ oid }) => oid === table.oid)?.acl ?? [],
        test: HAS('table'),
      };
      const known = await findColumns(client, table, columns);
      if (isMissing(known)) results.push(known);
      else if (columns.length === 0) results.push([whole]);
      else {
        results.push(
          columns.map((column) => ({
            ...whole,
            label: `${whole.label}.${identifier(column)}`,
            column,
            // What is granted on the table holds for its columns.
            grants: [
              ...whole.grants,
              ...(columnAcls.find(({ oid, name }) => oid === table.oid && name === column)?.acl ?? []),
            ],
            test: HAS('column', ', $4::pg_catalog.text'),
          })),
        );
      }
    }
    return results;
  },
  sequence: (client, wanted) =>
    objects(client, wanted, {
      what: 'sequence',
      sql: `SELECT c.oid, n.nspname::pg_catalog.text AS schema, c.relname::pg_catalog.text AS name, ${ACL('c.relacl', 's', 'c.relowner')}
        FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'S' AND ${USER_SCHEMA}`,
      on: 'SEQUENCE',
      test: HAS('sequence'),
    }),
  function: (client, wanted) =>
    objects(client, wanted, {
      what: 'function',
      sql: `SELECT p.oid, n.nspname::pg_catalog.text AS schema, p.proname::pg_catalog.text AS name,
          '(' || pg_catalog.pg_get_function_identity_arguments(p.oid) || ')' AS signature, ${ACL('p.proacl', 'f', 'p.proowner')}
        FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace WHERE ${USER_SCHEMA}`,
      on: 'ROUTINE',
      test: HAS('function'),
    }),
  type: (client, wanted) =>
    objects(client, wanted, {
      what: 'type',
      sql: `SELECT t.oid, n.nspname::pg_catalog.text AS schema, t.typname::pg_catalog.text AS name, ${ACL('t.typacl', 'T', 't.typowner')}
        FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
        WHERE t.typtype IN ('e', 'd', 'c', 'r', 'b') AND t.typelem = 0 AND ${USER_SCHEMA}`,
      on: 'TYPE',
      test: HAS('type'),
    }),
  schema: async (client, wanted) => {
    const rows = await client.query<{ oid: number; name: string; acl: Acl[] | null }>(
      `SELECT n.oid, n.nspname::pg_catalog.text AS name, ${ACL('n.nspacl', 'n', 'n.nspowner')} FROM pg_catalog.pg_namespace n`,
    );
    return wanted.map(({ name }): readonly Target[] | Missing => {
      const row = rows.find((each) => each.name === name);
      if (row === undefined) {
        const near = closest(
          name,
          rows.map((each) => each.name),
        );
        const message = `schema ${identifier(name)} does not exist`;
        return near === undefined
          ? { message }
          : { message, hint: `${identifier(near)} exists, wanted ${identifier(name)}.` };
      }
      const label = `schema ${identifier(name)}`;
      return [
        {
          oid: row.oid,
          label,
          sql: `SCHEMA ${identifier(name)}`,
          grants: row.acl ?? [],
          test: HAS('schema'),
        },
      ];
    });
  },
  database: async (client, wanted) => {
    const [row] = await client.query<{ oid: number; name: string; acl: Acl[] | null }>(
      `SELECT d.oid, d.datname::pg_catalog.text AS name, ${ACL('d.datacl', 'd', 'd.datdba')}
       FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()`,
    );
    if (row === undefined) return wanted.map(() => ({ message: 'the database is not in the catalog' }));
    const target: Target = {
      oid: row.oid,
      label: 'the database',
      sql: `DATABASE ${identifier(row.name)}`,
      grants: row.acl ?? [],
      test: HAS('database'),
    };
    return wanted.map(() => [target]);
  },
};

async function objects(
  client: CheckClient,
  wanted: readonly Wanted[],
  source: { readonly what: string; readonly sql: string; readonly on: string; readonly test: string },
): Promise<readonly (readonly Target[] | Missing)[]> {
  const found = await findObjects<AclRow>(
    client,
    source,
    wanted.map(({ name }) => name),
  );
  return found.map((rows) =>
    isMissingObject(rows)
      ? rows
      : rows.map((row) => ({
          oid: row.oid,
          label: `${source.what} ${showName(row)}${row.signature ?? ''}`,
          sql: `${source.on} ${identifier(row.schema)}.${identifier(row.name)}${row.signature ?? ''}`,
          grants: row.acl ?? [],
          test: source.test,
        })),
  );
}
