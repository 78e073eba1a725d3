/** Looks for damage kind by kind and, when told so, runs the statements that mend it and looks again. */
import { BackplanError, type ErrorRecord, toBackplanError } from '../errors.ts';
import { sqlState } from '../postgres/client.ts';
import { formatDuration } from '../units.ts';
import type { RepairAction, RepairKind, RepairWorld } from './repair-kind.ts';

export type RepairStatus = 'planned' | 'done' | 'refused' | 'failed';

export interface RepairOutcome {
  readonly action: RepairAction;
  readonly status: RepairStatus;
  readonly error?: ErrorRecord;
}

export interface RepairOptions {
  readonly kinds: readonly RepairKind[];
  /** Without it nothing is changed: every action is planned or refused. */
  readonly apply: boolean;
  /** Milliseconds to wait for a table that others use. */
  readonly lockTimeoutMs: number;
  readonly onOutcome?: (outcome: RepairOutcome) => void;
}

/**
 * Every action that succeeds stays, whatever becomes of the others; one that fails leaves things as they were.
 * @throws CONNECTION_FAILED and CANCELLED; what goes wrong with one action is in its outcome
 */
export async function repairDatabase(world: RepairWorld, options: RepairOptions): Promise<RepairOutcome[]> {
  const outcomes: RepairOutcome[] = [];
  const add = (outcome: RepairOutcome) => {
    outcomes.push(outcome);
    options.onOutcome?.(outcome);
  };
  for (const kind of options.kinds) {
    for (const action of await look(world, kind)) {
      if (action.refused !== undefined) add({ action, status: 'refused' });
      else if (!options.apply) add({ action, status: 'planned' });
      else add(await mend(world, kind, action, options));
    }
  }
  return outcomes;
}

/** What a role may not look at must not keep it from mending the rest. */
async function look(world: RepairWorld, kind: RepairKind): Promise<readonly RepairAction[]> {
  try {
    return await kind.find(world);
  } catch (error) {
    const { code, message, hint } = toBackplanError(error);
    if (code === 'CONNECTION_FAILED' || code === 'CANCELLED' || sqlState(error) === undefined) throw error;
    return [
      {
        kind: kind.kind,
        key: 'look',
        what: `${kind.kind} could not be looked for`,
        statements: [],
        transaction: true,
        refused: {
          why: message,
          hint: sqlState(error) === '42501' ? OWNER_HINT : (hint ?? `Leave ${kind.kind} out with only.`),
        },
      },
    ];
  }
}

const OWNER_HINT =
  'Repairs are done by the owner of the table (or a member of that role), or by a superuser; what that role may not touch can be left out with only.';

async function mend(
  world: RepairWorld,
  kind: RepairKind,
  action: RepairAction,
  options: RepairOptions,
): Promise<RepairOutcome> {
  try {
    const done = action.transaction
      ? await inTransaction(world, kind, action, options)
      : await oneByOne(world, kind, action, options);
    return { action: done, status: 'done' };
  } catch (error) {
    const explained = explain(error, options.lockTimeoutMs);
    if (explained.code === 'CONNECTION_FAILED' || explained.code === 'CANCELLED') throw explained;
    return { action, status: 'failed', error: explained.toRecord() };
  }
}

async function inTransaction(
  world: RepairWorld,
  kind: RepairKind,
  action: RepairAction,
  options: RepairOptions,
): Promise<RepairAction> {
  const { client } = world;
  await client.query(`BEGIN; SET LOCAL lock_timeout = ${options.lockTimeoutMs}`);
  try {
    // Not even a row lock: a foreign key's look at a row that is about to move has to wait.
    for (const table of action.locks ?? []) await client.query(`LOCK TABLE ${table} IN EXCLUSIVE MODE`);
    // Under the locks it may look otherwise than it did.
    const again = action.locks === undefined ? action : await findAgain(world, kind, action);
    if (again?.refused !== undefined) {
      throw new BackplanError('REPAIR_REFUSED', again.refused.why, { hint: again.refused.hint });
    }
    for (const statement of again?.statements ?? []) await client.query(statement);
    await assertMended(world, kind, action);
    await client.query('COMMIT');
    return again ?? action;
  } catch (error) {
    await client.query('ROLLBACK').catch(() => {});
    throw error;
  }
}

async function oneByOne(
  world: RepairWorld,
  kind: RepairKind,
  action: RepairAction,
  { lockTimeoutMs }: RepairOptions,
): Promise<RepairAction> {
  const { client } = world;
  try {
    for (const statement of action.statements) {
      // CONCURRENTLY waits for others without being in their way; everything else would queue up writers behind it.
      const waits = /\bCONCURRENTLY\b/.test(statement);
      await client.query(`SET lock_timeout = ${waits ? 0 : lockTimeoutMs}`);
      await client.query(statement);
    }
    await assertMended(world, kind, action);
  } catch (error) {
    for (const statement of action.undo ?? []) await client.query(statement).catch(() => {});
    throw error;
  } finally {
    await client.query('RESET lock_timeout').catch(() => {});
  }
  return action;
}

async function findAgain(
  world: RepairWorld,
  kind: RepairKind,
  action: RepairAction,
): Promise<RepairAction | undefined> {
  if (action.again !== undefined) return await action.again();
  return (await kind.find(world)).find(({ key }) => key === action.key);
}

/** The same look again: a repair that does not mend is none. */
async function assertMended(world: RepairWorld, kind: RepairKind, action: RepairAction): Promise<void> {
  const left = await findAgain(world, kind, action);
  if (left === undefined) return;
  throw new BackplanError('REPAIR_FAILED', `the statements ran, and still: ${left.what}`, {
    hint: 'It was taken back. Mend what is named there by hand.',
  });
}

function explain(error: unknown, lockTimeoutMs: number): BackplanError {
  const known = toBackplanError(error);
  if (known.code !== 'QUERY_FAILED') return known;
  const keep = { cause: known.cause, ...(known.detail === undefined ? {} : { detail: known.detail }) };
  switch (sqlState(known)) {
    case '55P03':
      return new BackplanError(
        'REPAIR_FAILED',
        `a table was in use for longer than ${formatDuration(lockTimeoutMs)}; nothing was changed`,
        {
          ...keep,
          transient: true,
          hint: 'Try at a quieter time, or give lockTimeout more. pg_stat_activity tells who held it.',
        },
      );
    case '42501':
      return new BackplanError('PERMISSION_DENIED', known.message, {
        ...keep,
        hint: /for database/.test(known.message)
          ? 'The schema of the quarantine cannot be made by this role. Let somebody who may make it, CREATE SCHEMA "_quarantine" AUTHORIZATION …; or name another with quarantine.'
          : OWNER_HINT,
      });
    case '23503':
    case '23505':
    case '23514':
    case '23502':
      return new BackplanError('REPAIR_FAILED', `the rows do not allow it: ${known.message}`, {
        ...keep,
        hint: 'Nothing was changed. Mend or move those rows first.',
      });
    default:
      return new BackplanError('REPAIR_FAILED', known.message, {
        ...keep,
        ...(known.hint === undefined ? {} : { hint: known.hint }),
      });
  }
}

/** The statements as a script that psql runs the same way. */
export function toScript(outcomes: readonly RepairOutcome[]): string {
  return outcomes
    .map(({ action, status, error }) => {
      const why = action.refused?.why ?? error?.message;
      const head = [
        `-- ${action.kind}: ${action.what}`,
        ...(why === undefined ? [] : [`-- ${status}: ${why}`]),
      ];
      const locks = (action.locks ?? []).map((table) => `LOCK TABLE ${table} IN EXCLUSIVE MODE;`);
      const body = action.statements.map((statement) => `${statement};`);
      const lines =
        action.transaction && locks.length + body.length > 1
          ? ['BEGIN;', ...locks, ...body, 'COMMIT;']
          : body;
      // What is refused is shown, and does nothing when the script is run.
      const shown = action.refused === undefined ? lines : lines.map((line) => `-- ${line}`);
      return [...head.map((line) => line.replaceAll('\n', ' ')), ...shown].join('\n');
    })
    .join('\n\n');
}
