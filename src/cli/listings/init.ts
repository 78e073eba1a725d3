/** `init --output json`. */
import type { Infer } from '../../schema.ts';
import { $schema, count, type Top, text } from './common.ts';

export const initSchema = {
  $schema,
  title: 'backplan init',
  description: 'The plan that was written.',
  type: 'object',
  required: ['plan', 'database', 'suite', 'tables', 'checks', 'notSeen'],
  additionalProperties: false,
  properties: {
    plan: { ...text, description: 'The file.' },
    database: { ...text, description: 'How the plan calls the database.' },
    suite: { ...text, description: 'How the plan calls its suite.' },
    tables: { ...count, description: 'Tables and views found, without partitions.' },
    checks: {
      type: 'object',
      description: 'Kind of check → how many.',
      additionalProperties: count,
    },
    notSeen: {
      type: 'array',
      items: text,
      description: 'What the role of the url may not look at; the suite does not check it.',
    },
  },
} as const satisfies Top;

export type InitListing = Infer<typeof initSchema>;
