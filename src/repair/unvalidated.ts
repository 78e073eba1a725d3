/** `unvalidated`: constraints that are NOT VALID are validated. Older rows are read, and nobody is kept from writing. */
import { identifier } from '../postgres/client.ts';
import type { RepairKind } from './repair-kind.ts';

// Those of partitions are validated with their parent's.
const NOT_VALID = `
SELECT con.conname AS name, con.contype AS type, n.nspname AS schema, c.relname AS "table"
FROM pg_catalog.pg_constraint con
JOIN pg_catalog.pg_class c ON c.oid = con.conrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE NOT con.convalidated AND coalesce((pg_catalog.to_jsonb(con) ->> 'conenforced')::pg_catalog.bool, true)
  AND n.nspname !~ '^pg_' AND con.conparentid = 0 AND NOT (con.contype = 'c' AND con.coninhcount > 0)
ORDER BY n.nspname, c.relname, con.conname`;

export const unvalidated: RepairKind = {
  kind: 'unvalidated',
  summary: 'Validates constraints that are NOT VALID.',
  async find({ client }) {
    const rows = await client.query<{ name: string; schema: string; table: string }>(NOT_VALID);
    return rows.map(({ name, schema, table }) => ({
      kind: 'unvalidated',
      key: JSON.stringify([schema, table, name]),
      what: `${identifier(name)} on ${identifier(schema)}.${identifier(table)} is NOT VALID: older rows were never checked`,
      statements: [
        `ALTER TABLE ${identifier(schema)}.${identifier(table)} VALIDATE CONSTRAINT ${identifier(name)}`,
      ],
      transaction: true,
    }));
  },
};
