/** What a command prints as JSON when it fails. */
import type { JsonSchema } from '../../schema.ts';
import { $schema, type Top, text } from './common.ts';

export const errorBody = {
  type: 'object',
  required: ['code', 'message'],
  additionalProperties: false,
  properties: {
    code: { ...text, description: 'Stable; scripts may match on it.', examples: ['LOCKED'] },
    message: { ...text, description: 'What failed, on what and why.' },
    hint: { ...text, description: 'What to do next.' },
    detail: { ...text, description: 'Evidence: the tail of a tool’s output, diagnostics, a statement.' },
  },
} as const satisfies JsonSchema;

export const errorSchema = {
  $schema,
  title: 'backplan error',
  description: 'What a command prints instead of its result when it fails.',
  type: 'object',
  required: ['error'],
  additionalProperties: false,
  properties: { error: errorBody },
} as const satisfies Top;
