/** `suite --output json`. */
import type { Infer } from '../../schema.ts';
import { $schema, count, type Top, text } from './common.ts';

const check = {
  type: 'object',
  required: ['kind', 'title'],
  additionalProperties: false,
  properties: { kind: text, title: { ...text, description: 'The check’s name in reports.' } },
} as const;

export const suiteSchema = {
  $schema,
  title: 'backplan suite',
  description: 'The checks of a suite, and with --refresh what the live schema has that it does not.',
  type: 'object',
  required: ['suite', 'checks'],
  additionalProperties: false,
  properties: {
    suite: text,
    checks: { ...count, description: 'Checks that it has.' },
    list: { type: 'array', items: check, description: 'Without --refresh: those checks.' },
    missing: {
      type: 'array',
      items: check,
      description: 'What the database has and the suite does not check.',
    },
    lost: {
      type: 'array',
      items: check,
      description: 'What the suite checks and the database does not have.',
    },
    changed: { type: 'array', items: check, description: 'Accepted values that are others now.' },
    notSeen: { type: 'array', items: text, description: 'What the role may not look at.' },
    applied: { type: 'boolean', description: 'The plan file was changed.' },
  },
} as const satisfies Top;

export type SuiteListing = Infer<typeof suiteSchema>;
