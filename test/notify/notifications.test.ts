/** Who is told of what and how often, with a real journal and real endpoints; what the messages say. */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createApp } from '../../src/app.ts';
import type { ErrorCode } from '../../src/errors.ts';
import { messageSchema } from '../../src/notify/message-schema.ts';
import { makeNotifications, type Notifications } from '../../src/notify/notifications.ts';
import type { Message } from '../../src/notify/notifier.ts';
import type { Occurrence, ProvenBackup } from '../../src/notify/occurrence.ts';
import { parsePlan } from '../../src/plan/load.ts';
import type { Plan } from '../../src/plan/model.ts';
import type { RunRecord, StepRecord } from '../../src/runs/record.ts';
import { newRunId } from '../../src/runs/run-id.ts';
import { type Journal, openJournal } from '../../src/runs/store.ts';
import { Masker } from '../../src/secret.ts';
import { compileSchema } from '../../src/validator.ts';
import { temporaryFolder } from '../helpers/database.ts';
import { type Endpoint, hang, startEndpoint, status } from './endpoint.ts';

const folder = temporaryFolder();
const { vocabulary } = createApp();
const HOUR = 3_600_000;
let endpoint: Endpoint;
let journal: Journal;
let clock: number;
let problems: string[];
let open: Notifications[];
let proven: (database: string) => Promise<ProvenBackup | null>;
let state: string;
let states = 0;

beforeAll(async () => {
  endpoint = await startEndpoint();
});
afterAll(async () => await endpoint[Symbol.asyncDispose]());

beforeEach(async () => {
  states += 1;
  state = join(folder, `state ${states}`);
  journal = await openJournal(state);
  clock = Date.parse('2026-11-24T02:00:00Z');
  problems = [];
  open = [];
  proven = async () => ({ backup: 'local:crm-20261123T020000Z-aaaaaa', takenAt: '2026-11-23T02:00:00Z' });
  endpoint.received.length = 0;
  endpoint.replies.length = 0;
  endpoint.route = undefined;
});
afterEach(async () => {
  for (const each of open) await each.close(2000);
  journal.close();
});

async function load(notifiers: string, job = 'notify: [ops]'): Promise<Plan> {
  const { plan, diagnostics } = await parsePlan(
    join(folder, 'a plan.yaml'),
    `version: 1
name: crm
databases: { crm: { url: "\${URL}", rpo: 26h }, other: { url: "\${URL}" } }
repositories: { local: { path: ./b } }
notifiers:
${notifiers
  .trim()
  .split('\n')
  .map((line) => `  ${line.trim()}`)
  .join('\n')}
jobs:
  nightly:
    ${job}
    steps:
      dump: { uses: backup, with: { database: crm, repository: local } }
      check: { uses: check, needs: [dump], with: { suite: s, database: crm } }
  other:
    steps: { dump: { uses: backup, with: { database: other, repository: local } } }
suites: { s: [{ tables: [T] }] }
`,
    vocabulary,
  );
  expect(diagnostics.filter(({ severity }) => severity === 'error')).toEqual([]);
  return plan as Plan;
}

function notify(plan: Plan, env: NodeJS.ProcessEnv = { HOOK: `${endpoint.url}/s3cret-path` }): Notifications {
  const notifications = makeNotifications({
    plan,
    kinds: vocabulary.notifiers,
    env,
    masker: new Masker(),
    journal,
    stateDirectory: state,
    stateIsDefault: false,
    provenOf: (database) => proven(database),
    onProblem: (message) => problems.push(message),
    now: () => new Date(clock),
    random: () => 0,
  });
  open.push(notifications);
  return notifications;
}

const step = (change: Partial<StepRecord> = {}): StepRecord => ({
  name: 'dump',
  uses: 'backup',
  status: 'succeeded',
  attempts: 1,
  durationMs: 1000,
  ...change,
});

const failing = (code: ErrorCode = 'CONNECTION_FAILED', name = 'dump'): StepRecord =>
  step({
    name,
    status: 'failed',
    attempts: 3,
    durationMs: 61_000,
    error: {
      code,
      message: 'cannot connect to db:5432',
      hint: 'Is the server running?',
      detail: 'a\nb\n\nc',
    },
  });

/** Writes a run into the journal, as the engine would have, and returns it. */
function ran(
  runStatus: RunRecord['status'],
  steps: StepRecord[] = [step()],
  change: Partial<RunRecord> = {},
): RunRecord {
  clock += 1000;
  const failed = steps.find((each) => each.status === 'failed' && each.tolerated !== true);
  const run: RunRecord = {
    id: newRunId(new Date(clock)),
    plan: 'crm',
    planFile: join(folder, 'a plan.yaml'),
    job: 'nightly',
    status: runStatus,
    exitCode: runStatus === 'succeeded' ? 0 : 1,
    trigger: 'schedule',
    inputs: {},
    startedAt: new Date(clock).toISOString(),
    endedAt: new Date(clock).toISOString(),
    durationMs: 125_000,
    logFile: '/state/logs/crm/run.jsonl',
    host: 'db1',
    pid: 1,
    steps,
    ...(failed?.error === undefined
      ? {}
      : { error: { ...failed.error, message: `step ${failed.name} failed: ${failed.error.message}` } }),
    ...change,
  };
  journal.startRun({ ...run, status: 'running' });
  journal.finishRun(run);
  return run;
}

const finished = (run: RunRecord, remarks: string[] = []): Occurrence => ({
  type: 'runFinished',
  run,
  remarks,
});
const messages = () => endpoint.received.map((each) => each.json<Message>());
const events = () => messages().map(({ event }) => event);

describe('what is told', () => {
  it('says what failed, why, what is safe and what to type', async () => {
    const notifications = notify(await load('ops: { webhook: "${HOOK}" }'));
    ran('succeeded');
    ran('failed', [failing()]);
    const run = ran('failed', [failing(), step({ name: 'check', uses: 'check', status: 'skipped' })]);
    notifications.handle(finished(run));
    await notifications.settle(20_000);
    const [message] = messages();
    expect((await compileSchema(messageSchema))(structuredClone(message))).toEqual([]);
    const { text, title, next, facts, ...rest } = message as Message;
    expect(title).toBe('FAILED: nightly of crm: step dump, CONNECTION_FAILED');
    expect(text.split('\n')).toEqual([
      'Step dump (backup) failed after 1m 1s, at try 3.',
      'CONNECTION_FAILED: cannot connect to db:5432',
      'What to do: Is the server running?',
      '  | a',
      '  | b',
      '  | c',
      'Not done because of it: check.',
      'Newest proven backup of crm: local:crm-20261123T020000Z-aaaaaa, 1d old.',
      'This is failure number 2 in a row; it last succeeded at 2026-11-24T02:00:01.000Z.',
    ]);
    const file = `'${join(folder, 'a plan.yaml')}'`;
    const option = `--state '${state}'`;
    expect(next).toEqual([
      `backplan runs ${file} ${run.id} ${option}`,
      `backplan doctor ${file} ${option}`,
      `backplan run ${file} nightly ${option}`,
    ]);
    expect(Object.fromEntries(facts.map(({ name, value }) => [name, value]))).toMatchObject({
      job: 'nightly',
      step: 'dump (backup)',
      error: 'CONNECTION_FAILED',
      run: run.id,
      took: '2m 5s',
      log: '/state/logs/crm/run.jsonl',
    });
    expect(rest).toMatchObject({
      event: 'failure',
      level: 'error',
      plan: 'crm',
      job: 'nightly',
      database: 'crm',
      key: 'crm/job/nightly',
      held: 0,
      run: { id: run.id },
    });
    expect(problems).toEqual([]);
  });

  it('goes on without the newest proven backup when that takes long or fails', async () => {
    proven = async () => {
      throw new Error('disk on fire');
    };
    const notifications = notify(await load('ops: { webhook: "${HOOK}" }'));
    notifications.handle(finished(ran('failed', [failing()])));
    await notifications.settle(20_000);
    expect(messages()[0]?.text).toContain('Newest proven backup of crm: could not be looked up in time.');
    proven = async () => null;
    notifications.handle(finished(ran('failed', [failing('DISK_FULL')])));
    await notifications.settle(20_000);
    expect(messages()[1]?.text).toContain('There is no proven backup of crm.');
  });

  it.each<[Occurrence, string, string]>([
    [
      { type: 'notStarted', job: 'nightly', error: { code: 'LOCKED', message: 'held by run x' } },
      'failure',
      'FAILED: nightly of crm could not start, LOCKED',
    ],
    [
      { type: 'missed', job: 'nightly', due: ['2026-11-24T01:00:00Z'], because: 'nobody ran', madeUp: false },
      'missed',
      'MISSED: nightly of crm did not run at 2026-11-24T01:00:00Z',
    ],
    [
      { type: 'planInvalid', problems: 'plan.yaml:3:1 error' },
      'planInvalid',
      'PLAN INVALID: crm goes on with the version from before',
    ],
    [
      { type: 'proofOverdue', database: 'crm', rpo: '26h', newest: null },
      'proofOverdue',
      'NOT RECOVERABLE: crm of crm has no proven backup',
    ],
    [
      {
        type: 'proofOverdue',
        database: 'crm',
        rpo: '26h',
        newest: { backup: 'local:x', takenAt: '2026-11-20T02:00:00Z' },
      },
      'proofOverdue',
      'PROOF OVERDUE: the newest proven backup of crm is 4d old, 26h allowed',
    ],
    [
      { type: 'diskLow', path: '/srv/b', freeBytes: 1e9, wantedBytes: 5e9 },
      'diskLow',
      'DISK LOW: 1.0 GB free at /srv/b (crm)',
    ],
  ])('%j', async (occurrence, event, title) => {
    const notifications = notify(await load('ops: { webhook: "${HOOK}" }'));
    notifications.handle(occurrence);
    await notifications.settle(20_000);
    const [message] = messages();
    expect(message).toMatchObject({ event, title });
    expect((await compileSchema(messageSchema))(structuredClone(message))).toEqual([]);
    expect(message?.next.length).toBeGreaterThan(0);
  });

  it('tells of the end of what is no run only when its beginning was told', async () => {
    const notifications = notify(await load('ops: { webhook: "${HOOK}" }'));
    const newest = { backup: 'local:x', takenAt: '2026-11-24T01:00:00Z' };
    const all: Occurrence[] = [
      { type: 'planValid' },
      { type: 'planInvalid', problems: 'p' },
      { type: 'planValid' },
      { type: 'planValid' },
      { type: 'proofOverdue', database: 'crm', rpo: '26h', newest: null },
      { type: 'proofMet', database: 'other', newest },
      { type: 'proofMet', database: 'crm', newest },
      { type: 'diskLow', path: '/a', freeBytes: 1, wantedBytes: 2 },
      { type: 'diskEnough', path: '/a', freeBytes: 3 },
    ];
    for (const each of all) notifications.handle(each);
    await notifications.settle(20_000);
    expect(events()).toEqual([
      'planInvalid',
      'recovered',
      'proofOverdue',
      'recovered',
      'diskLow',
      'recovered',
    ]);
    expect(messages().map(({ key }) => key)).toEqual(
      ['crm/plan', 'crm/proof/crm', 'crm/disk//a'].flatMap((key) => [key, key]),
    );
  });
});

describe('who is told', () => {
  it('by `on`, the most telling event once', async () => {
    const plan = await load(
      `all: { webhook: "\${HOOK}/all", on: [failure, checksFailed, success, recovered, warning, cancelled] }
      fails: { webhook: "\${HOOK}/fails", on: [failure] }
      checks: { webhook: "\${HOOK}/checks", on: [checksFailed] }
      good: { webhook: "\${HOOK}/good", on: [success] }
      silent: { webhook: "\${HOOK}/silent" }`,
      'notify: [all, fails, checks, good]',
    );
    const notifications = notify(plan);
    const told = async (run: RunRecord, remarks: string[] = []) => {
      endpoint.received.length = 0;
      notifications.handle(finished(run, remarks));
      await notifications.settle(20_000);
      return Object.fromEntries(
        endpoint.received.map((each) => [each.path.split('/').at(-1), each.json<Message>().event]).sort(),
      );
    };
    expect(await told(ran('succeeded'))).toEqual({ all: 'success', good: 'success' });
    expect(
      await told(ran('failed', [failing('CHECKS_FAILED', 'check')], { exitCode: 3 }), ['failed a: b']),
    ).toEqual({ all: 'checksFailed', fails: 'failure', checks: 'checksFailed' });
    expect(messages()[0]).toMatchObject({ title: 'CHECKS FAILED: nightly of crm, step check' });
    expect(messages()[0]?.text).toContain('failed a: b');
    expect(await told(ran('succeeded'))).toEqual({ all: 'recovered', good: 'success' });
    expect(
      await told(ran('succeeded', [step()], { verdict: 'verifiedWithWarnings' }), ['warned x: y']),
    ).toEqual({
      all: 'warning',
      good: 'success',
    });
    expect(messages()[0]?.text).toContain('warned x: y');
    const tolerated = step({
      status: 'failed',
      tolerated: true,
      error: { code: 'DUMP_FAILED', message: 'm' },
    });
    clock += 2 * HOUR;
    expect(await told(ran('succeeded', [tolerated]))).toEqual({ all: 'warning', good: 'success' });
    expect(await told(ran('cancelled', [step({ status: 'cancelled' })], { exitCode: 130 }))).toEqual({
      all: 'cancelled',
    });
    expect(await told(ran('interrupted', [step({ status: 'interrupted' })]))).toEqual({
      all: 'failure',
      fails: 'failure',
    });
    // What concerns no job of theirs is told to everybody who wants it.
    endpoint.received.length = 0;
    notifications.handle({ type: 'planInvalid', problems: 'p' });
    notifications.handle(finished(ran('failed', [failing()], { job: 'other' })));
    await notifications.settle(20_000);
    expect(endpoint.received.map(({ path }) => path)).toEqual(['/s3cret-path/silent']);
  });

  it('sends recovered for the first good run after failures, by the journal', async () => {
    const plan = await load('ops: { webhook: "${HOOK}", on: [recovered] }');
    ran('succeeded');
    ran('failed', [failing()]);
    ran('cancelled');
    ran('interrupted');
    const first = ran('succeeded');
    const second = ran('succeeded');
    const notifications = notify(plan);
    notifications.handle(finished(first));
    notifications.handle(finished(second));
    await notifications.settle(20_000);
    expect(messages()).toMatchObject([
      { event: 'recovered', title: 'RECOVERED: nightly of crm is well again after 2 failed runs' },
    ]);
  });

  it('sends recovered after a run that could not even start', async () => {
    const notifications = notify(await load('ops: { webhook: "${HOOK}" }'));
    notifications.handle({ type: 'notStarted', job: 'nightly', error: { code: 'LOCKED', message: 'm' } });
    notifications.handle(finished(ran('succeeded')));
    notifications.handle(finished(ran('succeeded')));
    await notifications.settle(20_000);
    expect(events()).toEqual(['failure', 'recovered']);
  });

  it('pings every start and end, and resolves incidents whatever `on` says', async () => {
    const plan = await load(
      `switch: { ping: "\${HOOK}" }
      pager: { pagerduty: { routingKey: "\${KEY}", url: "\${HOOK}/pager" }, on: [failure] }`,
      'notify: [switch, pager]',
    );
    const notifications = notify(plan, { HOOK: `${endpoint.url}/x`, KEY: 'k3y' });
    for (const runStatus of ['failed', 'failed', 'succeeded', 'succeeded'] as const) {
      const run = ran(runStatus, runStatus === 'failed' ? [failing()] : [step()]);
      notifications.handle({ type: 'runStarted', run });
      notifications.handle(finished(run));
    }
    await notifications.settle(20_000);
    const pings = endpoint.received.filter(({ path }) => !path.endsWith('/pager'));
    expect(pings.map(({ path }) => path.split('?')[0])).toEqual([
      '/x/start',
      '/x/fail',
      '/x/start',
      '/x/fail',
      '/x/start',
      '/x',
      '/x/start',
      '/x',
    ]);
    const pages = endpoint.received.filter(({ path }) => path.endsWith('/pager')).map((each) => each.json());
    expect(pages.map(({ event_action }) => event_action)).toEqual(['trigger', 'resolve']);
    expect(new Set(pages.map(({ dedup_key }) => dedup_key)).size).toBe(1);
  });
});

describe('how often', () => {
  it('tells the same problem once in a while, another one at once, across processes', async () => {
    const plan = await load('ops: { webhook: "${HOOK}", repeat: 1h }');
    const tell = async (run: RunRecord) => {
      // Each run from cron is a process of its own.
      const notifications = notify(plan);
      notifications.handle(finished(run));
      await notifications.close(20_000);
    };
    await tell(ran('failed', [failing()]));
    await tell(ran('failed', [failing()]));
    await tell(ran('failed', [failing()]));
    expect(events()).toEqual(['failure']);
    await tell(ran('failed', [failing('DISK_FULL')]));
    expect(events()).toEqual(['failure', 'failure']);
    await tell(ran('failed', [failing('DISK_FULL')]));
    clock += HOUR;
    await tell(ran('failed', [failing('DISK_FULL')]));
    expect(messages().at(-1)).toMatchObject({ held: 1 });
    expect(messages().at(-1)?.text).toContain('The same happened once more since it was last told.');
    // A clock that was set back does not silence anybody for long.
    clock -= 5 * HOUR;
    await tell(ran('failed', [failing('DISK_FULL')]));
    expect(events()).toHaveLength(4);
    await tell(ran('succeeded'));
    await tell(ran('failed', [failing('DISK_FULL')]));
    expect(events().slice(4)).toEqual(['recovered', 'failure']);
  });

  it('keeps to the limit of each notifier, and says later what was left out', async () => {
    const plan = await load(
      `ops: { webhook: "\${HOOK}/ops", on: [success], limit: { messages: 2, per: 10m } }
      other: { webhook: "\${HOOK}/other", on: [success] }`,
      'notify: [ops, other]',
    );
    const notifications = notify(plan);
    for (let count = 0; count < 5; count += 1) notifications.handle(finished(ran('succeeded')));
    await notifications.settle(20_000);
    const of = (name: string) => endpoint.received.filter(({ path }) => path.endsWith(name));
    expect([of('/ops').length, of('/other').length]).toEqual([2, 5]);
    clock += 11 * 60_000;
    notifications.handle(finished(ran('succeeded')));
    await notifications.settle(20_000);
    expect(of('/ops').at(-1)?.json<Message>().text).toContain('3 other messages were left out');
  });

  it('tells again what could not be delivered', async () => {
    const plan = await load('ops: { webhook: "${HOOK}", retry: { attempts: 1 } }');
    const notifications = notify(plan);
    endpoint.replies.push(status(500));
    notifications.handle(finished(ran('failed', [failing()])));
    await notifications.settle(20_000);
    notifications.handle(finished(ran('failed', [failing()])));
    await notifications.settle(20_000);
    expect(messages()).toHaveLength(2);
    expect(messages()[1]).toMatchObject({ held: 1 });
  });

  it('goes on without its memory', async () => {
    writeFileSync(
      join(state, 'notifications.db'),
      'this is no database, and it is long enough to be read as one'.repeat(20),
    );
    const notifications = notify(await load('ops: { webhook: "${HOOK}" }'));
    notifications.handle(finished(ran('failed', [failing()])));
    notifications.handle(finished(ran('failed', [failing()])));
    await notifications.settle(20_000);
    expect(events()).toEqual(['failure', 'failure']);
    expect(problems).toEqual([expect.stringContaining('what was told is not remembered')]);
    rmSync(join(state, 'notifications.db'));
  });
});

describe('delivery', () => {
  const one = 'ops: { webhook: "${HOOK}", timeout: 5s, retry: { attempts: 3, backoff: 10ms } }';

  it('tries again with pauses, and as late as it is asked to', async () => {
    const notifications = notify(await load(one));
    endpoint.replies.push(status(500, 'oops'), status(429, '', { 'retry-after': '0.2' }));
    const started = performance.now();
    notifications.handle(finished(ran('failed', [failing()])));
    await notifications.settle(20_000);
    expect(endpoint.received).toHaveLength(3);
    expect(performance.now() - started).toBeGreaterThan(200);
    expect(problems).toEqual([]);
  });

  it('gives up in the end, in words without secrets', async () => {
    const notifications = notify(await load(one));
    endpoint.replies.push(status(502), status(500), status(503, `no ${endpoint.url}/s3cret-path`));
    notifications.handle(finished(ran('failed', [failing()])));
    await notifications.settle(20_000);
    expect(problems).toEqual([
      'notifier ops was not told: FAILED: nightly of crm: step dump, CONNECTION_FAILED (503 Service Unavailable: no *** after 3 tries)',
    ]);
    endpoint.replies.push(status(404, 'no such channel'));
    notifications.handle({ type: 'planInvalid', problems: 'p' });
    await notifications.settle(20_000);
    expect(problems[1]).toContain('(404 Not Found: no such channel)');
  });

  it('does not wait longer than it is told to, whatever the endpoint does', async () => {
    const plan = await load(
      `ops: { webhook: "\${HOOK}/a", timeout: 1m, retry: { attempts: 9, backoff: 1m } }
      late: { webhook: "\${HOOK}/b", retry: { attempts: 9, backoff: 1m } }
      shell: { command: "trap '' TERM; sleep 60", timeout: 1m }`,
      'notify: [ops, late, shell]',
    );
    const notifications = notify(plan);
    endpoint.route = (path) => (path.endsWith('/a') ? hang : status(503));
    notifications.handle(finished(ran('failed', [failing()])));
    const started = performance.now();
    await notifications.settle(1000);
    expect(performance.now() - started).toBeLessThan(15_000);
    expect(problems.map((each) => /notifier (\w+) was not told/.exec(each)?.[1]).sort()).toEqual([
      'late',
      'ops',
      'shell',
    ]);
  });

  it('leaves alone the notifiers that can be used when one cannot', async () => {
    const plan = await load(
      `ops: { webhook: "\${HOOK}" }
      gone: { slack: "\${NOT_SET}" }`,
      'notify: [gone, ops]',
    );
    const notifications = notify(plan);
    notifications.handle(finished(ran('failed', [failing()])));
    await notifications.settle(20_000);
    expect(events()).toEqual(['failure']);
    expect(problems).toEqual([expect.stringMatching(/^notifier gone cannot be used: NOT_SET is not set \(/)]);
    await expect(notifications.test('gone')).rejects.toMatchObject({ code: 'ENV_MISSING' });
    expect(await notifications.test('ops')).toMatchObject({ delivered: true, said: '200 OK: ok' });
    expect(messages().at(-1)).toMatchObject({ event: 'test', title: 'TEST: ops of crm works' });
  });

  it('sends what steps announce, whatever `on` says', async () => {
    const notifications = notify(await load('ops: { webhook: "${HOOK}", on: [cancelled] }'));
    const [delivery] = await notifications.announce(
      ['ops'],
      { level: 'warning', title: 'Title', text: 'First\nSecond' },
      { id: 'run-1', job: 'nightly' },
    );
    expect(delivery).toMatchObject({ notifier: 'ops', delivered: true, attempts: 1 });
    expect(messages()).toMatchObject([
      { event: 'message', level: 'warning', title: 'Title', text: 'First\nSecond', job: 'nightly' },
    ]);
  });
});
