/**
 * Runs one job whose first step is a shell with a grandchild, as the command line would: SIGINT and SIGTERM cancel.
 * Says `busy RUN` when the children are up and the record at the end.
 */
import { writeSync } from 'node:fs';
import { executeJob } from '../../../src/engine/execute.ts';
import { BackplanError } from '../../../src/errors.ts';
import { parseConnection } from '../../../src/postgres/connection.ts';
import { runTool } from '../../../src/process.ts';
import { markedProcesses } from '../../../src/runs/children.ts';
import { openLocks } from '../../../src/runs/lock.ts';
import { lockFile } from '../../../src/runs/run-id.ts';
import { openJournal } from '../../../src/runs/store.ts';
import { Masker } from '../../../src/secret.ts';
import { makeJob, makePlan } from '../harness.ts';

const [state = '', script = ''] = process.argv.slice(2);
const controller = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) {
  process.on(name, () => controller.abort(new BackplanError('CANCELLED', `cancelled by ${name}`)));
}
const { job, kinds } = makeJob({
  steps: {
    dump: {
      writes: [{ database: 'crm' }],
      run: async (_params, context) => {
        context.own({ kind: 'folder', path: `${state}/partial` });
        const { signal } = context;
        const tool = runTool({
          command: 'sh',
          args: ['-c', script],
          signal,
          run: context.run.id,
          killGraceMs: 500,
        });
        const timer = setInterval(() => {
          if (markedProcesses(context.run.id).length < 3) return;
          clearInterval(timer);
          writeSync(1, `busy ${context.run.id}\n`);
        }, 20);
        await tool.finally(() => clearInterval(timer));
        return {};
      },
    },
    after: { needs: ['dump'] },
    cleanup: { needs: ['after'], if: 'always()' },
  },
});
const journal = await openJournal(state);
const locks = openLocks(lockFile(state));
const plan = makePlan();
const record = await executeJob({
  plan,
  job,
  kinds,
  inputs: {},
  notify: async () => [],
  checkKinds: new Map(),
  journal,
  locksFor: async () => ({ locks, key: 'database:crm' }),
  connection: (name) => parseConnection(plan.databases[name]?.url ?? ''),
  repository: async () => {
    throw new BackplanError('REPOSITORY_UNUSABLE', 'none here');
  },
  listeners: [],
  signal: controller.signal,
  trigger: 'manual',
  masker: new Masker(),
  stateDirectory: state,
});
writeSync(1, `${JSON.stringify(record)}\n`);
process.exitCode = record.exitCode;
