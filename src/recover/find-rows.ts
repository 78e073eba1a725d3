/**
 * What of a backup is not in production: starting from the rows that were asked for, down to what was deleted along
 * with them (ON DELETE CASCADE) or lost its reference (SET NULL), and up to the parents that they cannot do without.
 */
import { BackplanError } from '../errors.ts';
import { type Client, identifier } from '../postgres/client.ts';
import { type Row, readByValues, readRows, textOf, tupleOf } from './rows.ts';
import type { RecoveryReference, RecoveryTable, Tables } from './tables.ts';

/** A row that is in both, and differs. */
interface Differing {
  readonly backup: Row;
  readonly live: Row;
  readonly columns: readonly string[];
}

export interface TableRows {
  readonly table: RecoveryTable;
  /** That both sides have and that can be written. */
  readonly columns: readonly string[];
  /** In the backup, not in production. */
  readonly missing: Row[];
  readonly differing: Differing[];
  readonly identical: number;
  /** References that SET NULL took from rows that are still there. */
  readonly detached: { readonly row: Row; readonly columns: readonly string[] }[];
}

export interface Findings {
  readonly tables: ReadonlyMap<number, TableRows>;
  /** Why some of it cannot be inserted. */
  readonly conflicts: readonly string[];
}

export interface FindOptions {
  readonly live: Client;
  readonly copy: Client;
  readonly family: Tables;
  readonly start: number;
  /** SQL over the table, called t. */
  readonly where: string;
  readonly children: boolean;
  readonly limit: number;
}

/** @throws INPUT_INVALID for tables without a key, and for too many rows */
export async function findRows(options: FindOptions): Promise<Findings> {
  const search = new Search(options);
  await search.seed();
  await search.close();
  return { tables: search.tables, conflicts: await search.conflicts() };
}

class Search {
  readonly tables = new Map<number, TableRows & { identical: number }>();
  readonly #options: FindOptions;
  readonly #seen = new Map<number, Set<string>>();
  /** Missing rows whose relatives were not looked at yet. */
  readonly #open: { readonly oid: number; readonly rows: Row[] }[] = [];
  readonly #conflicts: string[] = [];
  #total = 0;

  constructor(options: FindOptions) {
    this.#options = options;
  }

  async seed(): Promise<void> {
    const { copy, start, where, limit } = this.#options;
    const found = await this.#table(start);
    await this.#take(start, await readRows(copy, found.table, found.columns, `(${where}\n)`, limit));
  }

  async close(): Promise<void> {
    for (let next = this.#open.shift(); next !== undefined; next = this.#open.shift()) {
      for (const reference of this.#options.family.references) {
        if (reference.child === next.oid) await this.#parents(reference, next.rows);
        if (this.#options.children && reference.parent === next.oid)
          await this.#followers(reference, next.rows);
      }
    }
  }

  /** Other unique keys that somebody has taken meanwhile. */
  async conflicts(): Promise<string[]> {
    for (const { table, missing } of this.tables.values()) {
      for (const { columns, name } of table.otherKeys) {
        const tuples = missing.map((row) => tupleOf(row, columns));
        const taken = await readByValues(this.#options.live, table, columns, columns, tuples);
        for (const row of taken) {
          this.#conflicts.push(
            `${table.sql}: production has another row with ${show(row, columns)} (${identifier(name)})`,
          );
        }
      }
    }
    return this.#conflicts;
  }

  async #table(oid: number): Promise<TableRows & { identical: number }> {
    const known = this.tables.get(oid);
    if (known !== undefined) return known;
    const table = this.#options.family.byOid.get(oid) as RecoveryTable;
    if (table.key === undefined) {
      throw new BackplanError('INPUT_INVALID', `${table.sql} has no key that tells its rows apart`, {
        hint: 'Rows can be recovered in tables with a primary key, or a unique key of columns that are NOT NULL.',
      });
    }
    const [row] = await this.#options.copy.query<{ columns: string[] | null }>(
      `SELECT ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a
         WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns
       FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
       WHERE n.nspname = $1 AND c.relname = $2`,
      [table.schema, table.name],
    );
    const there = new Set(row?.columns ?? []);
    const columns = table.columns
      .filter(({ name, generated }) => generated === '' && there.has(name))
      .map(({ name }) => name);
    if (!table.key.every((column) => columns.includes(column))) {
      throw new BackplanError(
        'INPUT_INVALID',
        `the backup has no ${table.sql} with the key ${table.key.join(', ')}`,
        {
          hint: 'Choose a backup that was made after the table got its key.',
        },
      );
    }
    const rows = { table, columns, missing: [], differing: [], identical: 0, detached: [] };
    this.tables.set(oid, rows);
    return rows;
  }

  /** Compares rows of the backup with production; those that are missing will have relatives. */
  async #take(oid: number, rows: readonly Row[]): Promise<void> {
    const found = await this.#table(oid);
    const key = found.table.key ?? [];
    const seen = this.#seen.get(oid) ?? new Set();
    this.#seen.set(oid, seen);
    const fresh = rows.filter((row) => !seen.has(textOf(row, key)));
    for (const row of fresh) seen.add(textOf(row, key));
    this.#total += fresh.length;
    if (this.#total > this.#options.limit) {
      throw new BackplanError('INPUT_INVALID', `more than ${this.#options.limit} rows are concerned`, {
        hint: 'Narrow the condition, or raise the limit.',
      });
    }
    const live = await this.#live(found, fresh);
    const missing = fresh.filter((row) => !live.has(textOf(row, key)));
    for (const row of fresh) {
      const other = live.get(textOf(row, key));
      if (other === undefined) continue;
      const columns = found.columns.filter((column) => row.get(column) !== other.get(column));
      if (columns.length === 0) found.identical++;
      else found.differing.push({ backup: row, live: other, columns });
    }
    found.missing.push(...missing);
    if (missing.length > 0) this.#open.push({ oid, rows: missing });
  }

  async #live({ table, columns }: TableRows, rows: readonly Row[]): Promise<Map<string, Row>> {
    const key = table.key ?? [];
    const found = await readByValues(
      this.#options.live,
      table,
      columns,
      key,
      rows.map((row) => tupleOf(row, key)),
    );
    return new Map(found.map((row) => [textOf(row, key), row]));
  }

  /** What the rows refer to must be in production, or come along. */
  async #parents(reference: RecoveryReference, rows: readonly Row[]): Promise<void> {
    const parent = await this.#table(reference.parent);
    const wanted = new Map(
      rows
        .map((row) => tupleOf(row, reference.columns))
        .filter((tuple) => !tuple.includes(null))
        .map((tuple) => [JSON.stringify(tuple), tuple]),
    );
    const columns = reference.parentColumns;
    const there = await readByValues(this.#options.live, parent.table, columns, columns, [
      ...wanted.values(),
    ]);
    for (const row of there) wanted.delete(textOf(row, columns));
    if (wanted.size === 0) return;
    const lost = await readByValues(this.#options.copy, parent.table, parent.columns, columns, [
      ...wanted.values(),
    ]);
    for (const row of lost) wanted.delete(textOf(row, columns));
    for (const tuple of wanted.keys()) {
      this.#conflicts.push(
        `${parent.table.sql}: neither production nor the backup has the row ${columns.join(', ')} = ${tuple} that ${identifier(reference.name)} needs`,
      );
    }
    await this.#take(reference.parent, lost);
  }

  /** What was deleted along, or lost its reference. */
  async #followers(reference: RecoveryReference, rows: readonly Row[]): Promise<void> {
    if (!/[cnd]/.test(reference.onDelete)) return;
    const child = await this.#table(reference.child);
    const followers = await readByValues(
      this.#options.copy,
      child.table,
      child.columns,
      reference.columns,
      rows.map((row) => tupleOf(row, reference.parentColumns)),
    );
    if (reference.onDelete === 'c') {
      await this.#take(reference.child, followers);
      return;
    }
    // Only rows that nobody has touched otherwise: what was written since is newer than the backup.
    const live = await this.#live(child, followers);
    for (const row of followers) {
      const other = live.get(textOf(row, child.table.key ?? []));
      const differing = child.columns.filter((column) => row.get(column) !== other?.get(column));
      const onlyReference = differing.every((column) => reference.columns.includes(column));
      const isNull = reference.columns.every((column) => other?.get(column) === null);
      if (other !== undefined && differing.length > 0 && onlyReference && isNull) {
        child.detached.push({ row, columns: differing });
      }
    }
  }
}

/** For people: `email = "a@b"`. */
export function show(row: Row, columns: readonly string[]): string {
  return columns.map((column) => `${column} = ${JSON.stringify(row.get(column) ?? null)}`).join(', ');
}
