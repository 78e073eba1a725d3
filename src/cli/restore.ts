/** `restore`: a backup into a sandbox to look at, into a database beside production, or back into production. */
import { resolve } from 'node:path';
import { EXIT, type ExitCode } from '../errors.ts';
import type { Plan } from '../plan/model.ts';
import type { Backup } from '../repository/manifest.ts';
import { parseDuration } from '../units.ts';
import { type RestoreRequest, type RestoreTarget, recoveryJob, restoreJob } from './adhoc.ts';
import { unlessEmpty } from './backup.ts';
import {
  type CommandContext,
  defineCommand,
  flag,
  listOption,
  option,
  optionalArgument,
  parsedOption,
  planArgument,
} from './command.ts';
import { execute } from './execute.ts';
import { makeHold } from './hold.ts';
import { makeKeep } from './keep.ts';
import { locateBackup, pinned } from './locate.ts';
import { durationText, positiveInteger } from './parse.ts';
import { byName, oneOf, openPlan, repositoryFor } from './plan.ts';
import { describeServer, replacementFacts } from './production.ts';
import { confirm, isInteractive } from './prompt.ts';
import { promotionSuites, type RestoreValues, refuseContradictions, refusePartial } from './restore-rules.ts';

export const restore = defineCommand({
  name: 'restore',
  summary: 'restore a backup: to look at, beside production, or back into production',
  description: `Without --promote production is not touched. BACKUP is latest-proven (the default), latest, an id, the beginning of one, or a label.

--into sandbox (the default) starts a private PostgreSQL, restores there and says how to look at it; it is gone when you press Enter, when the time of --hold is over, or at once where nobody can press Enter.
--into staging restores into a new database beside production and keeps it; \`backplan promote\` makes it production later.
--into NAME restores into a new database of that name on the same server.

--promote does it all: looks whether it can work, backs up what production is now, restores beside it, runs the checks, and only when they pass swaps the two in one transaction. What was production is kept; \`backplan rollback\` swaps back.`,
  group: 'At 3 a.m.',
  arguments: {
    plan: planArgument,
    backup: optionalArgument('which backup (default: latest-proven)', 'backup'),
  },
  options: {
    database: option('-d, --database <name>', 'whose backup (default: the only database)', {
      completes: 'database',
    }),
    into: option('--into <target>', 'sandbox, staging or the name of a new database', {
      completes: ['sandbox', 'staging'],
    }),
    promote: flag('--promote', 'replace production by the restored copy, if its checks pass'),
    suites: listOption(
      '-s, --suite <names>',
      'checks of the copy (default: what the plan runs for this database)',
      {
        completes: 'suite',
      },
    ),
    unchecked: flag('--unchecked', 'promote without any check'),
    tables: listOption('-t, --tables <names>', 'only these tables'),
    schemas: listOption('-n, --schemas <names>', 'only these schemas'),
    only: option('--only <part>', 'only the schema or only the data', { choices: ['schema', 'data'] }),
    repository: option('-r, --repository <name>', 'where the backup is', { completes: 'repository' }),
    path: option(
      '--path <file>',
      'an archive of pg_dump (any format, also gzip or zstd) instead of a backup',
      {
        completes: 'file',
      },
    ),
    at: option('--at <time>', 'point in time to recover to (needs physical backups)'),
    hold: parsedOption('--hold <duration>', 'how long a sandbox is kept for looking', durationText),
    jobs: parsedOption('-j, --jobs <count>', 'parallel workers of pg_restore', positiveInteger),
    noOwner: flag('--no-owner', 'everything belongs to the role that restores'),
    noPrivileges: flag('--no-privileges', 'no grants'),
    keepPrevious: parsedOption(
      '--keep-previous <duration>',
      'with --promote: how long what was production is kept (default: 24h)',
      durationText,
    ),
    keepStaging: flag('--keep-staging', 'with --promote: keep the copy when it was not promoted'),
  },
  examples: [
    { line: 'restore plans/crm.yaml', does: 'look at the newest proven backup in a sandbox' },
    { line: 'restore plans/crm.yaml --promote', does: 'bring production back, with checks first' },
    {
      line: 'restore plans/crm.yaml latest --into staging',
      does: 'beside production, to compare or to promote later',
    },
    {
      line: 'restore plans/crm.yaml --tables User,Tenant --into crm_rescue',
      does: 'two tables into a new database',
    },
    { line: 'restore plans/crm.yaml --path old.dump.gz --hold 1h', does: 'an archive from elsewhere' },
  ],
  exits: [
    EXIT.stepFailed,
    EXIT.checksFailed,
    EXIT.locked,
    EXIT.inconclusive,
    EXIT.environment,
    EXIT.interrupted,
  ],
  async run(values, context) {
    refuseContradictions(values);
    const { plan } = await openPlan(context, values.plan);
    const { database, backup } = await chooseSource(context, plan, values);
    const request: Request = {
      database,
      backup,
      // As typed: relative to here, not to the plan's folder as paths inside a plan are.
      path: values.path === undefined ? undefined : resolve(values.path),
      settings: {
        at: values.at,
        jobs: values.jobs,
        tables: unlessEmpty(values.tables),
        schemas: unlessEmpty(values.schemas),
        only: values.only,
        noOwner: values.noOwner || undefined,
        noPrivileges: values.noPrivileges || undefined,
      },
    };
    for (const suite of values.suites) byName('suite', plan.suites, suite);
    return values.promote
      ? await bringBack(context, plan, request, values)
      : await putBeside(context, plan, request, values);
  },
});

interface Request {
  readonly database: string;
  /** Or `path`. */
  readonly backup: Backup | undefined;
  readonly path: string | undefined;
  readonly settings: Pick<
    RestoreRequest,
    'at' | 'jobs' | 'tables' | 'schemas' | 'only' | 'noOwner' | 'noPrivileges'
  >;
}

function restoreRequest({
  database,
  backup,
  path,
  settings,
}: Request): RestoreRequest & { database: string } {
  return {
    ...settings,
    database,
    ...(backup === undefined ? {} : { backup: pinned(backup) }),
    ...(path === undefined ? {} : { path }),
  };
}

/** Which backup, and of which database: the named one, the one that the backup is of, or the only one. */
async function chooseSource(
  context: CommandContext,
  plan: Plan,
  { database, backup = 'latest-proven', repository, path }: RestoreValues,
): Promise<{ readonly database: string; readonly backup: Backup | undefined }> {
  const only = () => oneOf('database', plan.databases, database, 'Choose with --database').name;
  if (path !== undefined) return { database: only(), backup: undefined };
  if (repository !== undefined) byName('repository', plan.repositories, repository);
  const vague = backup === 'latest' || backup === 'latest-proven';
  const wanted =
    database !== undefined || vague || Object.keys(plan.databases).length === 1 ? only() : undefined;
  const found = await locateBackup(context, plan, backup, { repository, database: wanted });
  return {
    database: wanted ?? byName('database', plan.databases, found.manifest.database).name,
    backup: found,
  };
}

async function bringBack(
  context: CommandContext,
  plan: Plan,
  request: Request,
  values: RestoreValues,
): Promise<ExitCode> {
  const { database } = request;
  const suites = promotionSuites(plan, database, values);
  const keepPrevious = values.keepPrevious ?? '24h';
  const { backup, path } = request;
  if (backup !== undefined) refusePartial(backup);
  await confirm(context, {
    facts: await replacementFacts({
      plan,
      database,
      source: backup ?? (path === undefined ? undefined : { path }),
      keepPrevious,
      suites,
    }),
    question: `Replace ${database}?`,
    action: `replaces the production database ${database}`,
  });
  const safetyRepository = repositoryFor(plan, values.repository, database).name;
  const job = recoveryJob(
    { ...restoreRequest(request), safetyRepository },
    { database, suites, keepPrevious, keepStaging: values.keepStaging },
  );
  return await execute(context, plan, {
    job,
    kinds: (_say, journal) => [makeKeep(journal)],
    after: (record) => {
      const kept = record.steps.find((step) => step.uses === 'keep')?.outputs?.name;
      const promoted = record.steps.some((step) => step.name === 'promote' && step.status === 'succeeded');
      if (typeof kept === 'string' && !promoted) printNext(context, values.plan, kept);
    },
  });
}

function printNext({ out }: CommandContext, plan: string, staging: string): void {
  out.print(`  promote it:  backplan promote ${plan} ${staging}`);
  out.print(`  or drop it:  backplan drop ${plan} ${staging}`);
}

async function putBeside(
  context: CommandContext,
  plan: Plan,
  request: Request,
  values: RestoreValues,
): Promise<ExitCode> {
  const { suites, into = 'sandbox' } = values;
  if (into === 'sandbox') {
    const hold = values.hold !== undefined || (isInteractive() && !context.out.json);
    if (!hold) {
      context.out.note(
        'nobody is there to look, so the sandbox goes when the restore is done; --hold 1h keeps it for an hour',
      );
    }
    const time = values.hold === undefined ? undefined : parseDuration(values.hold);
    return await execute(context, plan, {
      job: restoreJob(restoreRequest(request), 'sandbox', { suites, hold }),
      kinds: (say) => (hold ? [makeHold(context, say, time)] : []),
    });
  }
  if (values.only === 'data') {
    await confirm(context, {
      facts: [
        [
          'database',
          `${into}, on the server of ${request.database} (${await describeServer(plan, request.database)})`,
        ],
        ['rows', `those of ${request.backup?.manifest.id ?? request.path} are added to what is there`],
      ],
      question: `Add rows to ${into}?`,
      action: `adds rows to the existing database ${into}`,
    });
  }
  const target: RestoreTarget =
    into === 'staging' ? { staging: request.database } : { database: into, on: request.database };
  return await execute(context, plan, {
    job: restoreJob(restoreRequest(request), target, { suites, hold: false }),
    after: (record) => {
      const name = record.steps.find((step) => step.name === 'restore')?.outputs?.name;
      if (record.status !== 'succeeded' || typeof name !== 'string') return;
      const { print } = context.out;
      print();
      print(`restored into "${name}", beside ${request.database}`);
      if (into === 'staging') printNext(context, values.plan, name);
    },
  });
}
