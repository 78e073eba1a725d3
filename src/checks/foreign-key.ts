import { identifier } from '../postgres/client.ts';
import type { Column } from '../postgres/columns.ts';
import { columnsSchema, tableNameSchema } from '../schema.ts';
import { attempt } from './attempt.ts';
import { absence, conclude, existenceTitle, existsSchema, withoutTable } from './catalog-check.ts';
import { type CheckClient, defineCheck, type Finding } from './check-kind.ts';
import {
  ACTIONS,
  type Action,
  constraintTroubles,
  type ForeignKey,
  loadForeignKeys,
  resolveHint,
  samePairs,
} from './foreign-key-facts.ts';
import {
  findColumns,
  findTable,
  isMissing,
  type Relation,
  requireColumns,
  showColumns,
  showName,
} from './names.ts';
import { logicalScan, orphanFinding, referencesSchema, referenceText, referenceTitle } from './orphans.ts';
import { countOrphans, type ReferenceScan } from './reference-scan.ts';

const ACTION_NAMES = Object.keys(ACTIONS) as readonly Action[];

/**
 * `foreignKey: {table, columns, references}`: the constraint exists, is validated, its triggers fire, and no row
 * contradicts it. All four, because each can be true without the others: `ALTER TABLE … DISABLE TRIGGER ALL` leaves
 * a constraint that calls itself validated while orphans come in.
 */
export const foreignKey = defineCheck({
  kind: 'foreignKey',
  summary: 'A foreign key exists, is validated and enforced, and the data obeys it.',
  params: {
    type: 'object',
    description: 'A foreign key that must exist and hold.',
    required: ['table', 'columns', 'references'],
    additionalProperties: false,
    properties: {
      table: { ...tableNameSchema, description: 'The referring table.', examples: ['UserTenantLicense'] },
      columns: {
        ...columnsSchema,
        uniqueItems: true,
        description: 'The referring columns.',
        examples: [['userId']],
      },
      references: referencesSchema,
      name: {
        type: 'string',
        minLength: 1,
        description: 'How the constraint is called. For readers: a differing name is noted, not failed.',
        examples: ['UserTenantLicense_userId_fkey'],
      },
      onDelete: { enum: ACTION_NAMES, description: 'What deleting a parent must do.' },
      onUpdate: { enum: ACTION_NAMES, description: 'What changing the key of a parent must do.' },
      deferrable: { type: 'boolean', description: 'Whether it may be put off to the commit.' },
      validated: { type: 'boolean', description: 'false: it may be NOT VALID. Default true.' },
      data: {
        type: 'boolean',
        description:
          'false: the rows are not read; then disabled triggers are still found, orphans are not. Default true.',
      },
      exists: { ...existsSchema, description: 'false: no foreign key may lead from these columns to those.' },
    },
    examples: [
      { table: 'UserTenantLicense', columns: ['userId'], references: { table: 'User', columns: ['id'] } },
    ],
  },
  title: ({ table, columns, references, exists }) =>
    existenceTitle(`foreignKey ${referenceTitle(table, columns, references)}`, exists),
  async run(client, wanted, { sample }) {
    const { table, columns, references, name, exists } = wanted;
    const child = await findTable(client, table);
    if (isMissing(child)) return withoutTable(child, exists);
    const parent = await findTable(client, references.table);
    if (isMissing(parent)) return withoutTable(parent, exists);
    for (const [side, names] of [
      [child, columns],
      [parent, references.columns],
    ] as const) {
      const found = await findColumns(client, side, names);
      if (isMissing(found)) return withoutTable(found, exists);
    }
    const scan = await logicalScan(client, child, columns, parent, references.columns, 'simple');
    const reference = referenceText(columns, parent, references.columns);
    const keys = await loadForeignKeys(client, child);
    const key = keys.find(
      (each) => each.parent_oid === parent.oid && samePairs(each, columns, references.columns),
    );
    if (exists === false) {
      return absence(
        `a foreign key ${reference} of ${showName(child)}`,
        key !== undefined,
        key === undefined ? undefined : `ALTER TABLE ${child.sql} DROP CONSTRAINT ${identifier(key.name)};`,
      );
    }
    if (key === undefined) return await absent(client, child, parent, keys, scan, reference, name, sample);
    const called = `foreign key ${identifier(key.name)}`;
    const troubles = await constraintTroubles(client, key, child, wanted);
    const told = troubles.map(({ message }) => message).join('; ');
    if (wanted.data !== false) {
      const real = await constraintScan(client, key, child, parent);
      const found = await countOrphans(client, real);
      if (found.rows + found.partial > 0) {
        const before = troubles.length === 0 ? '' : `${called} ${told}; `;
        const finding = await orphanFinding(client, real, found, reference, sample, before);
        return { ...finding, hint: resolveHint(key, child) };
      }
    }
    if (troubles.length > 0) return conclude(troubles, '', `${called} `);
    const note = name === undefined || name === key.name ? '' : `; the plan calls it ${identifier(name)}`;
    const state = [
      key.validated ? 'validated' : 'not validated',
      'enforced',
      wanted.data === false ? 'its rows not read' : 'no orphans',
    ];
    return { outcome: 'passed', message: `${called} ${state.join(', ')}: ${reference}${note}` };
  },
});

async function constraintScan(
  client: CheckClient,
  key: ForeignKey,
  child: Relation,
  parent: Relation,
): Promise<ReferenceScan> {
  // A key of a table says nothing of tables that inherit from it; partitions do belong.
  const only = (side: Relation) => (side.kind === 'r' ? `ONLY ${side.sql}` : side.sql);
  return {
    child: { from: only(child), columns: await requireColumns(client, child, key.columns) },
    parent: { from: only(parent), columns: await requireColumns(client, parent, key.parent_columns) },
    match: key.match === 'f' ? 'full' : 'simple',
    operators: key.operators,
  };
}

async function absent(
  client: CheckClient,
  child: Relation,
  parent: Relation,
  keys: readonly ForeignKey[],
  scan: ReferenceScan,
  reference: string,
  name: string | undefined,
  sample: number,
): Promise<Finding> {
  const columns = scan.child.columns.map((column: Column) => column.name);
  const near = keys.find((key) => columns.every((column) => key.columns.includes(column)));
  const message =
    near === undefined
      ? `${showName(child)} has no foreign key ${reference}`
      : `${showName(child)} has no foreign key ${reference}; ${identifier(near.name)} leads from ${showColumns(near.columns)} to ${showName({ schema: near.parent_schema, name: near.parent_name })} (${showColumns(near.parent_columns)})`;
  const constraint = identifier(name ?? `${child.name}_${columns.join('_')}_fkey`);
  const hint =
    `ALTER TABLE ${child.sql} ADD CONSTRAINT ${constraint} FOREIGN KEY (${showColumns(columns)}) ` +
    `REFERENCES ${parent.sql} (${showColumns(scan.parent.columns.map((column) => column.name))}) NOT VALID; ` +
    `ALTER TABLE ${child.sql} VALIDATE CONSTRAINT ${constraint};`;
  const finding = await attempt(client, async () => {
    const found = await countOrphans(client, scan);
    return found.rows > 0
      ? await orphanFinding(client, scan, found, reference, sample, `${message}; `)
      : undefined;
  });
  return finding === undefined
    ? { outcome: 'failed', message, hint, count: 1 }
    : { ...finding, hint: `Resolve the orphans, then: ${hint}` };
}
