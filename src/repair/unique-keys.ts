/**
 * `uniqueKeys`: a unique constraint, unique index or primary key that is missing or invalid is built anew; where
 * rows have the same key, those that the policy does not keep move to the quarantine in the same transaction.
 */
import { findColumns, findTable, isMissing, type Relation, showColumns, showName } from '../checks/names.ts';
import { type Client, identifier } from '../postgres/client.ts';
import { findDuplicates } from '../postgres/duplicates.ts';
import { matchingIndexes, planRebuild, rebuildInTransaction } from '../postgres/rebuild-unique.ts';
import { from, moveRows } from './quarantine.ts';
import type { RepairAction, RepairKind, RepairPolicy, RepairWorld } from './repair-kind.ts';
import type { Wanted } from './wanted.ts';

type Key = Wanted['keys'][number];

export const uniqueKeys: RepairKind = {
  kind: 'uniqueKeys',
  summary: 'Builds missing and invalid unique constraints, unique indexes and primary keys.',
  async find(world) {
    const actions = new Map<string, RepairAction>();
    for (const wanted of world.wanted.keys) {
      const table = await findTable(world.client, wanted.table);
      if (isMissing(table) || (table.kind !== 'r' && table.kind !== 'p')) continue;
      const columns = await findColumns(world.client, table, wanted.columns);
      if (isMissing(columns)) continue;
      const key = JSON.stringify([table.oid, [...wanted.columns].sort()]);
      if (actions.has(key)) continue;
      const action = await look(world, table, wanted, key);
      if (action !== undefined) actions.set(key, action);
    }
    return [...actions.values()];
  },
};

async function look(
  world: RepairWorld,
  table: Relation,
  wanted: Key,
  key: string,
): Promise<RepairAction | undefined> {
  const { client, policy, run, sample } = world;
  const found = await matchingIndexes(client, table, wanted.columns);
  if (found.some(({ valid }) => valid)) return undefined;
  const where = `${showName(table)} (${showColumns(wanted.columns)})`;
  const [invalid] = found;
  const build =
    invalid === undefined
      ? [addStatement(table, wanted)]
      : await recorded(client, async (recorder) =>
          rebuildInTransaction(recorder, table, wanted.columns, await planRebuild(client, invalid)),
        );
  const trouble = invalid === undefined ? 'nothing guards' : `${identifier(invalid.name)} is invalid on`;
  const again = () => look(world, table, wanted, key);
  const base = { kind: 'uniqueKeys', key, transaction: true, locks: [table.sql], again } as const;
  const nullsNotDistinct = /NULLS NOT DISTINCT/.test(
    wanted.constraint ?? wanted.index ?? invalid?.definition ?? '',
  );
  const duplicates = await findDuplicates(client, from(table), wanted.columns, {
    limit: sample,
    nullsNotDistinct,
  });
  if (duplicates.groups === 0) return { ...base, what: `${trouble} ${where}`, statements: build };
  const rows = duplicates.rows - duplicates.groups;
  const what = `${trouble} ${where}, and ${duplicates.groups} ${duplicates.groups === 1 ? 'key is' : 'keys are'} there more than once (${duplicates.rows} rows)`;
  const samples = duplicates.top.map((group) => ({ ...group.key, rows: group.rows }));
  const rule = policy.duplicates;
  if (rule === undefined) {
    return {
      ...base,
      what,
      statements: build,
      samples,
      refused: {
        why: 'the rows do not allow it, and nothing says which of them stay',
        hint: 'duplicates: {keep: newest, by: COLUMN} keeps one row of each group and moves the others to the quarantine.',
      },
    };
  }
  const by = await findColumns(client, table, [rule.by]);
  if (isMissing(by)) {
    return {
      ...base,
      what,
      statements: build,
      samples,
      refused: {
        why: by.message,
        hint: `duplicates.by must be a column of ${showName(table)}. ${by.hint ?? ''}`,
      },
    };
  }
  const move = await moveRows(
    client,
    table,
    losers(table, wanted.columns, rule, nullsNotDistinct),
    `another row has the same ${wanted.columns.join(', ')}; kept was the ${rule.keep} by ${rule.by}`,
    { schema: policy.quarantine, run },
  );
  return {
    ...base,
    what,
    statements: [...move.statements, ...build],
    rows,
    samples,
    ...(move.refused === undefined ? {} : { refused: move.refused }),
  };
}

/** All rows of each group but the one that stays; between equals the one that was written last stays. */
function losers(
  table: Relation,
  columns: readonly string[],
  { keep, by }: NonNullable<RepairPolicy['duplicates']>,
  nullsNotDistinct: boolean,
): string {
  const keys = columns.map(identifier);
  const where = nullsNotDistinct ? '' : ` WHERE ${keys.map((key) => `${key} IS NOT NULL`).join(' AND ')}`;
  const order = `${identifier(by)} ${keep === 'newest' ? 'DESC' : 'ASC'} NULLS LAST, tableoid DESC, ctid DESC`;
  return (
    `SELECT ranked.tableoid, ranked.ctid FROM (SELECT tableoid, ctid, pg_catalog.row_number() OVER ` +
    `(PARTITION BY ${keys.join(', ')} ORDER BY ${order}) AS place FROM ${from(table)}${where}) AS ranked WHERE ranked.place > 1`
  );
}

function addStatement(table: Relation, wanted: Key): string {
  const list = showColumns(wanted.columns);
  if (wanted.index !== undefined) return wanted.index;
  const usual =
    wanted.primary === true ? `${table.name}_pkey` : `${table.name}_${wanted.columns.join('_')}_key`;
  const constraint = wanted.constraint ?? `${wanted.primary === true ? 'PRIMARY KEY' : 'UNIQUE'} (${list})`;
  return `ALTER TABLE ${table.sql} ADD CONSTRAINT ${identifier(wanted.name ?? usual)} ${constraint}`;
}

/** What some work would have sent, its questions answered. */
async function recorded(client: Client, work: (client: Client) => Promise<void>): Promise<string[]> {
  const statements: string[] = [];
  const isQuestion = (sql: string) => /^\s*(SELECT|WITH)\b/i.test(sql);
  const recorder: Client = {
    ...client,
    query: async <Row extends Record<string, unknown>>(sql: string, values?: readonly unknown[]) => {
      if (isQuestion(sql)) return await client.query<Row>(sql, values);
      statements.push(sql);
      return [];
    },
    first: async <Row extends Record<string, unknown>>(sql: string, values?: readonly unknown[]) =>
      await client.first<Row>(sql, values),
  };
  await work(recorder);
  return statements;
}
