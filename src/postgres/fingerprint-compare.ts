/** Holding a database against the fingerprint of a backup. */
import { BackplanError } from '../errors.ts';
import type { Inventory } from '../repository/inventory.ts';
import type { Fingerprint, TableFingerprint } from '../repository/manifest.ts';
import type { Progress } from '../runs/record.ts';
import { type Client, identifier } from './client.ts';
import { loadColumns } from './columns.ts';
import { type DataTable, listDataTables, listSequences, nameTest } from './data-tables.ts';
import { countRows, measureTable, readSequences } from './fingerprint.ts';
import { hasLane, LANE_VERSION, ROW_LANE } from './lanes.ts';
import { countLargeObjects, sumLargeObjects } from './large-objects.ts';
import { parseName, showName } from './object-name.ts';
import { takeInventory } from './schema-inventory.ts';
import { compareInventory, type ObjectDifference } from './schema-inventory-compare.ts';
import { beginSnapshot } from './snapshot.ts';
import { countTenants, describeTenants } from './tenant-counts.ts';

export type DifferenceKind =
  | 'tableMissing'
  | 'tableExtra'
  | 'rows'
  | 'content'
  | 'columns'
  | 'sequence'
  | 'largeObjects'
  | ObjectDifference['kind'];

/** One thing that is not as the backup says. */
export interface Difference {
  readonly kind: DifferenceKind;
  /** The table or sequence, quoted, or the kind and name of another object; absent for large objects. */
  readonly object?: string;
  /** One line. */
  readonly message: string;
  readonly columns?: readonly string[];
  readonly expected?: string;
  readonly actual?: string;
}

export interface Comparison {
  readonly differences: readonly Difference[];
  /** Tables whose rows were counted. */
  readonly tables: number;
  /** Tables whose content was hashed. */
  readonly content: number;
  readonly sequences: number;
  /** Objects of the schema that were compared; 0 where the backup has no inventory. */
  readonly objects: number;
  /** Tables whose content the backup knows but this database would not tell. */
  readonly unread: readonly { readonly object: string; readonly reason: string }[];
}

export interface CompareOptions {
  /** Tables that may differ, as the plan writes names. */
  readonly except?: readonly string[];
  /** Tables that the fingerprint does not know are a difference. Only right when the backup is whole. Default true. */
  readonly extras?: boolean;
  /** The fingerprint was taken on a standby, which cannot read unlogged tables. */
  readonly ignoreUnlogged?: boolean;
  /** The schema as it was: what is missing, added or different in it is a difference too. */
  readonly inventory?: Inventory;
  /** What the restore left out on purpose. */
  readonly without?: { readonly owners?: boolean; readonly grants?: boolean; readonly database?: boolean };
  /** Part of the backup was restored. */
  readonly partial?: boolean;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: Progress) => void;
}

/**
 * Measures the database in a snapshot of its own and lists what differs. The client must not be in a transaction.
 * @throws CHECKS_INCONCLUSIVE when the fingerprint says nothing or was made by rules unknown here; QUERY_FAILED
 */
export async function compareFingerprint(
  client: Client,
  fingerprint: Fingerprint,
  options: CompareOptions = {},
): Promise<Comparison> {
  if (fingerprint.kind === 'none' && options.inventory === undefined) {
    throw new BackplanError('CHECKS_INCONCLUSIVE', 'the backup has no fingerprint to compare with', {
      hint: 'Set fingerprint: content (or counts) in the backup step; it counts for backups made from then on.',
    });
  }
  if (fingerprint.kind === 'content' && fingerprint.laneVersion !== LANE_VERSION) {
    throw new BackplanError(
      'CHECKS_INCONCLUSIVE',
      `the fingerprint was made by lane version ${fingerprint.laneVersion}, this backplan knows ${LANE_VERSION}`,
      { hint: 'Use a version of backplan that is at least as new as the one that made the backup.' },
    );
  }
  await beginSnapshot(client);
  try {
    return await compareInTransaction(client, fingerprint, options);
  } finally {
    await client.query('ROLLBACK').catch(() => {});
  }
}

/** The same in the transaction that the caller has open, in which CANONICAL_SETTINGS are in force. */
export async function compareInTransaction(
  client: Client,
  fingerprint: Fingerprint,
  options: CompareOptions = {},
): Promise<Comparison> {
  const present = await listDataTables(client);
  const all = [
    ...fingerprint.tables.map(({ schema, table }) => ({ schema, name: table })),
    ...present.map(({ schema, table }) => ({ schema, name: table })),
  ];
  const exceptions = (options.except ?? []).map((text) => nameTest(text, all));
  const excepted = (schema: string, name: string) => exceptions.some((test) => test({ schema, name }));
  const data = await compare(client, fingerprint, options, present, excepted);
  return options.inventory === undefined
    ? data
    : await withObjects(client, data, options.inventory, options, excepted);
}

/** Whether a table may differ. */
type Excepted = (schema: string, name: string) => boolean;

/** What the schema lacks is told once: by the data where it shows there, else by the inventory. */
async function withObjects(
  client: Client,
  data: Comparison,
  inventory: Inventory,
  options: CompareOptions,
  excepted: Excepted,
): Promise<Comparison> {
  const objects = compareInventory(inventory, await takeInventory(client), {
    extras: options.extras !== false,
    ignoreOwners: options.without?.owners === true,
    ignoreGrants: options.without?.grants === true,
    ignoreDatabase: options.without?.database === true,
    partial: options.partial === true,
    excepted: (table) => {
      const { schema = 'public', name } = parseName(table);
      return excepted(schema, name);
    },
  });
  const told = new Set(data.differences.map(({ object }) => object));
  return {
    ...data,
    differences: [
      ...data.differences.filter(({ kind }) => kind !== 'columns'),
      ...objects.filter(
        ({ kind, object, table }) =>
          kind === 'object' || !/^(?:table|sequence) /.test(object) || !told.has(table ?? ''),
      ),
    ],
    objects: Object.values(inventory.objects)
      .flatMap((byTable) => Object.values(byTable))
      .reduce((sum, byName) => sum + Object.keys(byName).length, 0),
  };
}

async function compare(
  client: Client,
  fingerprint: Fingerprint,
  options: CompareOptions,
  present: readonly DataTable[],
  excepted: Excepted,
): Promise<Comparison> {
  const differences: Difference[] = [];
  const unread: { object: string; reason: string }[] = [];
  const expected = fingerprint.tables.filter(({ schema, table }) => !excepted(schema, table));
  const found = await findTables(client, present, expected);
  const contents = expected.filter((table) => table.lanes !== undefined && found.has(table));
  const counted = expected.filter((table) => table.lanes === undefined && found.has(table));
  const columns = await loadColumns(
    client,
    contents.map((table) => found.get(table)?.oid).filter((oid) => oid !== undefined),
  );
  const counts = await countRows(
    client,
    counted.map((table) => found.get(table)).filter((table) => table !== undefined),
  );
  let done = 0;
  for (const table of expected) {
    const actual = found.get(table);
    const object = showName({ schema: table.schema, name: table.table });
    if (actual === undefined) {
      differences.push({ kind: 'tableMissing', object, message: `table ${object} is missing` });
    } else if (table.lanes === undefined) {
      differences.push(...compareRows(object, table.rows, counts[counted.indexOf(table)] ?? 0));
    } else {
      const own = columns.get(actual.oid) ?? [];
      // The seed of the source: with a lost or changed primary key the sums would differ for no other reason.
      const seed = (table.seed ?? []).filter((name) =>
        own.some((column) => column.name === name && hasLane(column)),
      );
      const onSkipped = (_table: string, reason: string) => unread.push({ object, reason });
      const measured = await measureTable(client, actual, own, seed, { onSkipped });
      differences.push(
        ...(measured.lanes === undefined
          ? compareRows(object, table.rows, measured.rows)
          : compareLanes(object, table, measured)),
      );
    }
    done += 1;
    options.onProgress?.({ done, total: expected.length, unit: 'objects', note: table.table });
  }
  await nameTenants(client, expected, found, differences);
  // Without a fingerprint the inventory tells which tables are too many.
  if (options.extras !== false && fingerprint.kind !== 'none') {
    const known = new Set(fingerprint.tables.map(key));
    const skip = (table: DataTable) => table.unlogged && options.ignoreUnlogged === true;
    for (const table of present) {
      if (known.has(key(table)) || excepted(table.schema, table.table) || skip(table)) continue;
      const object = showName({ schema: table.schema, name: table.table });
      differences.push({ kind: 'tableExtra', object, message: `table ${object} is not in the backup` });
    }
  }
  const sequences = (fingerprint.sequences ?? []).filter(({ schema, name }) => !excepted(schema, name));
  differences.push(...(await compareSequences(client, sequences)));
  if (fingerprint.largeObjects !== undefined) {
    const actual = await countLargeObjects(client);
    if (actual !== fingerprint.largeObjects) {
      differences.push({
        kind: 'largeObjects',
        message: `${actual} large objects, ${fingerprint.largeObjects} in the backup`,
        expected: String(fingerprint.largeObjects),
        actual: String(actual),
      });
    } else if (fingerprint.largeObjectContent !== undefined) {
      const content = await sumLargeObjects(client);
      if ('reason' in content) {
        unread.push({ object: 'large objects', reason: content.reason });
      } else if (content.sum !== fingerprint.largeObjectContent) {
        differences.push({
          kind: 'largeObjects',
          message: 'the bytes of large objects differ, or the same bytes belong to other objects',
        });
      }
    }
  }
  return {
    differences,
    tables: found.size,
    content: contents.length - unread.filter(({ object }) => object !== 'large objects').length,
    sequences: sequences.length,
    objects: 0,
    unread,
  };
}

/** Says whose rows differ, where the backup counted them per tenant; that may be all that differs. */
async function nameTenants(
  client: Client,
  expected: readonly TableFingerprint[],
  found: ReadonlyMap<TableFingerprint, DataTable>,
  differences: Difference[],
): Promise<void> {
  for (const table of expected) {
    const actual = found.get(table);
    if (actual === undefined || table.tenants === undefined) continue;
    const counts = await countTenants(client, [actual], table.tenants.column);
    const said = describeTenants(table.tenants, counts.get(actual.oid));
    if (said === undefined) continue;
    const object = showName({ schema: table.schema, name: table.table });
    const told = differences.findIndex((each) => each.object === object && each.kind !== 'columns');
    const known = differences[told];
    if (known === undefined) differences.push({ kind: 'rows', object, message: `rows of ${object} ${said}` });
    else differences[told] = { ...known, message: `${known.message}; ${said}` };
  }
}

/** Each table of the fingerprint as it is here; single partitions are looked up too. */
async function findTables(
  client: Client,
  present: readonly DataTable[],
  expected: readonly TableFingerprint[],
): Promise<Map<TableFingerprint, DataTable>> {
  const byName = new Map(present.map((table) => [key(table), table]));
  const others = expected.filter((table) => !byName.has(key(table)));
  if (others.length > 0) {
    const rows = await client.query<{ oid: number; schema: string; name: string; kind: string }>(
      `SELECT c.oid, n.nspname AS schema, c.relname AS name, c.relkind AS kind
       FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
       JOIN unnest($1::pg_catalog.text[], $2::pg_catalog.text[]) AS w(schema, name)
         ON w.schema = n.nspname AND w.name = c.relname
       WHERE c.relkind IN ('r', 'p')`,
      [others.map((table) => table.schema), others.map((table) => table.table)],
    );
    for (const { oid, schema, name, kind } of rows) {
      const sql = `${identifier(schema)}.${identifier(name)}`;
      const from = kind === 'r' ? `ONLY ${sql}` : sql;
      byName.set(key({ schema, table: name }), { oid, schema, table: name, from, key: [], unlogged: false });
    }
  }
  return new Map(
    expected.flatMap((table) => {
      const found = byName.get(key(table));
      return found === undefined ? [] : [[table, found] as const];
    }),
  );
}

function key(table: { readonly schema: string; readonly table: string }): string {
  return `${identifier(table.schema)}.${identifier(table.table)}`;
}

function compareRows(object: string, expected: number, actual: number): Difference[] {
  if (expected === actual) return [];
  const by = Math.abs(expected - actual);
  return [
    {
      kind: 'rows',
      object,
      message: `${object} has ${actual} row${actual === 1 ? '' : 's'}, ${expected} in the backup: ${by} ${actual < expected ? 'missing' : 'more'}`,
      expected: String(expected),
      actual: String(actual),
    },
  ];
}

function compareLanes(object: string, expected: TableFingerprint, actual: TableFingerprint): Difference[] {
  const rows = compareRows(object, expected.rows, actual.rows);
  // With other rows every sum differs; that says nothing more.
  if (rows.length > 0) return rows;
  const [was, is] = [expected.lanes ?? {}, actual.lanes ?? {}];
  const names = (lanes: Readonly<Record<string, string>>) =>
    Object.keys(lanes).filter((name) => name !== ROW_LANE);
  const gone = names(was).filter((name) => !Object.hasOwn(is, name));
  const added = names(is).filter((name) => !Object.hasOwn(was, name));
  const changed = names(was).filter((name) => Object.hasOwn(is, name) && was[name] !== is[name]);
  const differences: Difference[] = [];
  if (gone.length + added.length > 0) {
    const parts = [
      gone.length === 0 ? undefined : `column ${gone.map(identifier).join(', ')} is missing`,
      added.length === 0 ? undefined : `column ${added.map(identifier).join(', ')} is not in the backup`,
    ].filter((part) => part !== undefined);
    differences.push({
      kind: 'columns',
      object,
      message: `${object}: ${parts.join('; ')}`,
      columns: [...gone, ...added],
    });
  }
  const keys = expected.seed ?? [];
  const changedKeys = keys.filter((name) => changed.includes(name) || gone.includes(name));
  const content = changedKeys.length > 0 ? changedKeys : changed;
  if (content.length > 0) {
    const what = content.map((name) => `${object}.${identifier(name)}`).join(', ');
    differences.push({
      kind: 'content',
      object,
      message:
        changedKeys.length > 0
          ? `the keys in ${what} differ: other rows, or rows under other keys`
          : `the content of ${what} differs`,
      columns: content,
    });
  } else if (differences.length === 0 && keys.length === 0 && was[ROW_LANE] !== is[ROW_LANE]) {
    differences.push({
      kind: 'content',
      object,
      message: `${object} holds the same values in every column, but in other rows`,
      columns: [],
    });
  }
  return differences;
}

async function compareSequences(
  client: Client,
  expected: NonNullable<Fingerprint['sequences']>,
): Promise<Difference[]> {
  const present = await listSequences(client);
  const named = (sequence: { readonly schema: string; readonly name: string }) =>
    key({ schema: sequence.schema, table: sequence.name });
  const known = new Map(present.map((sequence) => [named(sequence), sequence]));
  const wanted = expected.filter((sequence) => known.has(named(sequence)));
  const read = await readSequences(
    client,
    wanted.map((sequence) => known.get(named(sequence))).filter((sequence) => sequence !== undefined),
  );
  const actual = new Map(read.map((sequence) => [named(sequence), sequence]));
  return expected.flatMap((was): Difference[] => {
    const is = actual.get(named(was));
    const object = showName(was);
    if (is === undefined) return [{ kind: 'sequence', object, message: `sequence ${object} is missing` }];
    const [from, to] = [BigInt(was.lastValue), BigInt(is.lastValue)];
    const descending = known.get(named(was))?.increment.startsWith('-') === true;
    const behind = (descending ? to > from : to < from) || (to === from && was.isCalled && !is.isCalled);
    if (!behind) return [];
    // It would hand out values that are taken.
    const state = (last: bigint, called: boolean) => `${last}${called ? '' : ' (not yet used)'}`;
    return [
      {
        kind: 'sequence',
        object,
        message: `sequence ${object} stands at ${state(to, is.isCalled)}, in the backup at ${state(from, was.isCalled)}: it is behind`,
        expected: was.lastValue,
        actual: is.lastValue,
      },
    ];
  });
}
