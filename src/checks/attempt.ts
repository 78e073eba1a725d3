/** A query inside a check that may fail without taking the check with it. */
import type { CheckClient } from './check-kind.ts';

/**
 * Runs `work` behind a savepoint; undefined when it failed (timeout, missing privilege). For extra evidence only:
 * a verdict never rests on it.
 */
export async function attempt<T>(client: CheckClient, work: () => Promise<T>): Promise<T | undefined> {
  await client.query('SAVEPOINT backplan_attempt');
  try {
    const result = await work();
    await client.query('RELEASE SAVEPOINT backplan_attempt');
    return result;
  } catch {
    await client.query('ROLLBACK TO SAVEPOINT backplan_attempt');
    return undefined;
  }
}
