/** `notify --output json`. */
import { $schema, count, type Top, text, texts } from './common.ts';

export const notifySchema = {
  $schema,
  title: 'backplan notify',
  description: 'The notifiers of a plan, and with --test what became of a test message.',
  type: 'object',
  required: ['plan', 'ok', 'notifiers'],
  additionalProperties: false,
  properties: {
    plan: text,
    ok: { type: 'boolean', description: 'No notifier has a problem; with --test each took the message.' },
    notifiers: {
      type: 'array',
      items: {
        type: 'object',
        required: ['notifier', 'kind', 'on', 'jobs', 'where', 'problem'],
        additionalProperties: false,
        properties: {
          notifier: text,
          kind: { ...text, examples: ['webhook', 'slack', 'email'] },
          on: { ...texts, description: 'What it is told of; empty where its kind decides that.' },
          jobs: { ...texts, description: 'Jobs that name it.' },
          where: {
            type: ['string', 'null'],
            description: 'Host, address or program, without secrets; null when its settings are not there.',
          },
          problem: {
            type: ['string', 'null'],
            description: 'Why it cannot be used, for example a variable.',
          },
          test: {
            type: 'object',
            description: 'With --test.',
            required: ['delivered', 'said', 'durationMs'],
            additionalProperties: false,
            properties: {
              delivered: { type: 'boolean' },
              said: { ...text, description: 'What the other side answered, or why it was not reached.' },
              durationMs: count,
            },
          },
        },
      },
    },
  },
} as const satisfies Top;
