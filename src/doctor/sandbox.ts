/** Can a sandbox be started here: a folder with room, and a user that PostgreSQL accepts? */
import { access, constants, statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { toBackplanError } from '../errors.ts';
import { unprivilegedAccount } from '../postgres/unprivileged.ts';
import { formatBytes } from '../units.ts';
import { type Probe, reporter } from './probe.ts';

export const sandbox: Probe = {
  area: 'sandbox',
  async *run({ plan, facts }) {
    const { directory = tmpdir(), user } = plan.settings.sandbox;
    const say = reporter('sandbox', directory);
    try {
      await access(directory, constants.W_OK | constants.X_OK);
      const { bavail, bsize } = await statfs(directory);
      const free = bavail * bsize;
      const biggest = Math.max(0, ...[...facts.values()].map(({ size }) => size));
      yield free < biggest * 1.2
        ? say.problem(
            `${formatBytes(free)} free, and the biggest database has ${formatBytes(biggest)}: a rehearsal would fill the disk`,
            'Free space there, or set settings.sandbox.directory in the plan to a bigger file system.',
          )
        : say.ok(`${formatBytes(free)} free for sandboxes`);
    } catch (error) {
      yield say.problem(
        `sandboxes cannot be made there: ${toBackplanError(error).message}`,
        'Make the folder and let the user that runs backplan write there, or set settings.sandbox.directory in the plan.',
      );
    }
    const who = reporter('sandbox', 'user');
    try {
      const account = await unprivilegedAccount(user);
      if (account !== undefined) {
        yield who.ok(`sandboxes run as ${account.name}, because PostgreSQL refuses root`);
      }
    } catch (error) {
      const { message, hint } = toBackplanError(error);
      yield who.problem(message, hint);
    }
  },
};
