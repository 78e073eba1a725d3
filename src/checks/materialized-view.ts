import { identifier } from '../postgres/client.ts';
import { columnsSchema, tableNameSchema } from '../schema.ts';
import {
  absence,
  conclude,
  defineCatalogCheck,
  existenceTitle,
  existsSchema,
  findObjects,
  isMissingObject,
  missing,
} from './catalog-check.ts';
import type { Finding } from './check-kind.ts';
import { showName } from './names.ts';
import { lackingColumns, type View, viewSource } from './view-facts.ts';

/** `materializedView: {name: UserCount}`: the materialized view exists and was filled. */
export const materializedView = defineCatalogCheck({
  kind: 'materializedView',
  summary: 'A materialized view exists, has these columns and was filled.',
  params: {
    type: 'object',
    description: 'A materialized view that must exist.',
    required: ['name'],
    additionalProperties: false,
    properties: {
      name: { ...tableNameSchema, description: 'The view, exactly as written.', examples: ['UserCount'] },
      columns: {
        ...columnsSchema,
        uniqueItems: true,
        description: 'Columns that it must have, in any order, among others.',
        examples: [['n']],
      },
      populated: {
        type: 'boolean',
        description: 'false: it need not have been filled yet. Default true.',
      },
      exists: existsSchema,
    },
    examples: [{ name: 'UserCount', columns: ['n'] }],
  },
  title: ({ name, exists }) => existenceTitle(`materializedView ${name}`, exists),
  async runAll(client, all) {
    const found = await findObjects<View>(
      client,
      viewSource('m', 'materialized view'),
      all.map(({ name }) => name),
    );
    return all.map(({ name, columns, populated, exists }, index): Finding => {
      const rows = found[index] as (typeof found)[number];
      if (isMissingObject(rows)) return missing(rows, exists, `materialized view ${name}`);
      const [one] = rows as [View];
      const sql = `${identifier(one.schema)}.${identifier(one.name)}`;
      const label = `materialized view ${showName(one)}`;
      if (exists === false) return absence(label, true, `DROP MATERIALIZED VIEW ${sql};`);
      const problems = lackingColumns(label, one, columns);
      if (populated !== false && !one.populated) {
        problems.push({
          message: `${label} was never filled: a query on it fails`,
          hint: `REFRESH MATERIALIZED VIEW ${sql};`,
        });
      }
      return conclude(problems, `${label} exists${one.populated ? ' and was filled' : ''}`);
    });
  },
});
