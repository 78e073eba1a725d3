/** `init`: looks at a live database and writes a plan for it. */
import { access, writeFile } from 'node:fs/promises';
import { basename, relative } from 'node:path';
import { BackplanError, EXIT } from '../errors.ts';
import type { Suggestion } from '../init/subject.ts';
import { type CommandContext, defineCommand, flag, listOption, option, optionalArgument } from './command.ts';
import type { InitListing } from './listings/init.ts';
import { askText, isInteractive } from './prompt.ts';

const CONFIG = {
  out: 'plan.yaml',
  variable: 'DATABASE_URL',
  backups: '${BACKUP_DIR:-./backups}',
  cron: '0 2 * * *',
  keep: '30d',
};

export const init = defineCommand({
  name: 'init',
  summary: 'look at a database and write a plan for it',
  description:
    'Connects, reads the catalog (and whether tables have rows), and writes a complete plan: a nightly job that backs up, restores into a throw-away server, checks and tidies up, a job that restores, and a suite with a check for everything found: tables, columns, keys, references, indexes, constraints, views, functions, triggers, types, sequences, policies, grants, roles, settings, row counts. What the role may not look at is said, and left out. Changes nothing in the database. The password stays out of the file: the plan takes the url from an environment variable. On a terminal what is not given is asked for.',
  group: 'Plans',
  arguments: { url: optionalArgument('url of the database (default: the variable of --variable)') },
  options: {
    out: option('--out <file>', `where the plan goes (default: ${CONFIG.out})`, { completes: 'file' }),
    force: flag('--force', 'overwrite that file'),
    name: option('--name <name>', 'what the plan and the database are called (default: the database’s name)'),
    variable: option('--variable <name>', 'environment variable of the url (default: DATABASE_URL)'),
    backups: option(
      '--backups <folder>',
      'where backups live (default: $BACKUP_DIR, else ./backups beside the plan)',
    ),
    cron: option('--cron <expression>', `when the nightly job runs (default: "${CONFIG.cron}")`),
    timezone: option('--timezone <zone>', 'IANA zone of the schedule (default: this machine’s)'),
    keep: option('--keep <duration>', `how long every backup is kept (default: ${CONFIG.keep})`),
    schemas: listOption('--schemas <names>', 'checks for these schemas only'),
  },
  examples: [
    { line: 'init postgresql://crm@localhost/crm --out plans/crm.yaml', does: 'a plan for crm' },
    { line: 'init --yes', does: 'the same from $DATABASE_URL, without questions' },
  ],
  exits: [EXIT.stepFailed, EXIT.interrupted],
  async run(values, context) {
    const { out } = context;
    const ask = isInteractive() && !context.globals.yes && !context.out.json;
    const file =
      values.out ??
      (ask
        ? await askText(context, { message: 'Where shall the plan go?', initial: CONFIG.out })
        : CONFIG.out);
    if (!values.force && (await exists(file))) {
      throw new BackplanError('USAGE', `${file} is there already, and is left as it is`, {
        hint: 'Choose another --out, or overwrite it with --force. `backplan suite PLAN --refresh` brings an existing plan up to date.',
      });
    }
    const variable = values.variable ?? CONFIG.variable;
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(variable)) {
      throw new BackplanError('USAGE', `"${variable}" is not the name of an environment variable`);
    }
    const url = await urlOf(values.url, variable, ask, context);
    const { schema, checks } = await inspect(url, values.schemas, context);
    const name = values.name ?? nameFrom(schema.database);
    const backups =
      values.backups ??
      (ask
        ? await askText(context, { message: 'Where shall backups live?', initial: CONFIG.backups })
        : CONFIG.backups);
    const cron =
      values.cron ??
      (ask
        ? await askText(context, {
            message: 'When shall the nightly job run? (cron)',
            initial: CONFIG.cron,
          })
        : CONFIG.cron);
    const [{ renderPlan, SUITE }, { notSeen }, { guessPreset }] = await Promise.all([
      import('../init/render-plan.ts'),
      import('../init/not-seen.ts'),
      import('../postgres/schema-version.ts'),
    ]);
    const migrations = guessPreset(
      new Map(schema.tables.map((table) => [table.name, new Set(table.columns.keys())])),
    );
    const remarks = notSeen(schema);
    const text = renderPlan({
      name,
      variable,
      backups,
      timezone: values.timezone ?? Intl.DateTimeFormat().resolvedOptions().timeZone,
      cron,
      keep: values.keep ?? CONFIG.keep,
      ...(migrations === undefined ? {} : { migrations }),
      checks,
      remarks,
    });
    await assertValid(file, text, context);
    await write(file, text, values.force);
    const counts = countKinds(checks);
    out.document({
      plan: file,
      database: name,
      suite: SUITE,
      tables: schema.tables.length,
      checks: counts,
      notSeen: remarks,
    } satisfies InitListing);
    out.print(`${out.paint(['bold', 'green'], `✓ ${file}`)}: ${describe(counts)}`);
    for (const remark of remarks) out.warn(remark);
    out.print();
    out.print(`Set ${variable}, then:`);
    const shown = relative('.', file) || file;
    out.print(`  backplan doctor ${shown}         will it work on this machine?`);
    out.print(`  backplan run ${shown} nightly    back up, restore, check: the first proven backup`);
    return EXIT.success;
  },
});

async function exists(file: string): Promise<boolean> {
  return await access(file).then(
    () => true,
    () => false,
  );
}

/** @throws USAGE when there is none and nobody to ask */
async function urlOf(
  given: string | undefined,
  variable: string,
  ask: boolean,
  context: CommandContext,
): Promise<string> {
  const url = given ?? process.env[variable];
  if (url !== undefined && url !== '') return url;
  if (ask) {
    return await askText(context, {
      message: 'Which database? (url)',
      initial: 'postgresql://',
      check: (answer) =>
        /^postgres(ql)?:\/\/./.test(answer)
          ? undefined
          : 'Write postgresql://USER:PASSWORD@HOST:PORT/DATABASE',
    });
  }
  throw new BackplanError('USAGE', `no database: neither a url nor $${variable}`, {
    hint: 'backplan init postgresql://USER@HOST/DATABASE; the password may come from PGPASSWORD.',
  });
}

/** @throws CONNECTION_FAILED; INPUT_INVALID when there is nothing to check */
async function inspect(url: string, schemas: readonly string[], context: CommandContext) {
  const [{ connect }, { parseConnection }, { inspectSchema }, { mergeSuggestions, suggestChecks }] =
    await Promise.all([
      import('../postgres/client.ts'),
      import('../postgres/connection.ts'),
      import('../init/live-schema.ts'),
      import('../init/generators/index.ts'),
    ]);
  await using client = await connect(parseConnection(url), {
    applicationName: 'backplan init',
    signal: context.signal,
    settings: { search_path: '', statement_timeout: '60s', lock_timeout: '5s' },
  });
  const schema = await inspectSchema(client, schemas.length === 0 ? {} : { schemas });
  const checks = mergeSuggestions(suggestChecks(schema));
  if (schema.tables.length === 0) {
    throw new BackplanError(
      'INPUT_INVALID',
      `there is no table in ${schema.database}${schemas.length === 0 ? '' : ` in ${schemas.join(', ')}`}: a suite would have nothing to check`,
      { hint: 'Is it the right database, and may this role see its tables?' },
    );
  }
  return { schema, checks };
}

/** `Crm Prod` → `Crm-Prod`: names of a plan are plain. */
function nameFrom(database: string): string {
  const plain = database.replaceAll(/[^A-Za-z0-9_.-]+/g, '-').replace(/^[^A-Za-z0-9_]+/, '');
  return plain === '' ? 'main' : plain;
}

/** The plan must be right before it is there. @throws USAGE for what the options made wrong */
async function assertValid(file: string, text: string, context: CommandContext): Promise<void> {
  const app = await context.app();
  const [{ parsePlan }, { formatDiagnostic }] = await Promise.all([
    import('../plan/load.ts'),
    import('../plan/diagnostic.ts'),
  ]);
  const { diagnostics } = await parsePlan(basename(file), text, app.vocabulary);
  const errors = diagnostics.filter(({ severity }) => severity === 'error');
  if (errors.length === 0) return;
  throw new BackplanError('USAGE', `the plan would not be valid; nothing was written`, {
    detail: errors.map((each) => formatDiagnostic(each, text, false)).join('\n'),
    hint: 'Mend the option that is named there.',
  });
}

async function write(file: string, text: string, force: boolean): Promise<void> {
  try {
    await writeFile(file, text, { flag: force ? 'w' : 'wx' });
  } catch (cause) {
    throw new BackplanError('USAGE', `${file} cannot be written: ${(cause as Error).message}`, {
      cause,
      hint: 'Does its folder exist, and may you write there?',
    });
  }
}

function countKinds(checks: readonly Suggestion[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { kind } of checks) counts[kind] = (counts[kind] ?? 0) + 1;
  return counts;
}

function describe(counts: Readonly<Record<string, number>>): string {
  const total = Object.values(counts).reduce((sum, count) => sum + count, 0);
  const parts = Object.entries(counts).map(([kind, count]) => `${count} ${kind}`);
  return `${total} checks (${parts.join(', ')})`;
}
