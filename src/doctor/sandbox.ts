/** Can a sandbox be started here: a folder with room, and a user that PostgreSQL accepts? */
import { access, constants, readFile, statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { toBackplanError } from '../errors.ts';
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
    if (process.getuid?.() === 0) {
      const names = user === undefined ? ['postgres', 'nobody'] : [user];
      const known = (await readFile('/etc/passwd', 'utf8').catch(() => '')).split('\n');
      const found = names.find((name) => known.some((line) => line.startsWith(`${name}:`)));
      const who = reporter('sandbox', 'user');
      yield found === undefined
        ? who.problem(
            `backplan runs as root, which PostgreSQL refuses, and there is no user ${names.join(' or ')}`,
            'Create one (useradd --system postgres) and name it in settings.sandbox.user, or run backplan as another user.',
          )
        : who.ok(`sandboxes run as ${found}, because PostgreSQL refuses root`);
    }
  },
};
