import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BackplanError } from '../../src/errors.ts';
import { type LockHandle, type LockMode, openLocks } from '../../src/runs/lock.ts';
import { ownIdentity } from '../../src/runs/process-identity.ts';
import { temporaryFolder } from '../helpers/database.ts';

const PROGRAMS = join(import.meta.dirname, 'programs');
const owner = (run: string) => ({ run, job: 'nightly', plan: 'crm' });

function refusal(work: () => unknown): BackplanError {
  try {
    work();
  } catch (error) {
    if (error instanceof BackplanError) return error;
    throw error;
  }
  throw new Error('it was not refused');
}

async function holder(file: string, resource: string, mode: LockMode = 'exclusive') {
  const child = spawn(process.execPath, [join(PROGRAMS, 'lock-holder.ts'), file, resource, mode], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  return child;
}

describe('locks', () => {
  it('names the holder, since when, and what to do', async () => {
    const file = join(temporaryFolder(), 'locks.db');
    const child = await holder(file, 'database:crm');
    const locks = openLocks(file);
    const error = refusal(() => locks.acquire('database:crm', 'exclusive', owner('mine')));
    expect(error.code).toBe('LOCKED');
    expect(error.exitCode).toBe(4);
    expect(error.message).toMatch(
      new RegExp(
        `^database:crm is locked by run holder \\(job nightly of plan crm\\), process ${child.pid} on .+, since \\d{4}-\\d\\d-\\d\\dT[\\d:]+Z \\(`,
      ),
    );
    expect(error.hint).toContain(`kill -TERM ${child.pid}`);
    expect(locks.acquire('database:other', 'exclusive', owner('mine')).resource).toBe('database:other');
    child.kill('SIGKILL');
    await once(child, 'exit');
    locks.close();
  });

  it('takes over what a killed process held, at once', async () => {
    const file = join(temporaryFolder(), 'locks.db');
    const locks = openLocks(file);
    for (let round = 0; round < 5; round += 1) {
      const child = await holder(file, 'database:crm');
      expect(locks.holders('database:crm')).toMatchObject([{ run: 'holder', pid: child.pid, alive: true }]);
      child.kill('SIGKILL');
      await once(child, 'exit');
      expect(locks.holders('database:crm')).toMatchObject([{ run: 'holder', alive: false }]);
      const handle = locks.acquire('database:crm', 'exclusive', owner('next'));
      expect(locks.holders()).toMatchObject([{ run: 'next', alive: true }]);
      handle.release();
      expect(locks.holders()).toEqual([]);
    }
    locks.close();
  });

  it('is not fooled by a pid that another process has now', () => {
    const file = join(temporaryFolder(), 'locks.db');
    const past = openLocks(file, { identity: { ...ownIdentity(), start: '1' } });
    past.acquire('database:crm', 'exclusive', owner('past'));
    const locks = openLocks(file);
    expect(locks.holders()).toMatchObject([{ run: 'past', alive: false }]);
    locks.acquire('database:crm', 'exclusive', owner('now'));
    expect(locks.holders()).toMatchObject([{ run: 'now' }]);
    locks.close();
    past.close();
  });

  it('goes by the heartbeat of a holder on another host', () => {
    const file = join(temporaryFolder(), 'locks.db');
    let time = Date.parse('2026-11-24T02:00:00Z');
    const now = () => new Date(time);
    const there = { ...ownIdentity(), host: 'there.example', machine: 'feedfacefeedface', boot: 'another' };
    const remote = openLocks(file, { identity: there, now });
    remote.acquire('repository:local/crm', 'exclusive', owner('remote'));
    const locks = openLocks(file, { now });
    time += 9 * 60_000;
    const error = refusal(() => locks.acquire('repository:local/crm', 'exclusive', owner('mine')));
    expect(error.message).toContain('there.example');
    expect(error.message).toContain('since 2026-11-24T02:00:00Z (9m)');
    expect(error.hint).toContain('10 minutes');
    time += 60_000;
    locks.acquire('repository:local/crm', 'exclusive', owner('mine'));
    expect(locks.holders()).toMatchObject([{ run: 'mine' }]);
    locks.close();
    remote.close();
  });

  it('gives a run what it holds already, and another run of the same process nothing', () => {
    const locks = openLocks(join(temporaryFolder(), 'locks.db'));
    const first = locks.acquire('a', 'exclusive', owner('one'));
    const second = locks.acquire('a', 'exclusive', owner('one'));
    expect(refusal(() => locks.acquire('a', 'shared', owner('two'))).message).toContain('this very process');
    first.release();
    first.release();
    expect(refusal(() => locks.acquire('a', 'shared', owner('two'))).code).toBe('LOCKED');
    second.release();
    locks.acquire('a', 'shared', owner('two'));
    locks.close();
  });

  it('gives everything back when closed', () => {
    const file = join(temporaryFolder(), 'locks.db');
    const locks = openLocks(file);
    locks.acquire('a', 'exclusive', owner('one'));
    locks.acquire('b', 'shared', owner('one'));
    locks.close();
    const later = openLocks(file);
    expect(later.holders()).toEqual([]);
    later.close();
  });

  it('follows the rules of shared and exclusive in any order of taking and giving back', () => {
    const file = join(temporaryFolder(), 'locks.db');
    const [left, right] = [openLocks(file), openLocks(file)];
    const action = fc.record({
      side: fc.constantFrom(left, right),
      run: fc.constantFrom('r1', 'r2', 'r3'),
      resource: fc.constantFrom('x', 'y'),
      mode: fc.constantFrom<LockMode>('shared', 'exclusive'),
      release: fc.option(fc.nat(20), { nil: undefined }),
    });
    fc.assert(
      fc.property(fc.array(action, { maxLength: 25 }), (actions) => {
        const held: { run: string; resource: string; mode: LockMode; handle: LockHandle }[] = [];
        for (const { side, run, resource, mode, release } of actions) {
          if (release !== undefined && held.length > 0) {
            held.splice(release % held.length, 1)[0]?.handle.release();
            continue;
          }
          const allowed = held
            .filter((each) => each.resource === resource && each.run !== run)
            .every((each) => mode === 'shared' && each.mode === 'shared');
          if (allowed) held.push({ run, resource, mode, handle: side.acquire(resource, mode, owner(run)) });
          else expect(refusal(() => side.acquire(resource, mode, owner(run))).code).toBe('LOCKED');
          const shown = right.holders().map((each) => `${each.run} ${each.resource} ${each.mode}`);
          expect(shown.sort()).toEqual(
            held.map((each) => `${each.run} ${each.resource} ${each.mode}`).sort(),
          );
        }
        for (const { handle } of held) handle.release();
        expect(left.holders()).toEqual([]);
      }),
      { numRuns: 40 },
    );
    left.close();
    right.close();
  });

  it('lets one of twenty processes in at a time', { timeout: 120_000 }, async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, 'count'), '0');
    const results = await Promise.all(
      Array.from({ length: 20 }, async (_, index) => {
        const child = spawn(
          process.execPath,
          [join(PROGRAMS, 'lock-contender.ts'), folder, `p${index}`, '5'],
          {
            stdio: ['ignore', 'pipe', 'pipe'],
          },
        );
        let problem = '';
        child.stderr.on('data', (chunk: Buffer) => {
          problem += String(chunk);
        });
        child.stdout.resume();
        const [code] = await once(child, 'close');
        return { code, problem };
      }),
    );
    expect(results.filter(({ code }) => code !== 0)).toEqual([]);
    expect(readFileSync(join(folder, 'count'), 'utf8')).toBe('100');
    const locks = openLocks(join(folder, 'locks.db'));
    expect(locks.holders()).toEqual([]);
    locks.close();
  });

  it('says what to do with a damaged lock file', () => {
    const file = join(temporaryFolder(), 'locks.db');
    writeFileSync(file, 'not a database at all, but long enough to be taken for a broken one '.repeat(40));
    const error = refusal(() => openLocks(file));
    expect(error.code).toBe('JOURNAL_FAILED');
    expect(error.message).toContain(file);
    expect(error.hint).toContain('delete it');
  });
});
