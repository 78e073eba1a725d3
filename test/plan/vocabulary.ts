/** A small vocabulary of step and check kinds: what the plan language sees of the real ones, without what they do. */
import type { CheckVocabulary, StepVocabulary, Vocabulary } from '../../src/plan/load.ts';
import type { NotifierVocabulary } from '../../src/plan/vocabulary.ts';
import { columnsSchema, durationSchema, tableNameSchema } from '../../src/schema.ts';

const database = {
  type: 'string',
  description: 'Which database.',
  examples: ['crm'],
  'x-ref': 'planDatabase',
} as const;
const handle = { type: 'string', description: 'A handle.', examples: ['crm'], 'x-ref': 'database' } as const;
const repository = {
  type: 'string',
  description: 'Where to.',
  examples: ['local'],
  'x-ref': 'repository',
} as const;
const text = { type: 'string', description: 'Text.', examples: ['text'] } as const;

const steps: StepVocabulary[] = [
  {
    kind: 'backup',
    summary: 'Back a database up.',
    with: {
      type: 'object',
      required: ['database', 'repository'],
      additionalProperties: false,
      properties: {
        database,
        repository,
        label: text,
        fingerprint: { enum: ['none', 'counts', 'content'], default: 'counts', description: 'How much.' },
        jobs: { type: 'integer', minimum: 1, description: 'Workers.', examples: [2] },
        lockTimeout: { ...durationSchema, default: '60s', description: 'Wait for locks.' },
        compress: {
          description: 'Compression.',
          examples: ['none'],
          oneOf: [
            { enum: ['none'] },
            {
              type: 'object',
              required: ['method'],
              additionalProperties: false,
              properties: {
                method: { enum: ['zstd', 'none'], description: 'How.' },
                level: { type: 'integer', minimum: 1, maximum: 19, default: 1, description: 'How much.' },
              },
            },
          ],
        },
      },
    },
    outputs: {
      backup: { type: 'string', description: 'Repository and id.' },
      id: { type: 'string', description: 'Id.' },
      bytes: { type: 'number', description: 'Stored bytes.' },
      rows: { type: 'number', description: 'Rows.' },
    },
  },
  {
    kind: 'restore',
    with: {
      type: 'object',
      required: ['into'],
      additionalProperties: false,
      oneOf: [{ required: ['backup'] }, { required: ['path'] }],
      properties: {
        backup: text,
        path: text,
        at: text,
        noOwner: { type: 'boolean', default: false, description: 'Leave owners out.' },
        into: {
          description: 'Where to.',
          examples: ['sandbox'],
          'x-expected': '"sandbox", { staging: database } or { database: name }',
          oneOf: [
            { const: 'sandbox' },
            {
              type: 'object',
              required: ['staging'],
              additionalProperties: false,
              properties: { staging: database },
            },
            {
              type: 'object',
              required: ['database'],
              additionalProperties: false,
              properties: { database: text, on: database },
            },
          ],
        },
      },
    },
    outputs: {
      database: { type: 'string', description: 'Handle.' },
      tables: { type: 'number', description: 'How many.' },
      warnings: { type: 'list', description: 'What it said.' },
    },
  },
  {
    kind: 'check',
    with: {
      type: 'object',
      required: ['suite', 'database'],
      additionalProperties: false,
      properties: {
        suite: {
          description: 'Suites.',
          examples: ['basics'],
          oneOf: [
            { type: 'string', 'x-ref': 'suite' },
            { type: 'array', items: { type: 'string', 'x-ref': 'suite' }, minItems: 1 },
          ],
        },
        database: handle,
        compareFingerprint: { type: 'boolean', default: false, description: 'Compare.' },
      },
    },
    outputs: {
      verdict: { type: 'string', description: 'Verdict.' },
      passed: { type: 'number', description: 'How many.' },
    },
  },
  {
    kind: 'prune',
    with: {
      type: 'object',
      required: ['repository', 'database', 'keep'],
      additionalProperties: false,
      properties: {
        repository,
        database,
        keep: {
          type: 'object',
          description: 'What stays.',
          examples: [{ last: 3 }],
          minProperties: 1,
          additionalProperties: false,
          properties: {
            within: { ...durationSchema, description: 'Age.', examples: ['30d'] },
            last: { type: 'integer', minimum: 1, description: 'Newest.', examples: [3] },
            proven: { type: 'integer', minimum: 1, description: 'Newest proven.', examples: [1] },
          },
        },
        dryRun: { type: 'boolean', default: false, description: 'Only tell.' },
      },
    },
    outputs: {
      removed: { type: 'list', description: 'Ids.' },
      kept: { type: 'number', description: 'How many.' },
    },
    validate: (params) => {
      const { keep } = params as { keep?: { last?: number } };
      return keep?.last === 13
        ? [{ path: ['keep', 'last'], message: '13 is unlucky', hint: 'Take 12.' }]
        : [];
    },
  },
  {
    kind: 'command',
    with: {
      type: 'object',
      required: ['run'],
      additionalProperties: false,
      properties: {
        run: {
          description: 'What to run.',
          examples: ['true'],
          'x-expected': 'a command line, or a list of program and arguments',
          oneOf: [
            { type: 'string', minLength: 1 },
            { type: 'array', items: { type: 'string' }, minItems: 1 },
          ],
        },
        env: {
          type: 'object',
          description: 'Variables.',
          examples: [{ A: 'b' }],
          additionalProperties: { type: 'string' },
        },
        token: { type: 'string', description: 'Secret.', examples: ['${TOKEN}'], 'x-secret': true },
      },
    },
    outputs: { stdout: { type: 'string', description: 'Output.' } },
  },
];

const checks: CheckVocabulary[] = [
  {
    kind: 'tables',
    params: {
      type: 'array',
      description: 'Tables.',
      examples: [['User']],
      items: tableNameSchema,
      minItems: 1,
    },
  },
  {
    kind: 'unique',
    params: {
      type: 'object',
      description: 'A check.',
      examples: [{}],
      required: ['table', 'columns'],
      additionalProperties: false,
      properties: {
        table: { ...tableNameSchema, description: 'Table.', examples: ['User'] },
        columns: { ...columnsSchema, description: 'Columns.', examples: [['id']] },
        name: text,
      },
    },
  },
  {
    kind: 'acceptedValues',
    params: {
      type: 'object',
      description: 'A check.',
      examples: [{}],
      required: ['table', 'column', 'values'],
      additionalProperties: false,
      properties: {
        table: { ...tableNameSchema, description: 'Table.', examples: ['User'] },
        column: text,
        values: {
          type: 'array',
          items: { type: 'string' },
          minItems: 1,
          description: 'Values.',
          examples: [['a']],
        },
        nullable: { type: 'boolean', default: true, description: 'NULL too.' },
      },
    },
  },
  {
    kind: 'rowCount',
    params: {
      type: 'object',
      description: 'A check.',
      examples: [{}],
      required: ['table'],
      additionalProperties: false,
      properties: {
        table: { ...tableNameSchema, description: 'Table.', examples: ['User'] },
        min: { type: 'integer', minimum: 0, description: 'At least.', examples: [1] },
        max: { type: 'integer', minimum: 0, description: 'At most.', examples: [9] },
      },
    },
  },
  {
    kind: 'sql',
    params: {
      type: 'object',
      description: 'A check.',
      examples: [{}],
      required: ['query'],
      additionalProperties: false,
      properties: {
        query: { type: 'string', minLength: 1, description: 'Query.', examples: ['select 1'] },
        expect: {
          description: 'What it yields.',
          default: 'empty',
          examples: ['empty'],
          'x-expected': 'empty, rows, true, false or { value: … }',
          oneOf: [
            { enum: ['empty', 'rows'] },
            { type: 'boolean' },
            {
              type: 'object',
              required: ['value'],
              additionalProperties: false,
              properties: {
                value: { type: ['string', 'number', 'boolean', 'null'], description: 'It.', examples: [0] },
              },
            },
          ],
        },
      },
    },
  },
];

const notifiers: NotifierVocabulary[] = [
  {
    kind: 'webhook',
    summary: 'A request.',
    settings: { type: 'string', minLength: 1, description: 'Url.', examples: ['${HOOK}'], 'x-secret': true },
    validate: (url) =>
      /^https?:/.test(String(url))
        ? []
        : [
            {
              path: [],
              message: 'is no http url',
              hint: 'Write https://…, or the name of a variable that holds it: ${OPS_WEBHOOK}.',
            },
          ],
  },
  {
    kind: 'ping',
    summary: 'A switch.',
    fixedEvents: 'it is told of every run',
    settings: {
      type: 'object',
      description: 'Where.',
      examples: [{ port: 1 }],
      additionalProperties: false,
      properties: { port: { type: 'integer', minimum: 1, description: 'Port.', examples: [1] } },
    },
  },
];

export const vocabulary: Vocabulary = {
  steps: new Map(steps.map((kind) => [kind.kind, kind])),
  checks: new Map(checks.map((kind) => [kind.kind, kind])),
  notifiers: new Map(notifiers.map((kind) => [kind.kind, kind])),
};

/** How ajv talks. Nobody should ever read that. */
export const AJV_PHRASES =
  /must NOT|must have required|must be (string|object|array|equal|number|integer|boolean|null|multiple of)|must match|oneOf|anyOf|additional propert|property name|pattern "|data\//;
