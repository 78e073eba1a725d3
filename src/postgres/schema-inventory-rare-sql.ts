/**
 * The catalog queries of the inventory for routines, types and what belongs to no table. They yield what those of
 * schema-inventory-sql.ts do.
 */
import { grants, grantsText, hashed, owner } from './schema-inventory-words.ts';
import { notMember, USER_SCHEMA } from './user-objects.ts';

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
    'collation', CASE WHEN t.typtype = 'd' AND t.typcollation <> bt.typcollation THEN t.typcollation::pg_catalog.regcollation::text END,
    'base', CASE WHEN t.typtype = 'd' THEN pg_catalog.format_type(t.typbasetype, t.typtypmod) END,
    'notNull', t.typnotnull,
    'default', CASE WHEN t.typtype = 'd' THEN coalesce(pg_catalog.pg_get_expr(t.typdefaultbin, 0), t.typdefault) END,
    'subtype', (SELECT pg_catalog.format_type(r.rngsubtype, NULL) FROM pg_catalog.pg_range r WHERE r.rngtypid = t.oid),
    'shell', NOT t.typisdefined
  ) AS a
FROM pg_catalog.pg_type t
JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
LEFT JOIN pg_catalog.pg_class tc ON tc.oid = t.typrelid
LEFT JOIN pg_catalog.pg_type bt ON bt.oid = t.typbasetype
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
${
  version >= 150_000
    ? `UNION ALL
SELECT 'publication filter', NULL, pg_catalog.quote_ident(p.pubname) || ' ' || r.prrelid::pg_catalog.regclass::text, pg_catalog.jsonb_build_object(
    'columns', (SELECT pg_catalog.jsonb_agg(a.attname ORDER BY a.attname) FROM pg_catalog.pg_attribute a
      WHERE a.attrelid = r.prrelid AND a.attnum = ANY (r.prattrs::pg_catalog.int2[])),
    'expression', pg_catalog.pg_get_expr(r.prqual, r.prrelid))
FROM pg_catalog.pg_publication_rel r JOIN pg_catalog.pg_publication p ON p.oid = r.prpubid
WHERE r.prattrs IS NOT NULL OR r.prqual IS NOT NULL`
    : ''
}
UNION ALL
SELECT 'foreign server', NULL, s.srvname, pg_catalog.jsonb_build_object('owner', ${owner('s.srvowner')}, 'grants', ${grants('s.srvacl', 'S', 's.srvowner')},
    'wrapper', w.fdwname, 'version', s.srvversion, 'serverOptions', ${hashed('s.srvoptions')})
FROM pg_catalog.pg_foreign_server s JOIN pg_catalog.pg_foreign_data_wrapper w ON w.oid = s.srvfdw
WHERE ${notMember('pg_foreign_server', 's.oid')}
UNION ALL
SELECT 'user mapping', NULL, pg_catalog.concat_ws(' ', 'of', CASE m.umuser WHEN 0 THEN 'PUBLIC' ELSE m.usename::text END, 'on', pg_catalog.quote_ident(m.srvname)), '{}'
FROM pg_catalog.pg_user_mappings m
UNION ALL
SELECT 'database', NULL, 'itself', pg_catalog.jsonb_build_object('owner', ${owner('d.datdba')}, 'grants', ${grants('d.datacl', 'd', 'd.datdba')})
FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()
UNION ALL
SELECT 'large objects', NULL, 'all', pg_catalog.jsonb_build_object('owner', l.owners, 'grants', l.grants)
FROM (SELECT
    (SELECT pg_catalog.string_agg(g.owner || ' ' || g.n, '; ' ORDER BY g.owner COLLATE pg_catalog."C")
      FROM (SELECT ${owner('m.lomowner')} AS owner, pg_catalog.count(*) AS n FROM pg_catalog.pg_largeobject_metadata m GROUP BY m.lomowner) g) AS owners,
    (SELECT pg_catalog.string_agg(g.line || ' ' || g.n, '; ' ORDER BY g.line COLLATE pg_catalog."C")
      FROM (SELECT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) END || ': ' || a.privilege_type AS line, pg_catalog.count(*) AS n
        FROM pg_catalog.pg_largeobject_metadata m, pg_catalog.aclexplode(m.lomacl) a WHERE a.grantee <> m.lomowner GROUP BY 1) g) AS grants
  ) l WHERE l.owners IS NOT NULL
UNION ALL
SELECT 'default privileges', NULL, pg_catalog.concat_ws(' ', 'of', pg_catalog.pg_get_userbyid(da.defaclrole), 'in', n.nspname, 'on', da.defaclobjtype),
  pg_catalog.jsonb_build_object('grants', ${grantsText('da.defaclacl')})
FROM pg_catalog.pg_default_acl da LEFT JOIN pg_catalog.pg_namespace n ON n.oid = da.defaclnamespace
UNION ALL
SELECT 'statistics', n.nspname, o.stxname, pg_catalog.jsonb_build_object('owner', ${owner('o.stxowner')}, 'expression', pg_catalog.pg_get_statisticsobjdef(o.oid)
    ${version >= 130_000 ? ", 'target', nullif(o.stxstattarget, -1)" : ''})
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
SELECT i.type AS kind, NULL AS schema, i.identity AS name, coalesce(
    (SELECT pg_catalog.jsonb_build_object('context', nullif(c.castcontext, 'e'), 'method', nullif(c.castmethod, 'f'), 'function', nullif(c.castfunc, 0)::pg_catalog.regprocedure::text)
      FROM pg_catalog.pg_cast c WHERE i.type = 'cast' AND c.oid = o.oid),
    (SELECT pg_catalog.jsonb_build_object('mapping', pg_catalog.string_agg(t.alias || ' ' || m.dicts, '; ' ORDER BY t.tokid))
      FROM pg_catalog.pg_ts_config f, pg_catalog.ts_token_type(f.cfgparser) t, LATERAL (
        SELECT pg_catalog.string_agg(d.mapdict::pg_catalog.regdictionary::text, ',' ORDER BY d.mapseqno) AS dicts
        FROM pg_catalog.pg_ts_config_map d WHERE d.mapcfg = f.oid AND d.maptokentype = t.tokid) m
      WHERE i.type = 'text search configuration' AND f.oid = o.oid GROUP BY f.oid),
    (SELECT pg_catalog.jsonb_build_object('options', d.dictinitoption)
      FROM pg_catalog.pg_ts_dict d WHERE i.type = 'text search dictionary' AND d.oid = o.oid),
    (SELECT pg_catalog.jsonb_build_object('locale', pg_catalog.concat_ws(' ', c.collprovider, c.collcollate, c.collctype,
        pg_catalog.to_jsonb(c) ->> 'colliculocale', pg_catalog.to_jsonb(c) ->> 'colllocale'), 'nondeterministic', NOT c.collisdeterministic)
      FROM pg_catalog.pg_collation c WHERE i.type = 'collation' AND c.oid = o.oid),
    (SELECT pg_catalog.jsonb_build_object('function', p.oprcode::pg_catalog.regprocedure::text, 'commutator', nullif(p.oprcom, 0)::pg_catalog.regoperator::text,
        'negator', nullif(p.oprnegate, 0)::pg_catalog.regoperator::text)
      FROM pg_catalog.pg_operator p WHERE i.type = 'operator' AND p.oid = o.oid),
    '{}') AS a
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
  'foreign_data_wrapper',
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
WHERE (ds.objoid >= ${FIRST} OR (i.identity = 'public' AND i.type = 'schema' AND ds.description <> 'standard public schema')) AND coalesce(i.schema, '') !~ '^pg_(toast|temp)'
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = ds.classoid AND d.objid = ds.objoid AND d.deptype = 'e')`;

/** @param version server_version_num */
export function rareQueries(version: number): readonly string[] {
  return [ROUTINES(version), TYPES, GLOBALS(version), OTHERS];
}
