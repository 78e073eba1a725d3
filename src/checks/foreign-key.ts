import { identifier } from '../postgres/client.ts';
import type { Column } from '../postgres/columns.ts';
import { columnsSchema, tableNameSchema } from '../schema.ts';
import { attempt } from './attempt.ts';
import { type CheckClient, defineCheck, type Finding } from './check-kind.ts';
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

interface ForeignKey extends Record<string, unknown> {
  oid: number;
  name: string;
  columns: string[];
  parent_oid: number;
  parent_schema: string;
  parent_name: string;
  parent_columns: string[];
  operators: string[];
  validated: boolean;
  enforced: boolean;
  match: string;
  definition: string;
}

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
    },
    examples: [
      { table: 'UserTenantLicense', columns: ['userId'], references: { table: 'User', columns: ['id'] } },
    ],
  },
  title: ({ table, columns, references }) => `foreignKey ${referenceTitle(table, columns, references)}`,
  async run(client, { table, columns, references, name }, { sample }) {
    const child = await findTable(client, table);
    if (isMissing(child)) return { outcome: 'failed', ...child, count: 1 };
    const parent = await findTable(client, references.table);
    if (isMissing(parent)) return { outcome: 'failed', ...parent, count: 1 };
    for (const [side, names] of [
      [child, columns],
      [parent, references.columns],
    ] as const) {
      const found = await findColumns(client, side, names);
      if (isMissing(found)) return { outcome: 'failed', ...found, count: 1 };
    }
    const scan = await logicalScan(client, child, columns, parent, references.columns, 'simple');
    const reference = referenceText(columns, parent, references.columns);
    const keys = await loadForeignKeys(client, child);
    const key = keys.find(
      (each) => each.parent_oid === parent.oid && samePairs(each, columns, references.columns),
    );
    if (key === undefined) return await absent(client, child, parent, keys, scan, reference, name, sample);
    const real = await constraintScan(client, key, child, parent);
    const found = await countOrphans(client, real);
    const trouble = await constraintTrouble(client, key);
    const called = `foreign key ${identifier(key.name)}`;
    if (found.rows + found.partial > 0) {
      const finding = await orphanFinding(
        client,
        real,
        found,
        reference,
        sample,
        trouble === undefined ? '' : `${called} ${trouble.message}; `,
      );
      return { ...finding, hint: resolveHint(key, child) };
    }
    if (trouble !== undefined) {
      return {
        outcome: 'failed',
        message: `${called} ${trouble.message}`,
        hint: trouble.hint(child),
        count: 1,
      };
    }
    const note = name === undefined || name === key.name ? '' : `; the plan calls it ${identifier(name)}`;
    return { outcome: 'passed', message: `${called} validated, enforced, no orphans: ${reference}${note}` };
  },
});

// Source: https://www.postgresql.org/docs/current/catalog-pg-constraint.html
const FOREIGN_KEYS = `
SELECT con.oid, con.conname AS name, con.confrelid AS parent_oid,
  pn.nspname AS parent_schema, p.relname AS parent_name,
  ARRAY(SELECT a.attname::text FROM pg_catalog.unnest(con.conkey) WITH ORDINALITY AS k(attnum, position)
    JOIN pg_catalog.pg_attribute a ON a.attrelid = con.conrelid AND a.attnum = k.attnum ORDER BY k.position) AS columns,
  ARRAY(SELECT a.attname::text FROM pg_catalog.unnest(con.confkey) WITH ORDINALITY AS k(attnum, position)
    JOIN pg_catalog.pg_attribute a ON a.attrelid = con.confrelid AND a.attnum = k.attnum ORDER BY k.position) AS parent_columns,
  ARRAY(SELECT pg_catalog.format('OPERATOR(%I.%s)', n.nspname, o.oprname)
    FROM pg_catalog.unnest(con.conpfeqop) WITH ORDINALITY AS k(oid, position)
    JOIN pg_catalog.pg_operator o ON o.oid = k.oid
    JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace ORDER BY k.position) AS operators,
  con.convalidated AS validated,
  coalesce((pg_catalog.to_jsonb(con) ->> 'conenforced')::pg_catalog.bool, true) AS enforced,
  con.confmatchtype AS match, pg_catalog.pg_get_constraintdef(con.oid) AS definition
FROM pg_catalog.pg_constraint con
JOIN pg_catalog.pg_class p ON p.oid = con.confrelid
JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace
WHERE con.contype = 'f' AND con.conrelid = $1::pg_catalog.oid
  -- Not the copies that a key to a partitioned table keeps for each of that table's partitions.
  AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_constraint up
    WHERE up.oid = con.conparentid AND up.conrelid = con.conrelid
  )
ORDER BY con.conname`;

async function loadForeignKeys(client: CheckClient, child: Relation): Promise<ForeignKey[]> {
  return await client.query<ForeignKey>(FOREIGN_KEYS, [child.oid]);
}

/** The same pairs, in whatever order the constraint lists them. */
function samePairs(key: ForeignKey, columns: readonly string[], parentColumns: readonly string[]): boolean {
  return (
    key.columns.length === columns.length &&
    columns.every((column, index) => {
      const position = key.columns.indexOf(column);
      return position >= 0 && key.parent_columns[position] === parentColumns[index];
    })
  );
}

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

interface Trouble {
  readonly message: string;
  hint(child: Relation): string;
}

async function constraintTrouble(client: CheckClient, key: ForeignKey): Promise<Trouble | undefined> {
  const validate = (child: Relation) =>
    `ALTER TABLE ${child.sql} VALIDATE CONSTRAINT ${identifier(key.name)};`;
  if (!key.enforced) {
    return {
      message: 'is NOT ENFORCED',
      hint: (child) => `ALTER TABLE ${child.sql} ALTER CONSTRAINT ${identifier(key.name)} ENFORCED;`,
    };
  }
  const disabled = await client.query<{ table: string; triggers: string }>(DISABLED_TRIGGERS, [key.oid]);
  if (disabled.length > 0) {
    return {
      message: `is not enforced: its triggers are disabled on ${disabled.map((row) => row.table).join(', ')}`,
      hint: (child) =>
        `Enabling them again does not look at the rows that came in meanwhile. Re-create it: ${recreate(key, child)}`,
    };
  }
  return key.validated
    ? undefined
    : { message: 'is NOT VALID: older rows were never checked', hint: validate };
}

// Triggers of the constraint and of its copies on partitions, on both tables; O fires always, A even in replicas.
const DISABLED_TRIGGERS = `
WITH RECURSIVE tree AS (
  SELECT $1::pg_catalog.oid AS oid
  UNION ALL
  SELECT con.oid FROM tree JOIN pg_catalog.pg_constraint con ON con.conparentid = tree.oid
)
SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) AS table, pg_catalog.count(*) AS triggers
FROM tree
JOIN pg_catalog.pg_trigger t ON t.tgconstraint = tree.oid
JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE t.tgenabled NOT IN ('O', 'A')
GROUP BY 1 ORDER BY 1`;

function recreate(key: ForeignKey, child: Relation): string {
  const definition = key.definition.replace(/ NOT VALID$/, '');
  return (
    `ALTER TABLE ${child.sql} DROP CONSTRAINT ${identifier(key.name)}, ` +
    `ADD CONSTRAINT ${identifier(key.name)} ${definition} NOT VALID; ` +
    `ALTER TABLE ${child.sql} VALIDATE CONSTRAINT ${identifier(key.name)};`
  );
}

function resolveHint(key: ForeignKey, child: Relation): string {
  return `Bring the missing rows back or remove the orphans, then re-check every row: ${recreate(key, child)}`;
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
