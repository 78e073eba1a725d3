/** Triggers, functions, types, extensions and partition keys of a live database. */
import type { Client } from '../../postgres/client.ts';
import type { ObjectName } from '../../postgres/object-name.ts';
import { notMember, USER_SCHEMA } from '../../postgres/user-objects.ts';
import { type LiveTable, onTables } from './table.ts';

export interface LiveTrigger {
  readonly table: LiveTable;
  readonly name: string;
  readonly enabled: 'origin' | 'always' | 'replica' | 'disabled';
  readonly function: Required<ObjectName>;
  /** When it fires, as PostgreSQL writes it: `BEFORE INSERT OR UPDATE`. */
  readonly timing: string;
}

/** A function, procedure or aggregate. */
export interface LiveFunction {
  readonly schema: string;
  readonly name: string;
  readonly owner: string;
  readonly arguments: readonly string[];
  /** null for procedures. */
  readonly returns: string | null;
  readonly language: string;
  readonly volatility: 'immutable' | 'stable' | 'volatile';
  readonly definer: boolean;
}

export interface LiveEnum {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  readonly labels: readonly string[];
}

export interface LivePartitioned {
  readonly table: LiveTable;
  /** As PostgreSQL writes it: `RANGE (at)`. */
  readonly key: string;
  readonly partitions: number;
  /** It has a default partition. */
  readonly default: boolean;
}

export interface LiveObjects {
  readonly triggers: readonly LiveTrigger[];
  readonly functions: readonly LiveFunction[];
  readonly enums: readonly LiveEnum[];
  readonly extensions: readonly string[];
  readonly partitioned: readonly LivePartitioned[];
}

// Bits of tgtype: 2 BEFORE, 4 INSERT, 8 DELETE, 16 UPDATE, 32 TRUNCATE, 64 INSTEAD (src/include/catalog/pg_trigger.h).
// Behind UPDATE its columns may follow.
const TRIGGERS = `
SELECT t.tgrelid AS table_oid, t.tgname AS name,
  CASE t.tgenabled WHEN 'O' THEN 'origin' WHEN 'A' THEN 'always' WHEN 'R' THEN 'replica' ELSE 'disabled' END AS enabled,
  pn.nspname AS function_schema, p.proname AS function_name,
  CASE WHEN t.tgtype & 2 > 0 THEN 'BEFORE' WHEN t.tgtype & 64 > 0 THEN 'INSTEAD OF' ELSE 'AFTER' END || ' ' ||
    pg_catalog.concat_ws(' OR ', CASE WHEN t.tgtype & 4 > 0 THEN 'INSERT' END, CASE WHEN t.tgtype & 8 > 0 THEN 'DELETE' END,
      CASE WHEN t.tgtype & 16 > 0 THEN 'UPDATE' END,
      CASE WHEN t.tgtype & 32 > 0 AND pg_catalog.cardinality(t.tgattr::pg_catalog.int2[]) = 0 THEN 'TRUNCATE' END) AS timing
FROM pg_catalog.pg_trigger t
JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid JOIN pg_catalog.pg_namespace pn ON pn.oid = p.pronamespace
WHERE NOT t.tgisinternal AND t.tgrelid = ANY ($1::pg_catalog.oid[])
ORDER BY pg_catalog.array_position($1::pg_catalog.oid[], t.tgrelid), t.tgname`;

const FUNCTIONS = `
SELECT n.nspname AS schema, p.proname AS name, pg_catalog.pg_get_userbyid(p.proowner)::pg_catalog.text AS owner,
  ARRAY(SELECT pg_catalog.format_type(a.type, NULL)
    FROM pg_catalog.unnest(p.proargtypes::pg_catalog.oid[]) WITH ORDINALITY AS a(type, position) ORDER BY a.position) AS arguments,
  pg_catalog.pg_get_function_result(p.oid) AS returns, l.lanname AS language,
  CASE p.provolatile WHEN 'i' THEN 'immutable' WHEN 's' THEN 'stable' ELSE 'volatile' END AS volatility, p.prosecdef AS definer
FROM pg_catalog.pg_proc p
JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace JOIN pg_catalog.pg_language l ON l.oid = p.prolang
WHERE ${USER_SCHEMA} AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
  WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid AND d.deptype IN ('e', 'i'))
ORDER BY n.nspname <> 'public', n.nspname, p.proname, 4`;

const ENUMS = `
SELECT t.oid, n.nspname AS schema, t.typname AS name,
  ARRAY(SELECT e.enumlabel::text FROM pg_catalog.pg_enum e WHERE e.enumtypid = t.oid ORDER BY e.enumsortorder) AS labels
FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
WHERE t.typtype = 'e' AND ${USER_SCHEMA} AND ${notMember('pg_type', 't.oid')}
ORDER BY n.nspname <> 'public', n.nspname, t.typname`;

const PARTITIONED = `
SELECT p.partrelid AS table_oid, pg_catalog.pg_get_partkeydef(p.partrelid) AS key, p.partdefid <> 0 AS default,
  (SELECT pg_catalog.count(*)::int FROM pg_catalog.pg_inherits i WHERE i.inhparent = p.partrelid) AS partitions
FROM pg_catalog.pg_partitioned_table p WHERE p.partrelid = ANY ($1::pg_catalog.oid[])
ORDER BY pg_catalog.array_position($1::pg_catalog.oid[], p.partrelid)`;

interface TriggerRow extends Record<string, unknown>, Pick<LiveTrigger, 'name' | 'enabled' | 'timing'> {
  table_oid: number;
  function_schema: string;
  function_name: string;
}

export async function loadObjects(
  client: Client,
  tables: readonly LiveTable[],
  wanted: (schema: string) => boolean,
): Promise<LiveObjects> {
  const oids = tables.map(({ oid }) => oid);
  const on = onTables(new Map(tables.map((table) => [table.oid, table])));
  const own = <Row extends { schema: string }>(found: Row[]) => found.filter(({ schema }) => wanted(schema));
  type PartitionedRow = Omit<LivePartitioned, 'table'> & { table_oid: number } & Record<string, unknown>;
  return {
    triggers: on(await client.query<TriggerRow>(TRIGGERS, [oids])).map(({ table, row }) => ({
      table,
      name: row.name,
      enabled: row.enabled,
      function: { schema: row.function_schema, name: row.function_name },
      timing: row.timing,
    })),
    functions: own(await client.query<LiveFunction & Record<string, unknown>>(FUNCTIONS)),
    enums: own(await client.query<LiveEnum & Record<string, unknown>>(ENUMS)),
    extensions: (
      await client.query<{ name: string }>(
        `SELECT extname AS name FROM pg_catalog.pg_extension WHERE extname <> 'plpgsql' ORDER BY 1`,
      )
    ).map(({ name }) => name),
    partitioned: on(await client.query<PartitionedRow>(PARTITIONED, [oids])).map(
      ({ table, row: { key, partitions, default: standard } }) => ({
        table,
        key,
        partitions,
        default: standard,
      }),
    ),
  };
}
