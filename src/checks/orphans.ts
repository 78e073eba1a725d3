import { BackplanError } from '../errors.ts';
import { equalityOperators } from '../postgres/columns.ts';
import { columnsSchema, type JsonSchema, tableNameSchema } from '../schema.ts';
import { type CheckClient, defineCheck, type Finding } from './check-kind.ts';
import { type Relation, requireColumns, requireTable, showColumns, showName } from './names.ts';
import { countOrphans, type Orphans, type ReferenceScan, sampleOrphans } from './reference-scan.ts';

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
  params: {
    type: 'object',
    description: 'A logical reference whose rows must all lead somewhere.',
    required: ['table', 'columns', 'references'],
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
      match: {
        enum: ['simple', 'full'],
        default: 'simple',
        description:
          'simple: a row with any NULL among the columns refers to nothing and is fine. full: either all or none may be NULL.',
      },
    },
    examples: [{ table: 'AuditLog', columns: ['userId'], references: { table: 'User', columns: ['id'] } }],
  },
  title: ({ table, columns, references }) => `orphans ${referenceTitle(table, columns, references)}`,
  async run(client, { table, columns, references, match = 'simple' }, { sample }) {
    const child = await requireTable(client, table);
    const parent = await requireTable(client, references.table);
    const scan = await logicalScan(client, child, columns, parent, references.columns, match);
    const found = await countOrphans(client, scan);
    if (found.rows + found.partial > 0) {
      return await orphanFinding(
        client,
        scan,
        found,
        referenceText(columns, parent, references.columns),
        sample,
      );
    }
    const [row] = await client.query<{ any: boolean }>(`SELECT EXISTS (SELECT FROM ${child.sql}) AS any`);
    return row?.any === true
      ? { outcome: 'passed', message: `no orphans: ${referenceText(columns, parent, references.columns)}` }
      : { outcome: 'vacuous', message: `${showName(child)} is empty: there was no reference to follow` };
  },
});

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
