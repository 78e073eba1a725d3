/** The JSON Schema of a message: what a webhook without a body of its own gets, and a command on stdin. Stable. */
import { NOTIFIER_EVENTS } from '../plan/schema.ts';
import { runSchema } from '../runs/record-schema.ts';
import type { JsonSchema } from '../schema.ts';

const { $schema, ...run } = runSchema;
const text = { type: 'string' } as const;

export const messageSchema = {
  $schema,
  title: 'backplan notification',
  description: 'What a notifier is told. Keys may be added, never renamed or removed.',
  type: 'object',
  required: [
    'event',
    'level',
    'title',
    'text',
    'facts',
    'next',
    'at',
    'host',
    'plan',
    'planFile',
    'job',
    'database',
    'key',
    'held',
    'run',
  ],
  additionalProperties: false,
  properties: {
    event: {
      enum: [...NOTIFIER_EVENTS, 'started', 'message', 'test'],
      description:
        'started: for dead-man’s switches. message: from a step `notify`. test: `backplan notify --test`.',
    },
    level: { enum: ['info', 'success', 'warning', 'error'] },
    title: { ...text, description: 'One line.' },
    text: { ...text, description: 'What happened, in lines, for people.' },
    facts: {
      type: 'array',
      description: 'For tables.',
      items: {
        type: 'object',
        required: ['name', 'value'],
        additionalProperties: false,
        properties: { name: text, value: text },
      },
    },
    next: { type: 'array', description: 'Command lines: what to type next.', items: text },
    at: { type: 'string', format: 'date-time' },
    host: { ...text, description: 'Where it happened.' },
    plan: { ...text, description: 'Name of the plan.' },
    planFile: { ...text, description: 'Absolute path of its file.' },
    job: { type: ['string', 'null'] },
    database: { type: ['string', 'null'], description: 'Where it is about one.' },
    key: { ...text, description: 'What it is about: the end of a problem has the key of its beginning.' },
    held: {
      type: 'integer',
      minimum: 0,
      description: 'How often the same was not told since the last time (`repeat`).',
    },
    run: { ...run, type: ['object', 'null'], description: 'The record of the run it is about.' },
  },
} as const satisfies JsonSchema & { $schema: string };
