/** Conditions of catalog queries: what belongs to users and neither to the server nor to an extension. */

/** Of `pg_namespace n`: no schema of the server, of temporary tables or of TOAST. */
export const USER_SCHEMA = `n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)'`;

/** Members of extensions come and go with the extension. @param catalog such as `pg_class`; @param oid an expression */
export function notMember(catalog: string, oid: string): string {
  return `NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.${catalog}'::pg_catalog.regclass
    AND d.objid = ${oid} AND d.deptype = 'e')`;
}
