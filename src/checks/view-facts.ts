/** What the catalog says of views and materialized views. */

import { USER_SCHEMA } from '../postgres/user-objects.ts';
import type { CatalogObject, CatalogSource } from './catalog-check.ts';
import { showColumns } from './names.ts';

export interface View extends CatalogObject {
  readonly columns: readonly string[];
  readonly populated: boolean;
  readonly options: readonly string[] | null;
}

export function viewSource(kind: 'v' | 'm', what: string): CatalogSource {
  return {
    what,
    sql: `SELECT n.nspname::pg_catalog.text AS schema, c.relname::pg_catalog.text AS name,
      c.relispopulated AS populated, c.reloptions AS options,
      ARRAY(SELECT a.attname::pg_catalog.text FROM pg_catalog.pg_attribute a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum) AS columns
      FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind = '${kind}' AND ${USER_SCHEMA}`,
  };
}

/** What a view that must have some columns lacks of them. */
export function lackingColumns(
  label: string,
  { columns }: View,
  wanted: readonly string[] = [],
): { message: string; hint: string }[] {
  const lacking = wanted.filter((column) => !columns.includes(column));
  if (lacking.length === 0) return [];
  return [
    { message: `${label} has no column ${showColumns(lacking)}`, hint: `It has ${showColumns(columns)}.` },
  ];
}
