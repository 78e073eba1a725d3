/** Brings rows back in one transaction: triggers, sequences and a second look before the COMMIT. */
import { allSequences, sequencePositions, sequenceTrouble } from '../checks/sequence-state.ts';
import { BackplanError, toBackplanError } from '../errors.ts';
import { type Client, identifier, sqlState } from '../postgres/client.ts';
import type { Findings } from './find-rows.ts';
import { readByValues, textOf, tupleOf } from './rows.ts';

export interface InsertOptions {
  readonly live: Client;
  readonly statements: readonly string[];
  /** `off`: triggers of users do not fire, so that rows come back as they were and nobody is notified. */
  readonly triggers: 'off' | 'fire';
  readonly lockTimeoutMs: number;
  readonly onWarning: (message: string) => void;
}

/**
 * All or nothing.
 * @returns how many of the inserted rows are not as in the backup
 * @throws RECOVERY_REFUSED when a constraint or a trigger refuses; nothing was changed then
 */
export async function insertRows(findings: Findings, options: InsertOptions): Promise<number> {
  const { live, statements } = options;
  await live.query(`BEGIN; SET LOCAL lock_timeout = ${options.lockTimeoutMs}`);
  try {
    const triggers = options.triggers === 'off' ? await userTriggers(live, findings) : [];
    for (const { off } of triggers) await live.query(off);
    for (const statement of statements) await live.query(statement);
    // Deferred constraints would only speak at the COMMIT, and keep triggers from being switched back.
    await live.query('SET CONSTRAINTS ALL IMMEDIATE');
    for (const { on } of triggers) await live.query(on);
    await setSequences(live, findings, options.onWarning);
    const { missing, changed } = await lookAgain(live, findings);
    if (missing > 0) {
      throw new BackplanError(
        'RECOVERY_REFUSED',
        `${missing} rows are still missing after they were inserted; nothing was changed`,
        { hint: 'A trigger or a rule keeps them out. See triggers: off, and the rules of the table.' },
      );
    }
    await live.query('COMMIT');
    return changed;
  } catch (error) {
    await live.query('ROLLBACK').catch(() => {});
    throw explain(error);
  }
}

/** Every row that was to be inserted, as it is now. */
async function lookAgain(live: Client, findings: Findings): Promise<{ missing: number; changed: number }> {
  let [missing, changed] = [0, 0];
  for (const { table, columns, missing: wanted } of findings.tables.values()) {
    const key = table.key ?? [];
    const tuples = wanted.map((row) => tupleOf(row, key));
    const found = await readByValues(live, table, columns, key, tuples);
    const now = new Map(found.map((row) => [textOf(row, key), textOf(row, columns)]));
    for (const row of wanted) {
      const other = now.get(textOf(row, key));
      if (other === undefined) missing++;
      else if (other !== textOf(row, columns)) changed++;
    }
  }
  return { missing, changed };
}

/** Statements that switch the triggers of users off, and back to what each of them was. */
async function userTriggers(client: Client, { tables }: Findings): Promise<{ off: string; on: string }[]> {
  const rows = await client.query<{ schema: string; table: string; name: string; enabled: string }>(
    `SELECT n.nspname AS schema, c.relname AS "table", t.tgname AS name, t.tgenabled AS enabled
     FROM pg_catalog.pg_trigger t
     JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
     JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE NOT t.tgisinternal AND t.tgenabled IN ('O', 'A') AND t.tgrelid = ANY ($1::pg_catalog.oid[])
     ORDER BY 1, 2, 3`,
    [
      [...tables.values()]
        .filter(({ missing, differing, detached }) => missing.length + differing.length + detached.length > 0)
        .map(({ table }) => table.oid),
    ],
  );
  return rows.map(({ schema, table, name, enabled }) => {
    const alter = `ALTER TABLE ${identifier(schema)}.${identifier(table)}`;
    return {
      off: `${alter} DISABLE TRIGGER ${identifier(name)}`,
      on: `${alter} ENABLE ${enabled === 'A' ? 'ALWAYS ' : ''}TRIGGER ${identifier(name)}`,
    };
  });
}

/** Sequences of the tables that got rows are set forward where they would give a value that is there now. */
async function setSequences(
  client: Client,
  { tables }: Findings,
  onWarning: (message: string) => void,
): Promise<void> {
  const filled = new Set(
    [...tables.values()]
      .filter(({ missing }) => missing.length > 0)
      .map(({ table }) => JSON.stringify([table.schema, table.name])),
  );
  const own = (await allSequences(client)).filter(({ columns }) =>
    columns.some(({ schema, table }) => filled.has(JSON.stringify([schema, table]))),
  );
  const positions = await sequencePositions(client, own);
  for (const sequence of own) {
    const position = positions.get(sequence.oid);
    const trouble = position === undefined ? undefined : sequenceTrouble(sequence, position);
    if (trouble === undefined) continue;
    if (trouble.setsForward === undefined) {
      onWarning(trouble.message);
      continue;
    }
    await client.query(trouble.setsForward);
    onWarning(`${trouble.message}; it was set forward`);
  }
}

function explain(error: unknown): BackplanError {
  const known = toBackplanError(error);
  const state = sqlState(known);
  if (known.code !== 'QUERY_FAILED' || state === undefined) return known;
  const advice: Readonly<Record<string, string>> = {
    '23505': 'Somebody has taken a unique value meanwhile. Run it without --apply to see which.',
    '23503': 'A row that they refer to is missing. Run it again without --apply.',
    '23502':
      'The table got a column since that needs a value. Recover with SQL of your own from a restored copy.',
    '42501':
      'Rows are recovered by the owner of the tables or a superuser; triggers: fire needs no more than INSERT.',
    '55P03': 'Others use the table. Try at a quieter time.',
  };
  return new BackplanError('RECOVERY_REFUSED', `nothing was changed: ${known.message}`, {
    cause: known.cause,
    ...(known.detail === undefined ? {} : { detail: known.detail }),
    hint: advice[state] ?? known.hint ?? 'The statement is below.',
  });
}
