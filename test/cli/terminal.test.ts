import { spawn, spawnSync } from 'node:child_process';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import { BIN } from '../helpers/cli.ts';
import { makeWorld, type World } from './world.ts';

vi.setConfig({ testTimeout: 240_000 });

/** util-linux's `script` gives a program a terminal; other systems' differ. */
const hasScript = /util-linux/.test(spawnSync('script', ['--version'], { encoding: 'utf8' }).stdout ?? '');

/** Runs a command on a terminal, types `keys` once `prompt` is on the screen, and returns what the screen showed. */
function onTerminal(
  world: World,
  args: readonly string[],
  prompt: string,
  keys: string,
): Promise<{ code: number | null; screen: string }> {
  const quoted = [process.execPath, BIN, ...args.map((word) => (word === 'PLAN' ? world.plan : word))]
    .map((word) => `'${word}'`)
    .join(' ');
  const child = spawn('script', ['-qec', `stty cols 120 rows 40; exec ${quoted}`, '/dev/null'], {
    env: { PATH: process.env.PATH, HOME: process.env.HOME, TERM: 'xterm', LC_ALL: 'C.UTF-8', ...world.env },
  });
  let screen = '';
  let typed = false;
  child.stdout.on('data', (chunk: Buffer) => {
    screen += chunk.toString('utf8');
    if (typed || !screen.includes(prompt)) return;
    typed = true;
    child.stdin.write(keys);
  });
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, screen })));
}

describe.skipIf(!hasScript)('on a terminal', () => {
  let world: World;
  beforeAll(async () => {
    world = makeWorld();
    const { code, stderr } = await world.run(['backup', 'PLAN']);
    expect(`${code} ${stderr}`).toBe('0 ');
    world.sql('DELETE FROM "User"');
  });
  const users = () => world.sql('SELECT count(*) FROM "User"');

  it('no means that nothing happens', async () => {
    const { code, screen } = await onTerminal(
      world,
      ['restore', 'PLAN', 'latest', '--promote'],
      'Replace crm?',
      'n',
    );
    expect(screen).toContain('will be lost');
    expect(screen).toContain('not confirmed; nothing was changed');
    expect(code).toBe(130);
    expect(users()).toBe('0');
    const { runs } = await world.json<{ runs: { job: string }[] }>(['runs', 'PLAN']);
    expect(runs.map(({ job }) => job)).toEqual(['adhoc-backup']);
  });

  it('so do Ctrl-C and a bare Enter: the safe answer is the default', async () => {
    for (const keys of ['\u0003', '\r']) {
      const { code } = await onTerminal(
        world,
        ['restore', 'PLAN', 'latest', '--promote'],
        'Replace crm?',
        keys,
      );
      expect(code).toBe(130);
    }
    expect(users()).toBe('0');
  });

  it('a sandbox is kept until Enter', async () => {
    const { code, screen } = await onTerminal(world, ['restore', 'PLAN', 'latest'], 'look at it with:', '\r');
    expect(screen).toMatch(/look at it with: {2}psql -h \S+ -p \d+ -U \w+ -d \S+/);
    expect(code).toBe(0);
  });

  it('yes does it', async () => {
    const { code } = await onTerminal(world, ['restore', 'PLAN', 'latest', '--promote'], 'Replace crm?', 'y');
    expect(code).toBe(0);
    expect(users()).toBe('500');
  });
});

describe('signals', () => {
  const plan = `version: 1
name: stubborn
databases: { crm: { url: "\${CRM_URL}" } }
jobs:
  wait:
    steps:
      sleep: { uses: command, with: { run: "trap '' TERM; echo ready; while true; do sleep 0.1; done" } }
`;

  it('the second one ends the process at once, although a child does not listen', async () => {
    const world = makeWorld({ plan });
    const { child, result, output } = world.start(['run', 'PLAN', 'wait']);
    await expect.poll(output, { timeout: 90_000 }).toContain('sleep: started');
    child.kill('SIGINT');
    await expect.poll(output, { timeout: 90_000 }).toContain('SIGINT: cancelling');
    child.kill('SIGINT');
    const { code, stderr } = await result;
    expect(stderr).toContain('SIGINT again: stopping at once');
    expect(code).toBe(130);
    // What the first start left is ended and recorded by the next.
    const next = await world.run(['runs', 'PLAN']);
    expect(next.stderr).toContain('had been cut off');
    const marked = spawnSync('sh', [
      '-c',
      `grep -l "${world.folder}" /proc/[0-9]*/environ 2>/dev/null | wc -l`,
    ]);
    expect(String(marked.stdout).trim()).toBe('0');
  });
});

describe('--quiet', () => {
  it('says nothing of a success, and of a failure only the error', async () => {
    const plan = `version: 1
name: quiet
databases: { crm: { url: "\${CRM_URL}" } }
jobs:
  good: { steps: { a: { uses: command, with: { run: "true" } } } }
  bad: { steps: { a: { uses: command, with: { run: "echo no luck >&2; exit 7" } } } }
`;
    const world = makeWorld({ plan });
    const good = await world.run(['run', 'PLAN', 'good', '--quiet']);
    expect(good).toMatchObject({ code: 0, stdout: '', stderr: '' });
    const bad = await world.run(['run', 'PLAN', 'bad', '-q']);
    expect(bad.code).toBe(1);
    expect(bad.stdout).toBe('');
    expect(bad.stderr).toContain('exit code 7');
    expect(bad.stderr).toContain('no luck');
  });
});
