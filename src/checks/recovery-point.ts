import { BackplanError } from '../errors.ts';
import { type JsonSchema, tableNameSchema } from '../schema.ts';
import { type CheckClient, defineCheck, useOwnNames } from './check-kind.ts';
import { requireTable, showName } from './names.ts';

const sideSchema = {
  type: 'object',
  required: ['table', 'where'],
  additionalProperties: false,
  properties: {
    table: { ...tableNameSchema, description: 'The table.', examples: ['Deployment'] },
    where: {
      type: 'string',
      minLength: 1,
      description: 'The condition, in SQL, that the row meets.',
      examples: ['id = 4711'],
    },
  },
} as const satisfies JsonSchema;

/** `recoveryPoint: {present, absent}`: what was done before a moment is there, what was done after it is not. */
export const recoveryPoint = defineCheck({
  kind: 'recoveryPoint',
  summary: 'The database is as it was at one moment: a row from before is present, one from after is absent.',
  params: {
    type: 'object',
    description: 'A row from just before the moment, and one from just after it.',
    required: ['present', 'absent'],
    additionalProperties: false,
    properties: {
      present: {
        ...sideSchema,
        description: 'A row from before the moment.',
        examples: [{ table: 'Order', where: 'id = 4711' }],
      },
      absent: {
        ...sideSchema,
        description: 'A row from after it.',
        examples: [{ table: 'Order', where: 'id = 4712' }],
      },
    },
    examples: [
      { present: { table: 'Order', where: 'id = 4711' }, absent: { table: 'Order', where: 'id = 4712' } },
    ],
  },
  title: ({ present, absent }) =>
    `recoveryPoint between ${present.table} (${present.where}) and ${absent.table} (${absent.where})`,
  async run(client, { present, absent }) {
    const before = await exists(client, present);
    const after = await exists(client, absent);
    const wrong = [
      before.found
        ? undefined
        : `no row of ${before.name} meets ${present.where}: the moment was not reached`,
      after.found ? `a row of ${after.name} meets ${absent.where}: the moment was passed` : undefined,
    ].filter((text) => text !== undefined);
    return wrong.length > 0
      ? { outcome: 'failed', message: wrong.join('; '), count: wrong.length }
      : { outcome: 'passed', message: `what was done before is there, what was done after is not` };
  },
});

async function exists(
  client: CheckClient,
  side: { readonly table: string; readonly where: string },
): Promise<{ found: boolean; name: string }> {
  const table = await requireTable(client, side.table);
  await useOwnNames(client);
  const [row] = await client.query<{ found: boolean }>(
    `SELECT EXISTS (SELECT FROM ${table.sql} AS t WHERE (\n${side.where}\n)) AS found`,
  );
  if (row === undefined) throw new BackplanError('INTERNAL', 'EXISTS gave no row');
  return { found: row.found, name: showName(table) };
}
