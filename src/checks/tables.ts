import { identifier } from '../postgres/client.ts';
import { notMember, USER_SCHEMA } from '../postgres/user-objects.ts';
import { tableNameSchema } from '../schema.ts';
import { absence, conclude, defineCatalogCheck, existenceTitle, existsSchema } from './catalog-check.ts';
import type { CheckClient, Finding } from './check-kind.ts';
import {
  findColumns,
  findTables,
  isMissing,
  kindName,
  type Missing,
  type Relation,
  showColumns,
  showName,
} from './names.ts';

/** `tables: [User, audit.Log]`: each exists; one check per table. `{names, exact: true}`: and there are no others. */
export const tables = defineCatalogCheck({
  kind: 'tables',
  summary: 'Each of these tables exists, and no others where asked. One check per table.',
  params: {
    description: 'Tables (or views) that must exist, exactly as written.',
    anyOf: [
      {
        type: 'array',
        description: 'Their names.',
        items: tableNameSchema,
        minItems: 1,
        uniqueItems: true,
        examples: [['User', 'audit.Log', '"odd.schema"."Odd Table"']],
      },
      {
        type: 'object',
        description: 'Their names, and whether these are all, or must not exist.',
        required: ['names'],
        additionalProperties: false,
        properties: {
          names: {
            type: 'array',
            items: tableNameSchema,
            minItems: 1,
            uniqueItems: true,
            description: 'The tables.',
            examples: [['User', 'audit.Log']],
          },
          exact: {
            type: 'boolean',
            description:
              'true: the database has no other tables; partitions and those of extensions are not counted.',
          },
          schema: {
            type: 'string',
            minLength: 1,
            description: 'With exact: only tables of this schema count.',
            examples: ['public'],
          },
          exists: { ...existsSchema, description: 'false: none of them may exist.' },
        },
      },
    ],
    examples: [['User', 'audit.Log', '"odd.schema"."Odd Table"'], { names: ['User_old'], exists: false }],
  },
  title(params) {
    if (Array.isArray(params)) return `${params.length === 1 ? 'table' : 'tables'} ${params.join(', ')}`;
    if (params.exact === true) {
      return `no tables but ${params.names.join(', ')}${params.schema === undefined ? '' : ` in ${params.schema}`}`;
    }
    return existenceTitle(
      `${params.names.length === 1 ? 'table' : 'tables'} ${params.names.join(', ')}`,
      params.exists,
    );
  },
  expand(params) {
    if (Array.isArray(params)) return params.map((name) => [name]);
    const each = params.names.map((name) =>
      params.exists === undefined ? [name] : { names: [name], exists: params.exists },
    );
    return params.exact === true && params.exists !== false ? [...each, params] : each;
  },
  async runAll(client, all) {
    const lists = all.map((params) => (Array.isArray(params) ? { names: params } : params));
    const found = await findTables(
      client,
      lists.flatMap(({ names }) => names),
    );
    let position = 0;
    const findings: Finding[] = [];
    for (const { names, exact, schema, exists } of lists as readonly List[]) {
      const own = found.slice(position, position + names.length);
      position += names.length;
      if (exact === true && exists !== false) findings.push(await noOthers(client, own, schema));
      else findings.push(exists === false ? noneExists(names, own) : allExist(own));
    }
    return findings;
  },
});

interface List {
  readonly names: readonly string[];
  readonly exact?: boolean | undefined;
  readonly schema?: string | undefined;
  readonly exists?: boolean | undefined;
}

function allExist(found: readonly (Relation | Missing)[]): Finding {
  const missing = found.find((table) => isMissing(table));
  if (missing !== undefined) return { outcome: 'failed', ...missing, count: 1 };
  const [first] = found as readonly Relation[];
  return {
    outcome: 'passed',
    message:
      first !== undefined && found.length === 1
        ? `${kindName(first.kind)} ${showName(first)} exists`
        : `${found.length} tables exist`,
  };
}

function noneExists(names: readonly string[], found: readonly (Relation | Missing)[]): Finding {
  const there = found.flatMap((table) => (isMissing(table) ? [] : [table]));
  const [first] = there;
  return first === undefined
    ? absence(`table ${names.join(', ')}`, false)
    : absence(`${kindName(first.kind)} ${there.map(showName).join(', ')}`, true, there.map(dropOf).join(' '));
}

function dropOf(table: Relation): string {
  const what: Readonly<Record<string, string>> = { v: 'VIEW', m: 'MATERIALIZED VIEW', f: 'FOREIGN TABLE' };
  return `DROP ${what[table.kind] ?? 'TABLE'} ${table.sql};`;
}

async function noOthers(
  client: CheckClient,
  found: readonly (Relation | Missing)[],
  schema: string | undefined,
): Promise<Finding> {
  const rows = await client.query<{ oid: number; schema: string; name: string }>(
    `SELECT c.oid, n.nspname::pg_catalog.text AS schema, c.relname::pg_catalog.text AS name
     FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p', 'f') AND NOT c.relispartition AND c.relpersistence <> 't' AND ${USER_SCHEMA}
       AND ($1::pg_catalog.text IS NULL OR n.nspname = $1) AND ${notMember('pg_class', 'c.oid')}
     ORDER BY n.nspname, c.relname`,
    [schema ?? null],
  );
  const listed = new Set(found.flatMap((table) => (isMissing(table) ? [] : [table.oid])));
  const others = rows.filter(({ oid }) => !listed.has(oid));
  return {
    ...conclude(
      others.map((table) => ({ message: `table ${showName(table)} is not in the plan` })),
      `no other tables${schema === undefined ? '' : ` in ${identifier(schema)}`} than the ${listed.size} of the plan`,
    ),
    ...(others.length === 0
      ? {}
      : { samples: others.map(({ schema: in_, name }) => ({ schema: in_, name })) }),
  };
}

/** A table and some of its columns are there; otherwise what comes close. */
export async function tableExists(
  client: CheckClient,
  table: Relation | Missing,
  columns: readonly string[],
): Promise<Finding> {
  if (isMissing(table)) return { outcome: 'failed', ...table, count: 1 };
  const found = await findColumns(client, table, columns);
  if (isMissing(found)) return { outcome: 'failed', ...found, count: 1 };
  return {
    outcome: 'passed',
    message: `${kindName(table.kind)} ${showName(table)} exists${columns.length === 0 ? '' : ` with ${showColumns(columns)}`}`,
  };
}
