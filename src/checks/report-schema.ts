/** The report of a check step as JSON: what scripts, dashboards and other reporters read. Stable. */
import type { Infer, JsonSchema } from '../schema.ts';

const count = { type: 'integer', minimum: 0 } as const;

export const checkResultSchema = {
  type: 'object',
  description: 'What one check found.',
  required: ['name', 'kind', 'severity', 'status', 'durationMs', 'message'],
  additionalProperties: false,
  properties: {
    name: {
      type: 'string',
      description: 'Unique within the report.',
      examples: ['unique TenantLicense (tenantId, licenseType)'],
    },
    kind: { type: 'string', examples: ['unique'] },
    severity: { enum: ['error', 'warn'] },
    status: {
      enum: ['passed', 'warned', 'failed', 'errored', 'skipped', 'vacuous'],
      description:
        'warned: failed, but only a warning. errored: it could not look. vacuous: there was nothing to look at. Neither is a pass.',
    },
    durationMs: count,
    message: { type: 'string', description: 'One line: what was found.' },
    hint: { type: 'string', description: 'What to do about it.' },
    count: { ...count, description: 'How many rows or objects offend.' },
    samples: {
      type: 'array',
      items: { type: 'object', additionalProperties: true },
      description: 'Some of the offenders: keys, not whole rows.',
    },
    error: { type: 'string', description: 'Why it could not look.' },
    environment: {
      const: true,
      description: 'It could not look because this server lacks something: no word on the data.',
    },
  },
} as const satisfies JsonSchema;

export const checkReportSchema = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  title: 'backplan check report',
  description: 'What a check step found in a database.',
  type: 'object',
  required: [
    'reportVersion',
    'kind',
    'suites',
    'database',
    'backup',
    'verdict',
    'summary',
    'counts',
    'results',
    'durationMs',
  ],
  additionalProperties: false,
  properties: {
    reportVersion: { const: 1 },
    kind: { const: 'check' },
    suites: { type: 'array', items: { type: 'string' }, description: 'Names of the suites in the plan.' },
    database: {
      type: 'string',
      description: 'Handle of the database that was checked.',
      examples: ['staging:crm/crm_staging_x7k2'],
    },
    backup: {
      type: ['string', 'null'],
      description: 'repository:id of the backup that it holds, where it was restored from one.',
    },
    verdict: {
      enum: ['verified', 'verifiedWithWarnings', 'rejected', 'inconclusive'],
      description: 'inconclusive: nothing failed, but something that matters could not be shown.',
    },
    summary: {
      type: 'string',
      examples: ['15/15 checks passed', '41/44 passed, 1 warned, 1 failed, 1 errored'],
    },
    counts: {
      type: 'object',
      required: ['total', 'passed', 'warned', 'failed', 'errored', 'skipped', 'vacuous'],
      additionalProperties: false,
      properties: {
        total: count,
        passed: count,
        warned: count,
        failed: count,
        errored: count,
        skipped: count,
        vacuous: count,
      },
    },
    leftOut: { ...count, description: 'Checks that `only` and `skip` left out.' },
    results: { type: 'array', items: checkResultSchema },
    durationMs: count,
  },
} as const satisfies JsonSchema & { $schema: string };

export type CheckReport = Infer<typeof checkReportSchema>;
