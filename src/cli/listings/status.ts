/** `status --output json`. */
import { $schema, count, instant, type Top, text } from './common.ts';
import { errorBody } from './error.ts';

const seconds = (description: string) => ({ type: ['integer', 'null'], description }) as const;

const objective = {
  type: ['object', 'null'],
  description: 'null where the plan declares none.',
  required: ['seconds', 'met'],
  additionalProperties: false,
  properties: {
    seconds: { ...count, description: 'As declared.' },
    met: { type: 'boolean', description: 'What is not known is not met.' },
  },
} as const;

export const statusSchema = {
  $schema,
  title: 'backplan status',
  description: 'What could be recovered now, how fast, and whether that meets what the plan asks for.',
  type: 'object',
  required: ['plan', 'at', 'ok', 'databases', 'unreachable'],
  additionalProperties: false,
  properties: {
    plan: text,
    at: { ...instant, description: 'When this was looked at; ages are relative to it.' },
    ok: { type: 'boolean', description: 'Every declared objective is met, and every repository was read.' },
    databases: {
      type: 'array',
      items: {
        type: 'object',
        required: ['database', 'proven', 'newest', 'recoveryPointSeconds', 'recoveryTimeMs', 'rpo', 'rto'],
        additionalProperties: false,
        properties: {
          database: text,
          proven: {
            type: ['object', 'null'],
            description: 'The newest whole backup that was restored and checked; null when there is none.',
            required: ['backup', 'takenAt', 'checkedAt', 'summary', 'identical'],
            additionalProperties: false,
            properties: {
              backup: { ...text, description: 'repository:id.' },
              takenAt: instant,
              checkedAt: { ...instant, description: 'When its restored copy was last checked.' },
              summary: { type: ['string', 'null'], examples: ['15/15 checks passed'] },
              identical: { type: 'boolean', description: 'The copy had the fingerprint of the source.' },
            },
          },
          newest: {
            type: ['object', 'null'],
            description: 'The newest whole backup, proven or not.',
            required: ['backup', 'takenAt'],
            additionalProperties: false,
            properties: { backup: text, takenAt: instant },
          },
          recoveryPointSeconds: seconds(
            'How old the data of the newest proven backup would be if it were restored now.',
          ),
          recoveryTimeMs: seconds('How long the newest rehearsal of that backup took, in milliseconds.'),
          rpo: objective,
          rto: objective,
        },
      },
    },
    unreachable: {
      type: 'array',
      description: 'Repositories that could not be read: better backups may be there.',
      items: {
        type: 'object',
        required: ['repository', 'error'],
        additionalProperties: false,
        properties: { repository: text, error: errorBody },
      },
    },
  },
} as const satisfies Top;
