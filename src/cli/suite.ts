/** `suite`: what a suite checks, and with `--refresh` what the live database has that it does not. */
import { readFile, realpath, rename, stat, writeFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { BackplanError, EXIT } from '../errors.ts';
import type { SuiteDifference } from '../init/compare-suite.ts';
import type { CheckDefinition, Plan } from '../plan/model.ts';
import { checkJob } from './adhoc.ts';
import {
  type CommandContext,
  defineCommand,
  flag,
  listOption,
  option,
  optionalArgument,
  planArgument,
} from './command.ts';
import type { SuiteListing } from './listings/suite.ts';
import type { Paint } from './output.ts';
import { byName, oneOf, openPlan, suitesFor } from './plan.ts';

export const suite = defineCommand({
  name: 'suite',
  summary: 'list the checks of a suite; bring it up to date with the live database',
  description:
    'With --refresh: connects, reads the catalog and shows as a diff what the database has that the suite does not check, of everything that init writes checks for. --apply writes that into the plan file; comments, order and layout stay. What the suite checks and the database has lost is told, and only taken out with --remove-lost: it may be damage.',
  group: 'Plans',
  arguments: {
    plan: planArgument,
    suite: optionalArgument('suite (default: what the plan runs for this database)', 'suite'),
  },
  options: {
    refresh: flag('--refresh', 'compare it with the live database'),
    apply: flag('--apply', 'write the difference into the plan file'),
    removeLost: flag('--remove-lost', 'also take out what the database has lost'),
    exitCode: flag('--exit-code', 'exit with 3 when there is a difference'),
    database: option('-d, --database <name>', 'which database (default: the only one)', {
      completes: 'database',
    }),
    schemas: listOption('--schemas <names>', 'look at these schemas only'),
  },
  examples: [
    { line: 'suite plans/crm.yaml', does: 'what is checked?' },
    { line: 'suite plans/crm.yaml --refresh', does: 'what has been added to the database since?' },
    {
      line: 'suite plans/crm.yaml crm-consistency --refresh --apply',
      does: 'check that as well from now on',
    },
  ],
  exits: [EXIT.stepFailed, EXIT.checksFailed, EXIT.interrupted],
  async run(values, context) {
    const { out } = context;
    const { plan, source } = await openPlan(context, values.plan);
    const name = suiteName(plan, values.suite, values.database);
    const definitions = plan.suites[name]?.checks ?? [];
    if (!values.refresh) {
      if (values.apply || values.removeLost || values.exitCode) {
        throw new BackplanError('USAGE', '--apply, --remove-lost and --exit-code need --refresh');
      }
      return await list(name, definitions, context);
    }
    if (values.plan === '-')
      throw new BackplanError('USAGE', 'a suite is refreshed in a file, not in a pipe');
    const database = oneOf('database', plan.databases, values.database, 'Choose with --database').name;
    const difference = await compare(plan, name, database, values.schemas, context);
    const [{ editSuite }, { refreshEdits }] = await Promise.all([
      import('../plan/edit.ts'),
      import('../init/refresh-edits.ts'),
    ]);
    const edits = refreshEdits(definitions, difference, values.removeLost);
    const { text, diff } = edits.length === 0 ? { text: source, diff: [] } : editSuite(source, name, edits);
    if (values.apply && edits.length > 0) await replaceFile(values.plan, source, text, context);
    const applied = values.apply && edits.length > 0;
    const titles = await titler(context);
    const listed = (checks: readonly { kind: string; params: unknown }[]) =>
      checks.map(({ kind, params }) => ({ kind, title: titles(kind, params) }));
    out.document({
      suite: name,
      checks: definitions.length,
      missing: listed(difference.missing),
      lost: listed(difference.lost),
      changed: listed(difference.changed),
      notSeen: [...difference.notSeen],
      applied,
    } satisfies SuiteListing);
    if (diff.length > 0) {
      out.print(`--- ${values.plan}\n+++ ${values.plan}`);
      for (const line of diff) out.print(paintLine(line, out.paint));
      out.print();
    }
    for (const remark of difference.notSeen) out.warn(remark);
    if (!values.removeLost) {
      for (const { title } of listed(difference.lost)) {
        out.warn(
          `${database} has lost what "${title}" checks; restore it, or take the check out with --remove-lost`,
        );
      }
    }
    out.print(summary(name, database, difference, applied, values.plan));
    const differs = difference.missing.length + difference.lost.length + difference.changed.length > 0;
    return differs && values.exitCode ? EXIT.checksFailed : EXIT.success;
  },
});

function suiteName(plan: Plan, given: string | undefined, database: string | undefined): string {
  if (given !== undefined) {
    byName('suite', plan.suites, given);
    return given;
  }
  const names = Object.keys(plan.databases);
  const candidates =
    names.length === 1 || database !== undefined ? suitesFor(plan, database ?? names[0] ?? '') : [];
  const [only] = candidates.length === 1 ? candidates : Object.keys(plan.suites);
  if (only !== undefined && (candidates.length === 1 || Object.keys(plan.suites).length === 1)) return only;
  throw new BackplanError('USAGE', 'which suite?', {
    hint: `Name one: ${Object.keys(plan.suites).join(', ') || 'but the plan declares no suite'}.`,
  });
}

async function list(
  name: string,
  definitions: readonly CheckDefinition[],
  context: CommandContext,
): Promise<typeof EXIT.success> {
  const { out } = context;
  const app = await context.app();
  const { toEntries } = await import('../checks/entries.ts');
  const entries = toEntries(definitions, {
    kinds: app.vocabulary.checks,
    timeoutMs: 0,
    tolerate: new Set(),
  });
  out.document({
    suite: name,
    checks: entries.length,
    list: entries.map(({ kind, name: title }) => ({ kind, title })),
  } satisfies SuiteListing);
  for (const entry of entries) {
    out.print(`${entry.name}${entry.severity === 'warn' ? out.paint('dim', ' (warn)') : ''}`);
  }
  out.print(out.paint('dim', `${entries.length} ${entries.length === 1 ? 'check' : 'checks'} in ${name}`));
  return EXIT.success;
}

async function compare(
  plan: Plan,
  name: string,
  database: string,
  schemas: readonly string[],
  context: CommandContext,
): Promise<SuiteDifference & { readonly notSeen: readonly string[] }> {
  const [
    { resolveEnvironment },
    { Masker },
    { connect },
    { parseConnection },
    { inspectSchema },
    { compareSuite },
    { notSeen },
    { suiteChecks },
  ] = await Promise.all([
    import('../plan/resolve.ts'),
    import('../secret.ts'),
    import('../postgres/client.ts'),
    import('../postgres/connection.ts'),
    import('../init/live-schema.ts'),
    import('../init/compare-suite.ts'),
    import('../init/not-seen.ts'),
    import('../plan/suites.ts'),
  ]);
  const resolved = await resolveEnvironment(plan, process.env, new Masker(), {
    job: checkJob({ database, suites: [name] }, { objectives: false }),
  });
  await using client = await connect(parseConnection(resolved.databases[database]?.url ?? ''), {
    applicationName: 'backplan suite',
    signal: context.signal,
    settings: { search_path: '', statement_timeout: '60s', lock_timeout: '5s' },
  });
  const schema = await inspectSchema(client, schemas.length === 0 ? {} : { schemas });
  const checks = await suiteChecks(resolved, [name], { kinds: (await context.app()).vocabulary.checks });
  // Those of suites that it extends come first; they are looked after there, but what they check is checked.
  const own = resolved.suites[name]?.checks.length ?? 0;
  const inherited = compareSuite(checks.slice(0, checks.length - own), schema);
  const open = new Set(inherited.missing.map(({ subject }) => subject));
  const difference = compareSuite(checks.slice(checks.length - own), schema);
  return {
    ...difference,
    missing: difference.missing.filter(({ subject }) => open.has(subject)),
    notSeen: notSeen(schema),
  };
}

/** How a check is called in reports. */
async function titler(context: CommandContext): Promise<(kind: string, params: unknown) => string> {
  const { checks } = (await context.app()).vocabulary;
  return (kind, params) => checks.get(kind)?.title(params) ?? kind;
}

/** The changed plan must be valid, and nobody must have changed the file meanwhile; then it is replaced at once. */
async function replaceFile(
  file: string,
  before: string,
  text: string,
  context: CommandContext,
): Promise<void> {
  const app = await context.app();
  const [{ parsePlan }, { formatDiagnostic }] = await Promise.all([
    import('../plan/load.ts'),
    import('../plan/diagnostic.ts'),
  ]);
  const { diagnostics } = await parsePlan(basename(file), text, app.vocabulary);
  const errors = diagnostics.filter(({ severity }) => severity === 'error');
  if (errors.length > 0) {
    throw new BackplanError('INTERNAL', `${file} would not be valid any more; it is as it was`, {
      detail: errors.map((each) => formatDiagnostic(each, text, false)).join('\n'),
    });
  }
  const path = await realpath(file);
  if ((await readFile(path, 'utf8')) !== before) {
    throw new BackplanError('USAGE', `${file} was changed meanwhile; it is left as it is`, {
      hint: 'Run the same command again.',
    });
  }
  const temporary = `${path}.backplan-${process.pid}`;
  await writeFile(temporary, text, { mode: (await stat(path)).mode });
  await rename(temporary, path);
}

function paintLine(line: string, paint: Paint): string {
  if (line.startsWith('+')) return paint('green', line);
  if (line.startsWith('-')) return paint('red', line);
  return line.startsWith('@@') ? paint('cyan', line) : line;
}

function summary(
  name: string,
  database: string,
  { missing, lost, changed }: SuiteDifference,
  applied: boolean,
  file: string,
): string {
  if (missing.length + lost.length + changed.length === 0) {
    return `✓ ${name} checks everything that ${database} has`;
  }
  const parts = [
    `${missing.length} to add`,
    ...(changed.length === 0 ? [] : [`${changed.length} changed`]),
    ...(lost.length === 0 ? [] : [`${lost.length} lost`]),
  ];
  const next = applied ? `written to ${file}` : 'nothing was written; --apply does it';
  return `${name}: ${parts.join(', ')}; ${next}`;
}
