/** Foreign keys as the catalog has them, and what keeps them from being enforced. */

import { identifier } from '../postgres/client.ts';
import { REFERENCE_OPERATORS, REFERENCED_COLUMNS, REFERRING_COLUMNS } from '../postgres/reference-columns.ts';
import type { CheckClient } from './check-kind.ts';
import type { Relation } from './names.ts';

export interface ForeignKey extends Record<string, unknown> {
  oid: number;
  name: string;
  columns: string[];
  parent_oid: number;
  parent_schema: string;
  parent_name: string;
  parent_columns: string[];
  operators: string[];
  validated: boolean;
  enforced: boolean;
  match: string;
  /** `pg_constraint.confdeltype` and `confupdtype`: a, r, c, n, d. */
  on_delete: string;
  on_update: string;
  deferrable: boolean;
  definition: string;
}

// Source: https://www.postgresql.org/docs/current/catalog-pg-constraint.html
const FOREIGN_KEYS = `
SELECT con.oid, con.conname AS name, con.confrelid AS parent_oid,
  pn.nspname AS parent_schema, p.relname AS parent_name,
  ${REFERRING_COLUMNS} AS columns,
  ${REFERENCED_COLUMNS} AS parent_columns,
  ${REFERENCE_OPERATORS} AS operators,
  con.convalidated AS validated,
  coalesce((pg_catalog.to_jsonb(con) ->> 'conenforced')::pg_catalog.bool, true) AS enforced,
  con.confmatchtype AS match, con.confdeltype AS on_delete, con.confupdtype AS on_update,
  con.condeferrable AS deferrable, pg_catalog.pg_get_constraintdef(con.oid) AS definition
FROM pg_catalog.pg_constraint con
JOIN pg_catalog.pg_class p ON p.oid = con.confrelid
JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace
WHERE con.contype = 'f' AND con.conrelid = $1::pg_catalog.oid
  -- Not the copies that a key to a partitioned table keeps for each of that table's partitions.
  AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_constraint up
    WHERE up.oid = con.conparentid AND up.conrelid = con.conrelid
  )
ORDER BY con.conname`;

export async function loadForeignKeys(client: CheckClient, child: Relation): Promise<ForeignKey[]> {
  return await client.query<ForeignKey>(FOREIGN_KEYS, [child.oid]);
}

/** The same pairs, in whatever order the constraint lists them. */
export function samePairs(
  key: ForeignKey,
  columns: readonly string[],
  parentColumns: readonly string[],
): boolean {
  return (
    key.columns.length === columns.length &&
    columns.every((column, index) => {
      const position = key.columns.indexOf(column);
      return position >= 0 && key.parent_columns[position] === parentColumns[index];
    })
  );
}

interface Trouble {
  readonly message: string;
  readonly hint: string;
}

/** What `NO ACTION` and the like are called in a plan. */
export const ACTIONS = {
  noAction: { code: 'a', sql: 'NO ACTION' },
  restrict: { code: 'r', sql: 'RESTRICT' },
  cascade: { code: 'c', sql: 'CASCADE' },
  setNull: { code: 'n', sql: 'SET NULL' },
  setDefault: { code: 'd', sql: 'SET DEFAULT' },
} as const;
export type Action = keyof typeof ACTIONS;

/** Everything that the constraint itself lacks: each of these can be so without the others. */
export async function constraintTroubles(
  client: CheckClient,
  key: ForeignKey,
  child: Relation,
  wanted: {
    readonly onDelete?: Action | undefined;
    readonly onUpdate?: Action | undefined;
    readonly deferrable?: boolean | undefined;
    readonly validated?: boolean | undefined;
  },
): Promise<Trouble[]> {
  const alter = `ALTER TABLE ${child.sql}`;
  const troubles: Trouble[] = [];
  const disabled = await client.query<{ table: string; triggers: string }>(DISABLED_TRIGGERS, [key.oid]);
  if (!key.enforced) {
    troubles.push({
      message: 'is NOT ENFORCED',
      hint: `${alter} ALTER CONSTRAINT ${identifier(key.name)} ENFORCED;`,
    });
  } else if (disabled.length > 0) {
    troubles.push({
      message: `is not enforced: its triggers are disabled on ${disabled.map((row) => row.table).join(', ')}`,
      hint: `Enabling them again does not look at the rows that came in meanwhile. Re-create it: ${recreate(key, child)}`,
    });
  }
  if (key.enforced && !key.validated && wanted.validated !== false) {
    troubles.push({
      message: 'is NOT VALID: older rows were never checked',
      hint: `${alter} VALIDATE CONSTRAINT ${identifier(key.name)};`,
    });
  }
  for (const [words, action, code] of [
    ['ON DELETE', wanted.onDelete, key.on_delete],
    ['ON UPDATE', wanted.onUpdate, key.on_update],
  ] as const) {
    if (action === undefined || ACTIONS[action].code === code) continue;
    const actual = Object.values(ACTIONS).find((each) => each.code === code)?.sql ?? code;
    troubles.push({
      message: `says ${words} ${actual}, expected ${ACTIONS[action].sql}`,
      hint: `That cannot be altered: drop it and add it again with ${words} ${ACTIONS[action].sql}.`,
    });
  }
  if (wanted.deferrable !== undefined && wanted.deferrable !== key.deferrable) {
    troubles.push({
      message: `is ${key.deferrable ? '' : 'not '}deferrable`,
      hint: `${alter} ALTER CONSTRAINT ${identifier(key.name)} ${wanted.deferrable ? '' : 'NOT '}DEFERRABLE;`,
    });
  }
  return troubles;
}

// Triggers of the constraint and of its copies on partitions, on both tables; O fires always, A even in replicas.
const DISABLED_TRIGGERS = `
WITH RECURSIVE tree AS (
  SELECT $1::pg_catalog.oid AS oid
  UNION ALL
  SELECT con.oid FROM tree JOIN pg_catalog.pg_constraint con ON con.conparentid = tree.oid
)
SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) AS table, pg_catalog.count(*) AS triggers
FROM tree
JOIN pg_catalog.pg_trigger t ON t.tgconstraint = tree.oid
JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE t.tgenabled NOT IN ('O', 'A')
GROUP BY 1 ORDER BY 1`;

function recreate(key: ForeignKey, child: Relation): string {
  const definition = key.definition.replace(/ NOT VALID$/, '');
  return (
    `ALTER TABLE ${child.sql} DROP CONSTRAINT ${identifier(key.name)}, ` +
    `ADD CONSTRAINT ${identifier(key.name)} ${definition} NOT VALID; ` +
    `ALTER TABLE ${child.sql} VALIDATE CONSTRAINT ${identifier(key.name)};`
  );
}

export function resolveHint(key: ForeignKey, child: Relation): string {
  return `Bring the missing rows back or remove the orphans, then re-check every row: ${recreate(key, child)}`;
}
