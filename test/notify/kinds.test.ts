/** What each kind of notifier sends, and what it makes of answers: real servers on loopback. */
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { SMTPServer, type SMTPServerOptions } from 'smtp-server';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { notifierKinds } from '../../src/notify/index.ts';
import type { Answer, Message } from '../../src/notify/notifier.ts';
import { compileSchema } from '../../src/validator.ts';
import { temporaryFolder } from '../helpers/database.ts';
import { record } from '../report/events.ts';
import { type Endpoint, endless, hang, makeMessage, startEndpoint, status } from './endpoint.ts';

const folder = temporaryFolder();
let endpoint: Endpoint;

beforeAll(async () => {
  endpoint = await startEndpoint();
});
afterAll(async () => await endpoint[Symbol.asyncDispose]());

/** As a plan would have it: validated, defaults filled in. */
async function send(
  kind: string,
  settings: unknown,
  message: Partial<Message> = {},
  timeoutMs = 5000,
): Promise<Answer> {
  const found = notifierKinds.find((each) => each.kind === kind);
  if (found === undefined) throw new Error(`no kind ${kind}`);
  expect((await compileSchema(found.settings))(settings)).toEqual([]);
  expect(found.validate?.(settings) ?? []).toEqual([]);
  return await found.send(makeMessage(message), settings, {
    signal: AbortSignal.timeout(timeoutMs),
    baseDirectory: folder,
  });
}

const last = () => endpoint.received.at(-1) as Endpoint['received'][number];

describe('webhook', () => {
  it('posts the message as JSON', async () => {
    expect(await send('webhook', `${endpoint.url}/in?a=1`)).toEqual({ delivered: true, said: '200 OK: ok' });
    expect(last()).toMatchObject({
      method: 'POST',
      path: '/in?a=1',
      headers: { 'content-type': 'application/json', 'user-agent': 'backplan' },
    });
    expect(last().json()).toEqual(makeMessage());
  });

  it('takes any form of JSON, with parts of the message in it', async () => {
    const run = { ...record };
    await send(
      'webhook',
      {
        url: `${endpoint.url}/{{plan}}/{{event}}?t={{title}}`,
        method: 'PUT',
        headers: { Authorization: 'Bearer t0ken', 'X-Title': '{{title}} – {{run.id}}' },
        body: {
          summary: 'job {{job}}: {{title}}',
          steps: '{{run.steps}}',
          took: ['{{run.durationMs}}', '{{run.nothing.here}}', 7, null],
          names: '{{facts}}',
        },
      },
      { run, plan: 'a b/c' },
    );
    const { method, path, headers } = last();
    expect([method, path]).toEqual(['PUT', '/a%20b%2Fc/failure?t=FAILED%3A%20nightly%20of%20crm']);
    expect(headers.authorization).toBe('Bearer t0ken');
    expect(headers['x-title']).toBe(`FAILED: nightly of crm   ${run.id}`);
    expect(last().json()).toEqual({
      summary: 'job nightly: FAILED: nightly of crm',
      steps: JSON.parse(JSON.stringify(run.steps)),
      took: [run.durationMs, null, 7, null],
      names: { plan: 'crm', step: 'dump (backup)' },
    });
  });

  it('sends text where the body is text, and nothing with GET', async () => {
    await send('webhook', { url: endpoint.url, headers: { Title: '{{title}}' }, body: '{{all}}' });
    expect(last().headers['content-type']).toBe('text/plain; charset=utf-8');
    expect(last().body).toContain("What to type next:\n  backplan runs '/plans/c r m.yaml' abc");
    await send('webhook', { url: endpoint.url, method: 'GET' });
    expect(last()).toMatchObject({ method: 'GET', body: '' });
  });

  it('refuses addresses and placeholders that are none, without repeating them', () => {
    const kind = notifierKinds.find((each) => each.kind === 'webhook');
    expect(kind?.validate?.('ftp://s3cret/')).toMatchObject([{ path: [], message: 'is no http url' }]);
    expect(
      kind?.validate?.({ url: 'https://x/{{tilte}}', headers: {}, body: ['{{run.id}}', { a: '{{nope}}' }] }),
    ).toMatchObject([
      { path: ['url'], message: 'unknown placeholder {{tilte}}, did you mean "title"?' },
      { path: ['body', 1, 'a'], message: 'unknown placeholder {{nope}}' },
    ]);
  });
});

describe('what endpoints answer', () => {
  it.each([
    [429, { 'retry-after': '7' }, { delivered: false, again: true, afterMs: 7000 }],
    [503, { 'retry-after': '999999' }, { delivered: false, again: true, afterMs: 600_000 }],
    [500, { 'retry-after': 'soon' }, { delivered: false, again: true }],
    [404, {}, { delivered: false, again: false }],
    [204, {}, { delivered: true }],
  ])('%i', async (code, headers, expected) => {
    endpoint.replies.push(status(code, code === 204 ? '' : 'no\u001b[2J such\nthing', headers));
    const answer = await send('webhook', endpoint.url);
    expect(answer).toMatchObject(expected);
    expect(answer.said).toMatch(code === 204 ? /^204/ : /^\d+ .*: no \[2J such thing$/);
  });

  it('does not follow redirects', async () => {
    const before = endpoint.received.length;
    endpoint.replies.push(status(307, '', { location: 'http://elsewhere.example/s3cret' }));
    const answer = await send('webhook', endpoint.url);
    expect(answer.delivered).toBe(false);
    expect(answer.said).toContain('redirects to elsewhere.example');
    expect(answer.said).not.toContain('s3cret');
    expect(endpoint.received.length).toBe(before + 1);
  });

  it('reads the beginning of a body that never ends', async () => {
    endpoint.replies.push(endless);
    const answer = await send('webhook', endpoint.url);
    expect(answer.delivered).toBe(true);
    expect(answer.said.length).toBeLessThan(250);
  });

  it('gives up on one that never answers', async () => {
    endpoint.replies.push(hang);
    expect(await send('webhook', endpoint.url, {}, 50)).toEqual({
      delivered: false,
      said: 'no answer in time',
      again: true,
    });
  });

  it('names why nobody is there', async () => {
    const closed = await startEndpoint();
    await closed[Symbol.asyncDispose]();
    const refused = await send('webhook', closed.url);
    expect(refused).toMatchObject({ delivered: false, again: true });
    expect(refused.said).toContain('ECONNREFUSED');
  });

  it('survives what is not HTTP', async () => {
    const server = createServer((socket) => {
      socket.on('error', () => {}).resume();
      socket.end('\u0000\u0001 rubbish \r\n\r\n');
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as { port: number };
    expect(await send('webhook', `http://127.0.0.1:${port}`)).toMatchObject({
      delivered: false,
      again: true,
    });
    await new Promise((resolve) => server.close(resolve));
  });
});

describe('chats', () => {
  it('slack', async () => {
    await send('slack', { url: endpoint.url, channel: '#ops', mention: '@here' });
    expect(last().json()).toEqual({
      channel: '#ops',
      text: '<!here> *FAILED: nightly of crm*',
      attachments: [
        {
          color: '#c62828',
          fallback: 'FAILED: nightly of crm',
          text: "Step dump failed: CONNECTION_FAILED: cannot connect to &lt;db&gt; &amp; co\nHint: is it up?\n```backplan runs '/plans/c r m.yaml' abc```",
          fields: [
            { title: 'plan', value: 'crm', short: true },
            { title: 'step', value: 'dump (backup)', short: true },
          ],
          footer: 'backplan',
          ts: 1_795_485_600,
          mrkdwn_in: ['text'],
        },
      ],
    });
    await send('slack', { url: endpoint.url, mention: '@here' }, { event: 'success', level: 'success' });
    expect(last().json().text).toBe('*FAILED: nightly of crm*');
    endpoint.replies.push(status(403, 'invalid_token'));
    expect(await send('slack', endpoint.url)).toMatchObject({ said: '403 Forbidden: invalid_token' });
  });

  it('discord', async () => {
    endpoint.replies.push(status(204));
    expect(
      await send('discord', { url: endpoint.url, username: 'backups' }, { title: 'a *b*' }),
    ).toMatchObject({ delivered: true });
    expect(last().json()).toEqual({
      username: 'backups',
      embeds: [
        {
          title: 'a \\*b\\*',
          description:
            "Step dump failed: CONNECTION\\_FAILED: cannot connect to <db\\> & co\nHint: is it up?\n```\nbackplan runs '/plans/c r m.yaml' abc\n```",
          color: 0xc62828,
          fields: [
            { name: 'plan', value: 'crm', inline: true },
            { name: 'step', value: 'dump (backup)', inline: true },
          ],
          timestamp: '2026-11-24T02:00:00.000Z',
          footer: { text: 'backplan' },
        },
      ],
      allowed_mentions: { parse: [] },
    });
    const long = 'x*'.repeat(20_000);
    await send('discord', endpoint.url, {
      title: long,
      text: long,
      next: [long],
      facts: Array.from({ length: 40 }, () => ({ name: long, value: long })),
    });
    const [embed] = last().json<{ embeds: { title: string; description: string; fields: object[] }[] }>()
      .embeds;
    expect(embed?.title.length).toBeLessThanOrEqual(256);
    expect(JSON.stringify(embed).replaceAll('\\\\', '').length).toBeLessThan(6000);
  });

  it('teams', async () => {
    endpoint.replies.push(status(202));
    expect(await send('teams', endpoint.url)).toMatchObject({ delivered: true });
    expect(last().json()).toEqual({
      type: 'message',
      attachments: [
        {
          contentType: 'application/vnd.microsoft.card.adaptive',
          contentUrl: null,
          content: {
            $schema: 'http://adaptivecards.io/schemas/adaptive-card.json',
            type: 'AdaptiveCard',
            version: '1.4',
            msteams: { width: 'Full' },
            body: [
              {
                type: 'TextBlock',
                text: 'FAILED: nightly of crm',
                wrap: true,
                weight: 'bolder',
                size: 'medium',
                color: 'attention',
              },
              {
                type: 'TextBlock',
                text: 'Step dump failed: CONNECTION_FAILED: cannot connect to <db> & co\n\nHint: is it up?',
                wrap: true,
              },
              {
                type: 'FactSet',
                facts: [
                  { title: 'plan', value: 'crm' },
                  { title: 'step', value: 'dump (backup)' },
                ],
              },
              {
                type: 'TextBlock',
                text: "backplan runs '/plans/c r m.yaml' abc",
                wrap: true,
                fontType: 'monospace',
                spacing: 'small',
              },
            ],
          },
        },
      ],
    });
  });
});

describe('pagerduty', () => {
  const settings = () => ({ routingKey: 'r0uting', url: `${endpoint.url}/v2/enqueue` });

  it('triggers and resolves with one key', async () => {
    endpoint.replies.push(status(202, '{"status":"success"}'));
    await send('pagerduty', settings());
    expect(last().path).toBe('/v2/enqueue');
    expect(last().json()).toMatchObject({
      routing_key: 'r0uting',
      event_action: 'trigger',
      dedup_key: 'backplan/crm/job/nightly',
      client: 'backplan',
      payload: {
        summary: 'FAILED: nightly of crm',
        source: 'db1',
        severity: 'critical',
        timestamp: '2026-11-24T02:00:00.000Z',
        component: 'crm',
        group: 'crm',
        class: 'failure',
        custom_details: { plan: 'crm', next: ["backplan runs '/plans/c r m.yaml' abc"] },
      },
    });
    await send('pagerduty', settings(), { event: 'recovered', level: 'success' });
    expect(last().json()).toEqual({
      routing_key: 'r0uting',
      event_action: 'resolve',
      dedup_key: 'backplan/crm/job/nightly',
    });
    await send('pagerduty', settings(), { key: 'k'.repeat(400) });
    expect(last().json<{ dedup_key: string }>().dedup_key.length).toBeLessThanOrEqual(255);
  });

  it('leaves no incident behind after a test', async () => {
    await send('pagerduty', settings(), { event: 'test', level: 'info', key: 'test' });
    expect(endpoint.received.slice(-2).map((each) => each.json().event_action)).toEqual([
      'trigger',
      'resolve',
    ]);
  });
});

describe('ping', () => {
  it('tells start, success and failure, with one id for a run', async () => {
    const settings = `${endpoint.url}/uuid/?tag=1`;
    const from = endpoint.received.length;
    await send('ping', settings, { event: 'started', run: record });
    await send('ping', settings, { event: 'success', run: record });
    await send('ping', settings, { event: 'failure', run: record });
    await send('ping', settings, { event: 'cancelled', run: record });
    const sent = endpoint.received.slice(from).map(({ path }) => new URL(path, endpoint.url));
    expect(sent.map(({ pathname }) => pathname)).toEqual([
      '/uuid/start',
      '/uuid/',
      '/uuid/fail',
      '/uuid/fail',
    ]);
    const ids = new Set(sent.map(({ searchParams }) => searchParams.get('rid')));
    expect(ids.size).toBe(1);
    expect([...ids][0]).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(sent.every(({ searchParams }) => searchParams.get('tag') === '1')).toBe(true);
  });

  it('has an address for each, or pings good runs only', async () => {
    const from = endpoint.received.length;
    await send('ping', { url: `${endpoint.url}/a`, start: `${endpoint.url}/b` }, { event: 'started' });
    const quiet = { url: `${endpoint.url}/c`, onlySuccess: true };
    for (const event of ['started', 'failure', 'success'] as const) await send('ping', quiet, { event });
    expect(endpoint.received.slice(from).map(({ path }) => path)).toEqual(['/b', '/c']);
  });
});

describe('command', () => {
  it('gives the message on stdin and in the environment', async () => {
    const out = join(folder, 'out');
    const answer = await send('command', {
      run: `cat > out; printf '%s|%s|%s|%s' "$BACKPLAN_EVENT" "$BACKPLAN_TITLE" "$BACKPLAN_JOB" "$EXTRA" >> out; echo paged`,
      env: { EXTRA: 'e' },
    });
    expect(answer).toEqual({ delivered: true, said: 'exit code 0: paged' });
    const text = readFileSync(out, 'utf8');
    expect(JSON.parse(text.slice(0, text.indexOf('}failure|') + 1))).toEqual(makeMessage());
    expect(text).toContain('}failure|FAILED: nightly of crm|nightly|e');
    expect(await send('command', ['cat', '/dev/null'])).toMatchObject({ delivered: true });
  });

  it('says how it failed, and ends what hangs', async () => {
    expect(await send('command', 'echo no >&2; exit 3')).toEqual({
      delivered: false,
      said: 'the command ended with exit code 3: no',
      again: true,
    });
    expect(await send('command', ['/nonexistent/pager'])).toMatchObject({ delivered: false, again: false });
    expect(await send('command', ['sleep', '60'], {}, 100)).toMatchObject({
      delivered: false,
      said: 'no answer in time',
    });
  });
});

describe('email', () => {
  const mails: { from: string; to: string[]; data: string }[] = [];

  async function smtp(options: SMTPServerOptions): Promise<{ port: number; close(): Promise<void> }> {
    const server = new SMTPServer({
      ...options,
      onData: (stream, session, done) => {
        let data = '';
        stream.on('data', (chunk: Buffer) => {
          data += String(chunk);
        });
        stream.on('end', () => {
          const { mailFrom, rcptTo } = session.envelope;
          mails.push({
            from: mailFrom === false ? '' : mailFrom.address,
            to: rcptTo.map(({ address }) => address),
            data,
          });
          done();
        });
      },
    });
    server.on('error', () => {});
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.server.address() as { port: number };
    return { port, close: () => new Promise((resolve) => server.close(() => resolve())) };
  }

  const base = (port: number) => ({ host: '127.0.0.1', port, from: 'Backups <b@example.com>' });

  it('is plain text, in one conversation, from and to whom the plan says', async () => {
    const server = await smtp({ authOptional: true, disabledCommands: ['STARTTLS', 'AUTH'] });
    const answer = await send('email', {
      ...base(server.port),
      tls: 'none',
      to: ['dba@example.com', 'on-call@example.com'],
    });
    expect(answer).toMatchObject({ delivered: true });
    const [mail] = mails.splice(0);
    expect(mail).toMatchObject({ from: 'b@example.com', to: ['dba@example.com', 'on-call@example.com'] });
    expect(mail?.data).toMatch(/^Subject: \[backplan PROBLEM\] FAILED: nightly of crm\r$/m);
    expect(mail?.data).toMatch(/^References: <crm%2Fjob%2Fnightly@backplan>\r$/m);
    expect(mail?.data).toMatch(/^Auto-Submitted: auto-generated\r$/m);
    expect(mail?.data).toContain('Step dump failed: CONNECTION_FAILED: cannot connect to <db> & co');
    await server.close();
  });

  it('logs in, and takes no for an answer once', async () => {
    const server = await smtp({
      allowInsecureAuth: true,
      disabledCommands: ['STARTTLS'],
      onAuth: ({ username, password }, _session, done) =>
        password === 's3cret' ? done(null, { user: username ?? '' }) : done(new Error('bad login')),
    });
    const settings = { ...base(server.port), tls: 'none', to: 'dba@example.com', user: 'u' };
    expect(await send('email', { ...settings, password: 's3cret' })).toMatchObject({ delivered: true });
    const refused = await send('email', { ...settings, password: 'wr0ng' });
    expect(refused).toMatchObject({ delivered: false, again: false });
    expect(refused.said).toContain('bad login');
    expect(refused.said).not.toContain('wr0ng');
    await server.close();
    mails.splice(0);
  });

  it('gives up rather than speak in clear, and checks certificates', async () => {
    const plain = await smtp({ authOptional: true, disabledCommands: ['STARTTLS', 'AUTH'] });
    expect(await send('email', { ...base(plain.port), to: 'dba@example.com' })).toMatchObject({
      delivered: false,
    });
    await plain.close();
    // smtp-server brings a certificate of its own, which nobody trusts.
    const self = await smtp({ authOptional: true });
    const untrusted = await send('email', { ...base(self.port), to: 'dba@example.com' });
    expect(untrusted.delivered).toBe(false);
    expect(untrusted.said).toMatch(/certificate|self/i);
    await self.close();
    expect(mails).toEqual([]);
    writeFileSync(join(folder, 'not-here'), '');
    expect(await send('email', { ...base(1), to: 'dba@example.com', ca: 'nowhere.pem' })).toMatchObject({
      delivered: false,
      said: expect.stringContaining('nowhere.pem'),
    });
  });

  it('tries again what the server puts off, and is not held by one that says nothing', async () => {
    const busy = await smtp({
      authOptional: true,
      disabledCommands: ['STARTTLS', 'AUTH'],
      onRcptTo: (_address, _session, done) =>
        done(Object.assign(new Error('come back later'), { responseCode: 451 })),
    });
    expect(await send('email', { ...base(busy.port), tls: 'none', to: 'dba@example.com' })).toMatchObject({
      delivered: false,
      again: true,
    });
    await busy.close();
    const silent = createServer((socket) => socket.on('error', () => {}).resume());
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const { port } = silent.address() as { port: number };
    expect(await send('email', { ...base(port), tls: 'none', to: 'd@example.com' }, {}, 100)).toEqual({
      delivered: false,
      said: 'no answer in time',
      again: true,
    });
    await new Promise((resolve) => silent.close(resolve));
  });
});
