/** `validate`: everything that is wrong with plan files, with file, line and column; then what their jobs look like. */
import { BackplanError, EXIT } from '../errors.ts';
import { type Diagnostic, formatDiagnostic } from '../plan/diagnostic.ts';
import { waves } from '../plan/graph.ts';
import type { Vocabulary } from '../plan/load.ts';
import type { Job, Plan } from '../plan/model.ts';
import { defineCommand, manyArguments } from './command.ts';
import type { ValidationListing } from './listings/validation.ts';
import type { Paint } from './output.ts';
import { pairs } from './table.ts';

interface Result {
  readonly file: string;
  readonly plan?: Plan;
  readonly diagnostics: readonly Diagnostic[];
  readonly source: string;
}

export const validate = defineCommand({
  name: 'validate',
  summary: 'check plan files, without touching anything',
  description:
    'Prints every problem at once with file:line:column, then the steps of each job. Needs no network, no database and no environment variables. Warnings do not fail. PLAN may be - for standard input.',
  group: 'Plans',
  arguments: { plans: manyArguments('plan files (YAML), or - for standard input', 'plan') },
  options: {},
  examples: [
    { line: 'validate plans/crm.yaml', does: 'one plan' },
    { line: 'validate plans/*.yaml', does: 'all of them, for example in CI' },
    { line: 'validate - < plan.yaml', does: 'from a pipe' },
  ],
  exits: [],
  async run({ plans }, context) {
    const { out } = context;
    const app = await context.app();
    const results: Result[] = [];
    for (const file of plans) results.push(await read(file, app.vocabulary));
    const valid = results.every(({ diagnostics }) => !diagnostics.some(isError));
    out.document({ valid, plans: results.map(toJson) } satisfies ValidationListing);
    for (const [index, result] of results.entries()) {
      if (index > 0) out.print();
      printResult(result, out.paint, out.print);
    }
    return valid ? EXIT.success : EXIT.invalidPlan;
  },
});

/** A file that cannot be read must not hide what is wrong with the others. */
async function read(file: string, vocabulary: Vocabulary): Promise<Result> {
  const { loadPlan } = await import('../plan/load.ts');
  try {
    return { file, ...(await loadPlan(file, vocabulary)) };
  } catch (error) {
    if (!(error instanceof BackplanError) || error.code !== 'PLAN_UNREADABLE') throw error;
    const { message, hint } = error;
    const diagnostic: Diagnostic = {
      severity: 'error',
      file,
      line: 1,
      column: 1,
      path: '',
      message: message.replace(/^[^:]*: /, ''),
      ...(hint === undefined ? {} : { hint }),
    };
    return { file, diagnostics: [diagnostic], source: '' };
  }
}

function isError({ severity }: Diagnostic): boolean {
  return severity === 'error';
}

function printResult(result: Result, paint: Paint, print: (text?: string) => void): void {
  const { file, plan, diagnostics, source } = result;
  for (const diagnostic of diagnostics) print(`${formatDiagnostic(diagnostic, source, paint.enabled)}\n`);
  const errors = diagnostics.filter(isError).length;
  const warnings = diagnostics.length - errors;
  if (errors > 0 || plan === undefined) {
    print(
      paint(
        ['bold', 'red'],
        `✗ ${file}: ${counted(errors, 'error')}${warnings === 0 ? '' : `, ${counted(warnings, 'warning')}`}`,
      ),
    );
    return;
  }
  const noted = warnings === 0 ? '' : paint('yellow', `, ${counted(warnings, 'warning')}`);
  print(`${paint(['bold', 'green'], `✓ ${file}`)}${noted}: ${inventory(plan)}`);
  const jobs = Object.values(plan.jobs).map((job) => [job.name, graphLine(job)] as const);
  if (jobs.length > 0) print(pairs(jobs, '  '));
}

/** `crm: 1 database, 1 repository, 2 suites, 3 jobs`. */
function inventory(plan: Plan): string {
  const parts = [
    counted(Object.keys(plan.databases).length, 'database'),
    counted(Object.keys(plan.repositories).length, 'repository'),
    ...(Object.keys(plan.suites).length === 0 ? [] : [counted(Object.keys(plan.suites).length, 'suite')]),
    counted(Object.keys(plan.jobs).length, 'job'),
  ];
  return `${plan.name}: ${parts.join(', ')}`;
}

/** `dump → rehearse, copy → check; on failure: tell; cron 0 2 * * *`: what is joined by commas may run side by side. */
export function graphLine(job: Job): string {
  const parts = [formatWaves(waves(job))];
  if (Object.keys(job.onFailure).length > 0) {
    parts.push(`on failure: ${formatWaves(waves({ ...job, steps: job.onFailure }))}`);
  }
  if (job.schedule !== undefined) parts.push(`cron ${job.schedule.cron}`);
  return parts.join('; ');
}

function formatWaves(all: readonly (readonly string[])[]): string {
  return all.map((wave) => wave.join(', ')).join(' → ');
}

function counted(count: number, noun: string): string {
  const plural = noun.endsWith('y') ? `${noun.slice(0, -1)}ies` : `${noun}s`;
  return `${count} ${count === 1 ? noun : plural}`;
}

function toJson({ file, plan, diagnostics }: Result): ValidationListing['plans'][number] {
  return {
    file,
    valid: !diagnostics.some(isError),
    ...(plan === undefined ? {} : { name: plan.name }),
    diagnostics: diagnostics.map(({ severity, line, column, path, message, hint }) => ({
      severity,
      line,
      column,
      path,
      message,
      ...(hint === undefined ? {} : { hint }),
    })),
    jobs: Object.values(plan?.jobs ?? {}).map((job) => ({
      name: job.name,
      ...(job.schedule === undefined ? {} : { cron: job.schedule.cron }),
      waves: waves(job).map((wave) => [...wave]),
      ...(Object.keys(job.onFailure).length === 0
        ? {}
        : { onFailure: waves({ ...job, steps: job.onFailure }).map((wave) => [...wave]) }),
    })),
  };
}
