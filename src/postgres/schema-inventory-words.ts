/** Pieces that the catalog queries of the inventory share. */

/** Grants as text, null where they are those that the owner of a new object has: a dump does not tell these apart. */
export function grants(acl: string, kind: string, owner: string): string {
  return `CASE WHEN ${acl} IS NOT NULL THEN nullif(${grantsText(acl)}, ${grantsText(
    `pg_catalog.acldefault('${kind}', ${owner})`,
  )}) END`;
}

export function grantsText(acl: string): string {
  return `coalesce((SELECT pg_catalog.string_agg(g.line, '; ' ORDER BY g.line COLLATE pg_catalog."C") FROM (
      SELECT CASE p.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(p.grantee)) END || ': '
        || pg_catalog.string_agg(p.privilege_type || CASE WHEN p.grantable THEN '*' ELSE '' END, ', ' ORDER BY p.privilege_type COLLATE pg_catalog."C") AS line
      FROM (SELECT x.grantee, x.privilege_type, pg_catalog.bool_or(x.is_grantable) AS grantable
            FROM pg_catalog.aclexplode(${acl}) x GROUP BY 1, 2) p
      GROUP BY p.grantee) g), '(none)')`;
}

export const owner = (column: string) => `pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(${column}))`;

/** Options that may hold what is not for everybody's eyes: their hash. */
export function hashed(options: string): string {
  return `CASE WHEN ${options} IS NOT NULL THEN 'sha256:' || pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(
    (SELECT pg_catalog.string_agg(x, ', ' ORDER BY x COLLATE pg_catalog."C") FROM pg_catalog.unnest(${options}) x), 'UTF8')), 'hex') END`;
}
