/** `sql`: runs statements of the plan's own on a database. */
import { readFile } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';
import { BackplanError } from '../errors.ts';
import { type Client, connect, sqlState } from '../postgres/client.ts';
import { plainRow } from '../postgres/row.ts';
import type { Infer, JsonSchema } from '../schema.ts';
import { type DatabaseTarget, defineStep, type StepContext } from './step-kind.ts';

const count = { type: 'integer', minimum: 0 } as const;

const withSchema = {
  type: 'object',
  required: ['database'],
  additionalProperties: false,
  properties: {
    database: {
      type: 'string',
      description: 'A database of the plan, or what a restore step put out.',
      examples: ['${{ steps.stage.outputs.database }}', 'crm'],
      'x-ref': 'database',
    },
    query: {
      type: 'string',
      minLength: 1,
      description: 'One or more statements. Either this or `file`.',
      examples: [`update "User" set "eMail" = 'user' || id || '@example.com'`],
    },
    file: {
      type: 'string',
      minLength: 1,
      description:
        'A file with statements (no psql commands that start with a backslash); a relative path starts at the folder of the plan.',
      examples: ['./anonymize.sql'],
    },
    expectRows: {
      description:
        'How many rows the last statement must return; anything else fails the step and undoes it.',
      examples: [1, { min: 1 }],
      'x-expected': 'a number of rows, or {min: …, max: …}',
      oneOf: [
        count,
        {
          type: 'object',
          minProperties: 1,
          additionalProperties: false,
          properties: {
            min: { ...count, description: 'At least so many.', examples: [1] },
            max: { ...count, description: 'At most so many.', examples: [10] },
          },
        },
      ],
    },
    transaction: {
      type: 'boolean',
      description:
        'All statements in one transaction. Turn it off for what cannot run in one, alone in its step: VACUUM, CREATE INDEX CONCURRENTLY.',
      default: true,
      examples: [false],
    },
  },
} as const satisfies JsonSchema;

type Params = Infer<typeof withSchema>;

export const sql = defineStep({
  kind: 'sql',
  summary: 'Run SQL statements on a database, in one transaction unless told otherwise.',
  with: withSchema,
  outputs: {
    rows: { type: 'number', description: 'Rows that the last statement returned.' },
    first: { type: 'map', description: 'Its first row, column → value; null when there is none.' },
    value: {
      type: 'string',
      description:
        'The first column of the first row, in its own type (bigint and numeric as text); null when there is none.',
    },
  },
  // A handle of an earlier step belongs to this run alone; only a database of the plan is shared.
  writes: ({ database }) => (database.includes(':') || database.includes('${{') ? [] : [{ database }]),
  validate: ({ query, file }) => {
    if ((query === undefined) !== (file === undefined)) return [];
    const message = query === undefined ? 'has neither query nor file' : 'has both query and file';
    return [
      { path: [], message, hint: 'Write the statements under query, or the path of a file under file.' },
    ];
  },
  describe: ({ database, query, file }) =>
    `run ${file ?? `"${(query ?? '').replaceAll(/\s+/g, ' ').trim().slice(0, 60)}"`} on ${database}`,
  async run(params, context) {
    const target = context.database(params.database);
    const statements = await readStatements(params, context);
    await using client = await connect(target.connection, {
      applicationName: `backplan ${context.run.id} ${context.step}`,
      signal: context.signal,
    });
    client.onNotice((message) => context.log.info(message));
    const rows = params.transaction
      ? await inTransaction(client, statements, params, target, context)
      : await alone(client, statements, params, target);
    const [first] = rows;
    context.log.info(`${rows.length} row${rows.length === 1 ? '' : 's'} returned`);
    if (first === undefined) return { rows: 0, first: null, value: null };
    const plain = plainRow(first);
    return { rows: rows.length, first: plain, value: Object.values(plain)[0] ?? null };
  },
});

type Rows = Record<string, unknown>[];

interface Statements {
  readonly text: string;
  /** Shown in front of a position. */
  readonly origin: string;
}

async function readStatements({ query, file }: Params, context: StepContext): Promise<Statements> {
  if (query !== undefined) return { text: query, origin: 'query' };
  const path = isAbsolute(file ?? '') ? (file ?? '') : join(context.baseDirectory, file ?? '');
  try {
    return { text: await readFile(path, 'utf8'), origin: file ?? '' };
  } catch (cause) {
    throw new BackplanError('INPUT_INVALID', `cannot read ${file}: ${(cause as Error).message}`, {
      cause,
      hint: 'A relative path starts at the folder of the plan.',
    });
  }
}

async function inTransaction(
  client: Client,
  statements: Statements,
  params: Params,
  target: DatabaseTarget,
  context: StepContext,
): Promise<Rows> {
  await client.query(`BEGIN; SET LOCAL backplan.step = 'open'`);
  const rows = await execute(client, statements).catch((error: unknown) => {
    // A COMMIT of its own before the failure leaves what it wrote; nobody can ask any more.
    if (/\b(commit|end)\b/i.test(statements.text)) markModified(target);
    throw error;
  });
  const state = await client.first<{ open: boolean; wrote: boolean }>(
    `SELECT coalesce(pg_catalog.current_setting('backplan.step', true), '') = 'open' AS open,
       pg_catalog.txid_current_if_assigned() IS NOT NULL AS wrote`,
  );
  if (state?.open !== true) {
    markModified(target);
    context.log.warn('the statements end the transaction themselves, so a failure does not undo them');
  }
  assertRows(rows, params);
  // Before the COMMIT: when the connection is lost in it, nobody knows how it ended.
  if (state?.wrote === true) markModified(target);
  await client.query('COMMIT').catch((error: unknown) => {
    throw located(error, statements);
  });
  return rows;
}

async function alone(
  client: Client,
  statements: Statements,
  params: Params,
  target: DatabaseTarget,
): Promise<Rows> {
  // Housekeeping changes no data; of anything else nobody can tell afterwards.
  if (!/^\s*(vacuum|analyze|reindex|checkpoint)\b[^;]*;?\s*$/i.test(statements.text)) markModified(target);
  const rows = await execute(client, statements);
  assertRows(rows, params);
  return rows;
}

/** What checks say of a copy that was written to proves nothing of the backup it came from. */
function markModified(target: DatabaseTarget): void {
  if (target.kind !== 'plan') target.modified = true;
}

async function execute(client: Client, statements: Statements): Promise<Rows> {
  try {
    return await client.query(statements.text);
  } catch (error) {
    throw located(error, statements);
  }
}

/** Adds where in the text the server stumbled. */
function located(error: unknown, { text, origin }: Statements): unknown {
  if (!(error instanceof BackplanError) || error.code !== 'QUERY_FAILED') return error;
  const position = Number((error.cause as { position?: unknown } | undefined)?.position);
  const where =
    Number.isInteger(position) && position > 0 ? `${origin}:${lineAndColumn(text, position)}: ` : '';
  return new BackplanError('QUERY_FAILED', `${where}${error.message}`, {
    cause: error.cause,
    detail: error.detail,
    transient: error.transient,
    hint: hintFor(error, text),
  });
}

/** The server counts characters, not UTF-16 units. */
function lineAndColumn(text: string, position: number): string {
  const before = [...text].slice(0, position - 1).join('');
  const lines = before.split('\n');
  return `${lines.length}:${[...(lines.at(-1) ?? '')].length + 1}`;
}

function hintFor(error: BackplanError, text: string): string | undefined {
  switch (sqlState(error)) {
    case '25001':
      return 'Put that statement alone into a step of its own with transaction: false.';
    case '42601':
      return /^\s*\\/m.test(text)
        ? 'Lines that start with a backslash are commands of psql, which the server does not know.'
        : error.hint;
    case '40001':
    case '40P01':
      return 'Another session was in the way. Give the step a retry.';
    default:
      return error.hint;
  }
}

function assertRows(rows: Rows, { expectRows }: Params): void {
  if (expectRows === undefined) return;
  const { min = 0, max = Number.POSITIVE_INFINITY } =
    typeof expectRows === 'number' ? { min: expectRows, max: expectRows } : expectRows;
  if (rows.length >= min && rows.length <= max) return;
  const wanted =
    min === max
      ? `${min}`
      : [min > 0 ? `at least ${min}` : '', Number.isFinite(max) ? `at most ${max}` : '']
          .filter(Boolean)
          .join(' and ');
  throw new BackplanError(
    'STEP_FAILED',
    `the last statement returned ${rows.length} row${rows.length === 1 ? '' : 's'}, expected ${wanted}`,
    {
      hint: 'In a transaction everything is as before. To count rows that a statement changes, let it end with RETURNING.',
    },
  );
}
