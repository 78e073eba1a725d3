import { tableNameSchema } from '../schema.ts';
import { type CheckClient, defineCheck, type Finding } from './check-kind.ts';
import { findColumns, findTable, isMissing, kindName, showColumns, showName } from './names.ts';

/** `tables: [User, audit.Log]`: each exists; one check per table. */
export const tables = defineCheck({
  kind: 'tables',
  summary: 'Each of these tables exists. One check per table.',
  params: {
    type: 'array',
    description: 'Names of tables (or views) that must exist, exactly as written.',
    items: tableNameSchema,
    minItems: 1,
    uniqueItems: true,
    examples: [['User', 'audit.Log', '"odd.schema"."Odd Table"']],
  },
  title: (names) => `${names.length === 1 ? 'table' : 'tables'} ${names.join(', ')}`,
  expand: (names) => names.map((name) => [name]),
  async run(client, names) {
    for (const name of names) {
      const finding = await tableExists(client, name, []);
      if (finding.outcome !== 'passed' || names.length === 1) return finding;
    }
    return { outcome: 'passed', message: `${names.length} tables exist` };
  },
});

/** A table and some of its columns are there; otherwise what comes close. */
export async function tableExists(
  client: CheckClient,
  name: string,
  columns: readonly string[],
): Promise<Finding> {
  const table = await findTable(client, name);
  if (isMissing(table)) return { outcome: 'failed', ...table, count: 1 };
  const found = await findColumns(client, table, columns);
  if (isMissing(found)) return { outcome: 'failed', ...found, count: 1 };
  return {
    outcome: 'passed',
    message: `${kindName(table.kind)} ${showName(table)} exists${columns.length === 0 ? '' : ` with ${showColumns(columns)}`}`,
  };
}
