/** Writes to a journal in a loop and says on stdout what was acknowledged; made to be killed. */
import { writeSync } from 'node:fs';
import { openJournal } from '../../../src/runs/store.ts';

const [state = '', prefix = ''] = process.argv.slice(2);
const journal = await openJournal(state);
for (let number = 0; ; number += 1) {
  const id = `${prefix}-${number}`;
  const step = { name: 'dump', uses: 'backup', status: 'pending', attempts: 0 } as const;
  const run = {
    id,
    plan: 'plan',
    planFile: '/plan.yaml',
    job: 'job',
    status: 'running',
    trigger: 'manual',
    inputs: {},
    startedAt: new Date().toISOString(),
    host: 'host',
    pid: process.pid,
    steps: [step],
  } as const;
  journal.startRun(run);
  const owned = journal.own(id, { kind: 'folder', path: `/${id}` });
  journal.saveStep(id, { ...step, status: 'running', attempts: 1 });
  if (number % 2 === 0) {
    journal.release(owned);
    journal.finishRun({
      ...run,
      status: 'succeeded',
      exitCode: 0,
      steps: [{ ...step, status: 'succeeded' }],
    });
  }
  writeSync(1, `${number}\n`);
}
