import { BackplanError } from '../errors.ts';
import { identifier } from '../postgres/client.ts';
import { durationSchema, tableNameSchema } from '../schema.ts';
import { formatDuration, parseDuration } from '../units.ts';
import { type CheckClient, type CheckOptions, defineScan, type Finding } from './check-kind.ts';
import { type Relation, requireColumns, requireTable, showName } from './names.ts';
import { countWhere, nothingToLookAt } from './rows.ts';

/**
 * `freshness: {table, column, within}`: the newest time in a column is recent. Of a restored backup, "recent" is seen
 * from the moment its snapshot was taken: a backup does not go stale because it is checked late.
 */
export const freshness = defineScan({
  kind: 'freshness',
  summary: 'The newest time in a column is not older than it may be, seen from when the backup was taken.',
  keys: ['where'],
  params: {
    type: 'object',
    description: 'A column with times, and how old the newest may be.',
    required: ['table', 'column', 'within'],
    additionalProperties: false,
    properties: {
      table: { ...tableNameSchema, description: 'The table (or view).', examples: ['AuditLog'] },
      column: {
        type: 'string',
        minLength: 1,
        description: 'A timestamp or date; one without a time zone is read as UTC.',
        examples: ['createdAt'],
      },
      within: {
        ...durationSchema,
        description:
          'How old the newest may be: before the snapshot of the backup that the database was restored from, on other databases before now.',
        examples: ['24h'],
      },
      ahead: {
        ...durationSchema,
        description: 'How far the newest may be ahead of that moment. Default: any time.',
        examples: ['5m'],
      },
    },
    examples: [{ table: 'AuditLog', column: 'createdAt', within: '24h' }],
  },
  title: ({ table, column, within }) => `freshness ${table}.${column} within ${within}`,
  async scan(client, { table: name, column: columnName, within, ahead }, options) {
    const table = await requireTable(client, name);
    const [column] = await requireColumns(client, table, [columnName]);
    if (!['timestamptz', 'timestamp', 'date'].includes(column?.base.name ?? '')) {
      throw new BackplanError('INPUT_INVALID', `${identifier(columnName)} is ${column?.type}, not a time`, {
        hint: 'freshness looks at columns of type timestamptz, timestamp or date.',
      });
    }
    const sql = `t.${identifier(columnName)}`;
    const newest = `pg_catalog.max(${sql})${options.where === undefined ? '' : ` FILTER (WHERE (\n${options.where}\n))`}`;
    const columns = [
      `pg_catalog.date_part('epoch', ${newest}::pg_catalog.timestamptz)`,
      `pg_catalog.date_part('epoch', pg_catalog.transaction_timestamp())`,
    ];
    const decide = (epoch: string | null | undefined, now: string | null | undefined): Finding => {
      if (epoch === null || epoch === undefined) return nothingToLookAt(table, options);
      const limits = {
        within: parseDuration(within),
        ahead: ahead === undefined ? undefined : parseDuration(ahead),
      };
      return judge(table, columnName, Number(epoch) * 1000, Number(now) * 1000, limits, options);
    };
    // With an index that begins with the column the newest is found at once.
    if (options.where === undefined && options.trustIndexes && (await hasIndex(client, table, columnName))) {
      const [row] = await client.query<{ newest: string | null; now: string | null }>(
        `SELECT (${columns[0]})::pg_catalog.text AS newest, (${columns[1]})::pg_catalog.text AS now FROM ${table.sql} AS t`,
      );
      return decide(row?.newest, row?.now);
    }
    return {
      from: table.sql,
      ownNames: options.where !== undefined,
      columns: [...columns, countWhere(undefined, options)],
      conclude: (_client, [epoch, now]) => decide(epoch, now),
    };
  },
});

function judge(
  table: Relation,
  column: string,
  newest: number,
  now: number,
  limits: { readonly within: number; readonly ahead: number | undefined },
  { backup }: CheckOptions,
): Finding {
  const present = backup?.snapshotAt.getTime() ?? now;
  const moment = backup === undefined ? 'now' : `the snapshot of backup ${backup.id}`;
  const what = `the newest ${identifier(column)} of ${showName(table)}`;
  if (!Number.isFinite(newest)) {
    return { outcome: 'failed', message: `${what} is ${newest > 0 ? '' : '-'}infinity`, count: 1 };
  }
  const age = present - newest;
  const at = new Date(newest).toISOString();
  const message = `${what} is ${at}, ${formatDuration(Math.abs(age))} ${age >= 0 ? 'before' : 'after'} ${moment}`;
  if (age > limits.within) {
    return {
      outcome: 'failed',
      message: `${message}, expected at most ${formatDuration(limits.within)}`,
      count: 1,
    };
  }
  if (limits.ahead !== undefined && -age > limits.ahead) {
    return {
      outcome: 'failed',
      message: `${message}, expected at most ${formatDuration(limits.ahead)}`,
      hint: 'A clock is wrong, or the rows were made up.',
      count: 1,
    };
  }
  return { outcome: 'passed', message };
}

async function hasIndex(client: CheckClient, table: Relation, column: string): Promise<boolean> {
  const [row] = await client.query<{ found: boolean }>(
    `SELECT EXISTS (
       SELECT FROM pg_catalog.pg_index i
       JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
       JOIN pg_catalog.pg_am am ON am.oid = c.relam AND am.amname = 'btree'
       JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
       WHERE i.indrelid = $1::pg_catalog.oid AND a.attname = $2 AND i.indisvalid AND i.indpred IS NULL) AS found`,
    [table.oid, column],
  );
  return row?.found === true;
}
