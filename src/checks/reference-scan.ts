/**
 * Counting rows whose reference leads nowhere, by the NULL rules of MATCH SIMPLE and MATCH FULL.
 * The count reads the referencing columns only, so that an index alone can serve it; offending keys are fetched
 * afterwards, and only when there are any.
 * Source: https://www.postgresql.org/docs/current/sql-createtable.html (REFERENCES, MATCH)
 */
import { identifier } from '../postgres/client.ts';
import type { Column, Queryable } from '../postgres/columns.ts';
import type { Finding } from './check-kind.ts';

export interface Side {
  /** Quoted and qualified, with ONLY where inherited rows do not belong. */
  readonly from: string;
  readonly columns: readonly Column[];
}

export interface ReferenceScan {
  readonly child: Side;
  readonly parent: Side;
  readonly match: 'simple' | 'full';
  /** Per column pair, to be written between parent and child: `OPERATOR(pg_catalog.=)`. */
  readonly operators: readonly string[];
}

export interface Orphans {
  /** Rows whose whole key has no parent. */
  readonly rows: number;
  /** Rows that break MATCH FULL: part of the key is NULL, part is not. */
  readonly partial: number;
}

export async function countOrphans(client: Queryable, scan: ReferenceScan): Promise<Orphans> {
  const [row] = await client.query<{ n: string }>(
    `SELECT pg_catalog.count(*) AS n FROM ${scan.child.from} AS c WHERE ${orphanCondition(scan)}`,
  );
  const columns = scan.child.columns.length;
  if (scan.match === 'simple' || columns === 1) return { rows: Number(row?.n ?? 0), partial: 0 };
  const [partial] = await client.query<{ n: string }>(
    `SELECT pg_catalog.count(*) AS n FROM ${scan.child.from} AS c WHERE ${partialCondition(scan)}`,
  );
  return { rows: Number(row?.n ?? 0), partial: Number(partial?.n ?? 0) };
}

/** The offending keys, those with most rows first: column → value as text, and `rows`. */
export async function sampleOrphans(
  client: Queryable,
  scan: ReferenceScan,
  limit: number,
): Promise<{ keys: number; samples: NonNullable<Finding['samples']> }> {
  const names = scan.child.columns.map((column) => column.name);
  const aliases = names.map((_name, index) => `k${index}`);
  const condition = offenderCondition(scan);
  const rows = await client.query<Record<string, string | null>>(
    `SELECT ${aliases.map((alias) => `${alias}::pg_catalog.text AS ${alias}`).join(', ')},
       n AS rows, pg_catalog.count(*) OVER () AS keys
     FROM (
       SELECT ${names.map((name, index) => `c.${identifier(name)} AS k${index}`).join(', ')}, pg_catalog.count(*) AS n
       FROM ${scan.child.from} AS c WHERE ${condition}
       GROUP BY ${names.map((name) => `c.${identifier(name)}`).join(', ')}
     ) AS orphans
     ORDER BY n DESC, ${aliases.join(', ')}
     LIMIT ${Math.max(1, limit)}`,
  );
  return {
    keys: Number(rows[0]?.keys ?? 0),
    samples: rows.slice(0, limit).map((row) => ({
      ...Object.fromEntries(names.map((name, index) => [name, row[`k${index}`] ?? null])),
      rows: Number(row.rows),
    })),
  };
}

/** A condition on the child, called c, for rows that a foreign key would refuse. */
export function offenderCondition(scan: ReferenceScan): string {
  return scan.match === 'simple' || scan.child.columns.length === 1
    ? orphanCondition(scan)
    : `(${orphanCondition(scan)}) OR (${partialCondition(scan)})`;
}

function orphanCondition(scan: ReferenceScan): string {
  const notNull = scan.child.columns.map((column) => `c.${identifier(column.name)} IS NOT NULL`);
  return `${notNull.join(' AND ')} AND NOT EXISTS (SELECT FROM ${scan.parent.from} AS p WHERE ${pairsOf(scan).join(' AND ')})`;
}

/** The conditions on which a row `c` refers to a row `p`, one for each pair of columns. */
export function pairsOf({ child, parent, operators }: ReferenceScan): string[] {
  return child.columns.map((column, index) => {
    const referenced = parent.columns[index] as Column;
    // As the server's own check: the parent's collation decides. Without it, two collations are an error.
    const collate =
      referenced.collation === undefined ||
      column.collation === undefined ||
      referenced.collation === column.collation
        ? ''
        : ` COLLATE ${referenced.collation}`;
    return `p.${identifier(referenced.name)} ${operators[index]} c.${identifier(column.name)}${collate}`;
  });
}

function partialCondition({ child }: ReferenceScan): string {
  const list = child.columns.map((column) => `c.${identifier(column.name)}`).join(', ');
  return `pg_catalog.num_nulls(${list}) BETWEEN 1 AND ${child.columns.length - 1}`;
}
