import { spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { findLeftovers, removeLeftovers } from '../../src/repository/leftovers.ts';
import { temporaryFolder } from '../helpers/database.ts';
import { rounds } from '../helpers/rounds.ts';
import { makeBackup, readAll, repositoryAt } from './fixture.ts';

const folder = temporaryFolder();
/** Two processes work on the repository at once, and both are killed. */
const ROUNDS = rounds(5);

test(`after each of ${2 * ROUNDS} kills at random instants: what is listed is whole, what is not whole is not listed`, {
  timeout: 300_000,
}, async () => {
  const notes: string[] = [];
  const repository = repositoryAt(folder, { note: (message) => notes.push(message) });
  let survivors = 0;
  let leftovers = 0;
  for (let round = 0; round < ROUNDS; round++) {
    await Promise.all([killWhilePublishing(), killWhilePublishing()]);
    const listed = await repository.backups();
    expect(await repository.broken()).toEqual([]);
    for (const backup of listed) await readAll(repository, backup);
    survivors += listed.length;
    const found = await findLeftovers(repository.storage);
    leftovers += found.length;
    expect(found.length).toBeLessThanOrEqual(4);
    for (const { id } of found) expect(listed.map(({ manifest }) => manifest.id)).not.toContain(id);
    const { removed, left } = await removeLeftovers(repository.storage, { now: new Date(), olderThan: 0 });
    expect(left).toEqual([]);
    expect(removed).toHaveLength(found.length);
    const ids = listed.map(({ manifest }) => manifest.id).sort();
    expect(existsSync(join(folder, 'crm')) ? readdirSync(join(folder, 'crm')).sort() : []).toEqual(ids);
  }
  // The kills did hit the middle of things, and something was published between them.
  expect(survivors).toBeGreaterThan(ROUNDS);
  expect(leftovers).toBeGreaterThan(0);
  expect(notes).toEqual([]);
  await makeBackup(repository, { startedAt: new Date() });
});

async function killWhilePublishing(): Promise<void> {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'publishing-child.ts'), folder], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  await setTimeout(randomInt(0, 400));
  expect(child.exitCode).toBeNull();
  child.kill('SIGKILL');
  await once(child, 'close');
}
