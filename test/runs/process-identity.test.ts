import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { identityOf, liveness, ownIdentity, startFromPs, startOf } from '../../src/runs/process-identity.ts';

function sleeper() {
  return spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' });
}

describe('process identity', () => {
  it('says that this process lives', () => {
    expect(liveness(ownIdentity())).toBe('alive');
  });

  it('says that a process that was ended is dead', async () => {
    const child = sleeper();
    const identity = identityOf(child.pid ?? 0);
    expect(liveness(identity)).toBe('alive');
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(liveness(identity)).toBe('dead');
  });

  it('takes a zombie for dead', async () => {
    // The shell becomes the program that never waits for its child.
    const parent = spawn('sh', ['-c', 'sleep 0 & echo $!; exec sleep 60'], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const [chunk] = await once(parent.stdout, 'data');
    const pid = Number(String(chunk));
    await expect.poll(() => startOf(pid), { timeout: 10_000 }).toBeUndefined();
    expect(() => process.kill(pid, 0)).not.toThrow();
    expect(liveness({ ...ownIdentity(), pid })).toBe('dead');
    parent.kill('SIGKILL');
    await once(parent, 'exit');
  });

  it('is not fooled by a pid that was given to another process', () => {
    expect(liveness({ ...ownIdentity(), start: '1' })).toBe('dead');
  });

  it('knows that nothing survives a reboot of this machine', () => {
    const here = ownIdentity();
    if (here.machine === null) return;
    expect(liveness({ ...here, boot: '00000000-0000-0000-0000-000000000000' })).toBe('dead');
  });

  it.each([
    ['another host', { host: 'elsewhere.example', machine: 'ffffffffffffffff', boot: 'another' }],
    ['a namesake of this host', { machine: 'ffffffffffffffff', boot: 'another' }],
    ['another container on this kernel', { namespace: 'pid:[1]' }],
    ['a host without machine id', { machine: null, boot: 'another' }],
  ])('does not judge a process of %s', (_name, change) => {
    expect(liveness({ ...ownIdentity(), ...change })).toBe('elsewhere');
  });

  it('reads start times without /proc as well', () => {
    expect(startFromPs(process.pid)).toMatch(/\d{4}$/);
    expect(startFromPs(2 ** 30)).toBeUndefined();
  });
});
