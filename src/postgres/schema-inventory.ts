/** Takes the inventory of a database: its schema, object by object, with what can be lost of each. */
import type { Inventory, InventoryAttributes } from '../repository/inventory.ts';
import { type Client, identifier } from './client.ts';
import { isWhole, type Named, type Selection, selector } from './data-tables.ts';
import { shortenExpression, shortenText } from './definition-text.ts';
import { showName } from './object-name.ts';
import { inventoryQueries } from './schema-inventory-sql.ts';

interface ObjectRow extends Record<string, unknown> {
  readonly kind: string;
  readonly schema: string | null;
  readonly relation?: string | null;
  readonly name: string;
  /** Of routines. */
  readonly arguments?: string;
  /** The table whose column owns a sequence. */
  readonly of_table?: string | null;
  readonly of_schema?: string | null;
  readonly a: Readonly<Record<string, string | number | boolean | readonly string[] | null>>;
}

/** Attributes that are expressions, which PostgreSQL may write back in another form. */
const EXPRESSIONS: ReadonlySet<string> = new Set([
  'expression',
  'default',
  'using',
  'check',
  'partitionBound',
]);
const RELATIONS: ReadonlySet<string> = new Set(['table', 'foreign table', 'view', 'materialized view']);

/** Whether an attribute is the text of an expression. */
export function isExpression(attribute: string): boolean {
  return EXPRESSIONS.has(attribute);
}

/**
 * The objects that a dump with this selection carries, members of extensions left out. To be called inside a
 * transaction in which CANONICAL_SETTINGS are in force: names must come out qualified. Needs no special right.
 * @throws QUERY_FAILED
 */
export async function takeInventory(client: Client, selection: Selection = {}): Promise<Inventory> {
  const objects = new Map<string, Map<string, Map<string, InventoryAttributes>>>();
  // Views are locked to be written out; the savepoint gives the locks back.
  await client.query('SAVEPOINT backplan_inventory');
  try {
    if (selection.only !== 'data') {
      const rows: ObjectRow[] = [];
      for (const sql of inventoryQueries(client.serverVersion))
        rows.push(...(await client.query<ObjectRow>(sql)));
      const carried = isWhole(selection) ? () => true : await carriedBy(client, selection, rows);
      for (const row of rows) {
        if (!carried(row) || (row.kind === 'large objects' && selection.only === 'schema')) continue;
        const on = row.relation == null ? '' : showName({ schema: row.schema ?? '', name: row.relation });
        const byTable = getOrAdd(objects, row.kind);
        getOrAdd(byTable, on).set(nameOf(row), compact(row.a, selection));
      }
    }
  } finally {
    await client
      .query('ROLLBACK TO SAVEPOINT backplan_inventory; RELEASE SAVEPOINT backplan_inventory')
      .catch(() => {});
  }
  return {
    inventoryVersion: 1,
    serverVersionNum: client.serverVersion,
    objects: sorted(objects, (byTable) => sorted(byTable, (byName) => sorted(byName, (each) => each))),
  };
}

function nameOf({ kind, schema, relation, name, arguments: parameters = '' }: ObjectRow): string {
  if (relation != null) return identifier(name);
  if (schema !== null) return `${showName({ schema, name })}${parameters}`;
  // Names of these kinds are put together by the query or by PostgreSQL itself.
  return ['schema', 'extension', 'event trigger', 'publication', 'foreign server'].includes(kind)
    ? identifier(name)
    : name;
}

function compact(all: ObjectRow['a'], selection: Selection): InventoryAttributes {
  const attributes: [string, string | number | boolean | readonly string[]][] = [];
  for (const [name, value] of Object.entries(all)) {
    // Without rows a materialized view stays as it was made.
    if (value === null || value === false || (name === 'unpopulated' && selection.only === 'schema'))
      continue;
    attributes.push([
      name,
      typeof value !== 'string' ? value : isExpression(name) ? shortenExpression(value) : shortenText(value),
    ]);
  }
  return Object.fromEntries(attributes);
}

/** Which objects pg_dump carries when it is told to leave some out. */
async function carriedBy(
  client: Client,
  selection: Selection,
  rows: readonly ObjectRow[],
): Promise<(row: ObjectRow) => boolean> {
  const relations = rows.filter(({ kind }) => RELATIONS.has(kind) || kind === 'sequence');
  const named = relations.map(({ schema, name }) => ({ schema: schema ?? '', name }));
  const matches = selector(named, { ...selection, excludeData: [] });
  const parents = await partitionParents(client);
  const lineage = (table: Named): Named[] => {
    const parent = parents.get(showName(table));
    return parent === undefined ? [table] : [table, ...lineage(parent)];
  };
  const some = (list: readonly string[] | undefined) => list !== undefined && list.length > 0;
  const [schemas, tables] = [some(selection.schemas), some(selection.tables)];
  return (row) => {
    const { kind, schema, relation, name, of_schema, of_table } = row;
    if (relation != null) return matches(lineage({ schema: schema ?? '', name: relation }));
    if (of_schema != null && of_table != null) return matches(lineage({ schema: of_schema, name: of_table }));
    if (RELATIONS.has(kind) || kind === 'sequence') return matches(lineage({ schema: schema ?? '', name }));
    // A comment may be on what was left out.
    if (tables || kind === 'comment' || kind === 'publication') return false;
    if (!schemas || kind === 'setting') return true;
    return selection.schemas?.includes(schema ?? (kind === 'schema' ? name : '')) === true;
  };
}

async function partitionParents(client: Client): Promise<Map<string, Named>> {
  const rows = await client.query<Record<'schema' | 'name' | 'parent_schema' | 'parent', string>>(
    `SELECT cn.nspname AS schema, c.relname AS name, pn.nspname AS parent_schema, p.relname AS parent
     FROM pg_catalog.pg_inherits i
     JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid JOIN pg_catalog.pg_namespace cn ON cn.oid = c.relnamespace
     JOIN pg_catalog.pg_class p ON p.oid = i.inhparent JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace
     WHERE c.relispartition AND c.relkind <> 'i' AND c.relkind <> 'I'`,
  );
  return new Map(
    rows.map(({ schema, name, parent_schema, parent }) => [
      showName({ schema, name }),
      { schema: parent_schema, name: parent },
    ]),
  );
}

function getOrAdd<V>(map: Map<string, Map<string, V>>, key: string): Map<string, V> {
  const found = map.get(key) ?? new Map<string, V>();
  map.set(key, found);
  return found;
}

/** As a plain object in a fixed order. */
function sorted<V, R>(map: ReadonlyMap<string, V>, each: (value: V) => R): Record<string, R> {
  return Object.fromEntries(
    [...map].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)).map(([name, value]) => [name, each(value)]),
  );
}
