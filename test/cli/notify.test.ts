/** Notifications through the built command line: they tell, and never change what a run ends with. */
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { schemas } from '../../src/cli/listing-schemas.ts';
import { messageSchema } from '../../src/notify/message-schema.ts';
import type { Message } from '../../src/notify/notifier.ts';
import { compileSchema } from '../../src/validator.ts';
import { cli, startCli } from '../helpers/cli.ts';
import { temporaryFolder } from '../helpers/database.ts';
import { type Endpoint, hang, startEndpoint, status } from '../notify/endpoint.ts';

const folder = temporaryFolder();
const plan = join(folder, 'plan.yaml');
const state = join(folder, 'state');
let endpoint: Endpoint;
let env: Record<string, string>;

writeFileSync(
  plan,
  `version: 1
name: shop
databases: { crm: { url: postgresql://nobody@127.0.0.1:1/none } }
repositories: { local: { path: ./backups } }
notifiers:
  ops: { webhook: "\${HOOK}/ops/s3cret-token", retry: { attempts: 2, backoff: 10ms } }
  switch: { ping: "\${HOOK}/ping/s3cret-token", retry: { attempts: 1 } }
  deaf: { webhook: "\${HOOK}/deaf/s3cret-token", timeout: 300ms, retry: { attempts: 2, backoff: 10ms } }
  silent: { ping: "\${HOOK}/deaf/s3cret-token", timeout: 300ms, retry: { attempts: 1 } }
  gone: { slack: "\${NOT_SET}" }
jobs:
  nightly:
    notify: [ops, switch]
    steps:
      work: { uses: command, with: { run: "test -e ok" } }
  lonely:
    notify: [deaf, silent]
    steps:
      work: { uses: command, with: { run: "test -e ok" } }
  told:
    steps:
      say: { uses: notify, with: { to: [ops], message: "all is \${{ 1 + 1 }}", level: warning } }
      try: { uses: notify, needs: [say], with: { to: [ops, gone], message: second } }
      work: { uses: command, needs: [try], with: { run: "exit \${{ size(steps.try.outputs.failed) }}" } }
    onFailure:
      must: { uses: notify, with: { to: [gone], message: third, required: true } }
      tell: { uses: notify, with: { to: [ops], title: "It failed", message: "\${{ steps.work.status }}", level: error } }
  odd:
    notify: [ops]
    steps:
      work: { uses: command, with: { run: "echo \${MISSING}" } }
  slow:
    notify: [ops]
    steps:
      work: { uses: command, with: { run: [sleep, "60"] } }
`,
);

beforeAll(async () => {
  endpoint = await startEndpoint();
  env = { HOOK: endpoint.url, BACKPLAN_STATE: state };
});
afterAll(async () => await endpoint[Symbol.asyncDispose]());
beforeEach(() => {
  endpoint.received.length = 0;
  endpoint.replies.length = 0;
  endpoint.route = undefined;
});

const run = (...args: string[]) => cli(args, { env });
const paths = () => endpoint.received.map(({ path }) => path.split('?')[0]);
const messages = () =>
  endpoint.received.filter(({ path }) => path.startsWith('/ops')).map((each) => each.json<Message>());

describe('runs', () => {
  it('tell of a failure, and of the first success after it', async () => {
    expect((await run('run', plan, 'nightly')).code).toBe(1);
    expect(paths().sort()).toEqual([
      '/ops/s3cret-token',
      '/ping/s3cret-token/fail',
      '/ping/s3cret-token/start',
    ]);
    const [message] = messages();
    expect((await compileSchema(messageSchema))(structuredClone(message))).toEqual([]);
    expect(message).toMatchObject({
      event: 'failure',
      title: 'FAILED: nightly of shop: step work, TOOL_FAILED',
      run: { status: 'failed', exitCode: 1, job: 'nightly' },
    });
    expect(message?.next[0]).toBe(`backplan runs ${plan} ${message?.run?.id} --state ${state}`);
    // What is to be typed can be typed.
    expect((await run(...(message?.next[0] ?? '').split(' ').slice(1))).code).toBe(0);

    writeFileSync(join(folder, 'ok'), '');
    expect((await run('run', plan, 'nightly')).code).toBe(0);
    expect((await run('run', plan, 'nightly')).code).toBe(0);
    rmSync(join(folder, 'ok'));
    expect(messages().map(({ event }) => event)).toEqual(['failure', 'recovered']);
    expect(paths().filter((path) => path === '/ping/s3cret-token')).toHaveLength(2);
  });

  it('end as they would have ended when nobody can be reached, with a warning', async () => {
    endpoint.route = (path) => (path.startsWith('/deaf') ? hang : undefined);
    const started = performance.now();
    const { code, stdout, stderr } = await run('run', plan, 'lonely', '-o', 'json');
    expect(code).toBe(1);
    expect(performance.now() - started).toBeLessThan(25_000);
    expect(stderr).toMatch(
      /warning: notifier deaf was not told: FAILED: .* \(no answer in time after 2 tries\)/,
    );
    expect(stderr).toMatch(/warning: notifier silent was not told: STARTED/);
    const lines = stdout.trimEnd().split('\n');
    const record = JSON.parse(lines.at(-1) ?? '') as { status: string; exitCode: number; logFile: string };
    expect(record).toMatchObject({ status: 'failed', exitCode: 1 });
    expect(readFileSync(record.logFile, 'utf8')).toContain('notifier deaf was not told');
  });

  it('that could not start tell, and commands of the moment do not', async () => {
    const { code } = await run('run', plan, 'odd');
    expect(code).toBe(2);
    expect(messages()).toMatchObject([
      { event: 'failure', job: 'odd', title: 'FAILED: odd of shop could not start, ENV_MISSING', run: null },
    ]);
    expect((await run('backup', plan)).code).toBe(1);
    expect((await run('run', plan, 'nightly', '--dry-run')).code).toBe(0);
    expect(endpoint.received).toHaveLength(1);
  });

  it('that were cut off are told of by the next one', async () => {
    const slow = startCli(['run', plan, 'slow'], { env });
    await new Promise<void>((resolve) => {
      slow.child.stdout.on('data', () => {
        if (slow.output().includes('work: started')) resolve();
      });
    });
    slow.child.kill('SIGKILL');
    await slow.result;
    await run('run', plan, 'nightly');
    expect(messages().map(({ title }) => title)).toContain('FAILED: slow of shop: was cut off');
    expect(messages().find(({ job }) => job === 'slow')?.text).toContain('its process was killed');
  });
});

describe('the step', () => {
  it('tells, in steps and in onFailure, and fails only when it is required', async () => {
    const { stdout } = await run('run', plan, 'told', '-o', 'json');
    const record = JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '');
    const steps = Object.fromEntries(record.steps.map((step: { name: string }) => [step.name, step]));
    expect(steps).toMatchObject({
      say: { status: 'succeeded', outputs: { delivered: ['ops'], failed: [] } },
      try: { status: 'succeeded', outputs: { delivered: ['ops'], failed: ['gone'] } },
      work: { status: 'failed' },
      must: { status: 'failed', error: { code: 'NOTIFY_FAILED' } },
      tell: { status: 'succeeded' },
    });
    expect(record.exitCode).toBe(1);
    expect(messages()).toMatchObject([
      { event: 'message', level: 'warning', title: 'all is 2', text: 'all is 2', job: 'told' },
      { event: 'message', level: 'info', title: 'second' },
      { event: 'message', level: 'error', title: 'It failed', text: 'failed' },
    ]);
  });
});

describe('notify', () => {
  it('lists who is told of what, and sends nothing', async () => {
    const { code, stdout } = await run('notify', plan);
    expect(code).toBe(1);
    expect(stdout).toContain(`ops: webhook, ${new URL(endpoint.url).host}`);
    expect(stdout).toContain('told of  failure, recovered, proofOverdue, missed, planInvalid, diskLow');
    expect(stdout).toContain('told of  it is told of the start and the end of every run');
    expect(stdout).toContain('jobs     nightly, odd, slow');
    expect(stdout).toMatch(/gone: slack\n.*\n.*no job names it\n {2}cannot be used: NOT_SET is not set/);
    expect(endpoint.received).toEqual([]);
    expect((await run('notify', plan, 'ops')).code).toBe(0);
    const unknown = await run('notify', plan, 'op');
    expect(unknown.code).toBe(2);
    expect(unknown.stderr).toContain('did you mean "ops"?');
  });

  it('--test says what each endpoint answered', async () => {
    const good = await run('notify', plan, 'ops', '--test');
    expect(good.code).toBe(0);
    expect(good.stdout).toMatch(/^ops: webhook, .*: delivered in .* \(200 OK: ok\)\n$/);
    expect(messages()).toMatchObject([{ event: 'test', level: 'info' }]);
    endpoint.route = () => status(404, 'no such hook');
    const { code, stdout } = await run('notify', plan, '--test', '-o', 'json');
    expect(code).toBe(1);
    const listing = JSON.parse(stdout);
    expect((await compileSchema(schemas.notify))(structuredClone(listing))).toEqual([]);
    expect(listing).toMatchObject({
      ok: false,
      notifiers: [
        { notifier: 'ops', test: { delivered: false, said: '404 Not Found: no such hook' } },
        { notifier: 'switch', test: { delivered: false } },
        { notifier: 'deaf' },
        { notifier: 'silent' },
        { notifier: 'gone', problem: expect.stringContaining('NOT_SET') },
      ],
    });
  });
});

it('keeps the secrets of notifiers out of everything that is written', () => {
  const files = readdirSync(state, { recursive: true, withFileTypes: true }).filter((each) => each.isFile());
  expect(files.length).toBeGreaterThan(3);
  for (const file of files) {
    expect(readFileSync(join(file.parentPath, file.name), 'latin1'), file.name).not.toContain('s3cret-token');
  }
});
