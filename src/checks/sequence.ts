import { identifier } from '../postgres/client.ts';
import { tableNameSchema } from '../schema.ts';
import {
  absence,
  conclude,
  defineCatalogCheck,
  existenceTitle,
  existsSchema,
  isMissingObject,
  missing,
} from './catalog-check.ts';
import type { Finding } from './check-kind.ts';
import { parseName, showName } from './names.ts';
import { headroomTrouble, percentSchema } from './sequence-headroom.ts';
import {
  columnName,
  findSequences,
  type Position,
  type Sequence,
  sequencePositions,
  sequenceTrouble,
} from './sequence-state.ts';

/**
 * `sequence: {name: User_id_seq}`: it exists, and its next value is ahead of every column that draws from it, owned
 * or by default. A sequence that was never called gives its start value next, not the one after it.
 */
export const sequence = defineCatalogCheck({
  kind: 'sequence',
  summary: 'A sequence exists and is ahead of the columns that draw from it.',
  params: {
    type: 'object',
    description: 'A sequence that must exist and be ahead of its columns.',
    required: ['name'],
    additionalProperties: false,
    properties: {
      name: {
        ...tableNameSchema,
        description: 'The sequence, exactly as written.',
        examples: ['User_id_seq'],
      },
      table: { ...tableNameSchema, description: 'The table whose column must own it.', examples: ['User'] },
      column: { type: 'string', minLength: 1, description: 'That column.', examples: ['id'] },
      increment: { type: 'integer', description: 'What it counts by.', examples: [1] },
      type: { enum: ['smallint', 'integer', 'bigint'], description: 'Its type.' },
      headroom: percentSchema,
      ahead: {
        type: 'boolean',
        description: 'false: do not compare it with the values of its columns. Default true.',
      },
      exists: existsSchema,
    },
    examples: [{ name: 'User_id_seq', table: 'User', column: 'id', headroom: '20%' }],
  },
  title: ({ name, exists }) => existenceTitle(`sequence ${name}`, exists),
  async runAll(client, all) {
    const found = await findSequences(
      client,
      all.map(({ name }) => name),
    );
    const each = found.map((rows) => (isMissingObject(rows) ? rows : (rows[0] as Sequence)));
    const positions = await sequencePositions(
      client,
      each.filter((one, index): one is Sequence => {
        const wanted = all[index];
        return (
          'oid' in one &&
          wanted?.exists !== false &&
          (wanted?.ahead !== false || wanted.headroom !== undefined)
        );
      }),
    );
    return all.map((wanted, index): Finding => {
      const one = each[index] as (typeof each)[number];
      if (!('oid' in one)) {
        return missing(one, wanted.exists, `sequence ${wanted.name}`);
      }
      const real = one as Sequence;
      const sql = `${identifier(real.schema)}.${identifier(real.name)}`;
      if (wanted.exists === false)
        return absence(`sequence ${showName(real)}`, true, `DROP SEQUENCE ${sql};`);
      const position = positions.get(real.oid);
      const problems = [
        ownerProblem(real, sql, wanted.table, wanted.column),
        wanted.increment === undefined || BigInt(wanted.increment) === BigInt(real.increment)
          ? undefined
          : {
              message: `sequence ${showName(real)} counts by ${real.increment}, expected ${wanted.increment}`,
              hint: `ALTER SEQUENCE ${sql} INCREMENT BY ${wanted.increment};`,
            },
        wanted.type === undefined || wanted.type === real.type
          ? undefined
          : {
              message: `sequence ${showName(real)} is ${real.type}, expected ${wanted.type}`,
              hint: `ALTER SEQUENCE ${sql} AS ${wanted.type};`,
            },
        position === undefined || wanted.ahead === false ? undefined : sequenceTrouble(real, position),
        position === undefined ? undefined : headroomTrouble(real, position, wanted.headroom),
      ].filter((problem) => problem !== undefined);
      return conclude(problems, describe(real, position));
    });
  },
});

function ownerProblem(real: Sequence, sql: string, table: string | undefined, column: string | undefined) {
  if (table === undefined && column === undefined) return undefined;
  const wanted = table === undefined ? undefined : parseName(table);
  const owner = real.columns.find(({ owned }) => owned);
  const fits =
    owner !== undefined &&
    (wanted === undefined ||
      (owner.table === wanted.name && owner.schema === (wanted.schema ?? owner.schema))) &&
    (column === undefined || owner.column === column);
  if (fits) return undefined;
  const expected = [table, column].filter((part) => part !== undefined).join('.');
  return {
    message: `sequence ${showName(real)} is owned by ${owner === undefined ? 'no column' : columnName(owner)}, expected ${expected}`,
    ...(wanted === undefined || column === undefined
      ? {}
      : {
          hint: `ALTER SEQUENCE ${sql} OWNED BY ${identifier(wanted.schema ?? 'public')}.${identifier(wanted.name)}.${identifier(column)};`,
        }),
  };
}

function describe(real: Sequence, position: Position | undefined): string {
  const name = `sequence ${showName(real)}`;
  if (position === undefined) return `${name} exists`;
  if (real.columns.length === 0) return `${name} exists; no column draws from it`;
  const used = position.used.map(({ column, value }) => `${columnName(column)} holds ${value}`);
  return `${name} gives ${position.next} next, ${used.length === 0 ? `${real.columns.map(columnName).join(', ')} without a value` : used.join(', ')}`;
}
