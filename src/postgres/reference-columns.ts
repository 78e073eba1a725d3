/**
 * Expressions over a row `con` of pg_constraint that is a foreign key; the lists match each other, place by place.
 * Source: https://www.postgresql.org/docs/current/catalog-pg-constraint.html
 */

const namesOf = (numbers: string, relation: string) =>
  `ARRAY(SELECT a.attname::text FROM pg_catalog.unnest(${numbers}) WITH ORDINALITY AS k(attnum, position)
    JOIN pg_catalog.pg_attribute a ON a.attrelid = ${relation} AND a.attnum = k.attnum ORDER BY k.position)`;

/** Names of the referring columns. */
export const REFERRING_COLUMNS = namesOf('con.conkey', 'con.conrelid');

/** Names of the columns referred to. */
export const REFERENCED_COLUMNS = namesOf('con.confkey', 'con.confrelid');

/** The operators that compare a referenced column with the referring one. */
export const REFERENCE_OPERATORS = `ARRAY(SELECT pg_catalog.format('OPERATOR(%I.%s)', n.nspname, o.oprname)
    FROM pg_catalog.unnest(con.conpfeqop) WITH ORDINALITY AS k(oid, position)
    JOIN pg_catalog.pg_operator o ON o.oid = k.oid
    JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace ORDER BY k.position)`;
