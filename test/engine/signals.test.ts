/** Real signals to a real process that runs a real job. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { markedProcesses } from '../../src/runs/children.ts';
import { openLocks } from '../../src/runs/lock.ts';
import type { RunRecord } from '../../src/runs/record.ts';
import { recover } from '../../src/runs/recovery.ts';
import { lockFile } from '../../src/runs/run-id.ts';
import { openJournal } from '../../src/runs/store.ts';
import { temporaryFolder } from '../helpers/database.ts';

const PROGRAM = join(import.meta.dirname, 'programs', 'run-job.ts');
const OBEDIENT = 'sleep 1000 & sleep 1000';
const DEAF = 'trap "" TERM INT; sh -c "trap \'\' TERM INT; sleep 1000; sleep 1000" & sleep 1000; sleep 1000';

async function startJob(state: string, script: string) {
  const child = spawn(process.execPath, [PROGRAM, state, script], { stdio: ['ignore', 'pipe', 'inherit'] });
  let said = '';
  const { promise: busy, resolve } = Promise.withResolvers<string>();
  child.stdout.on('data', (chunk: Buffer) => {
    said += String(chunk);
    const id = /busy (\S+)\n/.exec(said)?.[1];
    if (id !== undefined) resolve(id);
  });
  const closed = once(child, 'close');
  return { child, run: await busy, closed, said: () => said };
}

const removers = { folder: async () => {}, sandbox: async () => {}, stagingDatabase: async () => {} };

describe('a process that runs a job', () => {
  it.each([
    ['SIGINT', OBEDIENT],
    ['SIGTERM', OBEDIENT],
    ['SIGINT', DEAF],
    ['SIGTERM', DEAF],
  ] as const)('ends the whole process group at %s of %s', async (signal, script) => {
    const state = temporaryFolder();
    const { child, run, closed, said } = await startJob(state, script);
    expect(markedProcesses(run).length).toBeGreaterThanOrEqual(3);
    child.kill(signal);
    const [code] = await closed;
    expect(code).toBe(130);
    expect(markedProcesses(run)).toEqual([]);
    const record = JSON.parse(said().trimEnd().split('\n').at(-1) ?? '') as RunRecord;
    expect(record).toMatchObject({
      id: run,
      status: 'cancelled',
      error: { message: `cancelled by ${signal}` },
    });
    expect(record.steps.map(({ status }) => status)).toEqual(['cancelled', 'skipped', 'succeeded']);
    const journal = await openJournal(state);
    expect(journal.getRun(run)).toEqual(record);
    journal.close();
  });

  it.each([OBEDIENT, DEAF])(
    'and is killed: the next start ends its children, frees its locks, records it (%s)',
    async (script) => {
      const state = temporaryFolder();
      const { child, run, closed } = await startJob(state, script);
      child.kill('SIGKILL');
      await closed;
      // Nobody could end them: they go on until somebody looks.
      expect(markedProcesses(run).length).toBeGreaterThanOrEqual(3);
      const journal = await openJournal(state);
      expect(journal.getRun(run).status).toBe('running');
      const report = await recover(journal, removers, () => {}, { killGraceMs: 500 });
      expect(report).toEqual({
        interrupted: [run],
        removed: [{ kind: 'folder', path: `${state}/partial` }],
        left: [],
      });
      expect(markedProcesses(run)).toEqual([]);
      expect(journal.getRun(run)).toMatchObject({ status: 'interrupted', exitCode: 130 });
      expect(journal.getRun(run).steps.map(({ status }) => status)).toEqual([
        'interrupted',
        'skipped',
        'skipped',
      ]);
      const locks = openLocks(lockFile(state));
      expect(locks.holders()).toMatchObject([{ run, alive: false }]);
      locks.acquire('database:crm', 'exclusive', { run: 'next', job: 'job', plan: 'test-plan' }).release();
      locks.close();
      journal.close();
    },
  );

  it('and another one at the same time: the second is refused with exit code 4', async () => {
    const state = temporaryFolder();
    const first = await startJob(state, OBEDIENT);
    const second = spawn(process.execPath, [PROGRAM, state, OBEDIENT], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let problem = '';
    second.stderr.on('data', (chunk: Buffer) => {
      problem += String(chunk);
    });
    await once(second, 'close');
    expect(problem).toContain(
      `database:crm is locked by run ${first.run} (job job of plan test-plan), process ${first.child.pid}`,
    );
    const journal = await openJournal(state);
    expect(journal.listRuns().map(({ id }) => id)).toEqual([first.run]);
    journal.close();
    first.child.kill('SIGTERM');
    await first.closed;
  });
});
