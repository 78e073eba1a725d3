/**
 * The catalog queries of the inventory. Each yields rows of
 * `kind, schema, relation, name, a`: relation is the table that the object belongs to (null: none), `a` a jsonb of
 * attributes in which null and false mean: as by default.
 * Source: https://www.postgresql.org/docs/current/catalogs.html
 */

/** Grants as text, null where they are those that the owner of a new object has: a dump does not tell these apart. */
function grants(acl: string, kind: string, owner: string): string {
  return `CASE WHEN ${acl} IS NOT NULL THEN nullif(${grantsText(acl)}, ${grantsText(
    `pg_catalog.acldefault('${kind}', ${owner})`,
  )}) END`;
}

function grantsText(acl: string): string {
  return `coalesce((SELECT pg_catalog.string_agg(g.line, '; ' ORDER BY g.line COLLATE pg_catalog."C") FROM (
      SELECT CASE p.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(p.grantee)) END || ': '
        || pg_catalog.string_agg(p.privilege_type || CASE WHEN p.grantable THEN '*' ELSE '' END, ', ' ORDER BY p.privilege_type COLLATE pg_catalog."C") AS line
      FROM (SELECT x.grantee, x.privilege_type, pg_catalog.bool_or(x.is_grantable) AS grantable
            FROM pg_catalog.aclexplode(${acl}) x GROUP BY 1, 2) p
      GROUP BY p.grantee) g), '(none)')`;
}

const owner = (column: string) => `pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(${column}))`;

const USER_SCHEMA = `n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)'`;

/** Members of extensions come with the extension. */
function notMember(catalog: string, oid: string): string {
  return `NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.${catalog}'::pg_catalog.regclass
    AND d.objid = ${oid} AND d.deptype = 'e')`;
}

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
    'unpopulated', NOT c.relispopulated,
    'server', s.srvname,
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

const TRIGGERS = `
SELECT 'trigger' AS kind, n.nspname AS schema, c.relname AS relation, o.tgname AS name, pg_catalog.jsonb_build_object(
    'enabled', CASE o.tgenabled WHEN 'D' THEN 'no' WHEN 'R' THEN 'on replicas' WHEN 'A' THEN 'always' END,
    'expression', pg_catalog.pg_get_triggerdef(o.oid)
  ) AS a
FROM (SELECT tgrelid AS relation, * FROM pg_catalog.pg_trigger WHERE NOT tgisinternal) o
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

const ROUTINES = (version: number) => `
SELECT CASE p.prokind WHEN 'p' THEN 'procedure' WHEN 'a' THEN 'aggregate' ELSE 'function' END AS kind,
  n.nspname AS schema, NULL AS relation, p.proname AS name,
  '(' || pg_catalog.pg_get_function_identity_arguments(p.oid) || ')' AS arguments, pg_catalog.jsonb_build_object(
    'owner', ${owner('p.proowner')},
    'grants', ${grants('p.proacl', 'f', 'p.proowner')},
    'definition', CASE WHEN p.prokind = 'a' THEN ag.aggkind::text || pg_catalog.concat_ws(' ', ag.aggtransfn, ag.aggfinalfn, ag.aggcombinefn,
        ag.aggmtransfn, ag.aggsortop::pg_catalog.regoperator, pg_catalog.format_type(ag.aggtranstype, NULL), ag.agginitval, p.proparallel)
      ${version >= 140_000 ? 'WHEN p.prosqlbody IS NOT NULL THEN NULL' : ''}
      ELSE pg_catalog.pg_get_functiondef(p.oid) END
    ${version >= 140_000 ? ", 'expression', CASE WHEN p.prosqlbody IS NOT NULL THEN pg_catalog.pg_get_functiondef(p.oid) END" : ''}
  ) AS a
FROM pg_catalog.pg_proc p
JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
LEFT JOIN pg_catalog.pg_aggregate ag ON ag.aggfnoid = p.oid
WHERE ${USER_SCHEMA} AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
  WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid AND d.deptype IN ('e', 'i'))`;

const TYPES = `
SELECT CASE t.typtype WHEN 'e' THEN 'enum' WHEN 'd' THEN 'domain' ELSE 'type' END AS kind,
  n.nspname AS schema, NULL AS relation, t.typname AS name, pg_catalog.jsonb_build_object(
    'owner', ${owner('t.typowner')},
    'grants', ${grants('t.typacl', 'T', 't.typowner')},
    'labels', CASE WHEN t.typtype = 'e' THEN (SELECT pg_catalog.jsonb_agg(e.enumlabel ORDER BY e.enumsortorder) FROM pg_catalog.pg_enum e WHERE e.enumtypid = t.oid) END,
    'columns', CASE WHEN t.typtype = 'c' THEN (SELECT pg_catalog.jsonb_agg(pg_catalog.quote_ident(at.attname) || ' ' || pg_catalog.format_type(at.atttypid, at.atttypmod) ORDER BY at.attnum)
      FROM pg_catalog.pg_attribute at WHERE at.attrelid = t.typrelid AND at.attnum > 0 AND NOT at.attisdropped) END,
    'base', CASE WHEN t.typtype = 'd' THEN pg_catalog.format_type(t.typbasetype, t.typtypmod) END,
    'notNull', t.typnotnull,
    'default', CASE WHEN t.typtype = 'd' THEN coalesce(pg_catalog.pg_get_expr(t.typdefaultbin, 0), t.typdefault) END,
    'subtype', (SELECT pg_catalog.format_type(r.rngsubtype, NULL) FROM pg_catalog.pg_range r WHERE r.rngtypid = t.oid),
    'shell', NOT t.typisdefined
  ) AS a
FROM pg_catalog.pg_type t
JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
LEFT JOIN pg_catalog.pg_class tc ON tc.oid = t.typrelid
WHERE t.typtype <> 'm' AND ${USER_SCHEMA} AND ${notMember('pg_type', 't.oid')}
  AND (t.typrelid = 0 OR tc.relkind = 'c')
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_type el WHERE el.typarray = t.oid)`;

/** What belongs to no table; of each its own attributes. */
const GLOBALS = (version: number) => `
SELECT 'schema' AS kind, NULL::name AS schema, n.nspname AS name, pg_catalog.jsonb_build_object(
    'owner', ${owner('n.nspowner')}, 'grants', ${grants('n.nspacl', 'n', 'n.nspowner')}) AS a
FROM pg_catalog.pg_namespace n WHERE ${USER_SCHEMA} AND ${notMember('pg_namespace', 'n.oid')}
UNION ALL
SELECT 'extension', NULL, e.extname, pg_catalog.jsonb_build_object('schema', en.nspname, 'version', e.extversion)
FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace en ON en.oid = e.extnamespace
UNION ALL
SELECT 'event trigger', NULL, e.evtname, pg_catalog.jsonb_build_object('owner', ${owner('e.evtowner')}, 'event', e.evtevent,
    'enabled', CASE e.evtenabled WHEN 'D' THEN 'no' WHEN 'R' THEN 'on replicas' WHEN 'A' THEN 'always' END,
    'function', e.evtfoid::pg_catalog.regproc::text, 'tags', pg_catalog.to_jsonb(e.evttags))
FROM pg_catalog.pg_event_trigger e WHERE ${notMember('pg_event_trigger', 'e.oid')}
UNION ALL
SELECT 'publication', NULL, p.pubname, pg_catalog.jsonb_build_object('owner', ${owner('p.pubowner')}, 'allTables', p.puballtables,
    'publish', pg_catalog.concat_ws(', ', CASE WHEN p.pubinsert THEN 'insert' END, CASE WHEN p.pubupdate THEN 'update' END,
      CASE WHEN p.pubdelete THEN 'delete' END, CASE WHEN p.pubtruncate THEN 'truncate' END),
    'viaRoot', p.pubviaroot,
    'tables', (SELECT pg_catalog.jsonb_agg(pr.prrelid::pg_catalog.regclass::text ORDER BY pr.prrelid::pg_catalog.regclass::text COLLATE pg_catalog."C")
      FROM pg_catalog.pg_publication_rel pr WHERE pr.prpubid = p.oid)
    ${
      version >= 150_000
        ? `, 'schemas', (SELECT pg_catalog.jsonb_agg(pn.pnnspid::pg_catalog.regnamespace::text ORDER BY pn.pnnspid::pg_catalog.regnamespace::text COLLATE pg_catalog."C")
      FROM pg_catalog.pg_publication_namespace pn WHERE pn.pnpubid = p.oid)`
        : ''
    })
FROM pg_catalog.pg_publication p
UNION ALL
SELECT 'foreign server', NULL, s.srvname, pg_catalog.jsonb_build_object('owner', ${owner('s.srvowner')}, 'grants', ${grants('s.srvacl', 'S', 's.srvowner')},
    'wrapper', w.fdwname, 'version', s.srvversion)
FROM pg_catalog.pg_foreign_server s JOIN pg_catalog.pg_foreign_data_wrapper w ON w.oid = s.srvfdw
WHERE ${notMember('pg_foreign_server', 's.oid')}
UNION ALL
SELECT 'default privileges', NULL, pg_catalog.concat_ws(' ', 'of', pg_catalog.pg_get_userbyid(da.defaclrole), 'in', n.nspname, 'on', da.defaclobjtype),
  pg_catalog.jsonb_build_object('grants', ${grantsText('da.defaclacl')})
FROM pg_catalog.pg_default_acl da LEFT JOIN pg_catalog.pg_namespace n ON n.oid = da.defaclnamespace
UNION ALL
SELECT 'statistics', n.nspname, o.stxname, pg_catalog.jsonb_build_object('owner', ${owner('o.stxowner')}, 'expression', pg_catalog.pg_get_statisticsobjdef(o.oid))
FROM pg_catalog.pg_statistic_ext o JOIN pg_catalog.pg_namespace n ON n.oid = o.stxnamespace WHERE ${USER_SCHEMA}
UNION ALL
SELECT 'setting', NULL, pg_catalog.concat_ws(' ', pg_catalog.split_part(entry.text, '=', 1), 'for ' || pg_catalog.pg_get_userbyid(nullif(st.setrole, 0))),
  pg_catalog.jsonb_build_object('value', 'sha256:' || pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(entry.text, 'UTF8')), 'hex'))
FROM pg_catalog.pg_db_role_setting st, pg_catalog.unnest(st.setconfig) AS entry(text)
WHERE st.setdatabase = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())`;

/** First oid that a user's object can have; what is below was made by initdb. */
const FIRST = 16384;

/** By identity alone: what is rare, or has little that can be lost. */
const OTHERS = `
SELECT i.type AS kind, NULL AS schema, i.identity AS name, '{}'::pg_catalog.jsonb AS a
FROM (${[
  'collation',
  'cast',
  'conversion',
  'language',
  'operator',
  'opclass',
  'opfamily',
  'ts_config',
  'ts_dict',
  'transform',
]
  .map(
    (catalog) =>
      `SELECT 'pg_catalog.pg_${catalog}'::pg_catalog.regclass::pg_catalog.oid AS classid, oid FROM pg_catalog.pg_${catalog} WHERE oid >= ${FIRST}`,
  )
  .join(' UNION ALL ')}) o, pg_catalog.pg_identify_object(o.classid, o.oid, 0) i
WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = o.classid AND d.objid = o.oid AND d.deptype IN ('e', 'i'))
  AND coalesce(i.schema, '') !~ '^pg_(toast|temp)'
UNION ALL
SELECT 'comment', NULL, 'on ' || i.type || ' ' || i.identity, pg_catalog.jsonb_build_object('text', ds.description)
FROM pg_catalog.pg_description ds, pg_catalog.pg_identify_object(ds.classoid, ds.objoid, ds.objsubid) i
WHERE ds.objoid >= ${FIRST} AND coalesce(i.schema, '') !~ '^pg_(toast|temp)'
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = ds.classoid AND d.objid = ds.objoid AND d.deptype = 'e')`;

/** @param version server_version_num */
export function inventoryQueries(version: number): readonly string[] {
  return [
    TABLES,
    COLUMNS(version),
    CONSTRAINTS,
    INDEXES,
    TRIGGERS,
    SEQUENCES,
    ROUTINES(version),
    TYPES,
    GLOBALS(version),
    OTHERS,
  ];
}
