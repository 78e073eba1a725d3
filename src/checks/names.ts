/**
 * Names of tables as a plan writes them, and finding them in the catalog exactly as written: case is never folded,
 * so `User` is `"User"` and `audit.Log` is `"audit"."Log"`. A miss says what comes close.
 */
import { distance } from 'fastest-levenshtein';
import { BackplanError } from '../errors.ts';
import { identifier } from '../postgres/client.ts';
import { type Column, loadColumns, type Queryable } from '../postgres/columns.ts';
import { type ObjectName, parseName, showColumns, showName } from '../postgres/object-name.ts';
import { USER_SCHEMA } from '../postgres/user-objects.ts';

export { parseName, showColumns, showName };

/** A table, view or the like that exists. */
export interface Relation {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  /** `pg_class.relkind`: r table, p partitioned table, v view, m materialized view, f foreign table, i and I index. */
  readonly kind: string;
  /** Quoted and qualified, for statements. */
  readonly sql: string;
}

/** What there is instead of a result: one line, and what comes close. */
export interface Missing {
  readonly message: string;
  readonly hint?: string;
}

const TABLE_KINDS = ['r', 'p', 'v', 'm', 'f'] as const;
const INDEX_KINDS = ['i', 'I'] as const;

/** How `pg_class.relkind` is called in messages. */
export function kindName(kind: string): string {
  const names: Record<string, string> = {
    r: 'table',
    p: 'partitioned table',
    v: 'view',
    m: 'materialized view',
    f: 'foreign table',
    i: 'index',
    I: 'partitioned index',
  };
  return names[kind] ?? 'relation';
}

interface Candidate extends Record<string, unknown> {
  oid: number;
  schema: string;
  name: string;
  kind: string;
  user_schema?: boolean;
}

const BY_NAME = `
SELECT c.oid, n.nspname AS schema, c.relname AS name, c.relkind AS kind
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = ANY ($3::"char"[]) AND c.relname = $1::text
  AND (n.nspname = $2::text OR ($2 IS NULL AND ${USER_SCHEMA}))
ORDER BY n.nspname <> 'public', n.nspname`;

const BY_NAMES = `
SELECT c.oid, n.nspname AS schema, c.relname AS name, c.relkind AS kind, ${USER_SCHEMA} AS user_schema
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relname = ANY ($1::pg_catalog.name[]) AND c.relkind = ANY ($2::"char"[])`;

const ALL_NAMES = `
SELECT c.oid, n.nspname AS schema, c.relname AS name, c.relkind AS kind
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = ANY ($1::"char"[]) AND ${USER_SCHEMA} AND NOT c.relispartition
ORDER BY n.nspname <> 'public', n.nspname, c.relname
LIMIT 5000`;

/**
 * Finds a table, view, materialized view or foreign table. Without a schema: in `public` first, then the only one of
 * that name in any other schema.
 * @throws INPUT_INVALID when the name is malformed or fits several schemas
 */
export function findTable(client: Queryable, text: string): Promise<Relation | Missing> {
  return cached(client, `table ${text}`, () => find(client, parseName(text), 'table', TABLE_KINDS));
}

/**
 * findTable for many names with one query for those that exist; in the order given.
 * @throws INPUT_INVALID when one of the names is malformed or fits several schemas
 */
export async function findTables(
  client: Queryable,
  texts: readonly string[],
): Promise<readonly (Relation | Missing)[]> {
  const keys = new Map(texts.map((text) => [`table ${text}`, parseName(text)]));
  await prefetch(client, keys, TABLE_KINDS);
  const found: (Relation | Missing)[] = [];
  for (const text of texts) found.push(await findTable(client, text));
  return found;
}

/** findIndex for many names. @throws as it does */
export async function findIndexes(
  client: Queryable,
  wanted: readonly { readonly name: string; readonly schema?: string }[],
): Promise<readonly (Relation | Missing)[]> {
  const keys = new Map(
    wanted.map(({ name, schema }) => [indexKey(name, schema), withSchema(parseName(name), schema)]),
  );
  await prefetch(client, keys, INDEX_KINDS);
  const found: (Relation | Missing)[] = [];
  for (const { name, schema } of wanted) found.push(await findIndex(client, name, schema));
  return found;
}

/** Looks up what is not known yet with one query; what is missing or ambiguous is left to a closer look. */
async function prefetch(
  client: Queryable,
  keys: ReadonlyMap<string, ObjectName>,
  kinds: readonly string[],
): Promise<void> {
  const unknown = [...keys].filter(([key]) => caches.get(client)?.has(key) !== true);
  if (unknown.length < 2) return;
  const rows = await client.query<Candidate>(BY_NAMES, [unknown.map(([, { name }]) => name), kinds]);
  for (const [key, name] of unknown) {
    const relation = only(rows, name);
    if (relation !== undefined) void cached(client, key, async () => relation);
  }
}

function indexKey(text: string, schema: string | undefined): string {
  return `index ${schema ?? ''} ${text}`;
}

/** The schema in the name itself comes first. */
function withSchema(name: ObjectName, schema: string | undefined): ObjectName {
  return schema === undefined ? name : { schema, ...name };
}

/** The one that `find` would choose; undefined where there is none or it needs a closer look. */
function only(rows: readonly Candidate[], wanted: ObjectName): Relation | undefined {
  const fitting = rows.filter((row) =>
    wanted.schema === undefined
      ? row.name === wanted.name && row.user_schema
      : row.name === wanted.name && row.schema === wanted.schema,
  );
  const first = fitting.find((row) => row.schema === 'public') ?? fitting[0];
  return first === undefined || (fitting.length > 1 && first.schema !== 'public')
    ? undefined
    : toRelation(first);
}

/** The same for an index; `schema` narrows a name that has none. */
export function findIndex(client: Queryable, text: string, schema?: string): Promise<Relation | Missing> {
  const name = withSchema(parseName(text), schema);
  return cached(client, indexKey(text, schema), () => find(client, name, 'index', INDEX_KINDS));
}

/** For checks that cannot look at all without it. @throws INPUT_INVALID */
export async function requireTable(client: Queryable, text: string): Promise<Relation> {
  const found = await findTable(client, text);
  if (!isMissing(found)) return found;
  throw new BackplanError('INPUT_INVALID', found.message, { hint: found.hint });
}

export function isMissing(found: Relation | Missing | readonly Column[]): found is Missing {
  return 'message' in found;
}

/** Looks up the columns of several tables in one query, for the calls of `findColumns` that follow. */
export async function preloadColumns(client: Queryable, tables: readonly Relation[]): Promise<void> {
  const loaded = await loadColumns(
    client,
    tables.map(({ oid }) => oid),
  );
  await Promise.all(
    tables.map(({ oid }) => cached(client, `columns ${oid}`, async () => loaded.get(oid) ?? [])),
  );
}

/** The named columns in the order given. */
export async function findColumns(
  client: Queryable,
  table: Relation,
  names: readonly string[],
): Promise<readonly Column[] | Missing> {
  const all = await cached(client, `columns ${table.oid}`, async () => {
    return (await loadColumns(client, [table.oid])).get(table.oid) ?? [];
  });
  const found: Column[] = [];
  for (const name of names) {
    const column = all.find((each) => each.name === name);
    if (column === undefined) return missingColumn(table, name, all);
    found.push(column);
  }
  return found;
}

/** @throws INPUT_INVALID */
export async function requireColumns(
  client: Queryable,
  table: Relation,
  names: readonly string[],
): Promise<readonly Column[]> {
  const found = await findColumns(client, table, names);
  if (!isMissing(found)) return found;
  throw new BackplanError('INPUT_INVALID', found.message, { hint: found.hint });
}

function missingColumn(table: Relation, name: string, all: readonly Column[]): Missing {
  const close = closest(
    name,
    all.map((column) => column.name),
  );
  return {
    message: `${showName(table)} has no column ${identifier(name)}`,
    hint:
      close === undefined
        ? `It has ${all.length === 0 ? 'no columns' : showColumns(all.map((column) => column.name))}.`
        : `${identifier(close)} exists, wanted ${identifier(name)}.`,
  };
}

async function find(
  client: Queryable,
  wanted: ObjectName,
  what: 'table' | 'index',
  kinds: readonly string[],
): Promise<Relation | Missing> {
  const rows = await client.query<Candidate>(BY_NAME, [wanted.name, wanted.schema ?? null, kinds]);
  const [first, second] = rows;
  if (first === undefined) return await nearMiss(client, wanted, what, kinds);
  if (second !== undefined && first.schema !== 'public') {
    throw new BackplanError(
      'INPUT_INVALID',
      `${what} ${identifier(wanted.name)} is ambiguous: ${rows.map((row) => `${identifier(row.schema)}.${identifier(row.name)}`).join(', ')}`,
      { hint: `Write the schema too, for example ${first.schema}.${wanted.name}.` },
    );
  }
  return toRelation(first);
}

async function nearMiss(
  client: Queryable,
  wanted: ObjectName,
  what: 'table' | 'index',
  kinds: readonly string[],
): Promise<Missing> {
  const message = `${what} ${showName(wanted)} does not exist`;
  const all = await client.query<Candidate>(ALL_NAMES, [kinds]);
  const elsewhere = all.find((row) => row.name === wanted.name);
  if (elsewhere !== undefined) {
    const where = `${identifier(elsewhere.schema)}.${identifier(elsewhere.name)}`;
    return { message, hint: `${where} exists, wanted ${showName(wanted)}.` };
  }
  // The same schema first; a name in another one is still worth telling.
  const own = all.filter((row) => row.schema === (wanted.schema ?? 'public'));
  const name =
    closest(
      wanted.name,
      own.map((row) => row.name),
    ) ??
    closest(
      wanted.name,
      all.map((row) => row.name),
    );
  const close = own.find((row) => row.name === name) ?? all.find((row) => row.name === name);
  if (close !== undefined) return { message, hint: `${showName(close)} exists, wanted ${showName(wanted)}.` };
  return all.length === 0 ? { message, hint: `The database has no ${what} at all.` } : { message };
}

/** The name meant by a wrong one: equal but for case, else at most two letters off in a name long enough for that to mean something. */
export function closest(wanted: string, names: readonly string[]): string | undefined {
  const folded = wanted.toLowerCase();
  const sameLetters = names.find((name) => name.toLowerCase() === folded);
  if (sameLetters !== undefined) return sameLetters;
  const allowed = wanted.length < 4 ? 0 : wanted.length < 8 ? 1 : 2;
  let best: { name: string; distance: number } | undefined;
  for (const name of names) {
    const away = distance(folded, name.toLowerCase());
    if (away <= allowed && (best === undefined || away < best.distance)) best = { name, distance: away };
  }
  return best?.name;
}

function toRelation(row: Candidate): Relation {
  const { oid, schema, name, kind } = row;
  return { oid, schema, name, kind, sql: `${identifier(schema)}.${identifier(name)}` };
}

/** One snapshot never changes, so what was looked up once holds for the life of the client. */
const caches = new WeakMap<Queryable, Map<string, Promise<unknown>>>();

function cached<T>(client: Queryable, key: string, load: () => Promise<T>): Promise<T> {
  let cache = caches.get(client);
  if (cache === undefined) {
    cache = new Map();
    caches.set(client, cache);
  }
  const known = cache.get(key) as Promise<T> | undefined;
  if (known !== undefined) return known;
  const loading = load();
  cache.set(key, loading);
  loading.catch(() => cache.delete(key));
  return loading;
}
