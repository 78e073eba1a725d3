/** `explain`: what the jobs of a plan would do, without doing it. */
import { EXIT, toBackplanError } from '../errors.ts';
import { waves } from '../plan/graph.ts';
import type { Job, Plan, Schedule, Step } from '../plan/model.ts';
import { hasExpression } from '../plan/template.ts';
import { Masker } from '../secret.ts';
import type { StepKind } from '../steps/step-kind.ts';
import { formatDuration, formatInstant } from '../units.ts';
import {
  type CommandContext,
  defineCommand,
  optionalArgument,
  parsedOption,
  planArgument,
} from './command.ts';
import type { Explanation } from './listings/explanation.ts';
import { indent, type Paint } from './output.ts';
import { positiveInteger } from './parse.ts';
import { byName, openPlan } from './plan.ts';
import { decideNow, describeDecisions } from './retention.ts';
import { pairs } from './table.ts';

type JobExplanation = Explanation['jobs'][number];
type StepExplanation = JobExplanation['steps'][number];

export const explain = defineCommand({
  name: 'explain',
  summary: 'say what a plan would do: steps in order, settings, next firings, what prune would delete now',
  description:
    'Reads the plan and, for prune steps, the repository; runs nothing. Environment variables are filled in where they are set; secrets are masked.',
  group: 'Plans',
  arguments: { plan: planArgument, job: optionalArgument('only this job', 'job') },
  options: {
    firings: parsedOption(
      '--firings <count>',
      'how many firings of each schedule (default 3)',
      positiveInteger,
    ),
  },
  examples: [
    { line: 'explain plans/crm.yaml', does: 'all jobs' },
    { line: 'explain plans/crm.yaml nightly --firings 10', does: 'one job, and when it fires' },
  ],
  exits: [],
  async run({ plan: file, job, firings = 3 }, context) {
    const { plan } = await openPlan(context, file);
    const jobs = job === undefined ? Object.values(plan.jobs) : [byName('job', plan.jobs, job)];
    await printExplanation(context, plan, jobs, undefined, firings);
    return EXIT.success;
  },
});

/** Also what `run --dry-run` prints, then with the inputs that were given. */
export async function printExplanation(
  context: CommandContext,
  plan: Plan,
  jobs: readonly Job[],
  inputs: Readonly<Record<string, string>> | undefined,
  firings = 3,
): Promise<void> {
  const explained: JobExplanation[] = [];
  for (const job of jobs) explained.push(await explainJob(context, plan, job, firings));
  const explanation: Explanation = {
    plan: plan.name,
    file: plan.file,
    timezone: plan.timezone,
    jobs: explained,
  };
  context.out.document(explanation);
  const { paint, print } = context.out;
  print(`${paint('bold', plan.name)} (${plan.file}), times in ${plan.timezone}`);
  for (const each of explained) print(`\n${formatJob(each, paint, inputs)}`);
}

async function explainJob(
  context: CommandContext,
  plan: Plan,
  job: Job,
  firings: number,
): Promise<JobExplanation> {
  const resolved = await resolveForShow(plan, job);
  const shown = resolved.plan.jobs[job.name] ?? job;
  const { vocabulary } = await context.app();
  const explainStep = (step: Step, onFailure: boolean): StepExplanation => {
    const kind = vocabulary.steps.get(step.uses);
    const settings = resolved.masker.maskDeep(step.with) as Record<string, unknown>;
    return {
      name: step.name,
      uses: step.uses,
      does: describe(kind, settings),
      needs: [...step.needs],
      ...(step.if === undefined ? {} : { if: step.if }),
      ...(step.timeout === undefined ? {} : { timeoutMs: step.timeout }),
      ...(step.retry === undefined ? {} : { attempts: step.retry.attempts }),
      ...(step.continueOnError ? { continueOnError: true } : {}),
      onFailure,
      with: settings,
    };
  };
  const schedule = shown.schedule;
  const zone = schedule?.timezone ?? plan.timezone;
  return {
    name: job.name,
    ...(job.description === undefined ? {} : { description: job.description }),
    inputs: Object.values(job.inputs).map((input) => ({
      name: input.name,
      type: input.type,
      optional: input.optional,
      ...(input.default === undefined ? {} : { default: input.default }),
      ...(input.choices === undefined ? {} : { choices: [...input.choices] }),
      ...(input.description === undefined ? {} : { description: input.description }),
    })),
    ...(schedule === undefined ? {} : { schedule: { ...copy(schedule), timezone: zone } }),
    firings: schedule === undefined ? [] : await nextTimes(plan, job, schedule, firings),
    waves: [...waves(job), ...waves({ ...job, steps: job.onFailure })].map((wave) => [...wave]),
    steps: [
      ...Object.values(shown.steps).map((step) => explainStep(step, false)),
      ...Object.values(shown.onFailure).map((step) => explainStep(step, true)),
    ],
    prune: await explainPrune(context, plan, shown),
  };
}

async function nextTimes(
  plan: Plan,
  job: Job,
  schedule: Schedule,
  count: number,
): Promise<JobExplanation['firings']> {
  const { firingsAfter, jobKey, loadTimetables } = await import('../plan/timetable.ts');
  const zone = schedule.timezone ?? plan.timezone;
  const timetable = (await loadTimetables())(schedule, {
    timezone: plan.timezone,
    key: jobKey(plan.name, job.name),
  });
  const firings: JobExplanation['firings'] = [];
  let offset: string | undefined;
  for (const at of firingsAfter(timetable, Date.now()).take(count)) {
    const local = localTime(new Date(at), zone);
    const dueAt = timetable.dueAt(at);
    firings.push({
      utc: formatInstant(new Date(at)),
      local,
      ...(schedule.jitter === undefined ? {} : { dueAt: formatInstant(new Date(dueAt)) }),
      ...(offset === undefined || offset === local.slice(-6) ? {} : { clocksChange: true }),
    });
    offset = local.slice(-6);
  }
  return firings;
}

/** Plain, changeable data, as listings are typed. */
function copy<T>(value: T): Mutable<T> {
  return structuredClone(value) as Mutable<T>;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] extends object | undefined ? Mutable<T[K]> : T[K] };

/** The environment where it is set; a job can be explained on a machine that has none of it. */
async function resolveForShow(plan: Plan, job: Job): Promise<{ plan: Plan; masker: Masker }> {
  const { resolveEnvironment } = await import('../plan/resolve.ts');
  const masker = new Masker();
  try {
    return { plan: await resolveEnvironment(plan, process.env, masker, { job }), masker };
  } catch {
    return { plan, masker };
  }
}

function describe(kind: StepKind | undefined, settings: unknown): string {
  try {
    return kind?.describe?.(settings) ?? kind?.summary ?? '';
  } catch {
    // A setting that is an expression may not have the shape that the sentence is made from.
    return kind?.summary ?? '';
  }
}

async function explainPrune(context: CommandContext, plan: Plan, job: Job): Promise<JobExplanation['prune']> {
  const steps = [...Object.values(job.steps), ...Object.values(job.onFailure)].filter(
    ({ uses }) => uses === 'prune',
  );
  return await Promise.all(
    steps.map(async (step) => {
      const { repository, database, keep } = step.with;
      if (typeof repository !== 'string' || typeof database !== 'string' || hasExpression(step.with)) {
        return { step: step.name, problem: 'its settings are known only when it runs', decisions: [] };
      }
      try {
        const policy = { repository, database, keep: keep as Readonly<Record<string, unknown>> };
        return { step: step.name, decisions: await decideNow(context, plan, policy) };
      } catch (error) {
        return { step: step.name, problem: toBackplanError(error).message, decisions: [] };
      }
    }),
  );
}

/** `2026-11-24 02:00:00 GMT+01:00`: the offset tells apart the two occurrences of an hour in autumn. */
function localTime(at: Date, timeZone: string): string {
  const parts = Object.fromEntries(
    new Intl.DateTimeFormat('en-GB', {
      timeZone,
      weekday: 'short',
      year: 'numeric',
      month: '2-digit',
      day: '2-digit',
      hour: '2-digit',
      minute: '2-digit',
      second: '2-digit',
      hourCycle: 'h23',
      timeZoneName: 'longOffset',
    })
      .formatToParts(at)
      .map(({ type, value }) => [type, value]),
  );
  const offset = parts.timeZoneName === 'GMT' ? '+00:00' : (parts.timeZoneName ?? '').replace('GMT', '');
  return `${parts.weekday} ${parts.year}-${parts.month}-${parts.day} ${parts.hour}:${parts.minute}:${parts.second}${offset}`;
}

function formatJob(
  job: JobExplanation,
  paint: Paint,
  given: Readonly<Record<string, string>> | undefined,
): string {
  const sections = [
    `${paint(['bold', 'cyan'], job.name)}${job.description === undefined ? '' : `: ${job.description}`}`,
  ];
  if (job.schedule !== undefined) {
    const { cron, every, after, timezone, jitter, catchUp, overlap, notDuring = [] } = job.schedule;
    const extras = [
      ...(jitter === undefined ? [] : [`jitter up to ${jitter}`]),
      ...(catchUp === undefined ? [] : [`caught up within ${catchUp}`]),
      `overlap: ${overlap}`,
      ...(notDuring.length === 0 ? [] : [`not during ${notDuring.join(', ')}`]),
    ];
    const when =
      after !== undefined
        ? `after ${after} has succeeded`
        : every !== undefined
          ? `every ${every}`
          : `at ${cron} in ${timezone}`;
    sections.push(`  fires ${when} (${extras.join(', ')})`);
    for (const { utc, local, dueAt, clocksChange } of job.firings) {
      const notes = [
        ...(dueAt === undefined ? [] : [`due ${dueAt}`]),
        ...(clocksChange === true ? ['clocks change before it'] : []),
      ];
      sections.push(`    ${local}  =  ${utc}${notes.length === 0 ? '' : `  (${notes.join('; ')})`}`);
    }
  }
  if (job.inputs.length > 0) {
    sections.push(
      '  inputs',
      pairs(
        job.inputs.map((input) => [
          input.name,
          [
            input.type,
            given?.[input.name] !== undefined
              ? `given: ${given[input.name]}`
              : input.default !== undefined
                ? `default ${String(input.default)}`
                : input.optional
                  ? 'optional'
                  : 'required',
            ...(input.choices === undefined || input.choices.length === 0
              ? []
              : [`one of ${input.choices.map(String).join(', ')}`]),
            ...(input.description === undefined ? [] : [input.description]),
          ].join(', '),
        ]),
        '    ',
      ),
    );
  }
  sections.push('  steps', ...formatSteps(job, paint));
  for (const { step, problem, decisions } of job.prune) {
    sections.push(
      `  ${paint('bold', step)} would now decide`,
      indent(problem === undefined ? describeDecisions(decisions, paint) : paint('yellow', problem), '    '),
    );
  }
  return sections.join('\n');
}

function formatSteps(job: JobExplanation, paint: Paint): string[] {
  return job.waves.flatMap((wave, index) =>
    wave.flatMap((name, place) => {
      const step = job.steps.find((each) => each.name === name);
      if (step === undefined) return [];
      const conditions = [
        ...(step.onFailure ? ['only when the job failed'] : []),
        ...(step.if === undefined ? [] : [`if ${step.if}`]),
        ...(step.timeoutMs === undefined ? [] : [`at most ${formatDuration(step.timeoutMs)}`]),
        ...(step.attempts === undefined ? [] : [`up to ${step.attempts} tries`]),
        ...(step.continueOnError === true ? ['a failure is tolerated'] : []),
      ];
      const number = place === 0 ? String(index + 1).padStart(4) : '   |';
      return [
        `${number}  ${paint('bold', name)}: ${step.does}${conditions.length === 0 ? '' : paint('dim', ` (${conditions.join('; ')})`)}`,
        ...settingsLines(step.with).map((line) => paint('dim', `        ${line}`)),
      ];
    }),
  );
}

function settingsLines(settings: Readonly<Record<string, unknown>>): string[] {
  return Object.entries(settings).map(
    ([key, value]) => `${key}: ${typeof value === 'string' ? value : JSON.stringify(value)}`,
  );
}
