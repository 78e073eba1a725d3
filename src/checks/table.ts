import { columnsSchema, tableNameSchema } from '../schema.ts';
import { absence, defineCatalogCheck, existenceTitle, existsSchema, failed } from './catalog-check.ts';
import type { Finding } from './check-kind.ts';
import { findTables, isMissing, kindName, preloadColumns, showName } from './names.ts';
import { tableExists } from './tables.ts';

/** `table: {name: User, columns: [id, email]}`: the table exists and has these columns. */
export const table = defineCatalogCheck({
  kind: 'table',
  summary: 'A table exists and has these columns.',
  params: {
    type: 'object',
    description: 'A table (or view) that must exist.',
    required: ['name'],
    additionalProperties: false,
    properties: {
      name: {
        ...tableNameSchema,
        description: 'The table, exactly as written.',
        examples: ['User', 'audit.Log'],
      },
      columns: {
        ...columnsSchema,
        uniqueItems: true,
        description: 'Columns that it must have, in any order, among others.',
        examples: [['id', 'email']],
      },
      kind: {
        enum: ['table', 'partitioned table', 'foreign table', 'view', 'materialized view'],
        description: 'What it must be. Default: any.',
      },
      exists: existsSchema,
    },
    examples: [{ name: 'User', columns: ['id', 'email'] }],
  },
  title: ({ name, columns, exists }) =>
    existenceTitle(`table ${name}${columns === undefined ? '' : ` with ${columns.join(', ')}`}`, exists),
  async runAll(client, all) {
    const found = await findTables(
      client,
      all.map(({ name }) => name),
    );
    const withColumns = found.filter((_one, index) => all[index]?.columns !== undefined);
    await preloadColumns(
      client,
      withColumns.flatMap((one) => (isMissing(one) ? [] : [one])),
    );
    const findings: Finding[] = [];
    for (const [index, { name, columns, kind, exists }] of all.entries()) {
      const one = found[index] as (typeof found)[number];
      if (exists === false) {
        findings.push(
          isMissing(one)
            ? absence(`table ${name}`, false)
            : absence(`${kindName(one.kind)} ${showName(one)}`, true, `DROP TABLE ${one.sql};`),
        );
      } else if (!isMissing(one) && kind !== undefined && kind !== kindName(one.kind)) {
        findings.push(failed(`${showName(one)} is a ${kindName(one.kind)}, expected a ${kind}`));
      } else {
        findings.push(await tableExists(client, one, columns ?? []));
      }
    }
    return findings;
  },
});
