/** `runs --output json`. */
import type { Infer } from '../../schema.ts';
import { $schema, count, instant, type Top, text, texts } from './common.ts';
import { errorBody } from './error.ts';

export const runsSchema = {
  $schema,
  title: 'backplan runs',
  description: 'The runs of a plan, newest first.',
  type: 'object',
  required: ['plan', 'runs', 'notRun'],
  additionalProperties: false,
  properties: {
    plan: text,
    runs: {
      type: 'array',
      items: {
        type: 'object',
        required: ['id', 'job', 'status', 'trigger', 'startedAt', 'host', 'pid'],
        additionalProperties: false,
        properties: {
          id: text,
          job: text,
          status: { enum: ['running', 'succeeded', 'failed', 'cancelled', 'interrupted'] },
          trigger: text,
          scheduledFor: { ...instant, description: 'The firing of the schedule that it is for.' },
          exitCode: { type: 'integer' },
          verdict: { enum: ['verified', 'verifiedWithWarnings', 'rejected', 'inconclusive'] },
          startedAt: instant,
          endedAt: instant,
          durationMs: count,
          host: text,
          pid: { type: 'integer' },
          error: errorBody,
          failedSteps: texts,
        },
      },
    },
    notRun: {
      type: 'array',
      description:
        'Firings of schedules that came to nothing, newest first: missed while the daemon was down or the machine asleep, or left out because of another run of the job.',
      items: {
        type: 'object',
        required: ['job', 'kind', 'oldest', 'newest', 'count', 'reason'],
        additionalProperties: false,
        properties: {
          job: text,
          kind: { enum: ['missed', 'overlapped'] },
          oldest: instant,
          newest: instant,
          count: { ...count, description: 'Firings from the oldest to the newest; counting ends at 10000.' },
          reason: text,
        },
      },
    },
  },
} as const satisfies Top;

export type RunsListing = Infer<typeof runsSchema>;
