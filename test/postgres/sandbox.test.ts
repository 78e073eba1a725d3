import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { withClient } from '../../src/postgres/client.ts';
import { removeSandbox, type Sandbox, type SandboxThing, startSandbox } from '../../src/postgres/sandbox.ts';
import { findTools } from '../../src/postgres/tools.ts';
import { temporaryFolder, uniqueName } from '../helpers/database.ts';

const started: Sandbox[] = [];
afterAll(async () => {
  for (const sandbox of started) await sandbox.stop();
});

async function start(
  settings: { directory?: string; parameters?: Record<string, string> } = {},
  signal = new AbortController().signal,
) {
  const owned = new Set<SandboxThing | { kind: 'folder'; path: string }>();
  const log: string[] = [];
  const sandbox = await startSandbox({
    tools: await findTools(undefined, { binDirectories: [], need: ['initdb', 'postgres'] }),
    settings: { parameters: {}, ...settings },
    own: (thing) => {
      // Written down before it is made.
      expect(existsSync(thing.kind === 'sandbox' ? thing.folder : thing.path)).toBe(false);
      owned.add(thing);
      return { release: () => void owned.delete(thing) };
    },
    signal,
    onLog: (line) => log.push(line),
  });
  started.push(sandbox);
  const thing = [...owned].find((each) => each.kind === 'sandbox');
  if (thing === undefined) throw new Error('not owned');
  return { sandbox, owned, log, thing };
}

function alive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

function postmaster(thing: SandboxThing): number {
  return Number(readFileSync(join(thing.dataDirectory, 'postmaster.pid'), 'utf8').split('\n')[0]);
}

test('starts, answers, is tuned for speed, and leaves nothing', async () => {
  const { sandbox, owned, thing } = await start({
    parameters: { work_mem: '33MB', application_name: "it's" },
  });
  const pid = postmaster(thing);
  const [row] = await withClient(sandbox.connection, {}, (client) =>
    client.query(
      "SELECT current_setting('fsync') AS fsync, current_setting('wal_level') AS wal, current_setting('listen_addresses') AS listen, current_setting('work_mem') AS mem",
    ),
  );
  expect(row).toEqual({ fsync: 'off', wal: 'minimal', listen: '', mem: '33MB' });
  await sandbox.stop();
  await sandbox.stop();
  expect(alive(pid)).toBe(false);
  expect(existsSync(thing.folder)).toBe(false);
  expect(owned.size).toBe(0);
});

test('a folder so deep that a socket has no room in it', async () => {
  const directory = join(temporaryFolder(), 'x'.repeat(100));
  mkdirSync(directory);
  execFileSync('chmod', ['-R', 'a+rx', join(directory, '..')]);
  const { sandbox, owned } = await start({ directory });
  await withClient(sandbox.connection, {}, (client) => client.query('SELECT 1'));
  const socket = [...owned].find((each) => each.kind === 'folder');
  expect(socket).toMatchObject({ path: sandbox.connection.host });
  await sandbox.stop();
  expect(existsSync(sandbox.connection.host)).toBe(false);
  expect(readdirSync(directory)).toEqual([]);
});

test('a server that cannot start says why, with its last words', async () => {
  const directory = temporaryFolder();
  execFileSync('chmod', ['a+rwx', directory]);
  await expect(start({ directory, parameters: { no_such_setting: '1' } })).rejects.toMatchObject({
    code: 'SANDBOX_FAILED',
    detail: expect.stringContaining('no_such_setting'),
    hint: expect.stringContaining('settings.sandbox.parameters'),
  });
  await expect(
    start({ directory, parameters: { shared_preload_libraries: 'nonsense' } }),
  ).rejects.toMatchObject({
    code: 'SANDBOX_FAILED',
    hint: expect.stringContaining('not installed'),
  });
  await expect(start({ directory: join(directory, 'missing') })).rejects.toMatchObject({
    code: 'SANDBOX_FAILED',
  });
  expect(readdirSync(directory)).toEqual([]);
});

test('cancelled while starting: nothing stays', async () => {
  const directory = temporaryFolder();
  execFileSync('chmod', ['a+rwx', directory]);
  const controller = new AbortController();
  const starting = start({ directory }, controller.signal);
  setTimeout(() => controller.abort(), 50);
  await expect(starting).rejects.toThrow();
  expect(readdirSync(directory)).toEqual([]);
});

test('recovery ends a server that was left behind, but no other process', async () => {
  const { thing } = await start();
  const pid = postmaster(thing);
  await removeSandbox(thing);
  await removeSandbox(thing);
  expect(alive(pid)).toBe(false);
  expect(existsSync(thing.folder)).toBe(false);

  // The number in a stale file belongs to somebody else by now.
  const folder = join(temporaryFolder(), uniqueName('stale'));
  const dataDirectory = join(folder, 'data');
  mkdirSync(dataDirectory, { recursive: true });
  const other = spawn('sleep', ['60']);
  writeFileSync(join(dataDirectory, 'postmaster.pid'), `${other.pid}\n${dataDirectory}\n`);
  await removeSandbox({ kind: 'sandbox', folder, dataDirectory });
  expect(existsSync(folder)).toBe(false);
  expect(alive(other.pid ?? -1)).toBe(true);
  other.kill();
});

describe('the template that initdb made once', () => {
  let cache = '';
  beforeEach(() => {
    cache = temporaryFolder();
    vi.stubEnv('XDG_CACHE_HOME', cache);
  });
  afterEach(() => {
    vi.unstubAllEnvs();
  });

  const templates = () => {
    const folder = join(cache, 'backplan', 'clusters');
    return existsSync(folder) ? readdirSync(folder).map((name) => join(folder, name)) : [];
  };
  const marked = (thing: SandboxThing) => existsSync(join(thing.dataDirectory, 'mark'));

  test('is copied from then on', async () => {
    const first = await start();
    const [template = ''] = templates();
    expect(templates()).toHaveLength(1);
    writeFileSync(join(template, 'data', 'mark'), '');
    const count = Number(readFileSync(join(template, 'entries'), 'utf8'));
    writeFileSync(join(template, 'entries'), String(count + 1));
    const second = await start();
    expect([marked(first.thing), marked(second.thing)]).toEqual([false, true]);
    const [row] = await withClient(second.sandbox.connection, {}, (client) =>
      client.query(
        "SELECT pg_encoding_to_char(encoding) AS e, datcollate AS c FROM pg_database WHERE datname = 'template0'",
      ),
    );
    expect(row).toEqual({ e: 'UTF8', c: 'C' });
  });

  test('that lost a file is made anew, and old ones go', async () => {
    await start();
    const [template = ''] = templates();
    writeFileSync(join(template, 'data', 'mark'), '');
    execFileSync('rm', [
      join(template, 'data', 'global', 'pg_control'),
      join(template, 'data', 'PG_VERSION'),
    ]);
    const other = join(template, '..', 'other');
    const cut = join(template, '..', 'x.partial');
    for (const folder of [other, cut]) mkdirSync(folder);
    utimesSync(other, 0, 0);
    const { thing } = await start();
    expect(marked(thing)).toBe(false);
    expect(templates().sort()).toEqual([template, cut].sort());
    expect(existsSync(join(template, 'data', 'PG_VERSION'))).toBe(true);
  });

  test('a cache that cannot be written costs nothing but time', async () => {
    writeFileSync(join(cache, 'backplan'), 'in the way');
    const { sandbox } = await start();
    await withClient(sandbox.connection, {}, (client) => client.query('SELECT 1'));
  });
});
