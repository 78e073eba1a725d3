/** Takes one lock, says so, and keeps it until it is killed. */
import { writeSync } from 'node:fs';
import { openLocks } from '../../../src/runs/lock.ts';

const [file = '', resource = '', mode = 'exclusive'] = process.argv.slice(2);
openLocks(file).acquire(resource, mode === 'shared' ? 'shared' : 'exclusive', {
  run: 'holder',
  job: 'nightly',
  plan: 'crm',
});
writeSync(1, 'held\n');
setInterval(() => {}, 1000);
