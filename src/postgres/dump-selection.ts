/**
 * What a dump takes and leaves, as arguments of pg_dump. pg_dump reads names as patterns (it folds case, and dots and
 * stars mean something), so names are looked up here and passed on exactly.
 * Source: https://www.postgresql.org/docs/current/app-psql.html#APP-PSQL-PATTERNS
 */
import { BackplanError } from '../errors.ts';
import { type Client, identifier } from './client.ts';
import { isWhole, nameTest, type Selection } from './data-tables.ts';

interface Relation {
  readonly schema: string;
  readonly name: string;
  /** It and what is above it in its partition tree. */
  readonly lineage: readonly { readonly schema: string; readonly name: string }[];
}

const RELATIONS = `
WITH RECURSIVE up AS (
  SELECT c.oid, c.oid AS ancestor, c.relispartition AS more FROM pg_catalog.pg_class c WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
  UNION ALL
  SELECT up.oid, i.inhparent, p.relispartition
    FROM up JOIN pg_catalog.pg_inherits i ON i.inhrelid = up.ancestor JOIN pg_catalog.pg_class p ON p.oid = i.inhparent
   WHERE up.more
)
SELECT n.nspname AS schema, c.relname AS name,
       pg_catalog.array_agg(an.nspname::text ORDER BY up.ancestor = c.oid DESC, up.ancestor) AS schemas,
       pg_catalog.array_agg(a.relname::text ORDER BY up.ancestor = c.oid DESC, up.ancestor) AS names
  FROM up JOIN pg_catalog.pg_class c ON c.oid = up.oid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_catalog.pg_class a ON a.oid = up.ancestor JOIN pg_catalog.pg_namespace an ON an.oid = a.relnamespace
 WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND c.relpersistence <> 't'
 GROUP BY c.oid, n.nspname, c.relname ORDER BY 1, 2`;

/**
 * Arguments for a selection. A name that nothing in the database has is an error: a backup that silently lacks what
 * it was told to hold is none.
 * @throws DUMP_FAILED naming what does not exist
 */
export async function selectionArguments(client: Client, selection: Selection): Promise<string[]> {
  if (isWhole(selection)) return [];
  const relations = (
    await client.query<{ schema: string; name: string; schemas: string[]; names: string[] }>(RELATIONS)
  ).map(
    ({ schema, name, schemas, names }): Relation => ({
      schema,
      name,
      lineage: schemas.map((each, index) => ({ schema: each, name: names[index] ?? '' })),
    }),
  );
  const existing = await schemasOf(client);
  for (const schema of selection.schemas ?? []) {
    if (!existing.includes(schema)) throw unknown('schema', schema, existing);
  }
  return [
    ...(selection.only === undefined ? [] : [`--${selection.only}-only`]),
    ...(selection.schemas ?? []).map((schema) => `--schema=${identifier(schema)}`),
    ...flags('--table', selection.tables, relations),
    ...flags('--exclude-table', selection.exclude, relations),
    ...flags('--exclude-table-data', selection.excludeData, relations),
    ...(await extensionFlags(client, selection)),
    '--strict-names',
  ];
}

function flags(flag: string, names: readonly string[] | undefined, relations: readonly Relation[]): string[] {
  return (names ?? []).flatMap((text) => {
    const test = nameTest(text, relations);
    const found = relations.filter(({ lineage }) => lineage.some(test));
    if (found.length === 0) {
      throw unknown(
        'table',
        text,
        relations.map(({ schema, name }) => (schema === 'public' ? name : `${schema}.${name}`)),
      );
    }
    return found.map(({ schema, name }) => `${flag}=${identifier(schema)}.${identifier(name)}`);
  });
}

/**
 * As soon as schemas or tables are selected, pg_dump leaves out extensions, and with them types that columns have.
 * Those that can be created in an empty database (their schema is dumped, or always there) are kept.
 */
async function extensionFlags(client: Client, selection: Selection): Promise<string[]> {
  if (selection.only === 'data' || (selection.schemas ?? selection.tables ?? []).length === 0) return [];
  if (client.serverVersion < 100_000) return [];
  const schemas = ['public', 'pg_catalog', ...(selection.schemas ?? [])];
  const rows = await client.query<{ name: string }>(
    `SELECT e.extname AS name FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace
      WHERE n.nspname::text = ANY ($1::text[]) AND e.extname <> 'plpgsql' ORDER BY 1`,
    [schemas],
  );
  return rows.map(({ name }) => `--extension=${identifier(name)}`);
}

async function schemasOf(client: Client): Promise<string[]> {
  const rows = await client.query<{ name: string }>(
    "SELECT nspname AS name FROM pg_catalog.pg_namespace WHERE nspname !~ '^pg_' ORDER BY 1",
  );
  return rows.map((row) => row.name);
}

function unknown(what: string, name: string, existing: readonly string[]): BackplanError {
  const folded = name.toLowerCase();
  const near = existing.filter(
    (each) => each.toLowerCase() === folded || each.toLowerCase().endsWith(`.${folded}`),
  );
  return new BackplanError(
    'DUMP_FAILED',
    `the plan selects the ${what} ${name}, which the database does not have`,
    {
      hint:
        near.length > 0
          ? `Did you mean ${near.join(' or ')}? Names are exact, upper and lower case included.`
          : 'Names are exact, upper and lower case included. Mend the selection in the plan.',
    },
  );
}
