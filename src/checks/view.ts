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
import { showColumns, showName } from './names.ts';
import { lackingColumns, type View, viewSource } from './view-facts.ts';

/** `view: {name: UserView, columns: [id]}`: the view exists and has these columns. */
export const view = defineCatalogCheck({
  kind: 'view',
  summary: 'A view exists and has these columns.',
  params: {
    type: 'object',
    description: 'A view that must exist.',
    required: ['name'],
    additionalProperties: false,
    properties: {
      name: { ...tableNameSchema, description: 'The view, exactly as written.', examples: ['ActiveUser'] },
      columns: {
        ...columnsSchema,
        uniqueItems: true,
        description: 'Columns that it must have, in any order, among others.',
        examples: [['id', 'email']],
      },
      securityInvoker: {
        type: 'boolean',
        description: 'Whether it reads its tables with the rights of who asks (since PostgreSQL 15).',
      },
      exists: existsSchema,
    },
    examples: [{ name: 'ActiveUser', columns: ['id', 'email'] }],
  },
  title: ({ name, exists }) => existenceTitle(`view ${name}`, exists),
  async runAll(client, all) {
    const found = await findObjects<View>(
      client,
      viewSource('v', 'view'),
      all.map(({ name }) => name),
    );
    return all.map(({ name, columns, securityInvoker, exists }, index): Finding => {
      const rows = found[index] as (typeof found)[number];
      if (isMissingObject(rows)) return missing(rows, exists, `view ${name}`);
      const [one] = rows as [View];
      const sql = `${identifier(one.schema)}.${identifier(one.name)}`;
      const label = `view ${showName(one)}`;
      if (exists === false) return absence(label, true, `DROP VIEW ${sql};`);
      const invoker = (one.options ?? []).some((option) =>
        /^security_invoker=(true|on|1|yes)$/i.test(option),
      );
      const problems = lackingColumns(label, one, columns);
      if (securityInvoker !== undefined && securityInvoker !== invoker) {
        problems.push({
          message: `${label} reads its tables with the rights of ${invoker ? 'who asks' : 'its owner'}`,
          hint: `ALTER VIEW ${sql} SET (security_invoker = ${securityInvoker});`,
        });
      }
      return conclude(problems, `${label} exists with ${showColumns(one.columns)}`);
    });
  },
});
