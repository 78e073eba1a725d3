import { identifier } from '../postgres/client.ts';
import { findDuplicates } from '../postgres/duplicates.ts';
import {
  isSubset,
  loadAllUniqueIndexes,
  loadUniqueIndexes,
  sameSet,
  type UniqueIndex,
} from '../postgres/unique-indexes.ts';
import { columnsSchema, tableNameSchema } from '../schema.ts';
import { attempt } from './attempt.ts';
import { absence, existenceTitle, existsSchema, withoutTable } from './catalog-check.ts';
import { type CheckClient, defineCheck, type Finding } from './check-kind.ts';
import {
  findColumns,
  findTables,
  isMissing,
  type Missing,
  preloadColumns,
  type Relation,
  showColumns,
  showName,
} from './names.ts';

/**
 * `unique: {table, columns}`: a valid unique constraint or index guards these columns, whatever it is called (Prisma
 * makes indexes without constraints) and in whatever order. Such an index makes duplicates impossible, so the rows
 * are read only when it is missing, to say how bad it is.
 */
export const unique = defineCheck({
  kind: 'unique',
  summary: 'A unique constraint or unique index guards a set of columns.',
  params: {
    type: 'object',
    description: 'A set of columns that a valid unique constraint or index must guard.',
    required: ['table', 'columns'],
    additionalProperties: false,
    properties: {
      table: { ...tableNameSchema, description: 'The table.', examples: ['TenantLicense'] },
      columns: {
        ...columnsSchema,
        uniqueItems: true,
        description: 'The key columns, in any order.',
        examples: [['tenantId', 'licenseType']],
      },
      name: {
        type: 'string',
        minLength: 1,
        description:
          'How the constraint is called. For readers: what guards the columns passes under any name, and a differing name is noted.',
        examples: ['tenantId_licenseType'],
      },
      exists: { ...existsSchema, description: 'false: nothing may make exactly these columns unique.' },
    },
    examples: [
      { table: 'TenantLicense', columns: ['tenantId', 'licenseType'], name: 'tenantId_licenseType' },
    ],
  },
  title: ({ table, columns, exists }) => existenceTitle(`unique ${table} (${columns.join(', ')})`, exists),
  async run(client, params, { sample, trustIndexes }) {
    const [table] = await findTables(client, [params.table]);
    if (table === undefined) throw new Error('no table was looked for');
    if (isMissing(table)) return withoutTable(table, params.exists);
    const indexes = await loadUniqueIndexes(client, table.oid);
    const finding = await fromCatalog(client, table, params, indexes);
    const { columns, name } = params;
    if (finding !== undefined) {
      const doubtful = !trustIndexes && params.exists !== false && finding.outcome === 'passed';
      return doubtful ? await fromRows(client, table, columns, finding, sample) : finding;
    }
    const near = indexes.find((index) => sameSet(index.columns, columns));
    const duplicates = await attempt(client, () =>
      findDuplicates(client, table.sql, columns, { limit: Math.max(1, sample), nullsNotDistinct: false }),
    );
    return missing(table, columns, near, name, duplicates, sample);
  },
  async runAll(client, all, options) {
    if (options.some(({ trustIndexes }) => !trustIndexes)) throw new Error('the rows must be looked at');
    const tables = await findTables(
      client,
      all.map(({ table }) => table),
    );
    const indexes = await loadAllUniqueIndexes(
      client,
      tables.flatMap((table) => (isMissing(table) ? [] : [table.oid])),
    );
    await preloadColumns(
      client,
      tables.flatMap((table) => (isMissing(table) ? [] : [table])),
    );
    const findings: Finding[] = [];
    for (const [position, params] of all.entries()) {
      const table = tables[position] as (typeof tables)[number];
      const own = isMissing(table) ? [] : (indexes.get(table.oid) ?? []);
      const finding = await fromCatalog(client, table, params, own);
      // Reading rows needs a timeout of its own.
      if (finding === undefined) throw new Error('the rows must be looked at');
      findings.push(finding);
    }
    return findings;
  },
});

interface Params {
  readonly table: string;
  readonly columns: readonly string[];
  readonly name?: string | undefined;
  readonly exists?: boolean | undefined;
}

/** What the catalog alone says; undefined where nothing guards the columns. */
async function fromCatalog(
  client: CheckClient,
  table: Relation | Missing,
  { columns, name: wantedName, exists }: Params,
  indexes: readonly UniqueIndex[],
): Promise<Finding | undefined> {
  if (isMissing(table)) return withoutTable(table, exists);
  const found = await findColumns(client, table, columns);
  if (isMissing(found)) return withoutTable(found, exists);
  const whole = indexes.filter((index) => index.predicate === undefined && !index.expressions);
  const guards = whole.filter((index) => index.valid && isSubset(index.columns, columns));
  // One on exactly these columns first, and among those the one of the wanted name.
  const guard =
    guards.find((index) => index.name === wantedName && sameSet(index.columns, columns)) ??
    guards.find((index) => sameSet(index.columns, columns)) ??
    guards[0];
  if (exists === false) {
    const exact = guard !== undefined && sameSet(guard.columns, columns) ? guard : undefined;
    return absence(
      `what makes ${showName(table)} (${showColumns(columns)}) unique`,
      exact !== undefined,
      exact === undefined ? undefined : dropOf(table, exact),
    );
  }
  if (guard !== undefined) return { outcome: 'passed', message: describeGuard(guard, columns, wantedName) };
  return undefined;
}

/** An index under suspicion proves nothing; the rows do. @param guarded what the index said */
export async function fromRows(
  client: CheckClient,
  table: Relation,
  columns: readonly string[],
  guarded: Finding,
  sample: number,
): Promise<Finding> {
  const { groups, rows, top } = await findDuplicates(client, table.sql, columns, {
    limit: Math.max(1, sample),
    nullsNotDistinct: false,
  });
  if (groups === 0) return { ...guarded, message: `${guarded.message}; the rows keep to it` };
  return {
    outcome: 'failed',
    message: `${guarded.message} is damaged: ${groups} key${groups === 1 ? ' is' : 's are'} there more than once (${rows} rows)`,
    hint: `Resolve the duplicates, then: REINDEX TABLE CONCURRENTLY ${table.sql};`,
    count: groups,
    samples: top.slice(0, sample).map(({ key, rows: times }) => ({ ...key, rows: times })),
  };
}

function dropOf(table: Relation, guard: UniqueIndex): string {
  return guard.constraint === undefined
    ? `DROP INDEX CONCURRENTLY ${identifier(guard.schema)}.${identifier(guard.name)};`
    : `ALTER TABLE ${table.sql} DROP CONSTRAINT ${identifier(guard.constraint.name)};`;
}

function describeGuard(guard: UniqueIndex, columns: readonly string[], wantedName?: string): string {
  const what = guard.primary
    ? 'primary key'
    : guard.constraint === undefined
      ? 'unique index'
      : 'unique constraint';
  const notes = [
    sameSet(guard.columns, columns)
      ? undefined
      : `unique on (${showColumns(guard.columns)}) alone, which implies it`,
    wantedName === undefined || wantedName === guard.name
      ? undefined
      : `the plan calls it ${identifier(wantedName)}`,
    guard.immediate ? undefined : 'deferrable: checked only at commit',
  ].filter((note) => note !== undefined);
  return `${what} ${identifier(guard.name)}${notes.length === 0 ? '' : ` (${notes.join('; ')})`}`;
}

function missing(
  table: Relation,
  columns: readonly string[],
  near: UniqueIndex | undefined,
  wantedName: string | undefined,
  duplicates: Awaited<ReturnType<typeof findDuplicates>> | undefined,
  sample: number,
): Finding {
  const onColumns = `${showName(table)} (${showColumns(columns)})`;
  const hasDuplicates = duplicates !== undefined && duplicates.groups > 0;
  const why =
    near === undefined
      ? `nothing makes ${onColumns} unique`
      : near.predicate !== undefined
        ? `${identifier(near.name)} makes ${onColumns} unique only WHERE ${near.predicate}`
        : near.expressions
          ? `${identifier(near.name)} on ${showName(table)} is on expressions, not on (${showColumns(columns)})`
          : `${identifier(near.name)} on ${onColumns} is invalid and guards nothing`;
  const mend =
    near !== undefined && !near.valid && near.predicate === undefined && !near.expressions
      ? `REINDEX INDEX CONCURRENTLY ${identifier(near.schema)}.${identifier(near.name)};`
      : `CREATE UNIQUE INDEX CONCURRENTLY ${identifier(wantedName ?? `${table.name}_${columns.join('_')}_key`)} ON ${table.sql} (${showColumns(columns)});`;
  return {
    outcome: 'failed',
    message: hasDuplicates
      ? `${why}, and ${duplicates.groups} key${duplicates.groups === 1 ? ' is' : 's are'} there more than once (${duplicates.rows} rows)`
      : why,
    hint: hasDuplicates ? `Resolve the duplicates, then: ${mend}` : mend,
    count: hasDuplicates ? duplicates.groups : 1,
    ...(hasDuplicates
      ? { samples: duplicates.top.slice(0, sample).map(({ key, rows }) => ({ ...key, rows })) }
      : {}),
  };
}
