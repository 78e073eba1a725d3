import { resolve } from 'node:path';
import { identifier } from '../postgres/client.ts';
import { USER_SCHEMA } from '../postgres/user-objects.ts';
import { tableNameSchema } from '../schema.ts';
import { conclude, failed } from './catalog-check.ts';
import { type CheckClient, defineCheck, type Finding } from './check-kind.ts';
import type { MigrationFile } from './migration-files.ts';
import {
  MIGRATION_TOOL_NAMES,
  MIGRATION_TOOLS,
  type MigrationTool,
  type MigrationToolName,
} from './migration-tools.ts';
import { findTable, isMissing, showName } from './names.ts';

interface Applied extends Record<string, unknown> {
  name: string;
  state: 'done' | 'unfinished' | 'failed' | 'undone';
  checksum: string | null;
}

interface Problem {
  readonly message: string;
  readonly hint?: string;
}

/**
 * `migrations: {tool: prisma, folder: prisma/migrations}`: no migration ended half-way, and with a folder: none was
 * edited afterwards, none is missing there and none is still to be run.
 */
export const migrations = defineCheck({
  kind: 'migrations',
  summary: 'The migrations of the application all ended well and are those of its repository.',
  params: {
    type: 'object',
    description: 'What a migration tool recorded in the database, compared with the files of the project.',
    required: ['tool'],
    additionalProperties: false,
    properties: {
      tool: { enum: MIGRATION_TOOL_NAMES, description: 'The tool.' },
      folder: {
        type: 'string',
        minLength: 1,
        description:
          'The folder with the migrations; a relative one starts at the folder of the plan. Default: only the table is looked at.',
        examples: ['prisma/migrations'],
      },
      table: {
        ...tableNameSchema,
        description: 'The table of the tool, where it is called differently.',
        examples: ['migrations.knex_migrations'],
      },
      pending: {
        type: 'boolean',
        description: 'true: the folder may hold migrations that were not run yet. Default false.',
      },
    },
    examples: [{ tool: 'prisma', folder: 'prisma/migrations' }, { tool: 'flyway' }],
  },
  title: ({ tool, folder }) => `migrations ${tool}${folder === undefined ? '' : ` in ${folder}`}`,
  async run(client, { tool: name, folder, table, pending }, { sample, baseDirectory = '.' }) {
    const tool: MigrationTool = MIGRATION_TOOLS[name as MigrationToolName];
    const found = await findMigrationTable(client, tool, table);
    if ('missing' in found) {
      return failed(found.missing, found.hint);
    }
    const applied = await client.query<Applied>(tool.applied.replaceAll('TABLE', () => found.sql));
    const problems: Problem[] = [...stateProblems(tool, applied), ...(await lockProblems(client, tool))];
    let files: readonly MigrationFile[] | undefined;
    if (folder !== undefined && tool.files !== undefined) {
      files = await tool.files(resolve(baseDirectory, folder));
      problems.push(
        ...(tool.headsOnly === true
          ? headProblems(applied, files, pending === true)
          : fileProblems(applied, files, pending === true, sample)),
      );
    }
    const done = applied.filter(({ state }) => state === 'done');
    if (problems.length === 0 && done.length === 0) {
      return { outcome: 'vacuous', message: `${found.label} holds no migration that was run` };
    }
    const compared = files === undefined ? '' : `, compared with ${files.length} in ${folder}`;
    const finding = conclude(
      problems,
      `${done.length} migration${done.length === 1 ? '' : 's'} run by ${name}, the last ${done.at(-1)?.name}${compared}`,
    );
    return finding satisfies Finding;
  },
});

/** The table given, else the tool's own in any schema, `public` first. */
async function findMigrationTable(
  client: CheckClient,
  tool: MigrationTool,
  table: string | undefined,
): Promise<{ sql: string; label: string } | { missing: string; hint?: string }> {
  if (table !== undefined) {
    const found = await findTable(client, table);
    return isMissing(found)
      ? { missing: found.message, ...(found.hint === undefined ? {} : { hint: found.hint }) }
      : { sql: found.sql, label: showName(found) };
  }
  const [row] = await client.query<{ schema: string; name: string }>(
    `SELECT n.nspname::pg_catalog.text AS schema, c.relname::pg_catalog.text AS name
     FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p', 'v') AND c.relname = ANY ($1::pg_catalog.name[]) AND ${USER_SCHEMA}
     ORDER BY pg_catalog.array_position($1::pg_catalog.text[], c.relname::pg_catalog.text), n.nspname <> 'public', n.nspname LIMIT 1`,
    [tool.tables],
  );
  if (row !== undefined) {
    return { sql: `${identifier(row.schema)}.${identifier(row.name)}`, label: showName(row) };
  }
  return {
    missing: `there is no table ${tool.tables.map(identifier).join(' or ')}: nothing was migrated here`,
    hint: 'If the tool was given another table, name it under table.',
  };
}

function stateProblems(tool: MigrationTool, applied: readonly Applied[]): Problem[] {
  // A migration that failed and was run again well is done.
  const done = new Set(applied.filter(({ state }) => state === 'done').map(({ name }) => name));
  return applied
    .filter(({ state, name }) => (state === 'failed' || state === 'unfinished') && !done.has(name))
    .map(({ state, name }) => ({
      message: `migration ${name} ${state === 'failed' ? 'failed' : 'was begun and never finished'}`,
      hint: tool.repair,
    }));
}

/** A lock in the table of a restored copy belongs to nobody: the tool would wait for it for ever. */
async function lockProblems(client: CheckClient, tool: MigrationTool): Promise<Problem[]> {
  if (tool.lock === undefined) return [];
  const found = await findMigrationTable(client, { ...tool, tables: [tool.lock.table] }, undefined);
  if ('missing' in found) return [];
  const [row] = await client.query<{ held: boolean }>(
    `SELECT EXISTS (SELECT FROM ${found.sql} WHERE ${tool.lock.held}) AS held`,
  );
  return row?.held === true
    ? [
        {
          message: `${found.label} holds the lock of a run that never ended`,
          hint: 'If no migration is running, release it with the tool.',
        },
      ]
    : [];
}

function fileProblems(
  applied: readonly Applied[],
  files: readonly MigrationFile[],
  pending: boolean,
  sample: number,
): Problem[] {
  const done = applied.filter(({ state }) => state === 'done');
  const byName = new Map(files.map((file) => [file.name, file]));
  const apps = new Set(files.map(({ name }) => name.split('.')[0]));
  const edited = done.filter(({ name, checksum }) => {
    const wanted = byName.get(name)?.checksum;
    return wanted !== undefined && checksum !== null && wanted !== checksum;
  });
  // Django records the migrations of libraries too, which are in no folder of the project.
  const isOurs = ({ name }: Applied) => !/^[a-z_]\w*\.\d/i.test(name) || apps.has(name.split('.')[0]);
  const unknown = done.filter((each) => !byName.has(each.name) && isOurs(each));
  // What failed half-way is told already.
  const ran = new Set(applied.filter(({ state }) => state !== 'undone').map(({ name }) => name));
  const waiting = pending ? [] : files.filter(({ name }) => !ran.has(name));
  const list = (all: readonly { readonly name: string }[]) => {
    const shown = all.slice(0, Math.max(1, sample)).map(({ name }) => name);
    return `${shown.join(', ')}${all.length > shown.length ? `, … (${all.length} in all)` : ''}`;
  };
  const problems: Problem[] = [];
  if (edited.length > 0) {
    problems.push({
      message: `edited after it was run: ${list(edited)}`,
      hint: 'Put the file back as it was and write a new migration; the database was made by the old one.',
    });
  }
  if (unknown.length > 0) {
    problems.push({
      message: `run, but not in the folder: ${list(unknown)}`,
      hint: 'The database belongs to another state of the project: a newer release, or another branch.',
    });
  }
  if (waiting.length > 0) {
    problems.push({
      message: `in the folder, but not run: ${list(waiting)}`,
      hint: 'The backup is older than the project: run the migrations after the restore.',
    });
  }
  return problems;
}

/** Where only the newest revisions are recorded: they must be in the folder, and be those that nothing follows. */
function headProblems(
  applied: readonly Applied[],
  files: readonly MigrationFile[],
  pending: boolean,
): Problem[] {
  const known = new Set(files.map(({ name }) => name));
  const followed = new Set(files.flatMap(({ after }) => after ?? []));
  const heads = files.map(({ name }) => name).filter((name) => !followed.has(name));
  const current = applied.map(({ name }) => name);
  const unknown = current.filter((name) => !known.has(name));
  if (unknown.length > 0) {
    return [
      {
        message: `run, but not in the folder: ${unknown.join(', ')}`,
        hint: 'The database belongs to another state of the project: a newer release, or another branch.',
      },
    ];
  }
  const waiting = heads.filter((name) => !current.includes(name));
  return pending || waiting.length === 0
    ? []
    : [
        {
          message: `the database is at ${current.join(', ') || 'nothing'}, the folder at ${heads.join(', ')}`,
          hint: 'The backup is older than the project: run the migrations after the restore.',
        },
      ];
}
