/** `explain --output json` and `run --dry-run --output json`. */
import type { Infer, JsonSchema } from '../../schema.ts';
import { $schema, count, instant, type Top, text, texts, waves } from './common.ts';

const pruneDecision = {
  type: 'object',
  required: ['repository', 'database', 'backup', 'keep', 'reasons'],
  additionalProperties: false,
  properties: {
    repository: text,
    database: text,
    backup: text,
    keep: { type: 'boolean' },
    reasons: { ...texts, description: 'Why it stays or goes.' },
    bytes: count,
  },
} as const satisfies JsonSchema;

export const explanationSchema = {
  $schema,
  title: 'backplan explain',
  description: 'What the jobs of a plan would do.',
  type: 'object',
  required: ['plan', 'file', 'timezone', 'jobs'],
  additionalProperties: false,
  properties: {
    plan: text,
    file: text,
    timezone: text,
    jobs: {
      type: 'array',
      items: {
        type: 'object',
        required: ['name', 'inputs', 'steps', 'waves', 'firings', 'prune'],
        additionalProperties: false,
        properties: {
          name: text,
          description: text,
          inputs: {
            type: 'array',
            items: {
              type: 'object',
              required: ['name', 'type', 'optional'],
              additionalProperties: false,
              properties: {
                name: text,
                type: text,
                optional: { type: 'boolean' },
                default: {},
                choices: { type: 'array', items: {} },
                description: text,
              },
            },
          },
          schedule: {
            type: 'object',
            description: 'Exactly one of cron, every and after.',
            required: ['timezone', 'overlap'],
            additionalProperties: false,
            properties: {
              cron: text,
              every: text,
              after: text,
              timezone: text,
              dst: { type: 'object', additionalProperties: false, properties: { gap: text, fold: text } },
              jitter: text,
              catchUp: text,
              overlap: text,
              notDuring: texts,
            },
          },
          firings: {
            type: 'array',
            description: 'The next times at which the schedule fires.',
            items: {
              type: 'object',
              required: ['utc', 'local'],
              additionalProperties: false,
              properties: {
                utc: instant,
                local: { ...text, description: 'In the time zone of the schedule, with its offset.' },
                dueAt: {
                  ...instant,
                  description: 'With its share of the jitter, where the schedule has jitter.',
                },
                clocksChange: {
                  type: 'boolean',
                  description: 'Clocks change between the firing before and this one.',
                },
              },
            },
          },
          waves,
          steps: {
            type: 'array',
            items: {
              type: 'object',
              required: ['name', 'uses', 'does', 'needs', 'onFailure', 'with'],
              additionalProperties: false,
              properties: {
                name: text,
                uses: text,
                does: { ...text, description: 'One line in plain words.' },
                needs: texts,
                if: text,
                timeoutMs: count,
                attempts: count,
                continueOnError: { type: 'boolean' },
                onFailure: { type: 'boolean', description: 'Runs only after the job failed.' },
                with: { type: 'object', additionalProperties: true, description: 'Secrets are masked.' },
              },
            },
          },
          prune: {
            type: 'array',
            description: 'What the prune steps would decide about the backups that exist now.',
            items: {
              type: 'object',
              required: ['step', 'decisions'],
              additionalProperties: false,
              properties: {
                step: text,
                problem: { ...text, description: 'Why nothing can be said, for example no access.' },
                decisions: { type: 'array', items: pruneDecision },
              },
            },
          },
        },
      },
    },
  },
} as const satisfies Top;

export type Explanation = Infer<typeof explanationSchema>;
