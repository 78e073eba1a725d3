import { identifier, literal } from '../postgres/client.ts';
import { tableNameSchema } from '../schema.ts';
import {
  absence,
  type CatalogObject,
  conclude,
  defineCatalogCheck,
  existenceTitle,
  existsSchema,
  findObjects,
  isMissingObject,
} from './catalog-check.ts';
import type { Finding } from './check-kind.ts';
import { showName } from './names.ts';

interface EnumType extends CatalogObject {
  readonly labels: string[];
}

/** `enumType: {name: Status, labels: [active, disabled]}`: the enum exists and has these labels. */
export const enumType = defineCatalogCheck({
  kind: 'enumType',
  summary: 'An enum type exists and has these labels.',
  params: {
    type: 'object',
    description: 'An enum type that must exist.',
    required: ['name'],
    additionalProperties: false,
    properties: {
      name: { ...tableNameSchema, description: 'The type, exactly as written.', examples: ['Status'] },
      labels: {
        type: 'array',
        items: { type: 'string' },
        uniqueItems: true,
        description: 'Its labels.',
        examples: [['active', 'disabled']],
      },
      exact: { type: 'boolean', description: 'false: it may have more labels. Default true.' },
      ordered: {
        type: 'boolean',
        description: 'true: the labels must stand in this order, which is how they compare. Default false.',
      },
      exists: existsSchema,
    },
    examples: [{ name: 'Status', labels: ['active', 'disabled', 'pending'] }],
  },
  title: ({ name, exists }) => existenceTitle(`enumType ${name}`, exists),
  async runAll(client, all) {
    const found = await findObjects<EnumType>(
      client,
      SOURCE,
      all.map(({ name }) => name),
    );
    return all.map(({ name, labels, exact, ordered, exists }, index): Finding => {
      const types = found[index] as (typeof found)[number];
      if (isMissingObject(types)) {
        if (exists === false) return absence(`enum type ${name}`, false);
        const create =
          labels === undefined
            ? undefined
            : `CREATE TYPE ${identifier(name)} AS ENUM (${labels.map(literal).join(', ')});`;
        return { outcome: 'failed', message: types.message, hint: types.hint ?? create ?? '', count: 1 };
      }
      const type = types[0] as EnumType;
      const sql = `${identifier(type.schema)}.${identifier(type.name)}`;
      if (exists === false) return absence(`enum type ${showName(type)}`, true, `DROP TYPE ${sql};`);
      return conclude(
        labels === undefined
          ? []
          : compare(type, sql, labels, { exact: exact !== false, ordered: ordered === true }),
        `enum type ${showName(type)}: ${type.labels.map(literal).join(', ')}`,
        `enum type ${showName(type)} `,
      );
    });
  },
});

const SOURCE = {
  what: 'enum type',
  sql: `SELECT n.nspname::pg_catalog.text AS schema, t.typname::pg_catalog.text AS name,
    ARRAY(SELECT e.enumlabel::pg_catalog.text FROM pg_catalog.pg_enum e WHERE e.enumtypid = t.oid
      ORDER BY e.enumsortorder) AS labels
    FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace WHERE t.typtype = 'e'`,
};

function compare(
  type: EnumType,
  sql: string,
  labels: readonly string[],
  { exact, ordered }: { exact: boolean; ordered: boolean },
) {
  const missing = labels.filter((label) => !type.labels.includes(label));
  const extra = type.labels.filter((label) => !labels.includes(label));
  const list = (some: readonly string[]) => some.map(literal).join(', ');
  const problems: { message: string; hint?: string }[] = [];
  if (missing.length > 0) {
    const near = missing
      .map((label) => extra.find((other) => other.trim().toLowerCase() === label.trim().toLowerCase()))
      .find((label) => label !== undefined);
    problems.push({
      message: `has no label ${list(missing)}${near === undefined ? '' : ` (but ${literal(near)})`}`,
      hint: missing
        .map((label) => {
          const before = labels[labels.indexOf(label) - 1];
          const after =
            before !== undefined && type.labels.includes(before) ? ` AFTER ${literal(before)}` : '';
          return `ALTER TYPE ${sql} ADD VALUE ${literal(label)}${after};`;
        })
        .join(' '),
    });
  }
  if (exact && extra.length > 0) {
    problems.push({
      message: `has the label${extra.length === 1 ? '' : 's'} ${list(extra)} too`,
      hint: 'PostgreSQL cannot drop a label: add it to the plan, or make a new type without it.',
    });
  }
  const shared = type.labels.filter((label) => labels.includes(label));
  const wanted = labels.filter((label) => type.labels.includes(label));
  if (ordered && shared.some((label, index) => label !== wanted[index])) {
    problems.push({ message: `is ordered ${list(shared)}, expected ${list(wanted)}` });
  }
  return problems;
}
