/** A real HTTP server on loopback that records what it gets and answers as a test says. */
import { createServer, type IncomingHttpHeaders, type RequestListener, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Message } from '../../src/notify/notifier.ts';

export interface Received {
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  json<T = Record<string, unknown>>(): T;
}

export type Reply = (response: ServerResponse, received: Received) => void;

export interface Endpoint extends AsyncDisposable {
  readonly url: string;
  readonly received: Received[];
  /** Answers of the requests to come, in order; after them everything is `200 ok`. */
  readonly replies: Reply[];
  /** The answer by path, for requests that `replies` says nothing of. */
  route: ((path: string) => Reply | undefined) | undefined;
  /** Resolves when so many requests have come. */
  until(count: number): Promise<void>;
}

export const status =
  (code: number, body = '', headers: Record<string, string> = {}): Reply =>
  (response) =>
    void response.writeHead(code, headers).end(body);

/** Takes the request and says nothing, for ever. */
export const hang: Reply = () => {};

/** Starts to answer and never ends. */
export const endless: Reply = (response) => {
  response.writeHead(200);
  const more = () => {
    if (!response.destroyed && response.write('x'.repeat(65_536))) setImmediate(more);
  };
  response.on('drain', more);
  more();
};

export async function startEndpoint(): Promise<Endpoint> {
  const received: Received[] = [];
  const replies: Reply[] = [];
  const waiting = new Set<() => void>();
  const listener: RequestListener = (request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const body = Buffer.concat(chunks).toString('utf8');
      const one: Received = {
        method: request.method ?? '',
        path: request.url ?? '',
        headers: request.headers,
        body,
        json: () => JSON.parse(body),
      };
      received.push(one);
      (replies.shift() ?? endpoint.route?.(one.path) ?? status(200, 'ok'))(response, one);
      for (const wake of waiting) wake();
    });
  };
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const endpoint: Endpoint = {
    route: undefined,
    url: `http://127.0.0.1:${port}`,
    received,
    replies,
    until: (count) =>
      new Promise((resolve) => {
        const look = () => {
          if (received.length < count) return;
          waiting.delete(look);
          resolve();
        };
        waiting.add(look);
        look();
      }),
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return endpoint;
}

export function makeMessage(change: Partial<Message> = {}): Message {
  return {
    event: 'failure',
    level: 'error',
    title: 'FAILED: nightly of crm',
    text: 'Step dump failed: CONNECTION_FAILED: cannot connect to <db> & co\nHint: is it up?',
    facts: [
      { name: 'plan', value: 'crm' },
      { name: 'step', value: 'dump (backup)' },
    ],
    next: ["backplan runs '/plans/c r m.yaml' abc"],
    at: '2026-11-24T02:00:00.000Z',
    host: 'db1',
    plan: 'crm',
    planFile: '/plans/c r m.yaml',
    job: 'nightly',
    database: 'crm',
    key: 'crm/job/nightly',
    held: 0,
    run: null,
    ...change,
  };
}
