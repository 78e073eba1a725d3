/** `rebuildConstraints`: drops and re-adds unique constraints, so that every row is checked again. */
import { findColumns, findTable, isMissing, type Relation, showColumns, showName } from '../checks/names.ts';
import { BackplanError } from '../errors.ts';
import { type Client, connect, identifier, sqlState } from '../postgres/client.ts';
import { type Duplicates, findDuplicates } from '../postgres/duplicates.ts';
import {
  isDuplicateError,
  matchingIndexes,
  planRebuild,
  type Rebuild,
  rebuildConcurrently,
  rebuildInTransaction,
} from '../postgres/rebuild-unique.ts';
import { loadUniqueIndexes, sameSet } from '../postgres/unique-indexes.ts';
import { columnsSchema, durationSchema, type Infer, type JsonSchema, tableNameSchema } from '../schema.ts';
import { formatDuration, parseDuration } from '../units.ts';
import { defineStep, type StepContext } from './step-kind.ts';

const constraintSchema = {
  type: 'object',
  required: ['table', 'columns'],
  additionalProperties: false,
  properties: {
    table: { ...tableNameSchema, description: 'The table.', examples: ['TenantLicense'] },
    columns: {
      ...columnsSchema,
      uniqueItems: true,
      description: 'The key columns.',
      examples: [['tenantId', 'licenseType']],
    },
    name: {
      type: 'string',
      minLength: 1,
      description: 'The name where it has to be added. What exists keeps the name that it has.',
      examples: ['tenantId_licenseType'],
    },
    form: {
      enum: ['constraint', 'index'],
      description:
        'What is made where nothing exists. Default: a plain unique index where Prisma migrates the database, as Prisma does, else a constraint.',
      examples: ['index'],
    },
  },
} as const satisfies JsonSchema;

const withSchema = {
  type: 'object',
  required: ['database', 'constraints'],
  additionalProperties: false,
  properties: {
    database: {
      type: 'string',
      description: 'A database of the plan, or what a restore step put out.',
      examples: ['crm', '${{ steps.stage.outputs.database }}'],
      'x-ref': 'database',
    },
    constraints: {
      type: 'array',
      items: constraintSchema,
      minItems: 1,
      description: 'The unique constraints (or unique indexes), by their columns.',
      examples: [[{ table: 'TenantLicense', columns: ['tenantId', 'licenseType'] }]],
    },
    concurrently: {
      type: 'boolean',
      description:
        'Do not block writers while the index is built. Takes longer, and each constraint is then done for itself.',
      default: false,
      examples: [true],
    },
    lockTimeout: {
      ...durationSchema,
      description: 'How long to wait for a table that others use; then nothing has changed.',
      default: '10s',
      examples: ['10s'],
    },
    sample: {
      type: 'integer',
      minimum: 1,
      maximum: 1000,
      description: 'How many groups of duplicates are shown where the rows do not allow it.',
      default: 5,
      examples: [5],
    },
  },
} as const satisfies JsonSchema;

type Params = Infer<typeof withSchema>;
type Wanted = Infer<typeof constraintSchema>;

interface Task {
  readonly wanted: Wanted;
  readonly table: Relation;
  readonly rebuild: Rebuild;
}

interface Refusal {
  readonly table: string;
  readonly columns: readonly string[];
  readonly duplicates: Duplicates;
}

export const rebuildConstraints = defineStep({
  kind: 'rebuildConstraints',
  summary: 'Drop and re-add unique constraints; refuses, with the duplicates, when the rows do not allow it.',
  with: withSchema,
  outputs: {
    rebuilt: {
      type: 'list',
      description: 'Names of the constraints and indexes that were rebuilt or added.',
    },
  },
  writes: ({ database }) => (database.includes(':') || database.includes('${{') ? [] : [{ database }]),
  describe: ({ database, constraints }) =>
    `rebuild ${constraints.map(({ table, columns, name }) => name ?? `${table} (${columns.join(', ')})`).join(', ')} on ${database}`,
  async run(params, context) {
    const target = context.database(params.database);
    await using client = await connect(target.connection, {
      applicationName: `backplan ${context.run.id} ${context.step}`,
      signal: context.signal,
      settings: { search_path: '', statement_timeout: '0', default_tablespace: '' },
    });
    const lockTimeout = parseDuration(params.lockTimeout);
    const markModified = () => {
      if (target.kind !== 'plan') target.modified = true;
    };
    // One by one, some may be done when another fails.
    if (params.concurrently) markModified();
    try {
      const names = params.concurrently
        ? await oneByOne(client, params, lockTimeout, context)
        : await together(client, params, lockTimeout, context);
      // What was missing and is there now is no longer what the backup held.
      markModified();
      return { rebuilt: names };
    } catch (error) {
      throw explain(error, lockTimeout);
    }
  },
});

/** All in one transaction: either every constraint was rebuilt or nothing has changed. */
async function together(
  client: Client,
  params: Params,
  lockTimeout: number,
  context: StepContext,
): Promise<string[]> {
  await client.query(`BEGIN; SET LOCAL lock_timeout = ${lockTimeout}`);
  const tables = await lockTables(client, params);
  const names: string[] = [];
  const refusals: Refusal[] = [];
  for (const wanted of params.constraints) {
    const table = tables.get(wanted.table);
    if (table === undefined) continue;
    for (const rebuild of await planFor(client, table, wanted)) {
      const task = { wanted, table, rebuild };
      await client.query('SAVEPOINT backplan_rebuild');
      try {
        await rebuildInTransaction(client, table, wanted.columns, rebuild);
      } catch (error) {
        if (!isDuplicateError(error)) throw error;
        await client.query('ROLLBACK TO SAVEPOINT backplan_rebuild');
        refusals.push(await refusal(client, task, params.sample));
        continue;
      }
      await verify(client, task);
      names.push(nameOf(rebuild));
      tell(task, context);
    }
  }
  if (refusals.length > 0) throw refuse(refusals, [], context);
  await client.query('COMMIT');
  return names;
}

/** Each for itself and without long locks. */
async function oneByOne(
  client: Client,
  params: Params,
  lockTimeout: number,
  context: StepContext,
): Promise<string[]> {
  const names: string[] = [];
  for (const wanted of params.constraints) {
    const table = await resolveTable(client, wanted);
    for (const rebuild of await planFor(client, table, wanted)) {
      const task = { wanted, table, rebuild };
      try {
        await rebuildConcurrently(client, table, wanted.columns, rebuild, {
          lockTimeoutMs: lockTimeout,
          onLeftover: (index) =>
            context.log.warn(
              `the unfinished index ${index} could not be dropped yet; the next rebuild does it`,
            ),
        });
      } catch (error) {
        if (!isDuplicateError(error)) throw error;
        throw refuse([await refusal(client, task, params.sample)], names, context);
      }
      await verify(client, task);
      names.push(nameOf(rebuild));
      tell(task, context);
    }
  }
  return names;
}

/** Always in the same order, and in the mode that only one rebuild at a time can have: two runs never wait for each other. */
async function lockTables(client: Client, params: Params): Promise<Map<string, Relation>> {
  const tables = new Map<string, Relation>();
  for (const wanted of params.constraints) tables.set(wanted.table, await resolveTable(client, wanted));
  const byOid = [...new Map([...tables.values()].map((table) => [table.oid, table])).values()];
  for (const table of byOid.sort((a, b) => a.oid - b.oid)) {
    await client.query(`LOCK TABLE ${table.sql} IN SHARE ROW EXCLUSIVE MODE`);
  }
  return tables;
}

async function resolveTable(client: Client, wanted: Wanted): Promise<Relation> {
  const table = await findTable(client, wanted.table);
  if (isMissing(table)) throw new BackplanError('REBUILD_REFUSED', table.message, { hint: table.hint });
  if (table.kind !== 'r' && table.kind !== 'p') {
    throw new BackplanError(
      'REBUILD_REFUSED',
      `${showName(table)} is not a table, so it cannot have a unique constraint`,
    );
  }
  const columns = await findColumns(client, table, wanted.columns);
  if (isMissing(columns)) throw new BackplanError('REBUILD_REFUSED', columns.message, { hint: columns.hint });
  return table;
}

async function planFor(client: Client, table: Relation, wanted: Wanted): Promise<Rebuild[]> {
  const all = await loadUniqueIndexes(client, table.oid);
  const namesake = all.find((index) => index.name === wanted.name);
  if (namesake !== undefined && !sameSet(namesake.columns, wanted.columns)) {
    throw new BackplanError(
      'REBUILD_REFUSED',
      `${identifier(namesake.name)} on ${showName(table)} is on (${showColumns(namesake.columns)}), not on (${showColumns(wanted.columns)})`,
      { hint: 'Mend the columns or the name in the plan.' },
    );
  }
  const matching = await matchingIndexes(client, table, wanted.columns);
  const chosen = matching.filter((index) => index.name === wanted.name);
  const indexes = chosen.length > 0 ? chosen : matching;
  if (indexes.length === 0) {
    const name = wanted.name ?? `${table.name}_${wanted.columns.join('_')}_key`;
    return [{ how: 'add', name, form: wanted.form ?? (await usualForm(client)) }];
  }
  const rebuilds: Rebuild[] = [];
  for (const index of indexes) rebuilds.push(await planRebuild(client, index));
  return rebuilds;
}

/** Prisma makes unique indexes, and takes a constraint in their place for drift. */
async function usualForm(client: Client): Promise<'constraint' | 'index'> {
  const row = await client.first<{ prisma: boolean }>(
    `SELECT EXISTS (SELECT FROM pg_catalog.pg_class WHERE relname = '_prisma_migrations' AND relkind = 'r') AS prisma`,
  );
  return row?.prisma === true ? 'index' : 'constraint';
}

/** The same check again, before anything is committed: the columns are guarded in the form they were. */
async function verify(client: Client, { table, wanted, rebuild }: Task): Promise<void> {
  const name = nameOf(rebuild);
  const found = (await matchingIndexes(client, table, wanted.columns)).find((index) => index.name === name);
  const before = rebuild.how === 'add' ? undefined : rebuild.index;
  const same =
    before === undefined ||
    (found?.definition === before.definition &&
      found.constraint?.definition === before.constraint?.definition &&
      found.immediate === before.immediate);
  if (found?.valid === true && same) return;
  throw new BackplanError(
    'INTERNAL',
    `${identifier(name)} on ${showName(table)} is not as it was after the rebuild`,
    {
      detail: `before: ${before?.definition ?? 'none'}\nafter: ${found?.definition ?? 'none'}`,
    },
  );
}

function nameOf(rebuild: Rebuild): string {
  return rebuild.how === 'add' ? rebuild.name : rebuild.index.name;
}

function tell({ table, rebuild, wanted }: Task, { log }: StepContext): void {
  const what = `${identifier(nameOf(rebuild))} on ${showName(table)} (${showColumns(wanted.columns)})`;
  if (rebuild.how === 'add') log.warn(`${what} was missing and is added as ${rebuild.form}`);
  else if (rebuild.how === 'reindex') log.info(`${what} was rebuilt in place, because ${rebuild.because}`);
  else log.info(`${what} was dropped and re-added`);
  if (rebuild.how !== 'add' && !rebuild.index.valid) log.warn(`${what} had been invalid`);
}

async function refusal(client: Client, { table, wanted, rebuild }: Task, sample: number): Promise<Refusal> {
  // The index is what is in doubt: only the rows themselves tell.
  const settings = ['enable_indexscan', 'enable_indexonlyscan', 'enable_bitmapscan'];
  for (const name of settings) await client.query(`SET ${name} = off`);
  const duplicates = await findDuplicates(
    client,
    table.kind === 'r' ? `ONLY ${table.sql}` : table.sql,
    wanted.columns,
    {
      limit: sample,
      nullsNotDistinct: rebuild.how !== 'add' && rebuild.index.nullsNotDistinct,
    },
  );
  for (const name of settings) await client.query(`RESET ${name}`);
  return { table: showName(table), columns: wanted.columns, duplicates };
}

function refuse(refusals: readonly Refusal[], done: readonly string[], context: StepContext): BackplanError {
  context.report({ kind: 'rebuildConstraints', refused: refusals });
  const lines = refusals.map(({ table, columns, duplicates }) => {
    const { groups, rows, top } = duplicates;
    const shown = top.map(({ key, rows: each }) => `${showKey(key)} (${each} rows)`);
    const more = groups > top.length ? `; and ${groups - top.length} more` : '';
    return `${table} (${showColumns(columns)}): ${groups} key${groups === 1 ? ' is' : 's are'} there more than once (${rows} rows): ${shown.join('; ')}${more}`;
  });
  return new BackplanError('REBUILD_REFUSED', `the rows do not allow it: ${lines.join(' | ')}`, {
    detail: lines.join('\n'),
    hint: `${done.length === 0 ? 'Nothing was changed' : `Rebuilt before this: ${done.join(', ')}`}. Decide which row of each group stays, remove or change the others, then run again.`,
  });
}

function showKey(key: Readonly<Record<string, string | null>>): string {
  return Object.entries(key)
    .map(([column, value]) => `${column} = ${value === null ? 'NULL' : JSON.stringify(value)}`)
    .join(', ');
}

function explain(error: unknown, lockTimeout: number): unknown {
  if (!(error instanceof BackplanError) || error.code !== 'QUERY_FAILED') return error;
  const keep = { cause: error.cause, detail: error.detail };
  switch (sqlState(error)) {
    case '55P03':
      return new BackplanError(
        'QUERY_FAILED',
        `a table was in use for longer than ${formatDuration(lockTimeout)}; nothing was changed`,
        {
          ...keep,
          transient: true,
          hint: 'Try at a quieter time, give lockTimeout more, or use concurrently: true. pg_stat_activity tells who held it.',
        },
      );
    case '42501':
      return new BackplanError('PERMISSION_DENIED', error.message, {
        ...keep,
        hint: 'Constraints can be rebuilt by the owner of the table or a superuser.',
      });
    case '42P07':
    case '42710':
    case '0A000':
    case '2BP01':
      return new BackplanError('REBUILD_REFUSED', `nothing was changed: ${error.message}`, {
        ...keep,
        hint: error.hint,
      });
    default:
      return error;
  }
}
