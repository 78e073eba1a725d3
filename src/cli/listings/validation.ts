/** `validate --output json`. */
import type { Infer } from '../../schema.ts';
import { $schema, type Top, text, waves } from './common.ts';

export const validationSchema = {
  $schema,
  title: 'backplan validate',
  description: 'What is right and wrong with plan files.',
  type: 'object',
  required: ['valid', 'plans'],
  additionalProperties: false,
  properties: {
    valid: { type: 'boolean', description: 'No plan has an error; warnings do not count.' },
    plans: {
      type: 'array',
      items: {
        type: 'object',
        required: ['file', 'valid', 'diagnostics', 'jobs'],
        additionalProperties: false,
        properties: {
          file: text,
          valid: { type: 'boolean' },
          name: text,
          diagnostics: {
            type: 'array',
            items: {
              type: 'object',
              required: ['severity', 'line', 'column', 'path', 'message'],
              additionalProperties: false,
              properties: {
                severity: { enum: ['error', 'warning'] },
                line: { type: 'integer', minimum: 1 },
                column: { type: 'integer', minimum: 1 },
                path: { ...text, examples: ['jobs.nightly.steps.dump.with.database'] },
                message: text,
                hint: text,
              },
            },
          },
          jobs: {
            type: 'array',
            items: {
              type: 'object',
              required: ['name', 'waves'],
              additionalProperties: false,
              properties: { name: text, cron: text, waves, onFailure: waves },
            },
          },
        },
      },
    },
  },
} as const satisfies Top;

export type ValidationListing = Infer<typeof validationSchema>;
