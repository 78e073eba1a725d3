/** A suite as init makes it and a fingerprint with inventory, held against the database inside one transaction. */
import { createApp } from '../../../src/app.ts';
import { choose, type Entry, toEntries } from '../../../src/checks/entries.ts';
import { checkKinds } from '../../../src/checks/index.ts';
import { Session } from '../../../src/checks/session.ts';
import { planTasks } from '../../../src/checks/tasks.ts';
import { mergeSuggestions, suggestChecks } from '../../../src/init/generators/index.ts';
import { inspectSchema } from '../../../src/init/live-schema.ts';
import { renderPlan, SUITE } from '../../../src/init/render-plan.ts';
import { parsePlan } from '../../../src/plan/load.ts';
import type { CheckDefinition } from '../../../src/plan/model.ts';
import { resolveEnvironment } from '../../../src/plan/resolve.ts';
import { suiteChecks } from '../../../src/plan/suites.ts';
import { type Client, withClient } from '../../../src/postgres/client.ts';
import { parseConnection } from '../../../src/postgres/connection.ts';
import { takeFingerprint } from '../../../src/postgres/fingerprint.ts';
import { compareInTransaction } from '../../../src/postgres/fingerprint-compare.ts';
import { takeInventory } from '../../../src/postgres/schema-inventory.ts';
import { beginSnapshot, CANONICAL_SETTINGS } from '../../../src/postgres/snapshot.ts';
import type { Inventory } from '../../../src/repository/inventory.ts';
import type { Fingerprint } from '../../../src/repository/manifest.ts';
import { Masker } from '../../../src/secret.ts';
import { sharedUrl } from '../../helpers/database.ts';
import type { Damage } from './damage.ts';

export const kinds = new Map(checkKinds.map((kind) => [kind.kind, kind]));

/** What is known of a whole database. */
export interface Known {
  /** What the suite warns of already. */
  readonly before: ReadonlySet<string>;
  readonly checks: readonly CheckDefinition[];
  readonly fingerprint: Fingerprint;
  readonly inventory: Inventory;
}

/** The checks of a plan that init writes for what `user` sees, read back from its text. */
export async function suiteOf(database: string, user?: string): Promise<CheckDefinition[]> {
  const checks = await withClient(
    parseConnection(sharedUrl(database, user)),
    { settings: { search_path: '' } },
    async (client) => mergeSuggestions(suggestChecks(await inspectSchema(client))),
  );
  const text = renderPlan({
    name: 'it',
    variable: 'DATABASE_URL',
    backups: './backups',
    timezone: 'UTC',
    cron: '0 2 * * *',
    keep: '30d',
    checks,
    remarks: [],
  });
  const { vocabulary } = createApp();
  const { plan, diagnostics } = await parsePlan('plan.yaml', text, vocabulary);
  if (plan === undefined) throw new Error(JSON.stringify(diagnostics));
  const environment = { DATABASE_URL: sharedUrl(database, user) };
  const job = plan.jobs.nightly;
  if (job === undefined) throw new Error('no nightly job');
  const resolved = await resolveEnvironment(plan, environment, new Masker(), { job });
  return await suiteChecks(resolved, [SUITE], { kinds: vocabulary.checks });
}

export async function know(database: string): Promise<Known> {
  const checks = await suiteOf(database);
  return await withClient(parseConnection(sharedUrl(database)), {}, async (client) => {
    await beginSnapshot(client);
    const fingerprint = await takeFingerprint(client, 'content');
    const inventory = JSON.parse(JSON.stringify(await takeInventory(client))) as Inventory;
    return { before: new Set(await suiteSays(client, checks)), checks, fingerprint, inventory };
  });
}

/** What the suite says that is not a pass, in the transaction that the client has open. */
export async function suiteSays(client: Client, checks: readonly CheckDefinition[]): Promise<string[]> {
  const all = toEntries(checks, { kinds, timeoutMs: 60_000, tolerate: new Set() });
  const entries: Entry[] = choose(all, {});
  const session = new Session(client, { begun: performance.now(), trustIndexes: true });
  const { tasks, done } = await planTasks(session, entries);
  const results = done.map(([, result]) => result);
  for (const task of tasks) for await (const [, result] of session.run(task)) results.push(result);
  return results
    .filter(({ status }) => status !== 'passed')
    .map(({ name, status, message }) => `${name}: ${status}: ${message}`);
}

/** What differs from the fingerprint, in the transaction that the client has open. */
export async function printSays(client: Client, { fingerprint, inventory }: Known): Promise<string[]> {
  const { differences, unread } = await compareInTransaction(client, fingerprint, { inventory });
  return [...differences.map(({ message }) => message), ...unread.map(({ reason }) => reason)];
}

/** Does one damage and tells who found it; afterwards the database is whole again. */
export async function examine(
  client: Client,
  { sql, by }: Damage,
  known: Known,
  thorough: boolean,
): Promise<{ found: boolean; said: Record<'suite' | 'print', string[]> }> {
  const said: Record<'suite' | 'print', string[]> = { suite: [], print: [] };
  await client.query(
    'BEGIN; SET LOCAL session_replication_role = replica; SET LOCAL client_min_messages = error',
  );
  try {
    await client.query(sql);
    await client.query(`SET LOCAL session_replication_role = origin; ${CANONICAL_SETTINGS}`);
    if (by === 'print' || thorough) said.print = await printSays(client, known);
    if (by === 'suite' || thorough) {
      said.suite = (await suiteSays(client, known.checks)).filter((line) => !known.before.has(line));
    }
    return { found: said[by].length > 0, said };
  } catch (error) {
    // The statement itself is wrong: nothing was damaged.
    return { found: false, said: { ...said, [by]: [(error as Error).message] } };
  } finally {
    await client.query('ROLLBACK');
  }
}
