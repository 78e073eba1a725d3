/** One daemon per state folder: two would share its schedules, and neither would know what the other runs. */
import { BackplanError } from '../errors.ts';
import { openLocks } from '../runs/lock.ts';
import { lockFile } from '../runs/run-id.ts';
import { formatAge, formatInstant } from '../units.ts';

const RESOURCE = 'the daemon';

/**
 * Holds the state folder until it is released. A dead daemon's hold is taken over.
 * @throws LOCKED naming the process that holds it, and since when
 */
export function lockStateFolder(stateDirectory: string): { release(): void } {
  const locks = openLocks(lockFile(stateDirectory));
  try {
    locks.acquire(RESOURCE, 'exclusive', { run: 'daemon', job: '', plan: '' });
  } catch (error) {
    const holder = locks.holders(RESOURCE).find(({ alive }) => alive);
    locks.close();
    if (!(error instanceof BackplanError) || error.code !== 'LOCKED' || holder === undefined) throw error;
    const since = new Date(holder.since);
    throw new BackplanError(
      'LOCKED',
      `another daemon works with the state folder ${stateDirectory}: process ${holder.pid} on ${holder.host}, ` +
        `since ${formatInstant(since)} (${formatAge(since, new Date())})`,
      {
        hint: `Stop it first (kill -TERM ${holder.pid} there), or give this one a state folder of its own with --state.`,
        cause: error,
      },
    );
  }
  return { release: () => locks.close() };
}
