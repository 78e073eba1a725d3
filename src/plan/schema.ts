/**
 * The shape of a plan file as JSON Schema literals: the types of the code are inferred from them, validation
 * compiles them, and `editor-schema.ts` composes them with all step and check kinds for editors.
 */
import { durationSchema, type Infer, type JsonSchema } from '../schema.ts';
import { BLACKOUT_PATTERN } from './blackout.ts';

/** Names that stand in file names, options and log lines: none begins with a dot or a dash. */
export const NAME_PATTERN = '^[A-Za-z0-9_][A-Za-z0-9_.-]*$';
/** Names that stand in expressions, where four words mean something already. */
export const IDENTIFIER_PATTERN = '^(?!(true|false|null|in)$)[A-Za-z_][A-Za-z0-9_]*$';

const name = {
  type: 'string',
  pattern: NAME_PATTERN,
  maxLength: 100,
  'x-expected': 'letters, digits, "_", "-" and "." only, beginning with one of the first three',
} as const satisfies JsonSchema;

const identifier = {
  type: 'string',
  pattern: IDENTIFIER_PATTERN,
  maxLength: 100,
  'x-expected':
    'letters, digits and "_" only, no digit in front, and not true, false, null or in, because expressions use it',
} as const satisfies JsonSchema;

/** Migration tools whose own table tells the version of a database's schema. */
export const SCHEMA_VERSION_PRESETS = [
  'prisma',
  'flyway',
  'liquibase',
  'knex',
  'alembic',
  'rails',
  'django',
  'typeorm',
  'sequelize',
  'drizzle',
  'goose',
  'golang-migrate',
] as const;

export const databaseSchema = {
  type: 'object',
  description: 'One database: how to reach it.',
  examples: [{ url: '${DATABASE_URL}' }],
  required: ['url'],
  additionalProperties: false,
  properties: {
    url: {
      type: 'string',
      minLength: 1,
      description:
        'postgresql://USER:PASSWORD@HOST:PORT/DATABASE. Keep it out of the plan: name an environment variable or a file.',
      examples: ['${DATABASE_URL}', '${file:/run/secrets/database-url}'],
      'x-secret': true,
    },
    maintenanceDatabase: {
      type: 'string',
      minLength: 1,
      description:
        'Database from which others are created and renamed. Default: postgres, or template1 where there is none.',
      examples: ['defaultdb'],
    },
    rpo: {
      ...durationSchema,
      description:
        'Recovery point objective: how old the newest proven backup may be. `backplan status` and `backplan check` fail when it is older.',
      examples: ['26h'],
    },
    rto: {
      ...durationSchema,
      description:
        'Recovery time objective: how long a restore may take, as measured by the newest rehearsal. `backplan status` and `backplan check` fail when it took longer.',
      examples: ['1h'],
    },
    schemaVersion: {
      description:
        "Where a backup's schema version comes from: the table of a migration tool, or a query of your own.",
      examples: ['prisma', { sql: 'select max(version) from schema_history' }],
      'x-expected': `the name of a migration tool (${SCHEMA_VERSION_PRESETS.join(', ')}) or { sql: query }`,
      oneOf: [
        { enum: SCHEMA_VERSION_PRESETS },
        {
          type: 'object',
          required: ['sql'],
          additionalProperties: false,
          properties: {
            sql: {
              type: 'string',
              minLength: 1,
              description: 'A query whose first column of the first row is the version.',
              examples: ['select max(version) from schema_history'],
            },
          },
        },
      ],
    },
  },
} as const satisfies JsonSchema;

export const repositorySchema = {
  type: 'object',
  description: 'A place where backups live.',
  examples: [{ path: './backups' }],
  required: ['path'],
  additionalProperties: false,
  properties: {
    path: {
      type: 'string',
      minLength: 1,
      description: 'A directory; a relative one starts at the folder of the plan file, ~ is the home folder.',
      examples: ['./backups', '${BACKUP_DIR:-./backups}', '/srv/backups'],
    },
  },
} as const satisfies JsonSchema;

/** What a notifier can be told of, in the order of the documentation. */
export const NOTIFIER_EVENTS = [
  'failure',
  'checksFailed',
  'success',
  'recovered',
  'warning',
  'cancelled',
  'proofOverdue',
  'missed',
  'planInvalid',
  'diskLow',
] as const;

export const retrySchema = {
  type: 'object',
  description: 'Tries again when the step fails for a reason that may pass.',
  examples: [{ attempts: 3, backoff: '10s' }],
  required: ['attempts'],
  additionalProperties: false,
  'x-expected': 'a map such as { attempts: 3 }',
  properties: {
    attempts: {
      type: 'integer',
      minimum: 1,
      maximum: 100,
      description: 'How many tries in all, the first included.',
      examples: [3],
    },
    backoff: {
      ...durationSchema,
      description: 'Wait before the second try; doubles from try to try, with some jitter.',
      examples: ['10s'],
      default: '5s',
    },
    maxDelay: {
      ...durationSchema,
      description: 'The longest wait between two tries.',
      examples: ['5m'],
      default: '5m',
    },
  },
} as const satisfies JsonSchema;

/** What all notifiers have beside the one key that names their kind and holds its settings. */
export const notifierSchema = {
  type: 'object',
  description: 'One who is told what happens: how to reach them, and of what.',
  examples: [{ webhook: '${OPS_WEBHOOK}', on: ['failure', 'recovered'] }],
  additionalProperties: true,
  'x-expected': 'a map such as { slack: "${SLACK_WEBHOOK}" }',
  properties: {
    on: {
      type: 'array',
      description:
        'What to tell. failure: a run failed, whatever the reason; checksFailed: only because of its checks. success: every good run; recovered: the first one after a failure. warning: a good run with something to look at. cancelled. proofOverdue: the newest proven backup is older than the rpo of its database. missed: a scheduled run did not take place. planInvalid: the daemon goes on with an older version of the plan. diskLow.',
      examples: [['failure', 'recovered']],
      default: ['failure', 'recovered', 'proofOverdue', 'missed', 'planInvalid', 'diskLow'],
      minItems: 1,
      uniqueItems: true,
      items: { enum: NOTIFIER_EVENTS },
    },
    repeat: {
      ...durationSchema,
      description:
        'A problem that goes on is told again at most this often; what came in between is counted and told then.',
      examples: ['1h', '1d'],
      default: '1h',
    },
    limit: {
      type: 'object',
      description: 'At most so many messages in so much time; what is left out is counted and told later.',
      examples: [{ messages: 30, per: '1h' }],
      default: {},
      additionalProperties: false,
      properties: {
        messages: {
          type: 'integer',
          minimum: 1,
          maximum: 10_000,
          description: 'How many.',
          examples: [30],
          default: 30,
        },
        per: { ...durationSchema, description: 'In which time.', examples: ['1h'], default: '1h' },
      },
    },
    timeout: {
      ...durationSchema,
      description: 'One try to deliver may take this long.',
      examples: ['10s'],
      default: '10s',
    },
    retry: {
      ...retrySchema,
      description:
        'Tries again when a message could not be delivered for a reason that may pass. Never holds up a backup.',
      default: { attempts: 5, backoff: '1s', maxDelay: '1m' },
    },
  },
} as const satisfies JsonSchema;

export const settingsSchema = {
  type: 'object',
  description: 'What concerns the machine that runs the plan.',
  examples: [{ binDirectories: ['/usr/lib/postgresql/16/bin'] }],
  additionalProperties: false,
  properties: {
    binDirectories: {
      type: 'array',
      description: 'Folders searched first for pg_dump and the other tools of PostgreSQL.',
      examples: [['/usr/lib/postgresql/16/bin']],
      items: { type: 'string', minLength: 1 },
      default: [],
    },
    sandbox: {
      type: 'object',
      description: 'The throw-away PostgreSQL in which restores are rehearsed.',
      examples: [{ parameters: { shared_buffers: '512MB' } }],
      default: {},
      additionalProperties: false,
      properties: {
        directory: {
          type: 'string',
          minLength: 1,
          description:
            "Parent folder of sandboxes; needs room for the restored database. Default: the system's temporary folder.",
          examples: ['/var/tmp'],
        },
        user: {
          type: 'string',
          minLength: 1,
          description:
            'Unprivileged user that runs sandboxes when backplan runs as root. Default: postgres, else nobody.',
          examples: ['postgres'],
        },
        parameters: {
          type: 'object',
          description: 'Settings of postgresql.conf for sandboxes.',
          examples: [{ shared_buffers: '512MB', shared_preload_libraries: 'pg_stat_statements' }],
          default: {},
          additionalProperties: { type: ['string', 'number', 'boolean'] },
        },
      },
    },
    scratchDirectory: {
      type: 'string',
      minLength: 1,
      description: "Folder for temporary copies during a restore. Default: the system's temporary folder.",
      examples: ['/var/tmp'],
    },
  },
} as const satisfies JsonSchema;

const timezone = {
  type: 'string',
  minLength: 1,
  examples: ['Europe/Berlin'],
} as const satisfies JsonSchema;

export const scheduleSchema = {
  type: 'object',
  description: 'When the daemon runs the job.',
  examples: [{ cron: '0 2 * * *', timezone: 'Europe/Berlin', catchUp: '12h' }],
  additionalProperties: false,
  'x-expected': 'a map such as { cron: "0 2 * * *" }',
  properties: {
    cron: {
      type: 'string',
      description:
        'Minute, hour, day of month, month, day of week; six fields begin with the second. A fixed time that clocks skip runs right after the gap, one that comes twice runs once; with * or a step it runs at every real occurrence.',
      examples: ['0 2 * * *', '*/15 * * * *', '30 3 * * SUN', '@daily'],
    },
    every: {
      ...durationSchema,
      description:
        'Instead of cron: at this distance, whatever clocks do. Counted from midnight UTC, so 6h is 0, 6, 12 and 18 o’clock UTC.',
      examples: ['6h', '15m'],
    },
    after: {
      type: 'string',
      description:
        'Instead of cron: when a run of this job of the plan, started by the daemon, has succeeded.',
      examples: ['nightly'],
      'x-ref': 'job',
    },
    timezone: { ...timezone, description: "IANA time zone of the schedule. Default: the plan's." },
    dst: {
      type: 'object',
      description: 'What happens on days when clocks change, where the usual rule does not fit.',
      examples: [{ gap: 'skip', fold: 'both' }],
      additionalProperties: false,
      properties: {
        gap: {
          enum: ['runAfter', 'skip'],
          description:
            'A time that clocks skip: runAfter fires once, right after the gap. Default: runAfter for fixed times, skip where a field is * or a step.',
          examples: ['skip'],
        },
        fold: {
          enum: ['first', 'last', 'both'],
          description:
            'A time that comes twice. Default: first for fixed times, both where a field is * or a step.',
          examples: ['both'],
        },
      },
    },
    jitter: {
      ...durationSchema,
      description:
        'Each run starts up to this much later, so that many plans do not start at once. By chance, but always the same for one firing.',
      examples: ['5m'],
    },
    catchUp: {
      ...durationSchema,
      description:
        'Of the runs missed while the daemon was down or the machine asleep, the newest is made up for, once, when it is no older than this. Default: none is.',
      examples: ['12h'],
    },
    overlap: {
      enum: ['skip', 'queue', 'cancelPrevious'],
      description:
        'What happens when the job is due while it still runs: skip leaves the new run out, queue starts it afterwards (one waits; a newer one takes its place), cancelPrevious cancels the old one.',
      examples: ['skip'],
      default: 'skip',
    },
    notDuring: {
      type: 'array',
      description:
        'Windows in the time zone of the schedule in which no run of it starts. A firing inside is left out; a run that waits starts when the window is over.',
      examples: [['MON-FRI 08:00-18:00'], ['22:00-02:00', 'SAT,SUN 12:00-24:00']],
      minItems: 1,
      items: {
        type: 'string',
        pattern: BLACKOUT_PATTERN,
        'x-expected': 'a window such as 08:00-18:00 or MON-FRI 08:00-18:00',
      },
    },
  },
} as const satisfies JsonSchema;

export const INPUT_TYPES = [
  'string',
  'number',
  'boolean',
  'backup',
  'timestamp',
  'duration',
  'database',
] as const;

export const inputSchema = {
  type: 'object',
  description: 'A value that is given when the job is run: backplan run PLAN JOB --input name=value.',
  examples: [{ type: 'backup', default: 'latest-proven' }],
  required: ['type'],
  additionalProperties: false,
  properties: {
    type: {
      enum: INPUT_TYPES,
      description:
        'backup: latest, latest-proven, label:TEXT or an id. timestamp: ISO 8601. database: a name from `databases`.',
      examples: ['backup'],
    },
    description: { type: 'string', description: 'Shown in help.', examples: ['point in time to recover to'] },
    default: {
      type: ['string', 'number', 'boolean'],
      description: 'Used when the input is not given.',
      examples: ['latest-proven'],
    },
    optional: {
      type: 'boolean',
      description: 'May be left out although there is no default; expressions then see null.',
      examples: [true],
      default: false,
    },
    choices: {
      type: 'array',
      description: 'The only values that are possible.',
      examples: [['quick', 'full']],
      minItems: 1,
      uniqueItems: true,
      items: { type: ['string', 'number', 'boolean'] },
    },
  },
} as const satisfies JsonSchema;

export const stepSchema = {
  type: 'object',
  description: 'One node of the graph.',
  examples: [{ uses: 'backup', with: { database: 'crm', repository: 'local' } }],
  required: ['uses'],
  additionalProperties: false,
  properties: {
    uses: { type: 'string', description: 'The step kind.', examples: ['backup'] },
    with: {
      type: 'object',
      description: 'Settings of the kind. Values may hold ${NAME} and ${{ expressions }}.',
      examples: [{ database: 'crm', repository: 'local' }],
      default: {},
      additionalProperties: true,
    },
    needs: {
      type: 'array',
      description: 'Steps that must have ended before this one starts.',
      examples: [['dump']],
      default: [],
      items: { type: 'string' },
    },
    if: {
      type: ['string', 'boolean'],
      description:
        'Condition. Default: success(), that is, all needs succeeded. always(), failure() and cancelled() ask for other cases.',
      examples: ['${{ always() }}'],
      'x-expected': 'a condition such as ${{ always() }}',
    },
    timeout: {
      ...durationSchema,
      description: 'One try may take this long; then the step, with all processes that it started, is ended.',
      examples: ['30m'],
    },
    retry: retrySchema,
    continueOnError: {
      type: 'boolean',
      description: 'When it fails, the job goes on as if it had not.',
      examples: [true],
      default: false,
    },
  },
} as const satisfies JsonSchema;

const steps = {
  type: 'object',
  propertyNames: identifier,
  additionalProperties: stepSchema,
} as const satisfies JsonSchema;

export const jobSchema = {
  type: 'object',
  description: 'A graph of steps.',
  examples: [{ steps: { dump: { uses: 'backup', with: { database: 'crm', repository: 'local' } } } }],
  required: ['steps'],
  additionalProperties: false,
  properties: {
    description: {
      type: 'string',
      description: 'Shown in listings.',
      examples: ['Backup, rehearsal and checks'],
    },
    schedule: scheduleSchema,
    timeout: {
      ...durationSchema,
      description: 'The whole run may take this long.',
      examples: ['2h'],
    },
    retry: {
      ...retrySchema,
      description:
        'The daemon runs the whole job again when it failed for a reason that may pass, before it counts as failed.',
      examples: [{ attempts: 3, backoff: '5m', maxDelay: '1h' }],
    },
    concurrencyGroups: {
      type: 'array',
      description:
        'Of all jobs of a group, in whatever plan, the daemon runs one at a time (or as many as its `concurrencyGroups` setting says); others wait.',
      examples: [['db-server-1']],
      default: [],
      uniqueItems: true,
      items: name,
    },
    concurrency: {
      type: 'integer',
      minimum: 1,
      maximum: 256,
      description: 'How many steps may run at once. Default: as many as are ready, bounded by cores.',
      examples: [2],
    },
    notify: {
      type: 'array',
      description: 'Notifiers that are told about runs of this job.',
      examples: [['ops']],
      default: [],
      uniqueItems: true,
      items: { type: 'string', 'x-ref': 'notifier' },
    },
    inputs: {
      type: 'object',
      description: 'Values given when the job is run; expressions read them as inputs.NAME.',
      examples: [{ backup: { type: 'backup', default: 'latest-proven' } }],
      default: {},
      propertyNames: identifier,
      additionalProperties: inputSchema,
    },
    steps: {
      ...steps,
      description: 'The steps by name; `needs` orders them, what is not ordered runs side by side.',
      examples: [{ dump: { uses: 'backup', with: { database: 'crm', repository: 'local' } } }],
      minProperties: 1,
    },
    onFailure: {
      ...steps,
      description:
        "Steps that run after the others when the job has failed; they may use all the job's outputs.",
      examples: [{ tell: { uses: 'command', with: { run: 'logger "backup failed"' } } }],
      default: {},
    },
  },
} as const satisfies JsonSchema;

const thresholdSchema = {
  type: ['integer', 'string'],
  minimum: 0,
  pattern: '^\\d+(\\.\\d+)?\\s*%$|^\\d+$',
  'x-expected': 'a count such as 5, or a percentage such as "0.1%"',
} as const satisfies JsonSchema;

const suiteChecks = {
  type: 'array',
  description: 'Checks: one map with the kind as its key for each.',
  examples: [[{ tables: ['User'] }]],
  minItems: 1,
  items: { type: 'object', additionalProperties: true },
} as const satisfies JsonSchema;

const suiteSchema = {
  description: 'A list of checks, or a map with checks and what holds for all of them.',
  examples: [[{ tables: ['User'] }]],
  'x-expected': 'a list of checks, or a map such as { checks: […], timeout: 20m }',
  oneOf: [
    suiteChecks,
    {
      type: 'object',
      description: 'Checks and what holds for all of them.',
      additionalProperties: false,
      properties: {
        description: { type: 'string', description: 'For people.', examples: ['what must hold everywhere'] },
        extends: {
          description: 'Suites whose checks are run as well, before its own.',
          examples: ['basics', ['basics', 'billing']],
          'x-expected': 'the name of a suite, or a list of names',
          oneOf: [
            { type: 'string', 'x-ref': 'suite' },
            { type: 'array', items: { type: 'string', 'x-ref': 'suite' }, minItems: 1, uniqueItems: true },
          ],
        },
        params: {
          type: 'object',
          description:
            'Values that its checks read as ${{ params.NAME }}, with their defaults; null has none and must be given where the suite is run. What it says of a parameter of a suite that it extends wins.',
          examples: [{ tenants: 1, country: 'DE' }],
          propertyNames: identifier,
          additionalProperties: { type: ['string', 'number', 'boolean', 'null'] },
        },
        timeout: {
          ...durationSchema,
          description: 'All its checks must be done after this time; those that are not are errored.',
          examples: ['20m'],
        },
        trustIndexes: {
          type: 'boolean',
          description:
            'false: tables are read without their indexes, so that a damaged index cannot answer for itself. Default: true, unless a collation is not the one that the indexes were made with.',
          examples: [false],
        },
        checks: suiteChecks,
      },
    },
  ],
} as const satisfies JsonSchema;

/** Keys that every check knows, beside the kind or inside its map. */
export const sharedCheckSchema = {
  type: 'object',
  additionalProperties: false,
  properties: {
    severity: {
      enum: ['error', 'warn'],
      description: 'error: a failure rejects the database. warn: it is only told.',
      examples: ['warn'],
    },
    name: {
      type: 'string',
      minLength: 1,
      description: 'Shown in reports; default: what the check says of itself.',
      examples: ['no licence without seats'],
    },
    timeout: {
      ...durationSchema,
      description: 'The check is errored, never passed, when it takes longer.',
      examples: ['30s'],
    },
    sample: {
      type: 'integer',
      minimum: 0,
      maximum: 1000,
      description: 'How many offenders to show; 5 if not set.',
      examples: [10],
    },
    tags: {
      type: 'array',
      items: { type: 'string', minLength: 1 },
      minItems: 1,
      uniqueItems: true,
      description: 'Words to choose checks by: --only and --skip, `only` and `skip` of a check step.',
      examples: [['slow', 'nightly']],
    },
    where: {
      type: 'string',
      minLength: 1,
      description: 'A condition in SQL: only rows that meet it are looked at.',
      examples: ['"deletedAt" is null'],
    },
    rows: {
      type: 'boolean',
      description: 'Show whole rows of offenders, not only their keys. Reports then hold what the rows hold.',
      examples: [true],
    },
    part: {
      type: 'string',
      pattern: '^\\d+(\\.\\d+)?\\s*%$',
      'x-expected': 'a percentage such as "1%"',
      description:
        'Only this share of the table is read, drawn by chance: for tables that are too large to be read whole. It can show faults; where it shows none the check is vacuous, never passed.',
      examples: ['1%'],
    },
    warnAbove: {
      ...thresholdSchema,
      description: 'More offenders than this are a warning. With warnAbove or failAbove, these alone decide.',
      examples: [0],
    },
    failAbove: {
      ...thresholdSchema,
      description: 'More offenders than this fail the check; as many or fewer do not.',
      examples: ['0.1%', 10],
    },
  },
} as const satisfies JsonSchema;

export const planDocumentSchema = {
  type: 'object',
  title: 'backplan plan',
  description: 'Databases, where their backups go, when they run, how they are restored and what must hold.',
  required: ['version', 'name', 'databases'],
  additionalProperties: false,
  'x-expected': 'a map with version, name, databases and jobs',
  patternProperties: { '^x-': { description: 'Anything of your own, for example anchors.', examples: [{}] } },
  properties: {
    version: { const: 1, description: 'Version of the plan language.', examples: [1] },
    name: { ...name, description: 'Name of the plan: in backups, logs and the journal.', examples: ['crm'] },
    description: { type: 'string', description: 'For people.', examples: ['Backups of the CRM'] },
    timezone: {
      ...timezone,
      description: 'IANA time zone of schedules and of times typed without an offset.',
      default: 'UTC',
    },
    settings: { ...settingsSchema, default: {} },
    databases: {
      type: 'object',
      description: 'Databases by name.',
      examples: [{ crm: { url: '${DATABASE_URL}' } }],
      minProperties: 1,
      propertyNames: name,
      additionalProperties: databaseSchema,
    },
    repositories: {
      type: 'object',
      description: 'Repositories by name.',
      examples: [{ local: { path: './backups' } }],
      default: {},
      propertyNames: name,
      additionalProperties: repositorySchema,
    },
    suites: {
      type: 'object',
      description: 'Suites of checks by name.',
      examples: [{ basics: [{ tables: ['User'] }, { rowCount: { table: 'User', min: 1 } }] }],
      default: {},
      propertyNames: name,
      additionalProperties: suiteSchema,
    },
    notifiers: {
      type: 'object',
      description: 'Notifiers by name.',
      examples: [{ ops: { webhook: '${OPS_WEBHOOK}' } }],
      default: {},
      propertyNames: name,
      additionalProperties: notifierSchema,
    },
    jobs: {
      type: 'object',
      description: 'Jobs by name.',
      examples: [{ nightly: { steps: { dump: { uses: 'backup' } } } }],
      default: {},
      propertyNames: name,
      additionalProperties: jobSchema,
    },
  },
} as const satisfies JsonSchema;

/** Keys of checks that only kinds that look at rows can heed. */
export const ROW_KEYS: readonly string[] = ['where', 'rows', 'part', 'warnAbove', 'failAbove'];

/** A plan file after defaults were filled in. */
export type PlanDocument = Infer<typeof planDocumentSchema>;
export type JobDocument = Infer<typeof jobSchema>;
export type StepDocument = Infer<typeof stepSchema>;
export type InputDocument = Infer<typeof inputSchema>;
export type NotifierDocument = Infer<typeof notifierSchema>;
export type SuiteDocument = Infer<typeof suiteSchema>;
