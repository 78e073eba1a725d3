/** `runs --output json`. */
import type { Infer } from '../../schema.ts';
import { $schema, count, instant, type Top, text, texts } from './common.ts';
import { errorBody } from './error.ts';

export const runsSchema = {
  $schema,
  title: 'backplan runs',
  description: 'The runs of a plan, newest first.',
  type: 'object',
  required: ['plan', 'runs'],
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
  },
} as const satisfies Top;

export type RunsListing = Infer<typeof runsSchema>;
