/** `backups --output json`. */
import { $schema, count, instant, nullableText, type Top, text } from './common.ts';
import { errorBody } from './error.ts';

const proof = {
  type: ['object', 'null'],
  description: 'The newest statement of its kind; null when there is none.',
  required: ['passed', 'at', 'run'],
  additionalProperties: false,
  properties: {
    passed: { type: 'boolean' },
    at: instant,
    run: text,
    suite: text,
    summary: text,
  },
} as const;

export const backupsSchema = {
  $schema,
  title: 'backplan backups',
  description: 'The backups of a plan, newest first, with what was shown of each.',
  type: 'object',
  required: ['plan', 'at', 'newestProven', 'backups', 'broken', 'unreachable'],
  additionalProperties: false,
  properties: {
    plan: text,
    at: { ...instant, description: 'When this was listed; ages are relative to it.' },
    newestProven: {
      type: 'array',
      description: 'For each database: its newest backup that was restored and checked.',
      items: {
        type: 'object',
        required: ['database', 'backup', 'ageSeconds'],
        additionalProperties: false,
        properties: {
          database: text,
          backup: { ...nullableText, description: 'null: no backup of this database is proven.' },
          repository: text,
          ageSeconds: { type: ['integer', 'null'] },
        },
      },
    },
    backups: {
      type: 'array',
      items: {
        type: 'object',
        required: [
          'id',
          'repository',
          'database',
          'plan',
          'job',
          'run',
          'label',
          'startedAt',
          'durationMs',
          'ageSeconds',
          'bytes',
          'databaseBytes',
          'rows',
          'method',
          'compression',
          'whole',
          'serverVersion',
          'schemaVersion',
          'proven',
          'proofs',
        ],
        additionalProperties: false,
        properties: {
          id: text,
          repository: text,
          database: text,
          plan: text,
          job: text,
          run: text,
          label: nullableText,
          startedAt: instant,
          durationMs: count,
          ageSeconds: { type: 'integer' },
          bytes: { ...count, description: 'Stored.' },
          databaseBytes: { ...count, description: 'Size of the database on its server.' },
          rows: { type: ['integer', 'null'], description: 'null when the backup has no fingerprint.' },
          method: text,
          compression: text,
          whole: {
            type: 'boolean',
            description: 'False when tables, schemas or data were left out on purpose.',
          },
          serverVersion: text,
          schemaVersion: nullableText,
          proven: {
            type: 'boolean',
            description: 'Restored and checked, and nothing later spoke against it.',
          },
          proofs: {
            type: 'object',
            required: ['verified', 'restored', 'checked', 'identical'],
            additionalProperties: false,
            properties: { verified: proof, restored: proof, checked: proof, identical: proof },
          },
        },
      },
    },
    broken: {
      type: 'array',
      description: 'What looks like a backup but cannot be used.',
      items: {
        type: 'object',
        required: ['repository', 'folder', 'reason'],
        additionalProperties: false,
        properties: { repository: text, folder: text, reason: text },
      },
    },
    unreachable: {
      type: 'array',
      description: 'Repositories that could not be read: what they hold is not in this listing.',
      items: {
        type: 'object',
        required: ['repository', 'error'],
        additionalProperties: false,
        properties: { repository: text, error: errorBody },
      },
    },
  },
} as const satisfies Top;
