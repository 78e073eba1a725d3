import { identifier } from '../postgres/client.ts';
import { findDuplicates } from '../postgres/duplicates.ts';
import { isSubset, loadUniqueIndexes, sameSet, type UniqueIndex } from '../postgres/unique-indexes.ts';
import { columnsSchema, tableNameSchema } from '../schema.ts';
import { attempt } from './attempt.ts';
import { defineCheck, type Finding } from './check-kind.ts';
import { findColumns, findTable, isMissing, type Relation, showColumns, showName } from './names.ts';

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
    },
    examples: [
      { table: 'TenantLicense', columns: ['tenantId', 'licenseType'], name: 'tenantId_licenseType' },
    ],
  },
  title: ({ table, columns }) => `unique ${table} (${columns.join(', ')})`,
  async run(client, { table: name, columns, name: wantedName }, { sample }) {
    const table = await findTable(client, name);
    if (isMissing(table)) return { outcome: 'failed', ...table, count: 1 };
    const found = await findColumns(client, table, columns);
    if (isMissing(found)) return { outcome: 'failed', ...found, count: 1 };
    const indexes = await loadUniqueIndexes(client, table.oid);
    const whole = indexes.filter((index) => index.predicate === undefined && !index.expressions);
    const guards = whole.filter((index) => index.valid && isSubset(index.columns, columns));
    // One on exactly these columns first, and among those the one of the wanted name.
    const guard =
      guards.find((index) => index.name === wantedName && sameSet(index.columns, columns)) ??
      guards.find((index) => sameSet(index.columns, columns)) ??
      guards[0];
    if (guard !== undefined) return { outcome: 'passed', message: describeGuard(guard, columns, wantedName) };
    const near = indexes.find((index) => sameSet(index.columns, columns));
    const duplicates = await attempt(client, () =>
      findDuplicates(client, table.sql, columns, { limit: Math.max(1, sample), nullsNotDistinct: false }),
    );
    return missing(table, columns, near, wantedName, duplicates, sample);
  },
});

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
