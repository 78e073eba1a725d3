import { BackplanError } from '../errors.ts';
import { identifier, literal } from '../postgres/client.ts';
import { equalityOperators } from '../postgres/columns.ts';
import { columnsSchema, type JsonSchema, tableNameSchema } from '../schema.ts';
import { type CheckClient, type CheckOptions, defineCheck, type Finding, useOwnNames } from './check-kind.ts';
import { type Relation, requireColumns, requireTable, showColumns, showName } from './names.ts';
import { countOrphans, type Orphans, type ReferenceScan, sampleOrphans } from './reference-scan.ts';
import { fromWhere } from './rows.ts';

/** What a reference leads to; shared with foreignKey. */
export const referencesSchema = {
  type: 'object',
  description: 'What the columns refer to, pair by pair in this order.',
  required: ['table', 'columns'],
  additionalProperties: false,
  properties: {
    table: { ...tableNameSchema, description: 'The referenced table.', examples: ['User'] },
    columns: { ...columnsSchema, uniqueItems: true, description: 'Its columns.', examples: [['id']] },
  },
} as const satisfies JsonSchema;

/** `orphans: {table, columns, references}`: every reference leads somewhere, whether a constraint says so or not. */
export const orphans = defineCheck({
  kind: 'orphans',
  summary: 'No row refers to a row that does not exist; needs no foreign key.',
  keys: ['where', 'warnAbove', 'failAbove'],
  params: {
    type: 'object',
    description: 'A logical reference whose rows must all lead somewhere.',
    required: ['table', 'columns'],
    minProperties: 3,
    'x-expected': 'a table, columns, and references or discriminator',
    additionalProperties: false,
    properties: {
      table: { ...tableNameSchema, description: 'The referring table.', examples: ['AuditLog'] },
      columns: {
        ...columnsSchema,
        uniqueItems: true,
        description: 'The referring columns.',
        examples: [['userId']],
      },
      references: referencesSchema,
      discriminator: {
        type: 'object',
        description: 'For references that lead to one of several tables: the column that says to which.',
        required: ['column', 'references'],
        additionalProperties: false,
        properties: {
          column: {
            type: 'string',
            minLength: 1,
            description: 'The column that names the kind of the referenced row.',
            examples: ['subjectType'],
          },
          references: {
            type: 'object',
            description: 'What each of its values leads to.',
            minProperties: 1,
            additionalProperties: referencesSchema,
            examples: [{ user: { table: 'User', columns: ['id'] } }],
          },
          others: {
            enum: ['refused', 'accepted'],
            default: 'refused',
            description: 'Whether rows with another value in that column are offenders.',
          },
        },
      },
      match: {
        enum: ['simple', 'full'],
        default: 'simple',
        description:
          'simple: a row with any NULL among the columns refers to nothing and is fine. full: either all or none may be NULL.',
      },
    },
    examples: [{ table: 'AuditLog', columns: ['userId'], references: { table: 'User', columns: ['id'] } }],
  },
  title: ({ table, columns, references, discriminator }) =>
    references === undefined
      ? `orphans ${table} (${columns.join(', ')}) → by ${discriminator?.column ?? 'nothing'}`
      : `orphans ${referenceTitle(table, columns, references)}`,
  async run(client, { table, columns, references, discriminator, match = 'simple' }, options) {
    const child = await requireTable(client, table);
    if (options.where !== undefined) await useOwnNames(client);
    if (discriminator !== undefined && references === undefined) {
      return await polymorphic(client, child, columns, { match, ...discriminator }, options);
    }
    if (references === undefined || discriminator !== undefined) {
      throw new BackplanError('INPUT_INVALID', 'expected either references or discriminator');
    }
    const parent = await requireTable(client, references.table);
    const from = fromWhere(child, options.where);
    const scan = await logicalScan(
      client,
      { ...child, sql: from },
      columns,
      parent,
      references.columns,
      match,
    );
    const found = await countOrphans(client, scan);
    const text = referenceText(columns, parent, references.columns);
    if (found.rows + found.partial > 0) {
      return await orphanFinding(client, scan, found, text, options.sample);
    }
    const [row] = await client.query<{ any: boolean }>(`SELECT EXISTS (SELECT FROM ${from} AS c) AS any`);
    return row?.any === true
      ? { outcome: 'passed', message: `no orphans: ${text}` }
      : { outcome: 'vacuous', message: `${showName(child)} is empty: there was no reference to follow` };
  },
});

/** References that lead to one of several tables, table by table; rows that name none of them. */
async function polymorphic(
  client: CheckClient,
  child: Relation,
  columns: readonly string[],
  by: {
    readonly column: string;
    readonly references: Readonly<
      Record<string, { readonly table: string; readonly columns: readonly string[] }>
    >;
    readonly others?: 'refused' | 'accepted';
    readonly match: ReferenceScan['match'];
  },
  options: CheckOptions,
): Promise<Finding> {
  await requireColumns(client, child, [by.column]);
  const value = `t.${identifier(by.column)}::pg_catalog.text`;
  const where = (condition: string) =>
    fromWhere(child, options.where === undefined ? condition : `(${options.where}\n) AND (${condition})`);
  const said: string[] = [];
  const samples: NonNullable<Finding['samples']>[number][] = [];
  let count = 0;
  for (const [name, references] of Object.entries(by.references)) {
    const parent = await requireTable(client, references.table);
    const from = where(`${value} = ${literal(name).trim()}`);
    const scan = await logicalScan(
      client,
      { ...child, sql: from },
      columns,
      parent,
      references.columns,
      by.match,
    );
    const found = await countOrphans(client, scan);
    if (found.rows + found.partial === 0) continue;
    const finding = await orphanFinding(
      client,
      scan,
      found,
      referenceText(columns, parent, references.columns),
      options.sample,
    );
    said.push(`${name}: ${finding.message}`);
    count += finding.count ?? 0;
    samples.push(...(finding.samples ?? []).map((sample) => ({ [by.column]: name, ...sample })));
  }
  const known = Object.keys(by.references).map((name) => literal(name).trim());
  const set = columns.map((column) => `t.${identifier(column)} IS NOT NULL`).join(' AND ');
  const strange = where(`${set} AND (${value} = ANY (ARRAY[${known.join(', ')}])) IS NOT TRUE`);
  const others =
    by.others === 'accepted'
      ? []
      : await client.query<{ value: string | null; n: string }>(
          `SELECT ${value} AS value, pg_catalog.count(*) AS n FROM ${strange} AS t GROUP BY 1 ORDER BY 2 DESC, 1`,
        );
  if (others.length > 0) {
    const rows = others.reduce((sum, each) => sum + Number(each.n), 0);
    count += rows;
    said.push(
      `${rows} row${rows === 1 ? '' : 's'} with another ${identifier(by.column)}: ${others
        .slice(0, 3)
        .map((each) => (each.value === null ? 'NULL' : JSON.stringify(each.value)))
        .join(', ')}`,
    );
    samples.push(...others.map((each) => ({ [by.column]: each.value, rows: Number(each.n) })));
  }
  if (said.length > 0) {
    return { outcome: 'failed', message: said.join('; '), count, samples: samples.slice(0, options.sample) };
  }
  const [row] = await client.query<{ any: boolean }>(
    `SELECT EXISTS (SELECT FROM ${fromWhere(child, options.where)} AS c) AS any`,
  );
  return row?.any === true
    ? { outcome: 'passed', message: `no orphans: ${showColumns(columns)} by ${identifier(by.column)}` }
    : { outcome: 'vacuous', message: `${showName(child)} is empty: there was no reference to follow` };
}

export function referenceTitle(
  table: string,
  columns: readonly string[],
  references: { readonly table: string; readonly columns: readonly string[] },
): string {
  return `${table} (${columns.join(', ')}) → ${references.table} (${references.columns.join(', ')})`;
}

/** `"userId" → "User" ("id")`. */
export function referenceText(
  columns: readonly string[],
  parent: Relation,
  parentColumns: readonly string[],
): string {
  return `${showColumns(columns)} → ${showName(parent)} (${showColumns(parentColumns)})`;
}

/** @throws INPUT_INVALID for a missing column or sides of different length */
export async function logicalScan(
  client: CheckClient,
  child: Relation,
  columns: readonly string[],
  parent: Relation,
  parentColumns: readonly string[],
  match: ReferenceScan['match'],
): Promise<ReferenceScan> {
  if (columns.length !== parentColumns.length) {
    throw new BackplanError(
      'INPUT_INVALID',
      `${columns.length} columns cannot refer to ${parentColumns.length}`,
      { hint: 'List as many columns under references as in the check, pair by pair.' },
    );
  }
  const childSide = await requireColumns(client, child, columns);
  const parentSide = await requireColumns(client, parent, parentColumns);
  const equality = await equalityOperators(
    client,
    parentSide.map((column) => column.base.oid),
  );
  return {
    child: { from: child.sql, columns: childSide },
    parent: { from: parent.sql, columns: parentSide },
    match,
    // An operator of the parent's type; between two types the server finds the one that takes both.
    operators: parentSide.map((column, index) =>
      childSide[index]?.base.oid === column.base.oid ? equality(column.base.oid) : 'OPERATOR(pg_catalog.=)',
    ),
  };
}

/** What to say of orphans that were counted, with their keys. `before` is put in front. */
export async function orphanFinding(
  client: CheckClient,
  scan: ReferenceScan,
  found: Orphans,
  reference: string,
  sample: number,
  before = '',
): Promise<Finding> {
  const total = found.rows + found.partial;
  const { keys, samples } = await sampleOrphans(client, scan, sample);
  const parts = [
    found.rows > 0
      ? `${found.rows} orphan${found.rows === 1 ? '' : 's'}${found.partial === 0 ? ` (${keys} missing key${keys === 1 ? '' : 's'})` : ''}`
      : undefined,
    found.partial > 0
      ? `${found.partial} row${found.partial === 1 ? '' : 's'} with a partly NULL key (MATCH FULL)`
      : undefined,
  ].filter((part) => part !== undefined);
  return {
    outcome: 'failed',
    message: `${before}${parts.join(' and ')}: ${reference}`,
    count: total,
    samples,
  };
}
