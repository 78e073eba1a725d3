/** Publishes, proves and deletes backups in a loop until it is killed. Argument: the repository's folder. */
import { randomBytes, randomInt } from 'node:crypto';
import { Readable } from 'node:stream';
import { makeManifest, makeProof, NEVER, repositoryAt } from './fixture.ts';

const repository = repositoryAt(process.argv[2] ?? '');
for (let round = 1; ; round++) {
  const startedAt = new Date();
  const partial = await repository.begin('crm', startedAt, () => {});
  const parts = Array.from({ length: randomInt(1, 20) }, () => randomBytes(randomInt(1, 60_000)));
  const files = [
    await partial.writeFile('archive.dump.zst', 'archive', Readable.from(parts), {
      compress: { method: 'zstd', level: 1 },
      signal: NEVER,
    }),
    await partial.writeFile('globals.sql', 'globals', Readable.from([`-- ${partial.id}\n`]), {
      compress: { method: 'none' },
      signal: NEVER,
    }),
  ];
  const backup = await partial.publish(makeManifest(partial.id, 'crm', startedAt, files));
  await repository.addProof(backup, makeProof(backup, 'verified')).catch(ignoreGone);
  if (round === 1) process.stdout.write('ready\n');
  const all = await repository.backups();
  const oldest = all[0];
  if (all.length > 4 && oldest !== undefined) await repository.remove(oldest).catch(ignoreGone);
}

/** The other process may have deleted it a moment before. */
function ignoreGone(error: unknown): void {
  const { code, cause } = error as { code?: string; cause?: { code?: string } };
  if (code !== 'BACKUP_NOT_FOUND' && cause?.code !== 'ENOENT') throw error;
}
