/** `recoverRows`: rows that are in a backup and not in production, with what belongs to them; with `apply` inserts them. */
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, isAbsolute, join } from 'node:path';
import { findTable, isMissing, showName } from '../checks/names.ts';
import { BackplanError } from '../errors.ts';
import { type Client, connect } from '../postgres/client.ts';
import { type Findings, findRows, show } from '../recover/find-rows.ts';
import { insertRows } from '../recover/insert-rows.ts';
import { TEXT_SETTINGS } from '../recover/rows.ts';
import { recoveryStatements } from '../recover/script.ts';
import { loadFamily, namesWithPartitions, type Tables } from '../recover/tables.ts';
import { durationSchema, type Infer, type JsonSchema, tableNameSchema } from '../schema.ts';
import { parseDuration } from '../units.ts';
import { restore } from './restore.ts';
import { defineStep, type StepContext } from './step-kind.ts';

const withSchema = {
  type: 'object',
  required: ['database', 'table', 'where'],
  additionalProperties: false,
  properties: {
    database: {
      type: 'string',
      description: 'The database that has lost rows.',
      examples: ['crm'],
      'x-ref': 'database',
    },
    backup: {
      type: ['string', 'null'],
      description: 'The backup that has them; its tables are restored into a sandbox. Either this or `from`.',
      examples: ['latest-proven', '${{ inputs.backup }}'],
    },
    from: {
      type: 'string',
      description: 'A restored copy that has them.',
      examples: ['${{ steps.stage.outputs.database }}'],
      'x-ref': 'database',
    },
    table: { ...tableNameSchema, description: 'The table.', examples: ['TenantLicense'] },
    where: {
      type: 'string',
      minLength: 1,
      description: 'Which of its rows, as a condition of SQL; it is asked of the copy.',
      examples: [`"tenantId" = 't42'`, 'true'],
    },
    children: {
      type: 'boolean',
      description:
        'Also the rows of other tables that ON DELETE CASCADE deleted along, and the references that SET NULL took.',
      default: true,
    },
    overwrite: {
      type: 'boolean',
      description:
        'Rows that are in both and differ become what they were. Without it they are shown and left.',
      default: false,
    },
    triggers: {
      enum: ['off', 'fire'],
      description:
        'off: triggers of users do not fire, so that rows come back as they were and nobody is notified; needs the owner of the table.',
      default: 'off',
    },
    file: {
      type: 'string',
      minLength: 1,
      description:
        'The statements are written to this file; a relative path starts at the folder of the plan.',
      examples: ['./recovery.sql'],
    },
    limit: {
      type: 'integer',
      minimum: 1,
      maximum: 1_000_000,
      description: 'More rows are refused.',
      default: 10_000,
      examples: [10_000],
    },
    lockTimeout: {
      ...durationSchema,
      description: 'How long to wait for a table that others use; then nothing has changed.',
      default: '10s',
      examples: ['10s'],
    },
    apply: {
      type: 'boolean',
      description: 'Insert them, in one transaction. Without it they are only shown.',
      default: false,
      examples: [true],
    },
  },
} as const satisfies JsonSchema;

type Params = Infer<typeof withSchema>;

export const recoverRows = defineStep({
  kind: 'recoverRows',
  summary:
    'Bring deleted rows back from a backup, with their parents and what was deleted along; shows them, and inserts only with apply.',
  with: withSchema,
  outputs: {
    missing: { type: 'number', description: 'Rows of the backup that production does not have.' },
    inserted: { type: 'number', description: 'Rows that were inserted.' },
    differing: { type: 'number', description: 'Rows that are in both and differ.' },
    statements: { type: 'number', description: 'Statements that bring it back.' },
    summary: { type: 'string', description: 'For people: table by table.' },
    copy: { type: 'string', description: 'Handle of the copy, for a second step.' },
  },
  writes: ({ database, apply }) =>
    !apply || database.includes(':') || database.includes('${{') ? [] : [{ database }],
  validate: ({ backup, from }) =>
    (backup === undefined || backup === null) === (from === undefined)
      ? [
          {
            path: [],
            message: from === undefined ? 'has neither backup nor from' : 'has both backup and from',
            hint: 'Write the backup that has the rows, for example latest-proven.',
          },
        ]
      : [],
  describe: ({ database, table, where, apply }) =>
    `${apply ? 'bring back' : 'look for'} rows of ${table} where ${where} in ${database}`,
  async run(params, context) {
    await using live = await open(context.database(params.database).connection, context);
    const table = await findTable(live, params.table);
    if (isMissing(table) || !/^[rp]$/.test(table.kind)) {
      throw new BackplanError(
        'INPUT_INVALID',
        isMissing(table) ? table.message : `${showName(table)} is not a table`,
        {
          hint:
            (isMissing(table) ? table.hint : undefined) ?? 'A whole table comes back with restore --tables.',
        },
      );
    }
    const family = await loadFamily(live, table.oid, params.children);
    const handle = params.from ?? (await restoreTables(params, live, family, context));
    await using copy = await open(context.database(handle).connection, context);
    const search = {
      live,
      copy,
      family,
      start: table.oid,
      where: params.where,
      children: params.children,
      limit: params.limit,
    };
    const findings = await findRows(search);
    const statements = recoveryStatements(findings, family, { overwrite: params.overwrite });
    const sums = sumUp(findings);
    const summary = describe(findings, params.overwrite);
    for (const line of summary) context.log.info(line);
    for (const conflict of findings.conflicts) context.log.warn(conflict);
    await writeScript(params, statements, summary, context);
    context.report({
      kind: 'recoverRows',
      applied: params.apply,
      summary,
      conflicts: findings.conflicts,
      ...sums,
    });
    let inserted = 0;
    if (params.apply && statements.length > 0) {
      refuseConflicts(findings);
      const changed = await insertRows(findings, {
        live,
        statements,
        triggers: params.triggers,
        lockTimeoutMs: parseDuration(params.lockTimeout),
        onWarning: (message) => context.log.warn(message),
      });
      inserted = sums.missing;
      if (changed > 0)
        context.log.warn(`${changed} rows are not as in the backup: a trigger or default changed them`);
      context.log.info(`${inserted} rows are back`);
    }
    return {
      missing: sums.missing,
      inserted,
      differing: sums.differing,
      statements: statements.length,
      summary: [...summary, ...findings.conflicts.map((each) => `cannot be inserted: ${each}`)].join('\n'),
      copy: handle,
    };
  },
});

async function open(connection: Parameters<typeof connect>[0], context: StepContext): Promise<Client> {
  return await connect(connection, {
    applicationName: `backplan ${context.run.id} ${context.step}`,
    signal: context.signal,
    settings: TEXT_SETTINGS,
  });
}

/** Only what is needed: the table, what it refers to, and what refers to it. */
async function restoreTables(
  params: Params,
  live: Client,
  family: Tables,
  context: StepContext,
): Promise<string> {
  const { database } = await restore.run(
    {
      backup: params.backup,
      ...(Object.hasOwn(context.plan.databases, params.database) ? { database: params.database } : {}),
      into: 'sandbox',
      tables: await namesWithPartitions(live, family),
      noOwner: true,
      noPrivileges: true,
    },
    context,
  );
  return String(database);
}

function sumUp({ tables }: Findings) {
  const all = [...tables.values()];
  return {
    missing: all.reduce((sum, { missing }) => sum + missing.length, 0),
    differing: all.reduce((sum, { differing }) => sum + differing.length, 0),
    detached: all.reduce((sum, { detached }) => sum + detached.length, 0),
  };
}

/** Keys that are shown for each table. */
const SHOWN = 5;

function describe({ tables }: Findings, overwrite: boolean): string[] {
  return [...tables.values()].flatMap(({ table, missing, differing, detached }) => {
    const key = table.key ?? [];
    const list = (rows: readonly Parameters<typeof show>[0][]) =>
      `${rows
        .slice(0, SHOWN)
        .map((row) => show(row, key))
        .join('; ')}${rows.length > SHOWN ? '; …' : ''}`;
    return [
      ...(missing.length === 0 ? [] : [`${showName(table)}: ${missing.length} to insert: ${list(missing)}`]),
      ...(detached.length === 0
        ? []
        : [
            `${showName(table)}: ${detached.length} to attach again (ON DELETE SET NULL): ${list(detached.map(({ row }) => row))}`,
          ]),
      ...(differing.length === 0
        ? []
        : [
            `${showName(table)}: ${differing.length} in both that differ, ${overwrite ? 'to be overwritten' : 'left as they are'}: ${list(differing.map(({ backup }) => backup))} (${[...new Set(differing.flatMap(({ columns }) => columns))].join(', ')})`,
          ]),
    ];
  });
}

async function writeScript(
  { file }: Params,
  statements: readonly string[],
  summary: readonly string[],
  { baseDirectory, log }: StepContext,
): Promise<void> {
  if (file === undefined) return;
  const path = isAbsolute(file) ? file : join(baseDirectory, file);
  const head = summary.map((line) => `-- ${line.replaceAll('\n', ' ')}\n`).join('');
  const body = statements.map((statement) => `${statement};\n`).join('');
  // Values are written as they came out under these settings.
  const settings = Object.entries(TEXT_SETTINGS)
    .filter(([name]) => /style|timezone|monetary|strings|search_path/.test(name))
    .map(([name, value]) => `SET LOCAL ${name} = '${value}';\n`)
    .join('');
  await mkdir(dirname(path), { recursive: true });
  // Rows may be anybody's data.
  await writeFile(path, `${head}BEGIN;\n${settings}${body}COMMIT;\n`, { mode: 0o600 });
  log.info(`${statements.length} statements are in ${path}`);
}

/** @throws RECOVERY_REFUSED */
function refuseConflicts({ conflicts }: Findings): void {
  const [first, ...others] = conflicts;
  if (first === undefined) return;
  throw new BackplanError(
    'RECOVERY_REFUSED',
    `nothing was changed: ${first}${others.length === 0 ? '' : `, and ${others.length} more`}`,
    {
      detail: conflicts.join('\n'),
      hint: 'Narrow the condition, or change those rows in production first.',
    },
  );
}
