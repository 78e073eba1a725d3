import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, it } from 'vitest';
import { BackplanError } from '../../src/errors.ts';
import type { RunRecord, StepRecord } from '../../src/runs/record.ts';
import { journalFile } from '../../src/runs/run-id.ts';
import { openJournal } from '../../src/runs/store.ts';
import { temporaryFolder } from '../helpers/database.ts';
import { rounds } from '../helpers/rounds.ts';

const WRITER = join(import.meta.dirname, 'programs', 'journal-writer.ts');

function run(id: string, change: Partial<RunRecord> = {}): RunRecord {
  const step: StepRecord = { name: 'dump', uses: 'backup', status: 'pending', attempts: 0 };
  return {
    id,
    plan: 'crm',
    planFile: '/plans/crm.yaml',
    job: 'nightly',
    status: 'running',
    trigger: 'manual',
    inputs: { backup: 'latest', n: 3, off: null },
    startedAt: '2026-11-24T02:00:00.000Z',
    host: 'here',
    pid: process.pid,
    steps: [step, { ...step, name: 'check', uses: 'check' }],
    ...change,
  };
}

async function caught(work: () => Promise<unknown>): Promise<BackplanError> {
  try {
    await work();
  } catch (error) {
    if (error instanceof BackplanError) return error;
    throw error;
  }
  throw new Error('it did not fail');
}

describe('journal', () => {
  it('gives back what was recorded', async () => {
    const journal = await openJournal(temporaryFolder());
    const started = run('20261124T020000Z-aaaaaa');
    journal.startRun(started);
    expect(journal.getRun(started.id)).toEqual(started);

    const steps: StepRecord[] = [
      {
        name: 'dump',
        uses: 'backup',
        status: 'succeeded',
        attempts: 2,
        startedAt: '2026-11-24T02:00:01.000Z',
        endedAt: '2026-11-24T02:00:05.000Z',
        durationMs: 4000,
        outputs: { backup: 'local:crm-1', list: [1, { a: null }], 'ключ "x"': '€' },
        stderr: 'a\nb',
      },
      {
        name: 'check',
        uses: 'check',
        status: 'failed',
        attempts: 1,
        error: { code: 'CHECKS_FAILED', message: 'no' },
      },
    ];
    journal.saveStep(started.id, steps[0] as StepRecord);
    journal.saveStep(started.id, { name: 'late', uses: 'command', status: 'running', attempts: 1 });
    expect(journal.getRun(started.id).steps.map(({ name }) => name)).toEqual(['dump', 'check', 'late']);
    const finished = run(started.id, {
      status: 'failed',
      exitCode: 3,
      verdict: 'rejected',
      endedAt: '2026-11-24T02:00:09.000Z',
      durationMs: 9000,
      error: { code: 'CHECKS_FAILED', message: 'no', hint: 'look', detail: 'x' },
      logFile: '/logs/x.jsonl',
      steps: [...steps, { name: 'late', uses: 'command', status: 'succeeded', attempts: 1, outputs: {} }],
    });
    journal.finishRun(finished);
    expect(journal.getRun(started.id)).toEqual(finished);
    journal.close();
  });

  it('finds runs by the beginning or end of their id, and says what there is instead', async () => {
    const journal = await openJournal(temporaryFolder());
    expect((await caught(async () => journal.getRun('latest'))).hint).toContain('No run is recorded');
    for (const [id, startedAt] of [
      ['20261124T020000Z-aaaaaa', '2026-11-24T02:00:00.000Z'],
      ['20261125T020000Z-bbbbbb', '2026-11-25T02:00:00.000Z'],
      ['20261126T020000Z-cccccc', '2026-11-26T02:00:00.000Z'],
    ] as const) {
      journal.startRun(run(id, { startedAt }));
    }
    journal.startRun(
      run('20261127T020000Z-dddddd', { plan: 'other', startedAt: '2026-11-27T02:00:00.000Z' }),
    );
    expect(journal.getRun('bbbbbb').id).toBe('20261125T020000Z-bbbbbb');
    expect(journal.getRun('20261126').id).toBe('20261126T020000Z-cccccc');
    expect(journal.getRun('latest').id).toBe('20261127T020000Z-dddddd');
    expect(journal.getRun('latest', 'crm').id).toBe('20261126T020000Z-cccccc');
    const several = await caught(async () => journal.getRun('202611'));
    expect(several.code).toBe('RUN_NOT_FOUND');
    expect(several.message).toContain('20261124T020000Z-aaaaaa');
    expect((await caught(async () => journal.getRun('dddddd', 'crm'))).hint).toContain(
      '20261126T020000Z-cccccc',
    );
    for (const wild of ['%', '_', '20261124T020000Z_aaaaaa', "'; drop table runs; --"]) {
      expect((await caught(async () => journal.getRun(wild))).code).toBe('RUN_NOT_FOUND');
    }
    journal.close();
  });

  it('lists by plan, job and status, newest first', async () => {
    const journal = await openJournal(temporaryFolder());
    const jobs = ['a', 'b', 'a', 'b', 'a'];
    for (const [index, job] of jobs.entries()) {
      journal.startRun(run(`r${index}`, { job, startedAt: `2026-11-2${index}T02:00:00.000Z` }));
      if (index > 0)
        journal.updateRun(`r${index}`, { status: index % 2 === 0 ? 'succeeded' : 'failed', exitCode: 0 });
    }
    const ids = (filter: Parameters<typeof journal.listRuns>[0]) =>
      journal.listRuns(filter).map(({ id }) => id);
    expect(ids({})).toEqual(['r4', 'r3', 'r2', 'r1', 'r0']);
    expect(ids({ limit: 2 })).toEqual(['r4', 'r3']);
    expect(ids({ job: 'a' })).toEqual(['r4', 'r2', 'r0']);
    expect(ids({ job: 'a', status: 'succeeded' })).toEqual(['r4', 'r2']);
    expect(ids({ status: ['failed', 'running'] })).toEqual(['r3', 'r1', 'r0']);
    expect(ids({ plan: 'none' })).toEqual([]);
    expect(journal.latestRuns('crm').map(({ id }) => id)).toEqual(['r4', 'r3']);
    expect(journal.running().map((each) => each.run.id)).toEqual(['r0']);
    journal.close();
  });

  it('keeps ownership until it is released, newest first', async () => {
    const journal = await openJournal(temporaryFolder());
    journal.startRun(run('r1'));
    const folder = { kind: 'folder', path: '/a' } as const;
    const staging = { kind: 'stagingDatabase', database: 'crm', name: 'crm_staging_x' } as const;
    const first = journal.own('r1', folder);
    journal.own('r1', staging);
    expect(journal.ownedBy('r1').map(({ thing }) => thing)).toEqual([staging, folder]);
    expect(journal.orphans()).toEqual([]);
    journal.release(first);
    journal.release(first);
    journal.updateRun('r1', { status: 'failed' });
    expect(journal.orphans().map(({ thing }) => thing)).toEqual([staging]);
    expect((await caught(async () => journal.own('no such run', folder))).code).toBe('JOURNAL_FAILED');
    journal.close();
  });

  it('makes its folder and files unreadable for others', async () => {
    const state = join(temporaryFolder(), 'deep', 'state');
    const journal = await openJournal(state);
    expect(statSync(state).mode & 0o077).toBe(0);
    expect(statSync(journalFile(state)).mode & 0o077).toBe(0);
    expect(statSync(`${journalFile(state)}-wal`).mode & 0o077).toBe(0);
    journal.close();
  });

  it('is in WAL mode with full synchronisation and sound', async () => {
    const state = temporaryFolder();
    const journal = await openJournal(state);
    expect(journal.problems()).toEqual([]);
    const other = new DatabaseSync(journalFile(state));
    expect(other.prepare('PRAGMA journal_mode').get()).toEqual({ journal_mode: 'wal' });
    other.close();
    journal.close();
  });

  it('refuses a journal of a newer program', async () => {
    const state = temporaryFolder();
    (await openJournal(state)).close();
    const db = new DatabaseSync(journalFile(state));
    db.exec('PRAGMA user_version = 999');
    db.close();
    const error = await caught(() => openJournal(state));
    expect(error.code).toBe('JOURNAL_FAILED');
    expect(error.message).toContain('newer backplan');
    expect(error.message).toContain('999');
  });

  it("refuses another program's database", async () => {
    const state = temporaryFolder();
    const db = new DatabaseSync(journalFile(state));
    db.exec('CREATE TABLE runs (x)');
    db.close();
    expect((await caught(() => openJournal(state))).message).toContain('another program');
  });

  it.each([
    [
      'text',
      (file: string) =>
        writeFileSync(file, 'this is no database, but it is long enough to look like one. '.repeat(50)),
    ],
    [
      'a torn header',
      (file: string) =>
        writeFileSync(file, Buffer.concat([Buffer.from('SQLite format 3\0'), Buffer.alloc(4096, 7)])),
    ],
    ['half of itself', (file: string) => truncateSync(file, Math.floor(statSync(file).size / 2))],
    [
      'overwritten pages',
      (file: string) => {
        const bytes = readFileSync(file);
        bytes.fill(0xa5, 4096);
        writeFileSync(file, bytes);
      },
    ],
  ])(
    'says of a file that is %s that it is damaged and that backups are still there',
    async (_name, damage) => {
      const state = temporaryFolder();
      const journal = await openJournal(state);
      for (let index = 0; index < 200; index += 1) journal.startRun(run(`r${index}`));
      journal.close();
      damage(journalFile(state));
      const error = await caught(async () => {
        const again = await openJournal(state);
        try {
          again.listRuns({ limit: 1000 });
        } finally {
          again.close();
        }
      });
      expect(error.code).toBe('JOURNAL_FAILED');
      expect(error.message).toContain(journalFile(state));
      expect(error.message).toContain('damaged');
      expect(error.hint).toContain('still listed');
    },
  );

  it('names the folder when it cannot be written', async () => {
    const state = join(temporaryFolder(), 'state');
    writeFileSync(state, 'a file where a folder should be');
    const error = await caught(() => openJournal(state));
    expect(error.message).toContain(state);
    mkdirSync(join(`${state}2`, 'journal.db'), { recursive: true });
    const other = await caught(() => openJournal(`${state}2`));
    expect(other.code).toBe('PERMISSION_DENIED');
  });

  it('says when its file system is full, stays sound, and goes on when there is room', async ({ skip }) => {
    const folder = join(temporaryFolder(), 'small');
    mkdirSync(folder);
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', folder], { stdio: 'ignore' });
    } catch {
      return skip('needs the right to mount');
    }
    try {
      const journal = await openJournal(folder);
      journal.startRun(run('kept'));
      writeFileSync(join(folder, 'ballast'), Buffer.alloc(700_000));
      const error = await caught(async () => {
        for (let index = 0; index < 1000; index += 1)
          journal.startRun(run(`r${index}`, { inputs: { x: 'x'.repeat(5000) } }));
      });
      expect(error.code).toBe('JOURNAL_FAILED');
      expect(error.message).toContain(journal.file);
      expect(error.hint).toContain('full');
      rmSync(join(folder, 'ballast'));
      journal.saveStep('kept', { name: 'dump', uses: 'backup', status: 'succeeded', attempts: 1 });
      expect(journal.problems()).toEqual([]);
      expect(journal.getRun('kept').steps[0]?.status).toBe('succeeded');
      journal.close();
    } finally {
      execFileSync('umount', [folder]);
    }
  });

  it('can be opened for the first time by many at once', async () => {
    const state = join(temporaryFolder(), 'state');
    const children = Array.from({ length: 8 }, (_, index) =>
      spawn(process.execPath, [WRITER, state, `p${index}`], { stdio: ['ignore', 'pipe', 'pipe'] }),
    );
    const problems: string[] = [];
    await Promise.all(
      children.map(async (child) => {
        child.stderr.on('data', (chunk: Buffer) => problems.push(String(chunk)));
        await Promise.race([once(child.stdout, 'data'), once(child, 'exit')]);
        child.kill('SIGKILL');
        if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
      }),
    );
    expect(problems).toEqual([]);
    const journal = await openJournal(state);
    expect(new Set(journal.listRuns({ limit: 100_000 }).map(({ id }) => id.split('-')[0])).size).toBe(8);
    journal.close();
  });

  it('survives kill -9 at any instant: sound, and nothing acknowledged is lost', {
    timeout: 120_000,
  }, async () => {
    const state = temporaryFolder();
    for (let round = 0; round < rounds(5); round += 1) {
      const child = spawn(process.execPath, [WRITER, state, `k${round}`], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      let said = '';
      child.stdout.on('data', (chunk: Buffer) => {
        said += String(chunk);
      });
      await once(child.stdout, 'data');
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 40));
      child.kill('SIGKILL');
      await once(child, 'close');
      const acknowledged = said.trimEnd().split('\n').map(Number).at(-1) ?? -1;

      const journal = await openJournal(state);
      expect(journal.problems()).toEqual([]);
      for (let number = 0; number <= acknowledged; number += 1) {
        const id = `k${round}-${number}`;
        const even = number % 2 === 0;
        const kept = journal.getRun(id);
        expect(kept.status, id).toBe(even ? 'succeeded' : 'running');
        expect(kept.steps[0]?.status, id).toBe(even ? 'succeeded' : 'running');
        expect(journal.ownedBy(id).length, id).toBe(even ? 0 : 1);
      }
      journal.close();
    }
  });
});
