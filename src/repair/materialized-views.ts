/** `materializedViews`: those that were never filled are filled, in the order in which they were made. */
import { identifier } from '../postgres/client.ts';
import type { RepairKind } from './repair-kind.ts';

export const materializedViews: RepairKind = {
  kind: 'materializedViews',
  summary: 'Fills materialized views that are not populated.',
  async find({ client }) {
    const rows = await client.query<{ schema: string; name: string }>(
      `SELECT n.nspname AS schema, c.relname AS name
       FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
       WHERE c.relkind = 'm' AND NOT c.relispopulated AND n.nspname !~ '^pg_' ORDER BY c.oid`,
    );
    return rows.map(({ schema, name }) => {
      const sql = `${identifier(schema)}.${identifier(name)}`;
      return {
        kind: 'materializedViews',
        key: sql,
        what: `the materialized view ${sql} was never filled: a query on it fails`,
        statements: [`REFRESH MATERIALIZED VIEW ${sql}`],
        transaction: true,
      };
    });
  },
};
