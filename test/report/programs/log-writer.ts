/** Writes the log of a run whose end never comes; made to be killed. */
import { writeSync } from 'node:fs';
import { makeRunLogReporter } from '../../../src/report/run-log.ts';
import { events } from '../events.ts';

const [file = ''] = process.argv.slice(2);
const reporter = await makeRunLogReporter();
const [started] = events(file);
if (started !== undefined) reporter.on(started);
for (let number = 0; ; number += 1) {
  reporter.on({
    type: 'step:log',
    at: '2026-11-24T02:00:00.000Z',
    step: 'dump',
    level: 'info',
    message: `line ${number}`,
  });
  writeSync(1, `${number}\n`);
}
