import { identifier } from '../postgres/client.ts';
import { durationSchema, tableNameSchema } from '../schema.ts';
import { formatDuration, parseDuration } from '../units.ts';
import { defineCheck, useOwnNames } from './check-kind.ts';
import { requireColumns, requireTable, showName } from './names.ts';

/** `canary: {table, where, column, equals, at, within}`: a row that was planted to be found again is found. */
export const canary = defineCheck({
  kind: 'canary',
  summary: 'A row that was planted to be found again is there, once, with its value, and not too old.',
  params: {
    type: 'object',
    description: 'The planted row, and what it must hold.',
    required: ['table', 'where'],
    additionalProperties: false,
    properties: {
      table: { ...tableNameSchema, description: 'The table that holds it.', examples: ['canary'] },
      where: {
        type: 'string',
        minLength: 1,
        description: 'The condition that only this row meets.',
        examples: ["name = 'nightly'"],
      },
      column: {
        type: 'string',
        minLength: 1,
        description: 'The column with its value.',
        examples: ['token'],
      },
      equals: {
        type: ['string', 'number', 'boolean'],
        description: 'What that column must hold; compared as text.',
        examples: ['sing'],
      },
      at: {
        type: 'string',
        minLength: 1,
        description: 'The column with the time of its planting.',
        examples: ['planted'],
      },
      within: {
        ...durationSchema,
        description: 'How old it may be, seen from the snapshot of the backup, on other databases from now.',
        examples: ['26h'],
      },
    },
    examples: [{ table: 'canary', where: "name = 'nightly'", at: 'planted', within: '26h' }],
  },
  title: ({ table, where }) => `canary ${table} (${where})`,
  async run(client, { table: name, where, column, equals, at, within }, { backup }) {
    const table = await requireTable(client, name);
    await requireColumns(
      client,
      table,
      [column, at].filter((each) => each !== undefined),
    );
    await useOwnNames(client);
    const value = column === undefined ? 'NULL' : `t.${identifier(column)}::pg_catalog.text`;
    const age =
      at === undefined
        ? 'NULL'
        : `pg_catalog.date_part('epoch', coalesce($1::pg_catalog.timestamptz, pg_catalog.transaction_timestamp()) - t.${identifier(at)}::pg_catalog.timestamptz)`;
    const rows = await client.query<{ value: string | null; age: string | null }>(
      `SELECT ${value} AS value, (${age})::pg_catalog.text AS age
       FROM ${table.sql} AS t WHERE (\n${where}\n) LIMIT 2`,
      at === undefined ? [] : [backup?.snapshotAt.toISOString() ?? null],
    );
    const [row] = rows;
    const what = `the canary in ${showName(table)}`;
    if (row === undefined)
      return { outcome: 'failed', message: `${what} is gone: no row meets ${where}`, count: 1 };
    if (rows.length > 1) {
      return { outcome: 'failed', message: `${what} is there more than once: ${where}`, count: 2 };
    }
    if (equals !== undefined && row.value !== String(equals)) {
      return {
        outcome: 'failed',
        message: `${what} has another ${identifier(column ?? '')} than was planted`,
        count: 1,
      };
    }
    const old = row.age === null ? undefined : Number(row.age) * 1000;
    if (within !== undefined && (old === undefined || !(old <= parseDuration(within)))) {
      const since = backup === undefined ? 'now' : `the snapshot of backup ${backup.id}`;
      return {
        outcome: 'failed',
        message: `${what} was planted ${old === undefined ? 'at no known time' : `${formatDuration(old)} before ${since}`}, expected at most ${within}`,
        count: 1,
      };
    }
    return {
      outcome: 'passed',
      message: `${what} is there${old === undefined ? '' : `, ${formatDuration(Math.max(0, old))} old`}`,
    };
  },
});
