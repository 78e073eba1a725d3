/**
 * What catalogHealth looks for: one query each, over the catalog alone. Each yields `schema`, `on_name` (the table or
 * the like), `name` (what stands on it, or NULL), `detail` and `mend` (a statement) as text.
 */
import { notMember, USER_SCHEMA } from '../postgres/user-objects.ts';

export interface HealthItem {
  readonly item: HealthItemName;
  /** One and several, for messages. */
  readonly what: readonly [string, string];
  /** Whether it spoils the database or is only unwise. */
  readonly severity: 'error' | 'warn';
  /** Undefined where this version of the server knows no such thing. */
  sql(serverVersion: number): string | undefined;
}

/** The items in the order they are reported; `sequencesBehind` and `missingLibraries` are not looked up by one query. */
export const HEALTH_ITEM_NAMES = [
  'invalidIndexes',
  'unattachedIndexes',
  'unvalidatedConstraints',
  'disabledTriggers',
  'disabledRules',
  'sequencesBehind',
  'unpopulatedViews',
  'collationVersions',
  'missingLibraries',
  'detachedPartitions',
  'emptiedUnloggedTables',
  'withoutPrimaryKey',
  'unindexedForeignKeys',
] as const;
export type HealthItemName = (typeof HEALTH_ITEM_NAMES)[number];

const ON_TABLE = (oid: string) =>
  `JOIN pg_catalog.pg_class c ON c.oid = ${oid} JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace`;
const OWN = `${USER_SCHEMA} AND c.relpersistence <> 't' AND ${notMember('pg_class', 'c.oid')}`;

// Sources: https://www.postgresql.org/docs/current/catalogs.html (pg_index, pg_constraint, pg_trigger, pg_rewrite, pg_inherits)
export const HEALTH_ITEMS: readonly HealthItem[] = [
  {
    item: 'invalidIndexes',
    what: ['invalid index', 'invalid indexes'],
    severity: 'error',
    sql: () => `
      SELECT n.nspname AS schema, c.relname AS on_name, ic.relname AS name,
        CASE WHEN NOT i.indislive THEN 'is being dropped' WHEN NOT i.indisready THEN 'is not ready' ELSE 'is invalid: the planner does not use it' END AS detail,
        pg_catalog.format('REINDEX INDEX CONCURRENTLY %I.%I;', n.nspname, ic.relname) AS mend
      FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class ic ON ic.oid = i.indexrelid AND ic.relkind = 'i' ${ON_TABLE('i.indrelid')}
      WHERE NOT (i.indisvalid AND i.indisready AND i.indislive) AND ${OWN}`,
  },
  {
    item: 'unattachedIndexes',
    what: [
      'index of a partitioned table that some partition lacks',
      'indexes of partitioned tables that some partition lacks',
    ],
    severity: 'error',
    sql: () => `
      SELECT n.nspname AS schema, c.relname AS on_name, ic.relname AS name,
        'is not attached on ' || coalesce((
          SELECT pg_catalog.string_agg(pg_catalog.format('%I', pc.relname), ', ' ORDER BY pc.relname)
          FROM pg_catalog.pg_inherits h JOIN pg_catalog.pg_class pc ON pc.oid = h.inhrelid
          WHERE h.inhparent = c.oid AND NOT EXISTS (
            SELECT FROM pg_catalog.pg_inherits ih JOIN pg_catalog.pg_index pi ON pi.indexrelid = ih.inhrelid
            WHERE ih.inhparent = i.indexrelid AND pi.indrelid = pc.oid AND pi.indisvalid)), 'a partition') AS detail,
        pg_catalog.format('ALTER INDEX %I.%I ATTACH PARTITION …;', n.nspname, ic.relname) AS mend
      FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class ic ON ic.oid = i.indexrelid AND ic.relkind = 'I' ${ON_TABLE('i.indrelid')}
      WHERE NOT i.indisvalid AND ${OWN}`,
  },
  {
    item: 'unvalidatedConstraints',
    what: ['constraint that is NOT VALID', 'constraints that are NOT VALID'],
    severity: 'error',
    // A constraint that is NOT ENFORCED (since 18) is not validated either.
    sql: (version) => `
      SELECT n.nspname AS schema, c.relname AS on_name, con.conname AS name,
        CASE WHEN ${version < 180_000 ? 'true' : 'con.conenforced'} THEN 'is NOT VALID: older rows were never checked'
          ELSE 'is NOT ENFORCED: no row is checked' END AS detail,
        pg_catalog.format(CASE WHEN ${version < 180_000 ? 'true' : 'con.conenforced'} THEN 'ALTER TABLE %I.%I VALIDATE CONSTRAINT %I;'
          ELSE 'ALTER TABLE %I.%I ALTER CONSTRAINT %I ENFORCED;' END, n.nspname, c.relname, con.conname) AS mend
      FROM pg_catalog.pg_constraint con ${ON_TABLE('con.conrelid')}
      WHERE NOT con.convalidated AND ${OWN}
        AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint up WHERE up.oid = con.conparentid AND NOT up.convalidated)
      UNION ALL
      SELECT n.nspname, t.typname, con.conname, 'is NOT VALID: older values were never checked',
        pg_catalog.format('ALTER DOMAIN %I.%I VALIDATE CONSTRAINT %I;', n.nspname, t.typname, con.conname)
      FROM pg_catalog.pg_constraint con JOIN pg_catalog.pg_type t ON t.oid = con.contypid JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
      WHERE NOT con.convalidated AND ${USER_SCHEMA}`,
  },
  {
    item: 'disabledTriggers',
    what: ['disabled trigger', 'disabled triggers'],
    severity: 'error',
    // Of a constraint's own triggers, R (fires only in replicas) is off too; of a user's it is a choice.
    sql: (version) => `
      SELECT DISTINCT n.nspname AS schema, c.relname AS on_name, coalesce(con.conname, t.tgname) AS name,
        CASE WHEN con.oid IS NULL THEN 'is disabled' ELSE 'is not enforced: its triggers are disabled' END AS detail,
        CASE WHEN con.oid IS NULL THEN pg_catalog.format('ALTER TABLE %I.%I ENABLE TRIGGER %I;', n.nspname, c.relname, t.tgname)
          ELSE pg_catalog.format('Enabling does not look at rows that came in meanwhile: drop and add %I on %I.%I.', con.conname, conn.nspname, conc.relname) END AS mend
      FROM pg_catalog.pg_trigger t ${ON_TABLE('t.tgrelid')}
      LEFT JOIN pg_catalog.pg_constraint con ON con.oid = t.tgconstraint AND t.tgisinternal
      LEFT JOIN pg_catalog.pg_class conc ON conc.oid = con.conrelid
      LEFT JOIN pg_catalog.pg_namespace conn ON conn.oid = conc.relnamespace
      WHERE (t.tgenabled = 'D' OR (t.tgenabled = 'R' AND t.tgisinternal)) AND ${OWN}
        ${version < 130_000 ? '' : 'AND NOT EXISTS (SELECT FROM pg_catalog.pg_trigger up WHERE up.oid = t.tgparentid AND up.tgenabled = t.tgenabled)'}`,
  },
  {
    item: 'disabledRules',
    what: ['disabled rule', 'disabled rules'],
    severity: 'error',
    sql: () => `
      SELECT n.nspname AS schema, c.relname AS on_name, r.rulename AS name, 'is disabled' AS detail,
        pg_catalog.format('ALTER TABLE %I.%I ENABLE RULE %I;', n.nspname, c.relname, r.rulename) AS mend
      FROM pg_catalog.pg_rewrite r ${ON_TABLE('r.ev_class')}
      WHERE r.ev_enabled = 'D' AND ${OWN}`,
  },
  {
    item: 'unpopulatedViews',
    what: ['materialized view without data', 'materialized views without data'],
    severity: 'error',
    sql: () => `
      SELECT n.nspname AS schema, c.relname AS on_name, NULL AS name, 'was never filled: a query on it fails' AS detail,
        pg_catalog.format('REFRESH MATERIALIZED VIEW %I.%I;', n.nspname, c.relname) AS mend
      FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind = 'm' AND NOT c.relispopulated AND ${OWN}`,
  },
  {
    item: 'collationVersions',
    what: ['collation of another version', 'collations of another version'],
    severity: 'error',
    // Only collations that a column or an index uses: the others order nothing.
    sql: (version) => `
      SELECT n.nspname AS schema, co.collname AS on_name, NULL AS name,
        pg_catalog.format('is recorded as version %s, the server has %s: indexes may be ordered wrongly', co.collversion, pg_catalog.pg_collation_actual_version(co.oid)) AS detail,
        pg_catalog.format('REINDEX DATABASE CONCURRENTLY %I; ALTER COLLATION %I.%I REFRESH VERSION;', pg_catalog.current_database(), n.nspname, co.collname) AS mend
      FROM pg_catalog.pg_collation co JOIN pg_catalog.pg_namespace n ON n.oid = co.collnamespace
      WHERE co.collversion IS NOT NULL AND co.collversion <> pg_catalog.pg_collation_actual_version(co.oid)
        AND (EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE a.attcollation = co.oid AND a.attrelid >= 16384)
          OR EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid >= 16384 AND co.oid = ANY (i.indcollation::pg_catalog.oid[])))
      ${
        version < 150_000
          ? ''
          : `UNION ALL
      SELECT NULL, d.datname, NULL,
        pg_catalog.format('has the collation version %s, the server has %s: indexes may be ordered wrongly', d.datcollversion, pg_catalog.pg_database_collation_actual_version(d.oid)),
        pg_catalog.format('REINDEX DATABASE CONCURRENTLY %I; ALTER DATABASE %I REFRESH COLLATION VERSION;', d.datname, d.datname)
      FROM pg_catalog.pg_database d
      WHERE d.datname = pg_catalog.current_database() AND d.datcollversion IS NOT NULL
        AND d.datcollversion <> pg_catalog.pg_database_collation_actual_version(d.oid)`
      }`,
  },
  {
    item: 'detachedPartitions',
    what: ['partition whose detaching was cut off', 'partitions whose detaching was cut off'],
    severity: 'error',
    sql: (version) =>
      version < 140_000
        ? undefined
        : `
      SELECT n.nspname AS schema, c.relname AS on_name, NULL AS name, 'is half detached: its rows are no longer seen' AS detail,
        pg_catalog.format('ALTER TABLE %I.%I DETACH PARTITION %I.%I FINALIZE;', pn.nspname, p.relname, n.nspname, c.relname) AS mend
      FROM pg_catalog.pg_inherits h ${ON_TABLE('h.inhrelid')}
      JOIN pg_catalog.pg_class p ON p.oid = h.inhparent JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace
      WHERE h.inhdetachpending AND ${OWN}`,
  },
  {
    item: 'emptiedUnloggedTables',
    what: ['unlogged table without a row', 'unlogged tables without a row'],
    severity: 'warn',
    sql: () => `
      SELECT n.nspname AS schema, c.relname AS on_name, NULL AS name,
        'is unlogged and empty: a crash or a physical restore empties it' AS detail, NULL AS mend
      FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind = 'r' AND c.relpersistence = 'u' AND ${OWN} AND coalesce(pg_catalog.pg_relation_size(c.oid), 0) = 0`,
  },
  {
    item: 'withoutPrimaryKey',
    what: ['table without a primary key', 'tables without a primary key'],
    severity: 'warn',
    sql: () => `
      SELECT n.nspname AS schema, c.relname AS on_name, NULL AS name, 'has no primary key' AS detail, NULL AS mend
      FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND ${OWN}
        AND NOT EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indisprimary)`,
  },
  {
    item: 'unindexedForeignKeys',
    what: ['foreign key without an index', 'foreign keys without an index'],
    severity: 'warn',
    sql: () => `
      SELECT n.nspname AS schema, c.relname AS on_name, con.conname AS name,
        'has no index on its columns: deleting a parent reads the whole table' AS detail,
        pg_catalog.format('CREATE INDEX CONCURRENTLY ON %I.%I (%s);', n.nspname, c.relname, (
          SELECT pg_catalog.string_agg(pg_catalog.format('%I', a.attname), ', ' ORDER BY k.position)
          FROM pg_catalog.unnest(con.conkey) WITH ORDINALITY AS k(attnum, position)
          JOIN pg_catalog.pg_attribute a ON a.attrelid = con.conrelid AND a.attnum = k.attnum)) AS mend
      FROM pg_catalog.pg_constraint con ${ON_TABLE('con.conrelid')}
      WHERE con.contype = 'f' AND con.conparentid = 0 AND NOT c.relispartition AND ${OWN}
        AND NOT EXISTS (
          SELECT FROM pg_catalog.pg_index i
          WHERE i.indrelid = con.conrelid AND i.indisvalid AND i.indpred IS NULL
            AND con.conkey <@ (i.indkey::pg_catalog.int2[])[0:pg_catalog.cardinality(con.conkey) - 1])`,
  },
];
