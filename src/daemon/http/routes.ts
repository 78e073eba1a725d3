/** The routes of the API. Answers hold what journal, plans and manifests hold: masked urls, never a secret. */
import { open } from 'node:fs/promises';
import { resolveInputs } from '../../engine/inputs.ts';
import { BackplanError } from '../../errors.ts';
import type { Job, Plan } from '../../plan/model.ts';
import {
  type Backup,
  isProven,
  isWhole,
  newestProof,
  PROOF_KINDS,
  storedSize,
} from '../../repository/manifest.ts';
import type { RunStatus } from '../../runs/record.ts';
import { errorSchema, runSchema } from '../../runs/record-schema.ts';
import type { JsonSchema } from '../../schema.ts';
import type { DaemonView, JobView } from '../view.ts';
import type { Route } from './route.ts';

const text = { type: 'string' } as const;
const instant = { type: 'string', format: 'date-time' } as const;
const count = { type: 'integer', minimum: 0 } as const;
const list = (items: JsonSchema) => ({ type: 'array', items }) as const;
const object = (properties: Readonly<Record<string, JsonSchema>>, optional: readonly string[] = []) =>
  ({
    type: 'object',
    required: Object.keys(properties).filter((name) => !optional.includes(name)),
    additionalProperties: false,
    properties,
  }) as const;

const STATUSES = ['running', 'succeeded', 'failed', 'cancelled', 'interrupted'] as const;
const { $schema: _, ...run } = runSchema;
const started = object({ run: { ...text, description: 'Id of the run.' } });

/** Bytes of a log that one answer holds at most. */
const LOG_BYTES = 262_144;

const plans: Route = {
  method: 'get',
  path: '/api/v1/plans',
  summary: 'The plan files, with what is loaded from each',
  response: object({
    plans: list(
      object(
        {
          file: text,
          name: text,
          loadedAt: instant,
          databases: list(text),
          repositories: list(text),
          jobs: list(text),
          problem: errorSchema,
        },
        ['name', 'loadedAt', 'problem'],
      ),
    ),
  }),
  handle: (_request, { daemon }) => ({
    plans: daemon.plans().map(({ file, plan, loadedAt, problem }) => ({
      file,
      ...(plan === undefined ? {} : { name: plan.name }),
      ...(loadedAt === undefined ? {} : { loadedAt: loadedAt.toISOString() }),
      databases: Object.keys(plan?.databases ?? {}),
      repositories: Object.keys(plan?.repositories ?? {}),
      jobs: Object.keys(plan?.jobs ?? {}),
      ...(problem === undefined ? {} : { problem }),
    })),
  }),
};

const jobs: Route = {
  method: 'get',
  path: '/api/v1/jobs',
  summary: 'The jobs, with their next firings and what runs or waits',
  query: {
    plan: { ...text, description: 'Only those of this plan.' },
    firings: { type: 'integer', minimum: 1, maximum: 100, description: 'How many next firings. Default 3.' },
  },
  response: object({
    jobs: list(
      object({
        plan: text,
        job: text,
        description: { type: ['string', 'null'] },
        inputs: list(
          object({
            name: text,
            type: text,
            optional: { type: 'boolean' },
            description: { type: ['string', 'null'] },
          }),
        ),
        scheduled: { type: 'boolean' },
        nextFirings: list(instant),
        running: list(text),
        queued: list(text),
      }),
    ),
  }),
  handle: ({ query }, { daemon }) => ({
    jobs: daemon
      .jobs(Number(query.firings ?? 3))
      .filter(({ plan }) => query.plan === undefined || plan === query.plan)
      .map(jobOf),
  }),
};

function jobOf({ plan, job, nextFirings, running, queued }: JobView) {
  return {
    plan,
    job: job.name,
    description: job.description ?? null,
    inputs: Object.values(job.inputs).map(({ name, type, optional, description, default: value }) => ({
      name,
      type,
      optional: optional || (value !== undefined && value !== null),
      description: description ?? null,
    })),
    scheduled: job.schedule !== undefined,
    nextFirings: nextFirings.map((at) => at.toISOString()),
    running,
    queued,
  };
}

const runs: Route = {
  method: 'get',
  path: '/api/v1/runs',
  summary: 'The history, newest first',
  query: {
    plan: { ...text, description: 'Only runs of this plan.' },
    job: { ...text, description: 'Only runs of this job.' },
    status: { enum: STATUSES, description: 'Only runs that stand so.' },
    limit: { type: 'integer', minimum: 1, maximum: 500, description: 'How many. Default 50.' },
  },
  response: object({ runs: list(run) }),
  handle: ({ query: { plan, job, status, limit = 50 } }, { daemon }) => ({
    runs: daemon.journal.listRuns({
      limit: Number(limit),
      ...(plan === undefined ? {} : { plan: String(plan) }),
      ...(job === undefined ? {} : { job: String(job) }),
      ...(status === undefined ? {} : { status: status as RunStatus }),
    }),
  }),
};

const oneRun: Route = {
  method: 'get',
  path: '/api/v1/runs/{run}',
  summary: 'One run with its steps',
  response: run,
  errors: [404],
  handle: ({ params }, { daemon }) => daemon.journal.getRun(params.run ?? ''),
};

const runLog: Route = {
  method: 'get',
  path: '/api/v1/runs/{run}/log',
  summary: 'The log of a run, piece by piece',
  query: {
    offset: {
      type: 'integer',
      minimum: 0,
      description: 'Where in the file to begin: `next` of the last answer.',
    },
  },
  response: object({
    lines: list({ type: 'object', additionalProperties: true }),
    next: { ...count, description: 'Offset for the next piece.' },
    complete: { type: 'boolean', description: 'The run is over and this was the end of its log.' },
  }),
  errors: [404],
  handle: async ({ params, query }, { daemon }) => {
    const { logFile, status } = daemon.journal.getRun(params.run ?? '');
    const offset = Number(query.offset ?? 0);
    const { lines, next, atEnd } = await readLines(logFile, offset);
    return { lines, next, complete: atEnd && status !== 'running' };
  },
};

/** Whole lines only: what is being written right now comes with the next piece. */
async function readLines(
  file: string | undefined,
  offset: number,
): Promise<{ lines: unknown[]; next: number; atEnd: boolean }> {
  if (file === undefined) return { lines: [], next: offset, atEnd: true };
  const handle = await open(file, 'r').catch(() => undefined);
  if (handle === undefined) return { lines: [], next: offset, atEnd: true };
  try {
    const buffer = Buffer.alloc(LOG_BYTES);
    const { bytesRead } = await handle.read(buffer, 0, LOG_BYTES, offset);
    const end = buffer.subarray(0, bytesRead).lastIndexOf(10) + 1;
    // A line longer than a whole piece would never come: it is passed over.
    const used = end === 0 && bytesRead === LOG_BYTES ? bytesRead : end;
    const lines = buffer
      .subarray(0, end)
      .toString('utf8')
      .split('\n')
      .flatMap((line) => parsed(line));
    return { lines, next: offset + used, atEnd: bytesRead < LOG_BYTES };
  } finally {
    await handle.close();
  }
}

function parsed(line: string): unknown[] {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? [value] : [];
  } catch {
    return [];
  }
}

const backups: Route = {
  method: 'get',
  path: '/api/v1/backups',
  summary: 'The backups in all repositories, newest first, with what was shown of each',
  query: {
    plan: { ...text, description: 'Only those in repositories of this plan.' },
    database: { ...text, description: 'Only those of this database.' },
  },
  response: object({
    backups: list(
      object({
        plan: text,
        repository: text,
        database: text,
        id: text,
        label: { type: ['string', 'null'] },
        startedAt: instant,
        durationMs: count,
        storedBytes: count,
        serverVersion: text,
        whole: { type: 'boolean', description: 'False: schemas, tables or rows were left out.' },
        proven: { type: 'boolean', description: 'It was restored and checked.' },
        proofs: {
          type: 'object',
          description: 'The newest statement of each kind.',
          additionalProperties: object({ passed: { type: 'boolean' }, at: instant, run: text }),
        },
      }),
    ),
    repositories: list(
      object(
        {
          plan: text,
          repository: text,
          readAt: instant,
          broken: count,
          freeBytes: count,
          problem: errorSchema,
        },
        ['freeBytes', 'problem'],
      ),
    ),
  }),
  handle: ({ query }, { holdings }) => {
    const known = holdings.known().filter(({ plan }) => query.plan === undefined || plan === query.plan);
    return {
      backups: known
        .flatMap(({ plan, backups: own }) => own.map((backup) => backupOf(plan, backup)))
        .filter(({ database }) => query.database === undefined || database === query.database)
        .sort((a, b) => b.startedAt.localeCompare(a.startedAt)),
      repositories: known.map(({ plan, repository, readAt, broken, freeBytes, problem }) => ({
        plan,
        repository,
        readAt: readAt.toISOString(),
        broken,
        ...(freeBytes === undefined ? {} : { freeBytes: Math.floor(freeBytes) }),
        ...(problem === undefined ? {} : { problem }),
      })),
    };
  },
};

function backupOf(plan: string, backup: Backup) {
  const { manifest, repository } = backup;
  const proofs = PROOF_KINDS.flatMap((kind) => {
    const proof = newestProof(backup, kind);
    return proof === undefined
      ? []
      : [[kind, { passed: proof.passed, at: proof.at, run: proof.run }] as const];
  });
  return {
    plan,
    repository,
    database: manifest.database,
    id: manifest.id,
    label: manifest.label,
    startedAt: manifest.startedAt,
    durationMs: Math.round(manifest.durationMs),
    storedBytes: storedSize(manifest),
    serverVersion: manifest.source.serverVersion,
    whole: isWhole(backup),
    proven: isProven(backup),
    proofs: Object.fromEntries(proofs),
  };
}

const startJob: Route = {
  method: 'post',
  path: '/api/v1/plans/{plan}/jobs/{job}/runs',
  summary: 'Start a job now, or as soon as its turn comes; its schedule goes on as if nothing had been',
  body: object(
    {
      inputs: {
        type: 'object',
        additionalProperties: true,
        description: 'By name, as for `backplan run --input`.',
      },
    },
    ['inputs'],
  ),
  status: 202,
  response: started,
  errors: [404, 409, 503],
  handle: async ({ params, body }, { daemon }) => {
    const { plan, job } = findJob(daemon, params.plan ?? '', params.job ?? '');
    const { inputs = {} } = body as { inputs?: Record<string, unknown> };
    return { run: await start(daemon, plan, job, inputs) };
  },
};

const retryRun: Route = {
  method: 'post',
  path: '/api/v1/runs/{run}/retry',
  summary: 'Start the job of a run that is over again, with the same inputs, under the plan as it is now',
  status: 202,
  response: started,
  errors: [404, 409, 503],
  handle: async ({ params }, { daemon }) => {
    const before = daemon.journal.getRun(params.run ?? '');
    if (before.status === 'running')
      throw new BackplanError('LOCKED', `run ${before.id} still runs`, { hint: 'Cancel it first, or wait.' });
    const { plan, job } = findJob(daemon, before.plan, before.job);
    return { run: await start(daemon, plan, job, before.inputs) };
  },
};

const cancelRun: Route = {
  method: 'post',
  path: '/api/v1/runs/{run}/cancel',
  summary: 'Cancel a run of this daemon that runs or waits',
  status: 202,
  response: started,
  errors: [404, 409],
  handle: ({ params }, { daemon }) => {
    const id = params.run ?? '';
    if (daemon.cancel(id)) return { run: id };
    const { status } = daemon.journal.getRun(id);
    throw new BackplanError(
      'LOCKED',
      status === 'running' ? `run ${id} belongs to another process` : `run ${id} is over: ${status}`,
    );
  },
};

const reload: Route = {
  method: 'post',
  path: '/api/v1/reload',
  summary: 'Read all plan files again',
  response: plans.response,
  handle: async (request, context) => {
    await context.daemon.reload('api');
    return plans.handle(request, context);
  },
};

function findJob(daemon: DaemonView, planName: string, jobName: string): { plan: Plan; job: Job } {
  const plan = daemon.plans().find((each) => each.plan?.name === planName)?.plan;
  const job = plan !== undefined && Object.hasOwn(plan.jobs, jobName) ? plan.jobs[jobName] : undefined;
  if (plan === undefined || job === undefined)
    throw new BackplanError('RUN_NOT_FOUND', `there is no job ${jobName} in a plan ${planName}`, {
      hint: 'GET /api/v1/jobs lists them.',
    });
  return { plan, job };
}

/** What is wrong with the inputs is told to who asks, not only to the log of the daemon. */
async function start(
  daemon: DaemonView,
  plan: Plan,
  job: Job,
  inputs: Readonly<Record<string, unknown>>,
): Promise<string> {
  const run = { id: '', job: job.name, plan: plan.name, startedAt: new Date().toISOString() };
  await resolveInputs(plan, job, inputs, {
    ...{ inputs: {}, steps: {}, run, plan: { name: plan.name } },
    state: { failed: false, cancelled: false },
  });
  return daemon.start(plan.name, job.name, inputs, 'api');
}

export const routes: readonly Route[] = [
  plans,
  jobs,
  runs,
  oneRun,
  runLog,
  backups,
  startJob,
  retryRun,
  cancelRun,
  reload,
];
