/**
 * JSON Schemas of what `--output json` prints: the literal describes, documents and types it, and is written to
 * schemas/NAME.schema.json. Stable: keys may be added, never renamed or removed.
 */
import type { Infer, JsonSchema } from '../schema.ts';

const $schema = 'https://json-schema.org/draft/2020-12/schema';
const instant = { type: 'string', format: 'date-time' } as const;
const text = { type: 'string' } as const;
const count = { type: 'integer', minimum: 0 } as const;
const texts = { type: 'array', items: text } as const;
const nullableText = { type: ['string', 'null'] } as const;

type Top = JsonSchema & { $schema: string };

const errorBody = {
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

const waves = {
  type: 'array',
  description: 'Steps in the order of running; those of one inner list may run side by side.',
  items: texts,
} as const satisfies JsonSchema;

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

const pruneDecision = {
  type: 'object',
  required: ['repository', 'database', 'backup', 'keep', 'reasons'],
  additionalProperties: false,
  properties: {
    repository: text,
    database: text,
    backup: text,
    keep: { type: 'boolean' },
    reasons: { ...texts, description: 'Why it stays or goes.' },
    bytes: count,
  },
} as const satisfies JsonSchema;

export const explanationSchema = {
  $schema,
  title: 'backplan explain',
  description: 'What the jobs of a plan would do.',
  type: 'object',
  required: ['plan', 'file', 'timezone', 'jobs'],
  additionalProperties: false,
  properties: {
    plan: text,
    file: text,
    timezone: text,
    jobs: {
      type: 'array',
      items: {
        type: 'object',
        required: ['name', 'inputs', 'steps', 'waves', 'firings', 'prune'],
        additionalProperties: false,
        properties: {
          name: text,
          description: text,
          inputs: {
            type: 'array',
            items: {
              type: 'object',
              required: ['name', 'type', 'optional'],
              additionalProperties: false,
              properties: {
                name: text,
                type: text,
                optional: { type: 'boolean' },
                default: {},
                choices: { type: 'array', items: {} },
                description: text,
              },
            },
          },
          schedule: {
            type: 'object',
            required: ['cron', 'timezone', 'overlap'],
            additionalProperties: false,
            properties: { cron: text, timezone: text, jitter: text, catchUp: text, overlap: text },
          },
          firings: {
            type: 'array',
            description: 'The next times at which the schedule fires.',
            items: {
              type: 'object',
              required: ['utc', 'local'],
              additionalProperties: false,
              properties: {
                utc: instant,
                local: { ...text, description: 'In the time zone of the schedule, with its offset.' },
              },
            },
          },
          waves,
          steps: {
            type: 'array',
            items: {
              type: 'object',
              required: ['name', 'uses', 'does', 'needs', 'onFailure', 'with'],
              additionalProperties: false,
              properties: {
                name: text,
                uses: text,
                does: { ...text, description: 'One line in plain words.' },
                needs: texts,
                if: text,
                timeoutMs: count,
                attempts: count,
                continueOnError: { type: 'boolean' },
                onFailure: { type: 'boolean', description: 'Runs only after the job failed.' },
                with: { type: 'object', additionalProperties: true, description: 'Secrets are masked.' },
              },
            },
          },
          prune: {
            type: 'array',
            description: 'What the prune steps would decide about the backups that exist now.',
            items: {
              type: 'object',
              required: ['step', 'decisions'],
              additionalProperties: false,
              properties: {
                step: text,
                problem: { ...text, description: 'Why nothing can be said, for example no access.' },
                decisions: { type: 'array', items: pruneDecision },
              },
            },
          },
        },
      },
    },
  },
} as const satisfies Top;

export type Explanation = Infer<typeof explanationSchema>;

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

export const runsSchema = {
  $schema,
  title: 'backplan runs',
  description: 'The runs of a plan, newest first.',
  type: 'object',
  required: ['plan', 'runs'],
  additionalProperties: false,
  properties: {
    plan: text,
    runs: {
      type: 'array',
      items: {
        type: 'object',
        required: ['id', 'job', 'status', 'trigger', 'startedAt', 'host', 'pid'],
        additionalProperties: false,
        properties: {
          id: text,
          job: text,
          status: { enum: ['running', 'succeeded', 'failed', 'cancelled', 'interrupted'] },
          trigger: text,
          exitCode: { type: 'integer' },
          verdict: { enum: ['verified', 'verifiedWithWarnings', 'rejected', 'inconclusive'] },
          startedAt: instant,
          endedAt: instant,
          durationMs: count,
          host: text,
          pid: { type: 'integer' },
          error: errorBody,
          failedSteps: texts,
        },
      },
    },
  },
} as const satisfies Top;

export type RunsListing = Infer<typeof runsSchema>;

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

/** Name of the file in schemas/ → schema. */
export const schemas = {
  error: errorSchema,
  validation: validationSchema,
  explanation: explanationSchema,
  backups: backupsSchema,
  runs: runsSchema,
  doctor: doctorSchema,
} as const satisfies Record<string, JsonSchema>;
