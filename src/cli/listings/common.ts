/** Parts that the schemas of several listings share. */
import type { JsonSchema } from '../../schema.ts';

export const $schema = 'https://json-schema.org/draft/2020-12/schema';
export const instant = { type: 'string', format: 'date-time' } as const;
export const text = { type: 'string' } as const;
export const count = { type: 'integer', minimum: 0 } as const;
export const texts = { type: 'array', items: text } as const;
export const nullableText = { type: ['string', 'null'] } as const;

export type Top = JsonSchema & { $schema: string };

export const waves = {
  type: 'array',
  description: 'Steps in the order of running; those of one inner list may run side by side.',
  items: texts,
} as const satisfies JsonSchema;
