import { identifier } from '../postgres/client.ts';
import { primaryKeyColumns } from '../postgres/primary-key.ts';
import { plainRow } from '../postgres/row.ts';
import { columnsSchema, tableNameSchema } from '../schema.ts';
import { defineCheck, useOwnNames } from './check-kind.ts';
import { requireColumns, requireTable, showName } from './names.ts';
import { logicalScan, referencesSchema, referenceText, referenceTitle } from './orphans.ts';
import { pairsOf } from './reference-scan.ts';
import { fromWhere, rowsText } from './rows.ts';

/** `tenantConsistency: {table, columns, references, tenant}`: a row and what it refers to belong to the same tenant. */
export const tenantConsistency = defineCheck({
  kind: 'tenantConsistency',
  summary: 'A row and the row that it refers to belong to the same tenant.',
  keys: ['where', 'rows', 'warnAbove', 'failAbove'],
  params: {
    type: 'object',
    description: 'A reference, and the column that names the tenant on both of its sides.',
    required: ['table', 'columns', 'references', 'tenant'],
    additionalProperties: false,
    properties: {
      table: { ...tableNameSchema, description: 'The referring table.', examples: ['Contact'] },
      columns: {
        ...columnsSchema,
        uniqueItems: true,
        description: 'The referring columns.',
        examples: [['accountId']],
      },
      references: referencesSchema,
      tenant: {
        type: 'string',
        minLength: 1,
        description: 'The column with the tenant, in the referring table.',
        examples: ['tenantId'],
      },
      tenantThere: {
        type: 'string',
        minLength: 1,
        description: 'The same in the referenced table. Default: it has the same name.',
        examples: ['id'],
      },
    },
    examples: [
      {
        table: 'Contact',
        columns: ['accountId'],
        references: { table: 'Account', columns: ['id'] },
        tenant: 'tenantId',
      },
    ],
  },
  title: ({ table, columns, references, tenant }) =>
    `tenantConsistency ${tenant}: ${referenceTitle(table, columns, references)}`,
  async run(client, { table, columns, references, tenant, tenantThere = tenant }, options) {
    const child = await requireTable(client, table);
    const parent = await requireTable(client, references.table);
    const [here] = await requireColumns(client, child, [tenant]);
    const [there] = await requireColumns(client, parent, [tenantThere]);
    if (options.where !== undefined) await useOwnNames(client);
    const from = fromWhere(child, options.where);
    const scan = await logicalScan(
      client,
      { ...child, sql: from },
      columns,
      parent,
      references.columns,
      'simple',
    );
    // Two types have no equality that could be relied on; their text has.
    const cast = here?.base.oid === there?.base.oid ? '' : '::pg_catalog.text';
    const sides = { own: `c.${identifier(tenant)}${cast}`, other: `p.${identifier(tenantThere)}${cast}` };
    const joined = `FROM ${from} AS c JOIN ${parent.sql} AS p ON ${pairsOf(scan).join(' AND ')}`;
    const wrong = `${sides.own} IS DISTINCT FROM ${sides.other}`;
    const [row] = await client.query<{ rows: string; bad: string }>(
      `SELECT pg_catalog.count(*) AS rows, pg_catalog.count(*) FILTER (WHERE ${wrong}) AS bad ${joined}`,
    );
    const [rows, bad] = [Number(row?.rows), Number(row?.bad)];
    const reference = referenceText(columns, parent, references.columns);
    if (rows === 0) {
      return {
        outcome: 'vacuous',
        message: `no row of ${showName(child)}${options.where === undefined ? '' : ' that meets "where"'} refers to one of ${showName(parent)}: ${reference}`,
      };
    }
    if (bad === 0) {
      return {
        outcome: 'passed',
        message: `${rowsText(rows)} belong to the tenant of what they refer to: ${reference}`,
        of: rows,
      };
    }
    const keys = (await primaryKeyColumns(client, child.oid)).filter((key) => key !== tenant);
    const shown = options.rows ? ['c.*'] : keys.map((key) => `c.${identifier(key)}`);
    const samples = await client.query(
      `SELECT ${[...shown, `${sides.own} AS "its tenant"`, `${sides.other} AS "tenant there"`].join(', ')}
       ${joined} WHERE ${wrong} LIMIT ${options.sample}`,
    );
    return {
      outcome: 'failed',
      message: `${bad} of ${rowsText(rows)} of ${showName(child)} refer to another tenant: ${reference}`,
      hint: 'One tenant can see what belongs to another. Find out which of the two is wrong before anything is changed.',
      count: bad,
      of: rows,
      samples: samples.map(plainRow),
    };
  },
});
