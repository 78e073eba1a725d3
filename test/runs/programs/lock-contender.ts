/**
 * Takes an exclusive lock again and again until it has been inside often enough; inside, it makes a marker file that
 * must not exist yet and counts without any protection of its own.
 */
import { readFileSync, unlinkSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { BackplanError } from '../../../src/errors.ts';
import { openLocks } from '../../../src/runs/lock.ts';

const [folder = '', name = '', rounds = '5'] = process.argv.slice(2);
const locks = openLocks(join(folder, 'locks.db'));
let refused = 0;
for (let inside = 0; inside < Number(rounds); ) {
  try {
    const handle = locks.acquire('database:crm', 'exclusive', {
      run: `${name}-${inside}`,
      job: 'job',
      plan: 'plan',
    });
    writeFileSync(join(folder, 'inside'), name, { flag: 'wx' });
    const count = Number(readFileSync(join(folder, 'count'), 'utf8'));
    await sleep(1);
    writeFileSync(join(folder, 'count'), String(count + 1));
    unlinkSync(join(folder, 'inside'));
    handle.release();
    inside += 1;
  } catch (error) {
    if (!(error instanceof BackplanError) || error.code !== 'LOCKED') throw error;
    refused += 1;
    await sleep(Math.random() * 10);
  }
}
locks.close();
writeSync(1, `${refused}\n`);
