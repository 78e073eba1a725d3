/** `prove`: shows on a throw-away copy that every check of a suite can fail. */
import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { backupFacts } from '../checks/backup-facts.ts';
import { runSuite } from '../checks/suite.ts';
import { BackplanError } from '../errors.ts';
import { suiteChecks } from '../plan/suites.ts';
import { connect } from '../postgres/client.ts';
import { dumpCustom } from '../postgres/dump.ts';
import { beginSnapshot } from '../postgres/snapshot.ts';
import { findTools } from '../postgres/tools.ts';
import { mutations } from '../prove/index.ts';
import type { ProveReport } from '../prove/report-schema.ts';
import { type CheckProof, proveSuite } from '../prove/suite.ts';
import type { Infer, JsonSchema } from '../schema.ts';
import { parseDuration } from '../units.ts';
import { restore } from './restore.ts';
import { toolContext } from './restore-source.ts';
import { withScratch } from './scratch.ts';
import { type DatabaseTarget, defineStep, type StepContext } from './step-kind.ts';
import { suiteChoice, suiteSettings } from './suite-settings.ts';

const withSchema = {
  type: 'object',
  required: ['suite', 'database'],
  additionalProperties: false,
  properties: {
    suite: {
      ...suiteChoice,
      description: 'The suite to prove, or several.',
      examples: ['crm-consistency'],
    },
    database: {
      type: 'string',
      description:
        'What a restore step put into a sandbox; it is broken, though every damage is rolled back. Of any other database a copy is made first, by a dump into a sandbox.',
      examples: ['${{ steps.rehearse.outputs.database }}', 'crm'],
      'x-ref': 'database',
    },
    ...suiteSettings,
  },
} as const satisfies JsonSchema;

type Params = Infer<typeof withSchema>;

export const prove = defineStep({
  kind: 'prove',
  summary:
    'Break a throw-away copy in ways that fit each check of a suite, and see that each check goes red.',
  with: withSchema,
  outputs: {
    proved: { type: 'number', description: 'Checks that went red when they had to.' },
    stayedGreen: { type: 'number', description: 'Checks that passed whatever was broken.' },
    notTried: { type: 'number', description: 'Checks for which nothing could be broken.' },
    total: { type: 'number', description: 'All checks.' },
    summary: { type: 'string', description: 'For people: 23/23 checks proved.' },
  },
  describe: ({ suite, database }) => `prove ${[suite].flat().join(', ')} on a copy of ${database}`,
  async run(params, context) {
    const { run, plan, signal, checkKinds } = context;
    const definitions = await suiteChecks(plan, [params.suite].flat(), {
      kinds: checkKinds,
      ...(params.params === undefined ? {} : { params: params.params }),
      run: { id: run.id, job: run.job, plan: plan.name, startedAt: run.startedAt.toISOString() },
    });
    const target = await copyOf(context.database(params.database), context);
    // What was broken proves nothing of its backup, even though it is whole again.
    target.modified = true;
    const backup = await factsOf(target, context);
    const shared = {
      connection: target.connection,
      definitions,
      kinds: checkKinds,
      signal,
      applicationName: `backplan ${run.id} ${context.step}`,
      timeoutMs: parseDuration(params.timeout),
      only: params.only ?? [],
      skip: params.skip ?? [],
      baseDirectory: context.baseDirectory,
      sandbox: true,
      ...(backup === undefined ? {} : { backup }),
    };
    const before = await runSuite(shared);
    if (before.verdict === 'rejected') {
      const failed = before.results.filter(({ status }) => status === 'failed');
      throw new BackplanError(
        'CHECKS_FAILED',
        `the suite is not green on the copy, so nothing can be proved: ${before.summary}`,
        {
          detail: failed.map(({ name, message }) => `failed: ${name}: ${message}`).join('\n'),
          hint: 'Mend what the checks found, or leave those checks out with skip.',
        },
      );
    }
    const results = await proveSuite({
      ...shared,
      mutations,
      before: new Map(before.results.map((result) => [result.name, result])),
      onProof: (proof, done, total) => {
        context.progress({ done, total, unit: 'checks', note: proof.name });
        context.log.debug(describe(proof));
      },
    });
    return conclude(params, results, context);
  },
});

function conclude(params: Params, results: readonly CheckProof[], context: StepContext) {
  const count = (...outcomes: CheckProof['outcome'][]) =>
    results.filter(({ outcome }) => outcomes.includes(outcome)).length;
  const counts = {
    total: results.length,
    proved: count('proved'),
    stayedGreen: count('stayedGreen'),
    notTried: count('noMutation', 'notTried'),
  };
  const summary = [
    `${counts.proved}/${counts.total} checks proved`,
    ...(counts.stayedGreen === 0 ? [] : [`${counts.stayedGreen} stayed green`]),
    ...(counts.notTried === 0 ? [] : [`${counts.notTried} could not be tried`]),
  ].join(', ');
  const report: ProveReport = {
    reportVersion: 1,
    kind: 'prove',
    suites: [params.suite].flat(),
    database: params.database,
    summary,
    counts,
    results: results.map((each) => ({ ...each })),
  };
  context.report(report);
  const open = results.filter(({ outcome }) => outcome !== 'proved');
  const detail = open.map(describe).join('\n');
  if (counts.stayedGreen > 0) {
    throw new BackplanError('CHECKS_NOT_PROVED', summary, {
      detail,
      hint: 'A check that passes on a broken copy protects nothing: make it stricter or remove it.',
    });
  }
  if (open.length > 0) {
    throw new BackplanError('CHECKS_NOT_TRIED', summary, {
      detail,
      hint: 'Break those by hand once on a copy (backplan restore --into sandbox), or leave them out with --skip.',
    });
  }
  context.log.info(summary);
  return { ...counts, summary };
}

const WORDS: Readonly<Record<CheckProof['outcome'], string>> = {
  proved: 'proved',
  stayedGreen: 'not proved, it stayed green',
  noMutation: 'no mutation known',
  notTried: 'not tried',
};

function describe({ outcome, name, damage, message, tried }: CheckProof): string {
  const how = damage === undefined ? '' : ` (${tried === 1 ? '' : `${tried} damages, the last: `}${damage})`;
  return `${WORDS[outcome]}: ${name}${how}: ${message}`;
}

/** Facts that checks of the backup's own counts need. */
async function factsOf({ restoredFrom }: DatabaseTarget, context: StepContext) {
  const origin = restoredFrom?.backup;
  if (origin === undefined) return undefined;
  return backupFacts((await (await context.repository(origin.repository)).find(origin.id)).manifest);
}

/** A sandbox is a copy already; of everything else one is made, so that nothing of value is touched. */
async function copyOf(source: DatabaseTarget, context: StepContext): Promise<DatabaseTarget> {
  if (source.kind === 'sandbox') return source;
  return await withScratch(context, async (folder) => {
    const path = join(folder, 'copy.dump');
    await dumpTo(path, source, context);
    const { database } = await restore.run(
      { path, into: 'sandbox', noOwner: false, noPrivileges: false },
      context,
    );
    return context.database(String(database));
  });
}

async function dumpTo(path: string, { connection }: DatabaseTarget, context: StepContext): Promise<void> {
  const applicationName = `backplan ${context.run.id} ${context.step}`;
  await using client = await connect(connection, { applicationName, signal: context.signal });
  const tools = await findTools(client.serverVersion, {
    binDirectories: context.plan.settings.binDirectories,
    need: ['pg_dump', 'pg_restore'],
  });
  const snapshot = await beginSnapshot(client, { export: true });
  if (snapshot === undefined) {
    throw new BackplanError('DUMP_FAILED', `${connection.database} does not export a snapshot for the dump`, {
      hint: 'Make a backup first; then the copy is restored from it.',
    });
  }
  const { stream } = await dumpCustom({
    tools,
    connection,
    applicationName,
    snapshot,
    selection: [],
    lockTimeout: 30_000,
    ...toolContext(context),
  });
  await pipeline(stream, createWriteStream(path, { mode: 0o600 }), { signal: context.signal });
}
