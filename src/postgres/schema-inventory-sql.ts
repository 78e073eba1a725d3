/**
 * The catalog queries of the inventory. Each yields rows of
 * `kind, schema, relation, name, a`: relation is the table that the object belongs to (null: none), `a` a jsonb of
 * attributes in which null and false mean: as by default.
 * Source: https://www.postgresql.org/docs/current/catalogs.html
 */

import { rareQueries } from './schema-inventory-rare-sql.ts';
import { grants, grantsText, hashed, owner } from './schema-inventory-words.ts';
import { notMember, USER_SCHEMA } from './user-objects.ts';

const ON_RELATION = `JOIN pg_catalog.pg_class c ON c.oid = o.relation JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE ${USER_SCHEMA} AND c.relpersistence <> 't' AND ${notMember('pg_class', 'c.oid')}`;

/** Foreign keys are enforced by internal triggers, which can be switched off by the table. */
const TABLES = `
SELECT CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'f' THEN 'foreign table' ELSE 'table' END AS kind,
  n.nspname AS schema, NULL AS relation, c.relname AS name, pg_catalog.jsonb_build_object(
    'owner', ${owner('c.relowner')},
    'grants', ${grants('c.relacl', 'r', 'c.relowner')},
    'unlogged', c.relpersistence = 'u',
    'accessMethod', nullif(am.amname, 'heap'),
    'options', (SELECT pg_catalog.string_agg(r, ', ' ORDER BY r COLLATE pg_catalog."C") FROM pg_catalog.unnest(c.reloptions) r),
    'rowSecurity', c.relrowsecurity,
    'forcedRowSecurity', c.relforcerowsecurity,
    'replicaIdentity', CASE WHEN c.relkind IN ('r', 'p') THEN nullif(c.relreplident::text, 'd') END,
    'partitionKey', CASE WHEN c.relkind = 'p' THEN pg_catalog.pg_get_partkeydef(c.oid) END,
    'partitionBound', pg_catalog.pg_get_expr(c.relpartbound, c.oid),
    'inherits', (SELECT pg_catalog.string_agg(i.inhparent::pg_catalog.regclass::text, ', ' ORDER BY i.inhseqno)
                 FROM pg_catalog.pg_inherits i WHERE i.inhrelid = c.oid),
    'ofType', CASE WHEN c.reloftype <> 0 THEN pg_catalog.format_type(c.reloftype, NULL) END,
    'toastOptions', (SELECT pg_catalog.string_agg(r, ', ' ORDER BY r COLLATE pg_catalog."C")
      FROM pg_catalog.pg_class tc, pg_catalog.unnest(tc.reloptions) r WHERE tc.oid = c.reltoastrelid),
    -- Where columns come from elsewhere, a dump may bring them back in another order.
    'order', CASE WHEN c.relkind IN ('r', 'p', 'f') AND (c.relispartition OR NOT EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE i.inhrelid = c.oid))
      THEN (SELECT pg_catalog.jsonb_agg(at.attname ORDER BY at.attnum) FROM pg_catalog.pg_attribute at
        WHERE at.attrelid = c.oid AND at.attnum > 0 AND NOT at.attisdropped) END,
    'unpopulated', NOT c.relispopulated,
    'server', s.srvname,
    'serverOptions', ${hashed('ft.ftoptions')},
    'expression', CASE WHEN c.relkind IN ('v', 'm') THEN pg_catalog.pg_get_viewdef(c.oid) END,
    'referenceTriggersDisabled', nullif((SELECT pg_catalog.count(*) FROM pg_catalog.pg_trigger t
      WHERE t.tgrelid = c.oid AND t.tgisinternal AND t.tgconstraint <> 0 AND t.tgenabled NOT IN ('O', 'A')), 0)
  ) AS a
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_am am ON am.oid = c.relam AND c.relkind IN ('r', 'p', 'm')
LEFT JOIN pg_catalog.pg_foreign_table ft ON ft.ftrelid = c.oid
LEFT JOIN pg_catalog.pg_foreign_server s ON s.oid = ft.ftserver
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relpersistence <> 't' AND ${USER_SCHEMA} AND ${notMember('pg_class', 'c.oid')}`;

const COLUMNS = (version: number) => `
SELECT 'column' AS kind, n.nspname AS schema, c.relname AS relation, o.attname AS name, pg_catalog.jsonb_build_object(
    'type', pg_catalog.format_type(o.atttypid, o.atttypmod),
    'notNull', o.attnotnull,
    'default', pg_catalog.pg_get_expr(ad.adbin, ad.adrelid),
    'generated', nullif(o.attgenerated::text, ''),
    'identity', nullif(o.attidentity::text, ''),
    'collation', CASE WHEN o.attcollation <> ty.typcollation THEN o.attcollation::pg_catalog.regcollation::text END,
    'grants', CASE WHEN o.attacl IS NOT NULL THEN ${grantsText('o.attacl')} END,
    'storage', CASE WHEN o.attstorage <> ty.typstorage THEN o.attstorage::text END,
    ${version >= 140_000 ? "'compression', nullif(o.attcompression::text, '')," : ''}
    'statistics', nullif(o.attstattarget, -1),
    'serverOptions', ${hashed('o.attfdwoptions')},
    -- The server keeps notes of its own among the options (pg_attver in 17.12), which no dump carries.
    'options', (SELECT pg_catalog.string_agg(x, ', ' ORDER BY x) FROM pg_catalog.unnest(o.attoptions) x
                WHERE pg_catalog.starts_with(x, 'n_distinct'))
  ) AS a
FROM (SELECT attrelid AS relation, * FROM pg_catalog.pg_attribute WHERE attnum > 0 AND NOT attisdropped) o
JOIN pg_catalog.pg_type ty ON ty.oid = o.atttypid
LEFT JOIN pg_catalog.pg_attrdef ad ON ad.adrelid = o.attrelid AND ad.adnum = o.attnum
${ON_RELATION}
AND (c.relkind IN ('r', 'p', 'f') OR (c.relkind IN ('v', 'm') AND (o.attacl IS NOT NULL OR ad.adbin IS NOT NULL)))`;

// NOT NULL constraints have rows since PostgreSQL 18; the column tells of them. Foreign keys of partitions get their
// names by chance; their root tells of them.
const CONSTRAINTS = `
SELECT 'constraint' AS kind, n.nspname AS schema, c.relname AS relation, o.conname AS name, pg_catalog.jsonb_build_object(
    'type', CASE o.contype WHEN 'p' THEN 'primary key' WHEN 'u' THEN 'unique' WHEN 'f' THEN 'foreign key' WHEN 'c' THEN 'check' ELSE 'exclusion' END,
    'notValid', NOT o.convalidated,
    'expression', pg_catalog.pg_get_constraintdef(o.oid)
  ) AS a
FROM (SELECT conrelid AS relation, * FROM pg_catalog.pg_constraint
      WHERE contype IN ('p', 'u', 'f', 'c', 'x') AND NOT (contype = 'f' AND conparentid <> 0)) o
${ON_RELATION}
UNION ALL
SELECT 'domain constraint', n.nspname, NULL, t.typname || ' ' || o.conname, pg_catalog.jsonb_build_object(
    'notValid', NOT o.convalidated, 'expression', pg_catalog.pg_get_constraintdef(o.oid))
FROM pg_catalog.pg_constraint o
JOIN pg_catalog.pg_type t ON t.oid = o.contypid
JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
WHERE o.contype = 'c' AND ${USER_SCHEMA} AND ${notMember('pg_type', 't.oid')}`;

const INDEXES = `
SELECT 'index' AS kind, n.nspname AS schema, c.relname AS relation, ic.relname AS name, pg_catalog.jsonb_build_object(
    'expression', pg_catalog.pg_get_indexdef(o.indexrelid),
    'invalid', NOT o.indisvalid OR NOT o.indisready,
    'partitioned', ic.relkind = 'I',
    'clustered', o.indisclustered,
    'replicaIdentity', o.indisreplident
  ) AS a
FROM (SELECT indrelid AS relation, * FROM pg_catalog.pg_index) o
JOIN pg_catalog.pg_class ic ON ic.oid = o.indexrelid
${ON_RELATION}`;

const TRIGGERS = (version: number) => `
SELECT 'trigger' AS kind, n.nspname AS schema, c.relname AS relation, o.tgname AS name, pg_catalog.jsonb_build_object(
    'enabled', CASE o.tgenabled WHEN 'D' THEN 'no' WHEN 'R' THEN 'on replicas' WHEN 'A' THEN 'always' END,
    'expression', pg_catalog.pg_get_triggerdef(o.oid)
  ) AS a
FROM (SELECT t.tgrelid AS relation, t.* FROM pg_catalog.pg_trigger t WHERE ${
  // Of the copies that partitions have, internal ones before PostgreSQL 15, those that differ from the original.
  version < 130_000
    ? 'NOT t.tgisinternal'
    : `(NOT t.tgisinternal OR t.tgconstraint = 0) AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_trigger up WHERE up.oid = t.tgparentid AND up.tgenabled = t.tgenabled)`
}) o
${ON_RELATION}
UNION ALL
SELECT 'rule', n.nspname, c.relname, o.rulename, pg_catalog.jsonb_build_object(
    'enabled', CASE o.ev_enabled WHEN 'D' THEN 'no' WHEN 'R' THEN 'on replicas' WHEN 'A' THEN 'always' END,
    'expression', pg_catalog.pg_get_ruledef(o.oid))
FROM (SELECT ev_class AS relation, * FROM pg_catalog.pg_rewrite WHERE rulename <> '_RETURN') o
${ON_RELATION}
UNION ALL
SELECT 'policy', n.nspname, c.relname, o.polname, pg_catalog.jsonb_build_object(
    'restrictive', NOT o.polpermissive,
    'command', nullif(o.polcmd::text, '*'),
    'roles', (SELECT pg_catalog.string_agg(CASE r WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.pg_get_userbyid(r)::text END, ', '
              ORDER BY CASE r WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.pg_get_userbyid(r)::text END COLLATE pg_catalog."C")
              FROM pg_catalog.unnest(o.polroles) r),
    'using', pg_catalog.pg_get_expr(o.polqual, o.polrelid),
    'check', pg_catalog.pg_get_expr(o.polwithcheck, o.polrelid))
FROM (SELECT polrelid AS relation, * FROM pg_catalog.pg_policy) o
${ON_RELATION}`;

/** A sequence that a column owns goes with its table. */
const SEQUENCES = `
SELECT 'sequence' AS kind, n.nspname AS schema, NULL AS relation, c.relname AS name, t.relname AS of_table, tn.nspname AS of_schema,
  pg_catalog.jsonb_build_object(
    'owner', ${owner('c.relowner')},
    'grants', ${grants('c.relacl', 's', 'c.relowner')},
    'unlogged', c.relpersistence = 'u',
    'type', pg_catalog.format_type(s.seqtypid, NULL),
    'start', s.seqstart::text, 'increment', s.seqincrement::text, 'min', s.seqmin::text, 'max', s.seqmax::text,
    'cache', s.seqcache::text, 'cycle', s.seqcycle,
    'ownedBy', pg_catalog.quote_ident(tn.nspname) || '.' || pg_catalog.quote_ident(t.relname) || '.' || pg_catalog.quote_ident(at.attname)
  ) AS a
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_sequence s ON s.seqrelid = c.oid
LEFT JOIN pg_catalog.pg_depend o ON o.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND o.objid = c.oid
  AND o.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND o.refobjsubid > 0 AND o.deptype IN ('a', 'i')
LEFT JOIN pg_catalog.pg_class t ON t.oid = o.refobjid
LEFT JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace
LEFT JOIN pg_catalog.pg_attribute at ON at.attrelid = o.refobjid AND at.attnum = o.refobjsubid
WHERE c.relkind = 'S' AND c.relpersistence <> 't' AND ${USER_SCHEMA} AND ${notMember('pg_class', 'c.oid')}`;

/** @param version server_version_num */
export function inventoryQueries(version: number): readonly string[] {
  return [
    TABLES,
    COLUMNS(version),
    CONSTRAINTS,
    INDEXES,
    TRIGGERS(version),
    SEQUENCES,
    ...rareQueries(version),
  ];
}
