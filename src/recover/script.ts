/** Findings → the statements that bring rows back, in an order that every foreign key accepts. */
import { BackplanError } from '../errors.ts';
import { identifier } from '../postgres/client.ts';
import type { Findings, TableRows } from './find-rows.ts';
import { type Row, valueSql } from './rows.ts';
import type { RecoveryReference, Tables } from './tables.ts';

export interface ScriptOptions {
  /** Rows that differ become what they were. */
  readonly overwrite: boolean;
}

/** Rows of one INSERT: a reference inside a table then needs no order, because it is checked when all are there. */
const ROWS_PER_LINE = '\n  ';

/** @throws INPUT_INVALID when tables refer to each other in a circle that cannot be opened */
export function recoveryStatements(
  { tables }: Findings,
  family: Tables,
  { overwrite }: ScriptOptions,
): string[] {
  const used = [...tables.values()].filter(({ missing }) => missing.length > 0);
  const { order, late } = sort(used, family.references);
  const statements: string[] = [];
  if (family.references.some(({ deferrable }) => deferrable)) statements.push('SET CONSTRAINTS ALL DEFERRED');
  for (const rows of order) statements.push(insert(rows, late.get(rows.table.oid) ?? []));
  for (const rows of order) {
    const columns = late.get(rows.table.oid) ?? [];
    for (const row of rows.missing) {
      const some = columns.filter((column) => row.get(column) !== null);
      if (some.length > 0) statements.push(update(rows, row, some, []));
    }
  }
  for (const rows of tables.values()) {
    for (const { row, columns } of rows.detached) statements.push(update(rows, row, columns, columns));
    if (!overwrite) continue;
    for (const { backup, columns } of rows.differing) statements.push(update(rows, backup, columns, []));
  }
  return statements;
}

/** The key's conflict is the only one that may be passed over in silence: somebody was faster. */
function insert({ table, columns, missing }: TableRows, late: readonly string[]): string {
  const rows = missing.map(
    (row) =>
      `(${columns.map((column) => (late.includes(column) ? 'NULL' : valueSql(row.get(column)))).join(', ')})`,
  );
  return (
    `INSERT INTO ${table.sql} (${columns.map(identifier).join(', ')}) OVERRIDING SYSTEM VALUE VALUES${ROWS_PER_LINE}` +
    rows.join(`,${ROWS_PER_LINE}`) +
    (table.immediate ? `\nON CONFLICT (${(table.key ?? []).map(identifier).join(', ')}) DO NOTHING` : '')
  );
}

/** @param empty columns that must still be NULL */
function update(
  { table }: TableRows,
  row: Row,
  columns: readonly string[],
  empty: readonly string[],
): string {
  const set = columns.map((column) => `${identifier(column)} = ${valueSql(row.get(column))}`);
  const where = [
    ...(table.key ?? []).map((column) => `${identifier(column)} = ${valueSql(row.get(column))}`),
    ...empty.map((column) => `${identifier(column)} IS NULL`),
  ];
  return `UPDATE ${table.sql} SET ${set.join(', ')} WHERE ${where.join(' AND ')}`;
}

/** Parents first. A circle is opened where a constraint can wait, or where a column can be filled in afterwards. */
function sort(
  used: readonly TableRows[],
  all: readonly RecoveryReference[],
): { order: TableRows[]; late: Map<number, string[]> } {
  const byOid = new Map(used.map((rows) => [rows.table.oid, rows]));
  let edges = all.filter(
    ({ child, parent, deferrable }) =>
      child !== parent && byOid.has(child) && byOid.has(parent) && !deferrable,
  );
  const late = new Map<number, string[]>();
  const order: TableRows[] = [];
  const waiting = new Set(byOid.keys());
  while (waiting.size > 0) {
    const ready = [...waiting].filter(
      (oid) => !edges.some(({ child, parent }) => child === oid && waiting.has(parent)),
    );
    for (const oid of ready) {
      order.push(byOid.get(oid) as TableRows);
      waiting.delete(oid);
    }
    if (ready.length > 0) continue;
    const open = edges.find(({ child, parent, columns }) => {
      const table = byOid.get(child)?.table;
      const canWait = columns.every(
        (name) => table?.columns.find((each) => each.name === name)?.notNull === false,
      );
      return canWait && waiting.has(child) && waiting.has(parent) && inCircle(child, parent, edges, waiting);
    });
    if (open === undefined) {
      const names = [...waiting].map((oid) => byOid.get(oid)?.table.sql ?? '').join(', ');
      throw new BackplanError('INPUT_INVALID', `${names} refer to each other, and none of it can wait`, {
        hint: 'Make one of those foreign keys DEFERRABLE, or its columns nullable for the time of the recovery.',
      });
    }
    late.set(open.child, [...(late.get(open.child) ?? []), ...open.columns]);
    edges = edges.filter((edge) => edge !== open);
  }
  return { order, late };
}

/** Whether the parent of an edge depends on its child. */
function inCircle(
  child: number,
  parent: number,
  edges: readonly RecoveryReference[],
  waiting: ReadonlySet<number>,
): boolean {
  const reached = new Set([parent]);
  for (const oid of reached) {
    for (const edge of edges) if (edge.child === oid && waiting.has(edge.parent)) reached.add(edge.parent);
  }
  return reached.has(child);
}
