import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, describe, expect, it } from 'vitest';
import { RUN_MARK } from '../../src/process.ts';
import { endMarkedProcesses, markedProcesses } from '../../src/runs/children.ts';
import { ownIdentity, startOf } from '../../src/runs/process-identity.ts';
import type { RunRecord } from '../../src/runs/record.ts';
import { type Removers, recover } from '../../src/runs/recovery.ts';
import { journalFile } from '../../src/runs/run-id.ts';
import { type Journal, openJournal } from '../../src/runs/store.ts';
import type { OwnedThing } from '../../src/steps/step-kind.ts';
import { temporaryFolder } from '../helpers/database.ts';

const children = new Set<ChildProcess>();
afterAll(() => {
  for (const child of children) child.kill('SIGKILL');
});

function start(mark: string | undefined, script = 'setInterval(() => {}, 1000)'): ChildProcess {
  const child = spawn(process.execPath, ['-e', `process.stdout.write('up'); ${script}`], {
    env: { PATH: process.env.PATH, ...(mark === undefined ? {} : { [RUN_MARK]: mark }) },
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  children.add(child);
  return child;
}

function record(id: string): RunRecord {
  return {
    id,
    plan: 'crm',
    planFile: '/plans/crm.yaml',
    job: 'nightly',
    status: 'running',
    trigger: 'schedule',
    inputs: {},
    startedAt: '2026-11-24T02:00:00.000Z',
    host: ownIdentity().host,
    pid: 12345,
    steps: [
      {
        name: 'dump',
        uses: 'backup',
        status: 'succeeded',
        attempts: 1,
        startedAt: '2026-11-24T02:00:00.000Z',
        endedAt: '2026-11-24T02:01:00.000Z',
        durationMs: 60_000,
      },
      {
        name: 'stage',
        uses: 'restore',
        status: 'running',
        attempts: 1,
        startedAt: '2026-11-24T02:01:00.000Z',
      },
      { name: 'check', uses: 'check', status: 'pending', attempts: 0 },
    ],
  };
}

/** As if the process that recorded the run were another one. */
function disown(
  state: string,
  run: string,
  change: Record<string, unknown> = { start: '1' },
  beat?: string,
): void {
  const db = new DatabaseSync(journalFile(state));
  db.prepare('UPDATE runs SET identity = ?, beat_at = coalesce(?, beat_at) WHERE id = ?').run(
    JSON.stringify({ ...ownIdentity(), ...change }),
    beat ?? null,
    run,
  );
  db.close();
}

function removers(seen: OwnedThing[] = [], fail?: OwnedThing['kind']): Removers {
  const remove = async (thing: OwnedThing) => {
    if (thing.kind === fail) throw new Error('the server is down');
    seen.push(thing);
    if (thing.kind === 'folder') rmSync(thing.path, { recursive: true, force: true });
  };
  return { folder: remove, sandbox: remove, stagingDatabase: remove };
}

async function withJournal(): Promise<{ state: string; journal: Journal }> {
  const state = temporaryFolder();
  return { state, journal: await openJournal(state) };
}

describe('recovery', () => {
  it('records a cut run as interrupted and removes what it owned, newest first', async () => {
    const { state, journal } = await withJournal();
    journal.startRun(record('dead'));
    const folder = join(state, 'partial');
    mkdirSync(folder);
    journal.own('dead', { kind: 'folder', path: folder });
    journal.release(journal.own('dead', { kind: 'folder', path: '/was/handed/over' }));
    journal.own('dead', { kind: 'stagingDatabase', database: 'crm', name: 'crm_staging_x' });
    disown(state, 'dead', { start: '1' }, '2026-11-24T02:03:00.000Z');

    const seen: OwnedThing[] = [];
    const said: string[] = [];
    const report = await recover(journal, removers(seen), (level, message) =>
      said.push(`${level} ${message}`),
    );
    expect(report.interrupted).toEqual(['dead']);
    expect(seen.map(({ kind }) => kind)).toEqual(['stagingDatabase', 'folder']);
    expect(report.removed).toEqual(seen);
    expect(report.left).toEqual([]);
    expect(existsSync(folder)).toBe(false);
    expect(said.join('\n')).toContain('crm_staging_x');

    const run = journal.getRun('dead');
    expect(run).toMatchObject({
      status: 'interrupted',
      exitCode: 130,
      endedAt: '2026-11-24T02:03:00.000Z',
      durationMs: 180_000,
    });
    expect(run.steps.map(({ status }) => status)).toEqual(['succeeded', 'interrupted', 'skipped']);
    expect(run.steps[1]?.durationMs).toBe(120_000);
    expect(run.error?.hint).toContain('run the job again');

    expect(await recover(journal, removers(seen), () => {})).toEqual({
      interrupted: [],
      removed: [],
      left: [],
    });
    journal.close();
  });

  it('leaves living runs and what they own alone', async () => {
    const { journal } = await withJournal();
    journal.startRun(record('alive'));
    journal.own('alive', { kind: 'stagingDatabase', database: 'crm', name: 'crm_staging_y' });
    const seen: OwnedThing[] = [];
    expect((await recover(journal, removers(seen), () => {})).interrupted).toEqual([]);
    expect(seen).toEqual([]);
    expect(journal.getRun('alive').status).toBe('running');
    journal.close();
  });

  it('leaves the record of a run alone that ended while it was being looked at', async () => {
    const { state, journal } = await withJournal();
    journal.startRun(record('ending'));
    disown(state, 'ending');
    let looks = 0;
    const racing: Journal = {
      ...journal,
      running: () => {
        const found = journal.running();
        looks += 1;
        // The process finishes its run and ends between the look at the journal and the look at the process.
        if (looks === 1) journal.finishRun({ ...record('ending'), status: 'succeeded', exitCode: 0 });
        return found;
      },
    };
    const report = await recover(racing, removers(), () => {});
    expect(report.interrupted).toEqual([]);
    expect(journal.getRun('ending')).toMatchObject({ status: 'succeeded', exitCode: 0 });
    journal.close();
  });

  it('waits for the heartbeat of a run on another host to stop', async () => {
    const { state, journal } = await withJournal();
    journal.startRun(record('remote'));
    disown(
      state,
      'remote',
      { host: 'there', machine: 'feedfacefeedface', boot: 'another' },
      '2026-11-24T02:03:00.000Z',
    );
    const at = (time: string) => recover(journal, removers(), () => {}, { now: () => new Date(time) });
    expect((await at('2026-11-24T02:12:59.000Z')).interrupted).toEqual([]);
    expect((await at('2026-11-24T02:13:01.000Z')).interrupted).toEqual(['remote']);
    journal.close();
  });

  it('keeps what cannot be removed for the next time, and goes on', async () => {
    const { state, journal } = await withJournal();
    journal.startRun(record('dead'));
    journal.own('dead', { kind: 'folder', path: join(state, 'gone') });
    journal.own('dead', { kind: 'stagingDatabase', database: 'crm', name: 'crm_staging_z' });
    disown(state, 'dead');
    const report = await recover(journal, removers([], 'stagingDatabase'), () => {});
    expect(report.interrupted).toEqual(['dead']);
    expect(report.removed).toHaveLength(1);
    expect(report.left).toMatchObject([
      { run: 'dead', thing: { name: 'crm_staging_z' }, error: { message: 'the server is down' } },
    ]);
    const again = await recover(journal, removers(), () => {});
    expect(again.interrupted).toEqual([]);
    expect(again.removed).toEqual([{ kind: 'stagingDatabase', database: 'crm', name: 'crm_staging_z' }]);
    journal.close();
  });

  it('ends the processes that a cut run left, and no others', async () => {
    const { state, journal } = await withJournal();
    journal.startRun(record('dead-run'));
    disown(state, 'dead-run');
    const ours = start('dead-run');
    const stubborn = start('dead-run', "process.on('SIGTERM', () => {}); setInterval(() => {}, 1000)");
    const others = [start('dead-run-2'), start('dead'), start(undefined)];
    await Promise.all([ours, stubborn, ...others].map((child) => once(child.stdout ?? child, 'data')));
    const ends = Promise.all([once(ours, 'exit'), once(stubborn, 'exit')]);
    const report = await recover(journal, removers(), () => {}, { killGraceMs: 500 });
    expect(report.interrupted).toEqual(['dead-run']);
    expect((await ends).map(([, signal]) => signal)).toEqual(['SIGTERM', 'SIGKILL']);
    for (const other of others) {
      expect(startOf(other.pid ?? 0)).toBeDefined();
      other.kill('SIGKILL');
    }
    journal.close();
  });

  it('finds marked processes only by the whole mark', async () => {
    const child = start('mark-abc');
    await once(child.stdout ?? child, 'data');
    expect(markedProcesses('mark-abc').map(({ pid }) => pid)).toEqual([child.pid]);
    expect(markedProcesses('mark-ab')).toEqual([]);
    expect(markedProcesses('ark-abc')).toEqual([]);
    const { ended, left } = await endMarkedProcesses('mark-abc');
    expect(ended.map(({ pid }) => pid)).toEqual([child.pid]);
    expect(left).toEqual([]);
  });

  it('works for an unprivileged user, who cannot read the environment of others', async () => {
    if (process.getuid?.() !== 0) return;
    const hidden = start('hidden-run');
    await once(hidden.stdout ?? hidden, 'data');
    const program = join(import.meta.dirname, 'programs', 'marked.ts');
    const child = spawn(process.execPath, [program, 'hidden-run'], { stdio: ['ignore', 'pipe', 'pipe'] });
    let said = '';
    child.stdout.on('data', (chunk: Buffer) => {
      said += String(chunk);
    });
    child.stderr.on('data', (chunk: Buffer) => {
      said += String(chunk);
    });
    const [code] = await once(child, 'close');
    expect(said).toBe('[]');
    expect(code).toBe(0);
    expect(markedProcesses('hidden-run')).toHaveLength(1);
  });
});
