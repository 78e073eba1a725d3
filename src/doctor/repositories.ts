/** Can every repository be written, has it room, and is what it holds sound? */
import { toBackplanError } from '../errors.ts';
import { isProven } from '../repository/manifest.ts';
import type { Repository } from '../repository/repository.ts';
import { formatAge, formatBytes } from '../units.ts';
import { type Finding, type Probe, type ProbeContext, reporter } from './probe.ts';

const AREA = 'repository';

export const repositories: Probe = {
  area: AREA,
  async *run(context) {
    for (const { name } of Object.values(context.plan.repositories)) {
      try {
        const repository = await context.repository(name);
        await repository.storage.prepare();
        yield* await room(repository, context);
        yield* await contents(repository, context);
      } catch (error) {
        const { message, hint } = toBackplanError(error);
        yield reporter(AREA, name).problem(message, hint);
      }
    }
  },
};

async function room(repository: Repository, { facts }: ProbeContext): Promise<Finding[]> {
  const say = reporter(AREA, repository.name);
  const { label } = repository.storage;
  const free = await repository.storage.freeSpace();
  if (free === undefined) return [say.ok(`${label} can be written`)];
  // A compressed dump is smaller than its database, seldom by less than half.
  const needed = Math.max(0, ...[...facts.values()].map(({ size }) => size)) / 2;
  return [
    free < needed
      ? say.warning(
          `${label} has ${formatBytes(free)} free: the next backup may not fit`,
          'Free space there, keep fewer backups (a `prune` step), or point the repository at a bigger file system.',
        )
      : say.ok(`${label} can be written, ${formatBytes(free)} free`),
  ];
}

async function contents(repository: Repository, { now, plan }: ProbeContext): Promise<Finding[]> {
  const say = reporter(AREA, repository.name);
  const findings: Finding[] = [];
  const all = await repository.backups();
  for (const { folder, reason } of await repository.broken()) {
    findings.push(
      say.warning(
        `${folder} is broken: ${reason}`,
        'It counts for nothing; remove the folder when you need no evidence of it.',
      ),
    );
  }
  const newest = all.at(-1);
  if (newest === undefined) {
    findings.push(say.warning('holds no backup yet', `Make the first one: backplan backup ${plan.file}`));
    return findings;
  }
  const startedAt = new Date(newest.manifest.startedAt);
  if (startedAt.getTime() > now.getTime() + 60_000) {
    findings.push(
      reporter('clock', repository.name).problem(
        `backup ${newest.manifest.id} is from the future (${newest.manifest.startedAt}): this machine's clock is behind, or was ahead then`,
        'Set the clock by NTP; retention does nothing while this is so.',
      ),
    );
  }
  const proven = all.findLast(isProven);
  const held = `${all.length} ${all.length === 1 ? 'backup' : 'backups'}, the newest ${formatAge(startedAt, now)} old`;
  findings.push(
    proven === undefined
      ? say.warning(
          `holds ${held}, none of them proven`,
          'Prove one: a job with restore into sandbox and check, as in plans/crm-license-system.yaml.',
        )
      : say.ok(`holds ${held}, the newest proven ${formatAge(new Date(proven.manifest.startedAt), now)} old`),
  );
  return findings;
}
