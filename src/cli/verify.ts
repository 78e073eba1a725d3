/** `verify`: reads every byte of a backup back and compares it with its manifest. */
import { BackplanError, EXIT } from '../errors.ts';
import { verifyJob } from './adhoc.ts';
import { defineCommand, flag, option, optionalArgument, planArgument } from './command.ts';
import { execute } from './execute.ts';
import { openPlan, repositoryFor } from './plan.ts';

export const verify = defineCommand({
  name: 'verify',
  summary: 'read a backup back, every byte, against its checksums',
  description:
    'BACKUP is latest (the default), latest-proven, an id, the beginning of one, or a label. It needs no server; the result is kept beside the backup as proof.',
  group: 'At 3 a.m.',
  arguments: { plan: planArgument, backup: optionalArgument('which backup (default: latest)', 'backup') },
  options: {
    repository: option('-r, --repository <name>', 'where to look', { completes: 'repository' }),
    database: option('-d, --database <name>', 'among the backups of this database', {
      completes: 'database',
    }),
    all: flag('--all', 'every backup there is'),
    filesOnly: flag('--files-only', 'checksums only, without reading the archive through with pg_restore'),
  },
  examples: [
    { line: 'verify plans/crm.yaml', does: 'the newest backup' },
    { line: 'verify plans/crm.yaml --all', does: 'all of them, one after the other' },
  ],
  exits: [EXIT.stepFailed, EXIT.environment, EXIT.interrupted],
  async run({ plan: file, backup, repository, database, all, filesOnly }, context) {
    if (all && backup !== undefined) {
      throw new BackplanError('USAGE', 'name a backup or give --all, not both');
    }
    const { plan } = await openPlan(context, file);
    const source = repositoryFor(plan, repository, database);
    const common = {
      repository: source.name,
      ...(database === undefined ? {} : { database }),
      ...(filesOnly ? { archive: false } : {}),
    };
    const backups = all ? await everyBackup() : [backup ?? 'latest'];
    return await execute(context, plan, {
      job: verifyJob(backups.map((each) => ({ ...common, backup: each }))),
    });

    async function everyBackup(): Promise<string[]> {
      const app = await context.app();
      const found = await (await app.repository(plan, source.name)).backups(database);
      if (found.length > 0) return found.map(({ manifest }) => manifest.id);
      throw new BackplanError('BACKUP_NOT_FOUND', `there is no backup in ${source.name}`, {
        hint: `Make one: backplan backup ${file}`,
      });
    }
  },
});
