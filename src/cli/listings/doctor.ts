/** `doctor --output json`. */
import { $schema, type Top, text } from './common.ts';

export const doctorSchema = {
  $schema,
  title: 'backplan doctor',
  description: 'Whether the plan would work on this machine, and what to do where not.',
  type: 'object',
  required: ['plan', 'ok', 'findings'],
  additionalProperties: false,
  properties: {
    plan: text,
    ok: { type: 'boolean', description: 'No finding is a problem; warnings do not count.' },
    findings: {
      type: 'array',
      items: {
        type: 'object',
        required: ['area', 'subject', 'status', 'message'],
        additionalProperties: false,
        properties: {
          area: { ...text, examples: ['connection', 'tools', 'repository', 'sandbox', 'clock', 'journal'] },
          subject: { ...text, description: 'What was looked at, for example the name of a database.' },
          status: { enum: ['ok', 'warning', 'problem'] },
          message: text,
          fix: { ...text, description: 'What to do about it.' },
        },
      },
    },
  },
} as const satisfies Top;
