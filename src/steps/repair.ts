/** `repair`: looks for damage and says which statements would mend it; with `apply` runs them. */
import { BackplanError } from '../errors.ts';
import { suiteChecks } from '../plan/suites.ts';
import { connect } from '../postgres/client.ts';
import { type RepairOutcome, repairDatabase, toScript } from '../repair/execute.ts';
import { repairKinds } from '../repair/index.ts';
import { REPAIR_KINDS } from '../repair/kinds.ts';
import { joinWanted, wantedByCopy, wantedBySuite } from '../repair/wanted.ts';
import { durationSchema, type Infer, type JsonSchema } from '../schema.ts';
import { parseDuration } from '../units.ts';
import { defineStep, type StepContext } from './step-kind.ts';

const withSchema = {
  type: 'object',
  required: ['database'],
  additionalProperties: false,
  properties: {
    database: {
      type: 'string',
      description: 'A database of the plan, or what a restore step put out.',
      examples: ['crm', '${{ steps.stage.outputs.database }}'],
      'x-ref': 'database',
    },
    suite: {
      description: 'Suites whose keys and foreign keys must be there.',
      examples: ['crm-consistency'],
      'x-expected': 'the name of a suite, or a list of names',
      oneOf: [
        { type: 'string', 'x-ref': 'suite' },
        { type: 'array', items: { type: 'string', 'x-ref': 'suite' }, uniqueItems: true },
      ],
    },
    like: {
      type: 'string',
      description:
        'A whole copy of the database: what it has of keys, foreign keys and indexes must be there, exactly so.',
      examples: ['${{ steps.schema.outputs.database }}'],
      'x-ref': 'database',
    },
    only: {
      type: 'array',
      items: { enum: REPAIR_KINDS },
      minItems: 1,
      uniqueItems: true,
      description: 'Only these kinds of repair. Default: all.',
      examples: [['sequences', 'unvalidated']],
    },
    duplicates: {
      type: 'object',
      required: ['keep', 'by'],
      additionalProperties: false,
      description:
        'Which row stays where several have the same key; the others move to the quarantine. Unset: such keys are refused.',
      examples: [{ keep: 'newest', by: 'createdAt' }],
      properties: {
        keep: { enum: ['newest', 'oldest'], description: 'The one with the highest or the lowest value.' },
        by: { type: 'string', minLength: 1, description: 'Of this column.', examples: ['createdAt'] },
      },
    },
    orphans: {
      enum: ['quarantine'],
      description: 'Rows that refer to nothing move to the quarantine. Unset: they are shown and left.',
    },
    quarantine: {
      type: 'string',
      minLength: 1,
      description: 'The schema of quarantine tables; made when it is needed.',
      default: '_quarantine',
      examples: ['_quarantine'],
    },
    apply: {
      type: 'boolean',
      description: 'Run the statements. Without it they are only shown.',
      default: false,
      examples: [true],
    },
    lockTimeout: {
      ...durationSchema,
      description:
        'How long to wait for a table that others use; then that repair fails and changes nothing.',
      default: '10s',
      examples: ['10s'],
    },
    sample: {
      type: 'integer',
      minimum: 0,
      maximum: 1000,
      description: 'How many groups of duplicates and keys of orphans are shown.',
      default: 5,
      examples: [5],
    },
  },
} as const satisfies JsonSchema;

type Params = Infer<typeof withSchema>;

export const repair = defineStep({
  kind: 'repair',
  summary:
    'Mend keys, foreign keys, indexes, sequences and materialized views; shows the statements, and runs them only with apply.',
  with: withSchema,
  outputs: {
    found: { type: 'number', description: 'What there is to mend.' },
    repaired: { type: 'number', description: 'What was mended.' },
    refused: { type: 'number', description: 'What cannot be mended without a decision of yours.' },
    movedRows: { type: 'number', description: 'Rows that moved to the quarantine.' },
    sql: { type: 'string', description: 'The statements, as a script.' },
  },
  writes: ({ database, apply }) =>
    !apply || database.includes(':') || database.includes('${{') ? [] : [{ database }],
  describe: ({ database, only, apply }) =>
    `${apply ? 'mend' : 'look for what could be mended of'} ${only?.join(', ') ?? 'keys, foreign keys, indexes, sequences and materialized views'} on ${database}`,
  async run(params, context) {
    const target = context.database(params.database);
    await using client = await connect(target.connection, {
      applicationName: `backplan ${context.run.id} ${context.step}`,
      signal: context.signal,
      settings: { search_path: '', statement_timeout: '0', row_security: 'off', default_tablespace: '' },
    });
    if (params.apply && target.kind !== 'plan') target.modified = true;
    const outcomes = await repairDatabase(
      {
        client,
        wanted: await wanted(params, context),
        policy: {
          quarantine: params.quarantine,
          ...(params.duplicates === undefined ? {} : { duplicates: params.duplicates }),
          ...(params.orphans === undefined ? {} : { orphans: params.orphans }),
        },
        run: context.run.id,
        sample: params.sample,
      },
      {
        kinds: repairKinds.filter(({ kind }) => params.only?.includes(kind) ?? true),
        apply: params.apply,
        lockTimeoutMs: parseDuration(params.lockTimeout),
        onOutcome: (outcome) => tell(outcome, context),
      },
    );
    context.report({
      kind: 'repair',
      applied: params.apply,
      actions: outcomes.map(({ action, status, error }) => ({
        kind: action.kind,
        what: action.what,
        status,
        statements: action.statements,
        ...(action.rows === undefined ? {} : { rows: action.rows }),
        ...(action.samples === undefined ? {} : { samples: action.samples }),
        ...(action.refused === undefined ? {} : { refused: action.refused }),
        ...(error === undefined ? {} : { error }),
      })),
    });
    return conclude(outcomes, params);
  },
});

async function wanted(params: Params, context: StepContext) {
  const names = params.suite === undefined ? [] : [params.suite].flat();
  const { run } = context;
  const bySuite = wantedBySuite(
    await suiteChecks(context.plan, names, {
      kinds: context.checkKinds,
      run: { id: run.id, job: run.job, plan: context.plan.name, startedAt: run.startedAt.toISOString() },
    }),
  );
  if (params.like === undefined) return bySuite;
  await using copy = await connect(context.database(params.like).connection, {
    applicationName: `backplan ${context.run.id} ${context.step}`,
    signal: context.signal,
    settings: { search_path: '' },
  });
  return joinWanted(bySuite, await wantedByCopy(copy));
}

function tell({ action, status, error }: RepairOutcome, { log }: StepContext): void {
  const rows = action.rows === undefined ? '' : ` (${action.rows} rows to the quarantine)`;
  if (status === 'done') log.info(`mended: ${action.what}${rows}`);
  else if (status === 'planned') log.info(`could be mended: ${action.what}${rows}`);
  else if (status === 'refused') {
    log.warn(`not mended: ${action.what}: ${action.refused?.why}`, { hint: action.refused?.hint });
  } else log.error(`failed: ${action.what}: ${error?.message}`, { hint: error?.hint });
  for (const statement of action.statements) log.info(`sql: ${statement};`);
}

/** @throws REPAIR_FAILED when something that was to be mended is not */
function conclude(outcomes: readonly RepairOutcome[], { apply }: Params) {
  const of = (status: RepairOutcome['status']) => outcomes.filter((each) => each.status === status);
  const failed = of('failed');
  const refused = of('refused');
  const done = of('done');
  const others =
    done.length === 0 ? '' : ` ${done.length} ${done.length === 1 ? 'other is' : 'others are'} done.`;
  const [first] = failed;
  if (first !== undefined) {
    throw new BackplanError(
      'REPAIR_FAILED',
      `${failed.length} of ${outcomes.length} repairs failed and changed nothing: ${first.action.what}: ${first.error?.message ?? ''}`,
      {
        detail: failed.map(({ action, error }) => `${action.what}: ${error?.message ?? ''}`).join('\n'),
        hint: `${first.error?.hint ?? 'Mend what is named there by hand.'}${others}`,
      },
    );
  }
  const [open] = refused;
  if (apply && open !== undefined) {
    throw new BackplanError(
      'REPAIR_REFUSED',
      `${refused.length} of ${outcomes.length} repairs need a decision: ${open.action.what}: ${open.action.refused?.why ?? ''}`,
      {
        detail: refused.map(({ action }) => `${action.what}: ${action.refused?.why ?? ''}`).join('\n'),
        hint: `${open.action.refused?.hint ?? ''}${others}`,
      },
    );
  }
  return {
    found: outcomes.length,
    repaired: done.length,
    refused: refused.length,
    movedRows: done.reduce((sum, { action }) => sum + (action.rows ?? 0), 0),
    sql: toScript(outcomes),
  };
}
