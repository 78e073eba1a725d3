/** The JSON Schema of a run record: what `--output json` ends with and what `backplan runs` lists. A stable interface. */
import { ERRORS } from '../errors.ts';
import type { JsonSchema } from '../schema.ts';

const instant = { type: 'string', format: 'date-time', examples: ['2026-11-24T02:00:00.000Z'] } as const;
const milliseconds = { type: 'integer', minimum: 0, description: 'Milliseconds.' } as const;

export const errorSchema = {
  type: 'object',
  description: 'What went wrong, for programs (code) and for people.',
  required: ['code', 'message'],
  additionalProperties: false,
  properties: {
    code: {
      type: 'string',
      enum: Object.keys(ERRORS),
      description: 'Stable; scripts and alerts match on it.',
    },
    message: { type: 'string', description: 'What failed on what, and why. Secrets are masked.' },
    hint: { type: 'string', description: 'What to do next.' },
    detail: { type: 'string', description: "Evidence, such as the end of a tool's stderr." },
  },
} as const satisfies JsonSchema;

export const stepSchema = {
  type: 'object',
  description: 'One step of the run.',
  required: ['name', 'uses', 'status', 'attempts'],
  additionalProperties: false,
  properties: {
    name: { type: 'string', examples: ['dump'] },
    uses: { type: 'string', description: 'The step kind.', examples: ['backup'] },
    status: {
      type: 'string',
      enum: ['pending', 'running', 'succeeded', 'failed', 'skipped', 'cancelled', 'interrupted'],
      description: 'interrupted: the process that ran it was killed; found at a later start.',
    },
    attempts: { type: 'integer', minimum: 0, description: 'Tries so far; 0 when it never started.' },
    startedAt: instant,
    endedAt: instant,
    durationMs: milliseconds,
    outputs: { type: 'object', description: 'What the step handed on; by kind.', additionalProperties: true },
    error: errorSchema,
    skippedBecause: { type: 'string', description: 'Why it did not run.' },
    stderr: { type: 'string', description: 'The last lines that child processes wrote to stderr, masked.' },
    tolerated: { type: 'boolean', description: 'It failed, but `continueOnError` let the job go on.' },
  },
} as const satisfies JsonSchema;

export const runSchema = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  title: 'backplan run',
  description: 'One execution of a job, with its steps.',
  type: 'object',
  required: [
    'id',
    'plan',
    'planFile',
    'job',
    'status',
    'trigger',
    'inputs',
    'startedAt',
    'host',
    'pid',
    'steps',
  ],
  additionalProperties: false,
  properties: {
    id: {
      type: 'string',
      examples: ['20261124T020000Z-x7k2mq'],
      description: 'Start in UTC and six random characters.',
    },
    plan: { type: 'string', description: 'Name of the plan.' },
    planFile: { type: 'string', description: 'Absolute path of its file.' },
    job: { type: 'string' },
    status: {
      type: 'string',
      enum: ['running', 'succeeded', 'failed', 'cancelled', 'interrupted'],
      description: 'interrupted: the process was killed or the machine went down; found at a later start.',
    },
    exitCode: {
      type: 'integer',
      enum: [0, 1, 2, 3, 4, 5, 6, 130],
      description:
        '0 success, 1 a step failed, 2 invalid plan or usage, 3 checks failed, 4 locked, 5 could not verify, 6 environment, 130 interrupted.',
    },
    verdict: {
      type: 'string',
      enum: ['verified', 'verifiedWithWarnings', 'rejected', 'inconclusive'],
      description: 'What the checks of the run said; absent when nothing was checked.',
    },
    trigger: {
      type: 'string',
      enum: ['manual', 'schedule', 'catchUp', 'retry', 'api'],
      description:
        'catchUp: a firing that was missed; retry: the job failed before; api: asked of the daemon.',
    },
    scheduledFor: {
      ...instant,
      description:
        'The firing of the schedule that it is for; it may start later, by jitter or because it waited.',
    },
    inputs: {
      type: 'object',
      description: 'Values of the inputs, defaults included.',
      additionalProperties: true,
    },
    startedAt: instant,
    endedAt: instant,
    durationMs: milliseconds,
    error: { ...errorSchema, description: 'What a person must act on first.' },
    logFile: { type: 'string', description: 'JSON lines, every one with run, job and step.' },
    host: { type: 'string' },
    pid: { type: 'integer' },
    steps: { type: 'array', items: stepSchema },
  },
} as const satisfies JsonSchema & { $schema: string };
