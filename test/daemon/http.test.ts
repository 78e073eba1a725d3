/** The HTTP API of a real daemon with a real backup; every answer is held against the OpenAPI document. */
import { execFile, execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Ajv2020 } from 'ajv/dist/2020.js';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Daemon, startDaemon } from '../../src/daemon/daemon.ts';
import { type HttpOptions, type HttpService, makeHttpService } from '../../src/daemon/http/service.ts';
import { httpOptions } from '../../src/daemon/http/settings.ts';
import { createDatabase, sharedUrl, temporaryFolder } from '../helpers/database.ts';
import { rounds } from '../helpers/rounds.ts';

const SECRET = 'hunter2-and-more';
const folder = temporaryFolder();
const running: { daemon: Daemon; service: HttpService }[] = [];
let base: string;
let daemon: Daemon;
let document: {
  paths: Record<
    string,
    Record<string, { responses: Record<string, { content: Record<string, { schema: object }> }> }>
  >;
};

async function start(options: Partial<HttpOptions> = {}) {
  const state = join(folder, `state-${running.length}`);
  const service = makeHttpService({ host: '127.0.0.1', port: 0, ...options });
  const started = await startDaemon({
    plans: [join(folder, 'plan.yaml')],
    maxRunning: 5,
    stateDirectory: state,
    services: [service],
    graceMs: 0,
  });
  running.push({ daemon: started, service });
  return { daemon: started, url: service.url() ?? '' };
}

beforeAll(async () => {
  const database = createDatabase('http', 'CREATE TABLE t AS SELECT generate_series(1, 10) AS n');
  const url = sharedUrl(database).replace('postgres@', `postgres:${SECRET}@`);
  writeFileSync(
    join(folder, 'plan.yaml'),
    `version: 1
name: web
databases: { my-crm: { url: "${url}", rpo: 2h } }
repositories: { local: { path: ./backups } }
suites: { all: [ { rowCount: { table: t, min: 1 } } ] }
jobs:
  back-up:
    description: makes and checks
    schedule: { cron: "30 2 * * *" }
    steps:
      dump: { uses: backup, with: { database: my-crm, repository: local } }
      check: { uses: check, needs: [dump], with: { suite: all, database: my-crm } }
      prune: { uses: prune, needs: [check], with: { repository: local, database: my-crm, keep: { last: 3 } } }
  wait:
    inputs: { seconds: { type: number } }
    steps: { sleep: { uses: command, with: { run: [sleep, "\${{ string(inputs.seconds) }}"] } } }
`,
  );
  const made = await start();
  ({ daemon, url: base } = made);
  document = (await (await fetch(`${base}/api/v1/openapi.json`)).json()) as typeof document;
});

afterAll(async () => {
  for (const each of running) await each.daemon.stop();
});

const ajv = new Ajv2020({ strict: false, validateFormats: false });

/** Asks and holds the answer against the document. `path` as it is there, with values for its braces. */
async function ask(
  method: 'get' | 'post',
  path: string,
  { values = {}, query = '', body }: { values?: Record<string, string>; query?: string; body?: unknown } = {},
) {
  const filled = path.replaceAll(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(values[name] ?? ''));
  const response = await fetch(`${base}${filled}${query}`, {
    method,
    ...(method === 'post'
      ? { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body ?? {}) }
      : {}),
  });
  // biome-ignore lint/suspicious/noExplicitAny: held against the document's schema below
  const json = (await response.json()) as any;
  const declared = document.paths[path]?.[method]?.responses[String(response.status)];
  expect(declared, `${method} ${path} answers ${response.status}: ${JSON.stringify(json)}`).toBeDefined();
  const validate = ajv.compile(declared?.content['application/json']?.schema ?? {});
  validate(json);
  expect(validate.errors ?? [], path).toEqual([]);
  expect(JSON.stringify(json)).not.toContain(SECRET);
  return { status: response.status, json };
}

const RUNS = '/api/v1/plans/{plan}/jobs/{job}/runs';

async function events(path: string): Promise<string> {
  const response = await fetch(base + path, { signal: AbortSignal.timeout(30_000) });
  expect(response.headers.get('content-type')).toContain('text/event-stream');
  return await response.text();
}

describe('a job that is started by a request', () => {
  let run: string;
  test('runs, is watched live to its end, and is in the history', async () => {
    expect((await ask('get', '/api/v1/plans')).json.plans[0]).toMatchObject({
      name: 'web',
      jobs: ['back-up', 'wait'],
    });
    const { jobs } = (await ask('get', '/api/v1/jobs', { query: '?plan=web' })).json as {
      jobs: Record<string, unknown>[];
    };
    expect(jobs.map(({ job, scheduled }) => [job, scheduled])).toEqual([
      ['back-up', true],
      ['wait', false],
    ]);
    expect(jobs[0]?.nextFirings).toHaveLength(3);
    const started = await ask('post', RUNS, { values: { plan: 'web', job: 'back-up' } });
    expect(started.status).toBe(202);
    run = String(started.json.run);
    await expect.poll(() => daemon.journal.listRuns().length).toBe(1);
    const text = await events(`/api/v1/runs/${run}/events`);
    expect(text).toMatch(/^event: run\n/);
    expect(text).toMatch(/event: run:finished\ndata: .*"status":"succeeded"/);
    expect(text).not.toContain(SECRET);
    const record = await ask('get', '/api/v1/runs/{run}', { values: { run } });
    expect(record.json).toMatchObject({ id: run, status: 'succeeded', trigger: 'api', verdict: 'verified' });
    expect((await ask('get', '/api/v1/runs', { query: '?status=succeeded&limit=5' })).json.runs).toHaveLength(
      1,
    );
  });

  test('left a log, which comes piece by piece, and a backup', async () => {
    const path = '/api/v1/runs/{run}/log';
    const first = (await ask('get', path, { values: { run } })).json as {
      lines: { message: string }[];
      next: number;
    };
    expect(first).toMatchObject({ complete: true });
    expect(first.lines.map(({ message }) => message).join('\n')).toContain('run started');
    const rest = await ask('get', path, { values: { run }, query: `?offset=${first.next}` });
    expect(rest.json).toEqual({ lines: [], next: first.next, complete: true });
    await expect
      .poll(async () => (await ask('get', '/api/v1/backups')).json.backups)
      .toMatchObject([{ database: 'my-crm', proven: false, whole: true }]);
    expect((await ask('get', '/api/v1/backups', { query: '?database=other' })).json.backups).toEqual([]);
  });

  test('is counted', async () => {
    const response = await fetch(`${base}/metrics`);
    const text = await response.text();
    const labels = 'plan="web",job="back-up"';
    expect(text).toContain(`backplan_runs_total{${labels},status="succeeded",trigger="api"} 1`);
    expect(text).toContain(`backplan_checks_total{${labels},status="passed"} 1`);
    expect(text).toContain('backplan_backups{plan="web",repository="local",database="my-crm"} 1');
    expect(text).toContain('backplan_database_rpo_seconds{plan="web",database="my-crm"} 7200');
    expect(text).toMatch(
      /backplan_job_last_success_timestamp_seconds\{plan="web",job="back-up"\} 1[78]\d{8}/,
    );
    expect(text).not.toContain(SECRET);
  });
});

test('a run is cancelled, and tried again with its inputs', async () => {
  const values = { plan: 'web', job: 'wait' };
  const bad = await ask('post', RUNS, { values, body: { inputs: { seconds: 'soon' } } });
  expect([bad.status, bad.json.error.code]).toEqual([400, 'INPUT_INVALID']);
  const { run } = (await ask('post', RUNS, { values, body: { inputs: { seconds: 60 } } })).json as {
    run: string;
  };
  expect((await ask('post', RUNS, { values, body: { inputs: { seconds: 60 } } })).status).toBe(409);
  const retry = (id: string) => ask('post', '/api/v1/runs/{run}/retry', { values: { run: id } });
  const cancel = (id: string) => ask('post', '/api/v1/runs/{run}/cancel', { values: { run: id } });
  const statusOf = (id: string) => daemon.journal.listRuns().find((each) => each.id === id)?.status;
  await expect.poll(() => statusOf(run)).toBe('running');
  expect((await retry(run)).status).toBe(409);
  expect((await cancel(run)).status).toBe(202);
  await expect.poll(() => statusOf(run), { timeout: 10_000 }).toBe('cancelled');
  expect((await cancel(run)).status).toBe(409);
  await expect.poll(async () => (await retry(run)).status).toBe(202);
  await expect.poll(() => daemon.journal.listRuns({ status: 'running' })[0]?.inputs).toEqual({ seconds: 60 });
  const [again] = daemon.journal.listRuns({ status: 'running' });
  await cancel(again?.id ?? '');
  await expect.poll(() => statusOf(again?.id ?? ''), { timeout: 10_000 }).toBe('cancelled');
});

test.each([
  ['get', '/api/v1/runs/{run}', { values: { run: 'nothing' } }, 404],
  ['get', '/api/v1/runs', { query: '?status=lost' }, 400],
  ['get', '/api/v1/runs', { query: '?limit=0' }, 400],
  ['get', '/api/v1/runs', { query: '?limt=5' }, 400],
  ['post', RUNS, { values: { plan: 'web', job: 'constructor' } }, 404],
  ['post', RUNS, { values: { plan: 'web', job: 'wait' }, body: { input: {} } }, 400],
  ['post', RUNS, { values: { plan: 'web', job: 'wait' }, body: [] }, 400],
  ['post', RUNS, { values: { plan: 'web', job: 'wait' }, body: { inputs: { x: 'y'.repeat(70_000) } } }, 413],
] as const)('%s %s %j: %i', async (method, path, how, status) => {
  const answer = await ask(method, path, how);
  expect(answer.status).toBe(status);
});

test('requests of pages in a browser are refused', async () => {
  const asked = async (headers: Record<string, string>, method = 'GET') => {
    const { port } = new URL(base);
    const args = Object.entries(headers).flatMap(([name, value]) => ['-H', `${name}: ${value}`]);
    const url = `http://127.0.0.1:${port}/api/v1/plans`;
    const { stdout } = await promisify(execFile)('curl', [
      ...['-s', '-o', '/dev/null', '-w', '%{http_code}', '-X', method, ...args, url],
    ]);
    return stdout;
  };
  expect(await asked({})).toBe('200');
  expect(await asked({ Host: 'evil.example' })).toBe('403');
  expect(await asked({ Origin: 'https://evil.example' })).toBe('403');
  expect(await asked({ 'Content-Type': 'text/plain' }, 'POST')).toBe('415');
});

test('nothing that is sent makes it fail or hang', async () => {
  const paths = Object.keys(document.paths).filter((path) => !path.endsWith('/events'));
  const text = fc.string({ maxLength: 40, unit: 'binary' });
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...paths, '/api/v1/nothing', '/'),
      fc.constantFrom('GET', 'POST', 'PUT', 'DELETE', 'HEAD', 'OPTIONS'),
      text,
      text,
      fc.oneof(text, fc.json()),
      async (path, method, value, query, body) => {
        const filled = path.replaceAll(/\{\w+\}/g, () => encodeURIComponent(value.toWellFormed()) || 'x');
        const asked = () =>
          fetch(`${base}${filled}?${encodeURIComponent(query.toWellFormed())}=1`, {
            method,
            signal: AbortSignal.timeout(10_000),
            ...(/GET|HEAD/.test(method) ? {} : { body, headers: { 'content-type': 'application/json' } }),
          });
        // A connection whose last body was not read to its end is closed while fetch would use it again.
        const response = await asked().catch(asked);
        await response.arrayBuffer();
        expect(response.status).toBeLessThan(500);
      },
    ),
    { numRuns: rounds(150) },
  );
  expect((await ask('get', '/readyz')).json).toEqual({ status: 'ok' });
});

describe('beyond loopback', () => {
  test('a token is needed, to start and to ask', async () => {
    expect(() => makeHttpService({ host: '0.0.0.0', port: 0 })).toThrow(/would let anyone in/);
    const tokenFile = join(folder, 'token');
    writeFileSync(tokenFile, 'short\n');
    await expect(start({ host: '0.0.0.0', tokenFile })).rejects.toMatchObject({ code: 'USAGE' });
    writeFileSync(tokenFile, `${'a'.repeat(32)}\n`);
    const { url } = await start({ host: '0.0.0.0', tokenFile });
    const status = async (path: string, token?: string) =>
      (await fetch(url + path, token === undefined ? {} : { headers: { authorization: `Bearer ${token}` } }))
        .status;
    expect(await status('/healthz')).toBe(200);
    expect([await status('/metrics'), await status('/api/v1/plans'), await status('/api/v1/events')]).toEqual(
      [401, 401, 401],
    );
    expect(await status('/api/v1/plans', 'b'.repeat(32))).toBe(401);
    expect(await status('/api/v1/plans', 'a'.repeat(32))).toBe(200);
    writeFileSync(tokenFile, 'c'.repeat(32));
    expect(await status('/api/v1/plans', 'a'.repeat(32))).toBe(401);
    expect(await status('/api/v1/plans', 'c'.repeat(32))).toBe(200);
  });

  test('TLS by certificate files', async () => {
    const [certificateFile, keyFile] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
    execFileSync(
      'openssl',
      [
        ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'],
        ...['-subj', '/CN=localhost', '-keyout', keyFile, '-out', certificateFile],
      ],
      { stdio: 'ignore' },
    );
    const { url } = await start({ tls: { certificateFile, keyFile } });
    expect(url).toMatch(/^https:/);
    const status = await new Promise((resolve, reject) => {
      request(`${url}/healthz`, { rejectUnauthorized: false }, (response) => {
        response.resume();
        resolve(response.statusCode);
      })
        .on('error', reject)
        .end();
    });
    expect(status).toBe(200);
  });
});

test('a port that is in use is told', async () => {
  const port = Number(new URL(base).port);
  await expect(start({ port })).rejects.toMatchObject({
    code: 'USAGE',
    message: expect.stringContaining(String(port)),
  });
});

test('settings: flags, then the environment, then the file, then loopback', () => {
  const none = { listen: undefined, tokenFile: undefined };
  expect(httpOptions(none, {}, {})).toEqual({ host: '127.0.0.1', port: 8470, optional: true });
  const file = { listen: 9000, tokenFile: 'a' };
  expect(httpOptions(none, file, {})).toEqual({ host: '127.0.0.1', port: 9000, tokenFile: 'a' });
  const env = { BACKPLAN_HTTP: '[::1]:9001', BACKPLAN_HTTP_TOKEN_FILE: 'b' };
  expect(httpOptions(none, file, env)).toEqual({ host: '[::1]', port: 9001, tokenFile: 'b' });
  expect(httpOptions({ ...none, listen: 'off' }, file, env)).toBeUndefined();
  for (const listen of ['', 'x', '70000', 'a b:80']) {
    expect(() => httpOptions({ ...none, listen }, {}, {})).toThrow(/no place to listen/);
  }
  expect(() => httpOptions(none, { keyFile: 'k' }, {})).toThrow(/belong together/);
});

test('ends at once although somebody listens', async () => {
  const last = await start();
  const response = await fetch(`${last.url}/api/v1/events`);
  const before = performance.now();
  await last.daemon.stop();
  await response.text().catch(() => '');
  expect(performance.now() - before).toBeLessThan(5000);
  await expect(fetch(`${last.url}/healthz`)).rejects.toThrow();
});
