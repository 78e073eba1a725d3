/** `check`: runs suites on a database and, where asked, holds it against the fingerprint of its backup. */
import { backupFacts } from '../checks/backup-facts.ts';
import type { BackupFacts, CheckResult } from '../checks/check-kind.ts';
import { COMPARE_NAME, type FingerprintResults } from '../checks/fingerprint-results.ts';
import type { CheckReport } from '../checks/report-schema.ts';
import { concludeReport, runSuite, type SuiteReport } from '../checks/suite.ts';
import { BackplanError, toBackplanError } from '../errors.ts';
import { suiteChecks } from '../plan/suites.ts';
import type { Backup, Proof } from '../repository/manifest.ts';
import { type Infer, type JsonSchema, tableNameSchema } from '../schema.ts';
import { parseDuration } from '../units.ts';
import { compareWithBackup, findCompared } from './compare-backup.ts';
import { type DatabaseTarget, defineStep, type StepContext } from './step-kind.ts';
import { suiteChoice, suiteSettings } from './suite-settings.ts';

const withSchema = {
  type: 'object',
  required: ['suite', 'database'],
  additionalProperties: false,
  properties: {
    suite: {
      ...suiteChoice,
      description: 'The suite to run, or several.',
      examples: ['crm-consistency', ['crm-consistency', 'crm-slow']],
    },
    database: {
      type: 'string',
      description: 'A database of the plan, or what a restore step put out.',
      examples: ['${{ steps.rehearse.outputs.database }}', 'crm'],
      'x-ref': 'database',
    },
    compareFingerprint: {
      description:
        'Compare rows, content, sequences and the objects of the schema with what the backup noted of its source. Every difference is a failed check.',
      default: false,
      examples: [true, { except: ['Session'] }],
      'x-expected': 'true, false or {except: [tables]}',
      oneOf: [
        { type: 'boolean' },
        {
          type: 'object',
          required: ['except'],
          additionalProperties: false,
          properties: {
            except: {
              type: 'array',
              items: tableNameSchema,
              description: 'Tables that may differ.',
              examples: [['Session']],
            },
          },
        },
      ],
    },
    backup: {
      type: ['string', 'null'],
      description: 'The backup to compare with. Default: the one that the database was restored from.',
      examples: ['${{ steps.dump.outputs.backup }}', 'latest'],
    },
    tolerate: {
      type: 'array',
      items: { type: 'string', minLength: 1 },
      description: 'Names of checks whose failure is only a warning here.',
      examples: [['rows of SLOAlert ≥ 1']],
    },
    ...suiteSettings,
    jobs: {
      type: 'integer',
      minimum: 1,
      maximum: 32,
      description: 'How many checks run at once, all in one snapshot.',
      default: 2,
      examples: [2],
    },
  },
} as const satisfies JsonSchema;

type Params = Infer<typeof withSchema>;

export const check = defineStep({
  kind: 'check',
  summary: 'Run suites of checks on a database; the step fails unless all that matters was shown to hold.',
  with: withSchema,
  outputs: {
    verdict: {
      type: 'string',
      description: 'verified or verifiedWithWarnings; anything else fails the step.',
    },
    passed: { type: 'number', description: 'Checks that passed.' },
    warned: { type: 'number', description: 'Checks of severity warn that failed.' },
    failed: { type: 'number', description: 'Checks that failed: 0, or the step fails.' },
    errored: { type: 'number', description: 'Checks that could not look.' },
    total: { type: 'number', description: 'All checks.' },
    summary: { type: 'string', description: 'For people: 15/15 checks passed.' },
  },
  describe: ({ suite, database, compareFingerprint }) =>
    `check ${database} with ${suiteNames(suite).join(', ')}${compareFingerprint === false ? '' : ', compare it with its backup'}`,
  async run(params, context) {
    const target = context.database(params.database);
    const started = performance.now();
    // Until it has passed; whatever ends the step before counts as a failure.
    for (const suite of suiteNames(params.suite)) target.failing?.add(suite);
    const backup = await findCompared(params, target, context);
    // What ends one ends the other; the first failure is the one that is told.
    const group = new AbortController();
    const signal = AbortSignal.any([context.signal, group.signal]);
    const either = <T>(work: Promise<T>): Promise<T> =>
      work.catch((error: unknown) => {
        group.abort(error);
        throw error;
      });
    const [suite, comparison] = await settle(
      either(runSuites(params, target, context, signal)),
      either(compareWithBackup(params, target, backup, context, signal)),
    );
    for (const result of comparison?.results ?? []) tell(result, context);
    const report = concludeReport([...suite.results, ...(comparison?.results ?? [])]);
    warnOfUnknownTolerance(params, report.results, context);
    const whole: CheckReport = {
      reportVersion: 1,
      kind: 'check',
      suites: suiteNames(params.suite),
      database: params.database,
      backup: backup instanceof BackplanError || backup === undefined ? null : reference(backup),
      verdict: report.verdict,
      summary: report.summary,
      counts: report.counts,
      results: report.results.map((result) => ({
        ...result,
        samples: result.samples?.map((row) => ({ ...row })),
      })),
      ...(suite.leftOut === 0 ? {} : { leftOut: suite.leftOut }),
      durationMs: Math.round(performance.now() - started),
    };
    context.report(JSON.parse(JSON.stringify(whole)));
    await prove(params, target, suite, { backup, comparison }, context);
    if (report.verdict === 'rejected' || report.verdict === 'inconclusive') throw failure(report);
    if (params.only === undefined && params.skip === undefined) {
      for (const suite of suiteNames(params.suite)) target.failing?.delete(suite);
    }
    context.log.info(report.summary);
    const { passed, warned, failed, errored, total } = report.counts;
    return { verdict: report.verdict, passed, warned, failed, errored, total, summary: report.summary };
  },
});

function suiteNames(suite: string | readonly string[]): string[] {
  return typeof suite === 'string' ? [suite] : [...suite];
}

async function settle<A, B>(a: Promise<A>, b: Promise<B>): Promise<[A, B]> {
  await Promise.allSettled([a, b]);
  return await Promise.all([a, b]);
}

async function runSuites(
  { suite, timeout, jobs, tolerate, only, skip, params }: Params,
  target: DatabaseTarget,
  context: StepContext,
  signal: AbortSignal,
): Promise<SuiteReport> {
  const { run } = context;
  const definitions = await suiteChecks(context.plan, suiteNames(suite), {
    kinds: context.checkKinds,
    ...(params === undefined ? {} : { params }),
    run: { id: run.id, job: run.job, plan: context.plan.name, startedAt: run.startedAt.toISOString() },
  });
  const backup = await restoredFrom(target, context);
  return await runSuite({
    connection: target.connection,
    definitions,
    kinds: context.checkKinds,
    signal,
    applicationName: applicationName(context),
    jobs,
    timeoutMs: parseDuration(timeout),
    tolerate: tolerate ?? [],
    only: only ?? [],
    skip: skip ?? [],
    baseDirectory: context.baseDirectory,
    sandbox: target.kind === 'sandbox',
    ...(backup === undefined ? {} : { backup }),
    onDistrust: (reason) =>
      context.log.warn(`indexes are not trusted, so tables are read without them: ${reason}`),
    onProgress: (progress, result) => {
      context.progress(progress);
      tell(result, context);
    },
  });
}

/** What checks may know of the backup that a database was restored from; nothing where it cannot be read. */
async function restoredFrom(target: DatabaseTarget, context: StepContext): Promise<BackupFacts | undefined> {
  const origin = target.restoredFrom?.backup;
  if (origin === undefined) return undefined;
  try {
    return backupFacts((await (await context.repository(origin.repository)).find(origin.id)).manifest);
  } catch (error) {
    if (context.signal.aborted) throw error;
    context.log.warn(
      `backup ${origin.repository}:${origin.id} cannot be read, so no check can be held against it: ${toBackplanError(error).message}`,
    );
    return undefined;
  }
}

/**
 * Notes beside the backup what was shown of it: only of a whole and untouched copy of that very backup, and nothing
 * where nothing was shown.
 */
async function prove(
  params: Params,
  target: DatabaseTarget,
  suite: SuiteReport,
  compared: {
    readonly backup: Backup | BackplanError | undefined;
    readonly comparison: FingerprintResults | undefined;
  },
  context: StepContext,
): Promise<void> {
  const origin = target.restoredFrom;
  if (origin?.backup === undefined || !origin.whole || target.modified === true) return;
  const { repository: name, id } = origin.backup;
  const base = { proofVersion: 1, backup: id, at: new Date().toISOString(), run: context.run.id } as const;
  const proofs: Proof[] = [];
  const rejected = suite.verdict === 'rejected';
  // Part of a suite can show that a copy is bad, not that it is good.
  if (rejected || (suite.verdict !== 'inconclusive' && suite.leftOut === 0)) {
    proofs.push({
      ...base,
      kind: 'checked',
      passed: !rejected,
      suite: suiteNames(params.suite).join(', '),
      summary: `${suite.summary}${suite.leftOut === 0 ? '' : ` (${suite.leftOut} left out)`}`,
    });
  }
  const { backup, comparison } = compared;
  // Compared with another backup, it says nothing of this one.
  const own =
    backup !== undefined && !(backup instanceof BackplanError) && reference(backup) === `${name}:${id}`;
  if (own && comparison?.identical !== undefined) {
    const [first] = comparison.results;
    const summary = comparison.identical ? first?.message : `${comparison.results.length} differences`;
    proofs.push({
      ...base,
      kind: 'identical',
      passed: comparison.identical,
      ...(summary === undefined ? {} : { summary }),
    });
  }
  if (proofs.length === 0) return;
  try {
    const repository = await context.repository(name);
    const proven = own ? backup : await repository.find(id);
    for (const proof of proofs) await repository.addProof(proven, proof);
  } catch (error) {
    // The checks have said what they have said; a repository that cannot be written to does not change it.
    context.log.warn(
      `what was shown of ${name}:${id} could not be noted beside it: ${toBackplanError(error).message}`,
    );
  }
}

function reference(backup: Backup): string {
  return `${backup.repository}:${backup.manifest.id}`;
}

function applicationName(context: StepContext): string {
  return `backplan ${context.run.id} ${context.step}`;
}

/** One line per check; what is not a pass with what to do about it. */
function tell(result: CheckResult, { log }: StepContext): void {
  const line = `${result.status}: ${result.name}: ${result.message}`;
  const fields = {
    check: result.name,
    status: result.status,
    ...(result.hint === undefined ? {} : { hint: result.hint }),
    ...(result.samples === undefined ? {} : { samples: result.samples }),
  };
  if (result.status === 'failed' || result.status === 'errored') log.error(line, fields);
  else if (result.status === 'passed' || result.status === 'skipped') log.debug(line, fields);
  else log.warn(line, fields);
}

function warnOfUnknownTolerance(
  { tolerate }: Params,
  results: readonly CheckResult[],
  { log }: StepContext,
): void {
  for (const name of tolerate ?? []) {
    if (
      name.startsWith(COMPARE_NAME) ||
      results.some((result) => result.name === name || result.name.startsWith(`${name}: `))
    ) {
      continue;
    }
    log.warn(`tolerate names "${name}", but no check is called so`);
  }
}

/** How many failures the message names; all are in the detail. */
const NAMED = 3;

function failure(report: Omit<SuiteReport, 'durationMs' | 'leftOut'>): BackplanError {
  const rejected = report.verdict === 'rejected';
  const open = report.results.filter(({ status, severity }) =>
    rejected ? status === 'failed' : severity === 'error' && status !== 'passed' && status !== 'warned',
  );
  const environment = open.length > 0 && open.every((result) => result.environment === true);
  const named = open.slice(0, NAMED).map(({ name, message }) => `${name}: ${message}`);
  const rest = open.length > NAMED ? `; and ${open.length - NAMED} more` : '';
  const detail = report.results
    .filter(({ status }) => status !== 'passed')
    .map(
      ({ status, name, message, hint }) =>
        `${status}: ${name}: ${message}${hint === undefined ? '' : `\n    ${hint}`}`,
    );
  const hint = open.find((result) => result.hint !== undefined)?.hint;
  return new BackplanError(
    rejected ? 'CHECKS_FAILED' : environment ? 'CHECKS_ENVIRONMENT' : 'CHECKS_INCONCLUSIVE',
    `${report.summary}${named.length === 0 ? '' : `: ${named.join('; ')}`}${rest}`,
    {
      detail: detail.join('\n'),
      hint:
        hint ??
        (rejected ? undefined : 'Nothing failed, but what could not be looked at does not count as a pass.'),
    },
  );
}
