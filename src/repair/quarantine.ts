/** Moving rows out of a table without losing them: into a table of the quarantine schema, with why and when. */

import type { Relation } from '../checks/names.ts';
import { showName } from '../checks/names.ts';
import { type Client, identifier, literal } from '../postgres/client.ts';
import { REFERENCE_OPERATORS, REFERENCED_COLUMNS, REFERRING_COLUMNS } from '../postgres/reference-columns.ts';
import { runTail } from '../runs/run-id.ts';

export interface Move {
  /** In order. */
  readonly statements: readonly string[];
  /** Set when rows of other tables would go or change along with the moved ones. */
  readonly refused?: { readonly why: string; readonly hint: string };
}

/**
 * Statements that move the rows whose (tableoid, ctid) `losers` selects. Rows of other tables that refer to them are
 * never deleted or changed along: where a foreign key would do that, the move is refused.
 * @param losers a SELECT of tableoid and ctid
 * @param why kept with every row
 */
export async function moveRows(
  client: Client,
  table: Relation,
  losers: string,
  why: string,
  options: { readonly schema: string; readonly run: string },
): Promise<Move> {
  const followers = await followersOf(client, table, losers);
  const target = `${identifier(options.schema)}.${identifier(quarantineName(table, options.run))}`;
  // LIKE takes the columns in their order, so that t.* fits; generated ones become plain values.
  const schema = await client.first('SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1', [
    options.schema,
  ]);
  const statements = [
    // Asked for where it is there already, it would still need the right to make it.
    ...(schema === undefined ? [`CREATE SCHEMA IF NOT EXISTS ${identifier(options.schema)}`] : []),
    `CREATE TABLE IF NOT EXISTS ${target} (LIKE ${table.sql}, "backplan: why" pg_catalog.text NOT NULL, "backplan: at" pg_catalog.timestamptz NOT NULL)`,
    `COMMENT ON TABLE ${target} IS ${literal(`rows that backplan run ${options.run} moved out of ${showName(table)}`)}`,
    `WITH losers AS (${losers}), moved AS (DELETE FROM ${from(table)} AS t USING losers WHERE t.tableoid = losers.tableoid AND t.ctid = losers.ctid RETURNING t.*) INSERT INTO ${target} SELECT moved.*, ${literal(why).trim()}, pg_catalog.now() FROM moved`,
  ];
  if (followers.length === 0) return { statements };
  return {
    statements,
    refused: {
      why: `other rows would go or change with them: ${followers.join('; ')}`,
      hint: 'Point those rows at the row that stays, or resolve the group by hand.',
    },
  };
}

/** Not the rows of tables that inherit from it; those of its partitions. */
export function from(table: Relation): string {
  return table.kind === 'r' ? `ONLY ${table.sql}` : table.sql;
}

/** Names have at most 63 bytes. */
function quarantineName(table: Relation, run: string): string {
  const tail = ` ${table.oid} ${runTail(run)}`;
  let name = table.schema === 'public' ? table.name : `${table.schema}.${table.name}`;
  while (Buffer.byteLength(name + tail) > 63) name = name.slice(0, -1);
  return name + tail;
}

const FOLLOWERS = `
SELECT con.conname AS name, cn.nspname AS schema, c.relname AS "table", con.confdeltype AS action,
  ${REFERRING_COLUMNS} AS columns,
  ${REFERENCED_COLUMNS} AS parent_columns,
  ${REFERENCE_OPERATORS} AS operators
FROM pg_catalog.pg_constraint con
JOIN pg_catalog.pg_class c ON c.oid = con.conrelid
JOIN pg_catalog.pg_namespace cn ON cn.oid = c.relnamespace
WHERE con.contype = 'f' AND con.confrelid = $1::pg_catalog.oid AND con.conparentid = 0
ORDER BY con.conname`;

/** References to rows that would move: they would stop the move, or go or change with it. */
async function followersOf(client: Client, table: Relation, losers: string): Promise<string[]> {
  const keys = await client.query<{
    name: string;
    schema: string;
    table: string;
    action: string;
    columns: string[];
    parent_columns: string[];
    operators: string[];
  }>(FOLLOWERS, [table.oid]);
  const found: string[] = [];
  for (const key of keys) {
    const child = `${identifier(key.schema)}.${identifier(key.table)}`;
    const pairs = key.columns.map(
      (column, index) =>
        `p.${identifier(key.parent_columns[index] ?? '')} ${key.operators[index]} f.${identifier(column)}`,
    );
    const row = await client.first<{ n: string }>(
      `WITH losers AS (${losers}) SELECT pg_catalog.count(*) AS n FROM ${child} AS f
       WHERE EXISTS (SELECT FROM ${from(table)} AS p JOIN losers ON p.tableoid = losers.tableoid AND p.ctid = losers.ctid
         WHERE ${pairs.join(' AND ')})
       -- NO ACTION is content with a row of the same key that stays; the others act on every row that goes.
       AND NOT (${key.action === 'a'} AND EXISTS (SELECT FROM ${from(table)} AS p WHERE ${pairs.join(' AND ')}
         AND NOT EXISTS (SELECT FROM losers WHERE p.tableoid = losers.tableoid AND p.ctid = losers.ctid)))`,
    );
    const count = Number(row?.n ?? 0);
    if (count > 0) {
      found.push(
        `${count} ${count === 1 ? 'row' : 'rows'} of ${showName({ schema: key.schema, name: key.table })} by ${identifier(key.name)}`,
      );
    }
  }
  return found;
}
