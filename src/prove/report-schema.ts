/** The report of a prove step as JSON, for scripts. Stable. */
import type { Infer, JsonSchema } from '../schema.ts';

const count = { type: 'integer', minimum: 0 } as const;

export const proveReportSchema = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  title: 'backplan prove report',
  description: 'Whether the checks of a suite go red when a copy is broken.',
  type: 'object',
  required: ['reportVersion', 'kind', 'suites', 'database', 'summary', 'counts', 'results'],
  additionalProperties: false,
  properties: {
    reportVersion: { const: 1 },
    kind: { const: 'prove' },
    suites: { type: 'array', items: { type: 'string' }, description: 'Names of the suites in the plan.' },
    database: { type: 'string', description: 'Handle of the database or of the copy.', examples: ['crm'] },
    summary: { type: 'string', examples: ['23/23 checks proved'] },
    counts: {
      type: 'object',
      required: ['total', 'proved', 'stayedGreen', 'notTried'],
      additionalProperties: false,
      properties: { total: count, proved: count, stayedGreen: count, notTried: count },
    },
    results: {
      type: 'array',
      items: {
        type: 'object',
        description: 'What became of one check.',
        required: ['name', 'kind', 'severity', 'outcome', 'message', 'tried'],
        additionalProperties: false,
        properties: {
          name: { type: 'string', examples: ['unique TenantLicense (tenantId, licenseType)'] },
          kind: { type: 'string', examples: ['unique'] },
          severity: { enum: ['error', 'warn'] },
          outcome: {
            enum: ['proved', 'stayedGreen', 'noMutation', 'notTried'],
            description:
              'proved: it went red. stayedGreen: it passed whatever was broken. noMutation: nothing is known that would break its kind. notTried: nothing could be broken, or it did not pass before.',
          },
          damage: {
            type: 'string',
            description: 'What was broken when it went red; where it stayed green, the last that was tried.',
          },
          message: { type: 'string', description: 'What the check said of it, or why nothing was tried.' },
          tried: { ...count, description: 'How many damages were done.' },
        },
      },
    },
  },
} as const satisfies JsonSchema & { $schema: string };

export type ProveReport = Infer<typeof proveReportSchema>;
