/** Wanted foreign keys as they stand in the live database; shared by what mends them and what moves their orphans. */

import { findColumns, findTable, isMissing, type Relation, showColumns, showName } from '../checks/names.ts';
import { logicalScan } from '../checks/orphans.ts';
import { countOrphans, offenderCondition, type ReferenceScan } from '../checks/reference-scan.ts';
import { identifier } from '../postgres/client.ts';
import { REFERENCED_COLUMNS, REFERRING_COLUMNS } from '../postgres/reference-columns.ts';
import type { RepairWorld } from './repair-kind.ts';
import type { WantedReference } from './wanted.ts';

export interface Reference {
  readonly key: string;
  readonly child: Relation;
  readonly parent: Relation;
  readonly columns: readonly string[];
  /** `"userId" → "User" ("id")`. */
  readonly text: string;
  /** Quoted, with `FOREIGN KEY …`: what follows ADD CONSTRAINT. */
  readonly name: string;
  readonly definition: string;
  readonly scan: ReferenceScan;
  readonly state: 'missing' | 'NOT VALID' | 'disabled' | 'sound';
  /** As it is now. */
  again(): Promise<Reference | undefined>;
}

const LIVE = `
SELECT con.conname AS name, con.convalidated AS validated, pg_catalog.pg_get_constraintdef(con.oid) AS definition,
  con.confmatchtype AS match,
  EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE t.tgconstraint = con.oid AND t.tgenabled NOT IN ('O', 'A')) AS disabled,
  con.confrelid AS parent_oid,
  ${REFERRING_COLUMNS} AS columns,
  ${REFERENCED_COLUMNS} AS parent_columns
FROM pg_catalog.pg_constraint con
WHERE con.contype = 'f' AND con.conrelid = $1::pg_catalog.oid AND con.conparentid = 0
ORDER BY con.conname`;

interface LiveRow extends Record<string, unknown> {
  name: string;
  validated: boolean;
  definition: string;
  match: string;
  disabled: boolean;
  parent_oid: number;
  columns: string[];
  parent_columns: string[];
}

/** What is wanted and what is there but not sound; a table or column that is missing is no matter of references. */
export async function references(world: RepairWorld): Promise<Reference[]> {
  const found = new Map<string, Reference>();
  for (const wanted of [...world.wanted.references, ...(await unsoundOnes(world))]) {
    const reference = await lookUp(world, wanted);
    // What is wanted comes first: it knows the definition.
    if (reference !== undefined && !found.has(reference.key)) found.set(reference.key, reference);
  }
  return [...found.values()];
}

async function lookUp(world: RepairWorld, wanted: WantedReference): Promise<Reference | undefined> {
  const { client } = world;
  const [child, parent] = [await findTable(client, wanted.table), await findTable(client, wanted.parent)];
  if (isMissing(child) || isMissing(parent)) return undefined;
  if (!/^[rp]$/.test(child.kind) || !/^[rp]$/.test(parent.kind)) return undefined;
  if (isMissing(await findColumns(client, child, wanted.columns))) return undefined;
  if (isMissing(await findColumns(client, parent, wanted.parentColumns))) return undefined;
  const pairs = wanted.columns.map((column, index) => `${column} ${wanted.parentColumns[index]}`);
  const rows = await client.query<LiveRow>(LIVE, [child.oid]);
  const live = rows.find(
    (row) =>
      row.parent_oid === parent.oid &&
      row.columns.length === wanted.columns.length &&
      row.columns.every((column, index) => pairs.includes(`${column} ${row.parent_columns[index]}`)),
  );
  const full = live === undefined ? /MATCH FULL/.test(wanted.definition ?? '') : live.match === 'f';
  return {
    key: JSON.stringify([child.oid, parent.oid, [...pairs].sort()]),
    child,
    parent,
    columns: wanted.columns,
    text: `${showColumns(wanted.columns)} → ${showName(parent)} (${showColumns(wanted.parentColumns)})`,
    name: identifier(live?.name ?? wanted.name ?? `${child.name}_${wanted.columns.join('_')}_fkey`),
    definition:
      live?.definition.replace(/ NOT VALID$/, '') ??
      wanted.definition ??
      `FOREIGN KEY (${showColumns(wanted.columns)}) REFERENCES ${parent.sql} (${showColumns(wanted.parentColumns)})`,
    scan: await logicalScan(
      client,
      child,
      wanted.columns,
      parent,
      wanted.parentColumns,
      full ? 'full' : 'simple',
    ),
    state:
      live === undefined ? 'missing' : live.disabled ? 'disabled' : live.validated ? 'sound' : 'NOT VALID',
    again: () => lookUp(world, wanted),
  };
}

/** Foreign keys that are there but are not valid, or whose triggers are off: nobody need have asked for them. */
async function unsoundOnes({ client }: RepairWorld): Promise<WantedReference[]> {
  const rows = await client.query<LiveRow & { table: string; parent: string }>(
    `SELECT pg_catalog.format('"%s"."%s"', pg_catalog.replace(n.nspname, '"', '""'), pg_catalog.replace(c.relname, '"', '""')) AS table,
       pg_catalog.format('"%s"."%s"', pg_catalog.replace(pn.nspname, '"', '""'), pg_catalog.replace(p.relname, '"', '""')) AS parent, live.*
     FROM pg_catalog.pg_class c
     JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     CROSS JOIN LATERAL (${LIVE.replace('$1::pg_catalog.oid', 'c.oid')}) AS live
     JOIN pg_catalog.pg_class p ON p.oid = live.parent_oid
     JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace
     WHERE c.relkind IN ('r', 'p') AND (live.disabled OR NOT live.validated) AND n.nspname !~ '^pg_'`,
  );
  return rows.map((row) => ({
    table: row.table,
    parent: row.parent,
    columns: row.columns,
    parentColumns: row.parent_columns,
    name: row.name,
  }));
}

/** Rows whose reference leads nowhere, or that break MATCH FULL. */
export async function orphanCount(world: RepairWorld, reference: Reference): Promise<number> {
  const { rows, partial } = await countOrphans(world.client, reference.scan);
  return rows + partial;
}

/** A SELECT of tableoid and ctid. */
export function orphanRows({ scan }: Reference): string {
  return `SELECT c.tableoid, c.ctid FROM ${scan.child.from} AS c WHERE ${offenderCondition(scan)}`;
}
