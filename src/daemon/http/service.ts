/** The HTTP server of the daemon: who may ask, within which limits; what is answered stands in the routes. */
import { readFile } from 'node:fs/promises';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { ServerType } from '@hono/node-server';
import type { Context, Hono, MiddlewareHandler } from 'hono';
import { BackplanError, toBackplanError } from '../../errors.ts';
import { compileSchema } from '../../validator.ts';
import { watchHoldings } from '../holdings.ts';
import { makeMetrics } from '../metrics.ts';
import type { DaemonService } from '../view.ts';
import { liveEvents } from './live.ts';
import { openApiDocument } from './openapi.ts';
import { type Route, type RouteContext, statusOf } from './route.ts';
import { routes } from './routes.ts';

export interface HttpOptions {
  /** Name or address to listen on. Beyond loopback a token is required. */
  readonly host: string;
  /** 0: any that is free. */
  readonly port: number;
  /** File that holds the token; read again for every request, so that it can be replaced. */
  readonly tokenFile?: string;
  readonly tls?: { readonly certificateFile: string; readonly keyFile: string };
  /** The daemon goes on without it where the port is in use. */
  readonly optional?: boolean;
}

export interface HttpService extends DaemonService {
  /** Where it listens; undefined before it was started, and where it went on without. */
  url(): string | undefined;
}

const BODY_BYTES = 65_536;
const LOOPBACK = new Set(['localhost', '127.0.0.1', '::1', '[::1]']);

/** @throws USAGE where it would listen beyond loopback without a token */
export function makeHttpService(
  options: HttpOptions,
  onProblem: (error: BackplanError) => void = () => {},
): HttpService {
  const loopback = LOOPBACK.has(options.host);
  if (!loopback && options.tokenFile === undefined) {
    throw new BackplanError('USAGE', `listening on ${options.host} would let anyone in`, {
      hint: 'Name a file with a token (--http-token-file), or listen on 127.0.0.1.',
    });
  }
  let server: ServerType | undefined;
  const closers: (() => void)[] = [];
  return {
    name: 'http',
    url: () => {
      if (server === undefined) return undefined;
      const { port } = server.address() as AddressInfo;
      const host = options.host.includes(':') ? `[${options.host.replace(/^\[|\]$/g, '')}]` : options.host;
      return `${options.tls === undefined ? 'http' : 'https'}://${host}:${port}`;
    },
    start: async (daemon) => {
      if (options.tokenFile !== undefined) await readToken(options.tokenFile);
      const holdings = watchHoldings(daemon);
      void holdings.refresh();
      const metrics = await makeMetrics(daemon, holdings);
      const live = liveEvents(daemon);
      closers.push(live.close, metrics.close, holdings.close);
      const app = await makeApp({ daemon, holdings }, metrics, live, options, loopback);
      try {
        server = await listen(app, options);
      } catch (error) {
        if (options.optional !== true) throw error;
        onProblem(toBackplanError(error));
      }
    },
    close: async () => {
      for (const close of closers) close();
      const closing = server;
      if (closing === undefined) return;
      await new Promise<void>((resolve) => {
        closing.close(() => resolve());
        // Who keeps a connection open does not keep the daemon.
        if ('closeAllConnections' in closing) setTimeout(() => closing.closeAllConnections(), 500).unref();
      });
    },
  };
}

async function makeApp(
  context: RouteContext,
  metrics: { text(): Promise<string>; contentType: string },
  live: ReturnType<typeof liveEvents>,
  { tokenFile }: HttpOptions,
  loopback: boolean,
): Promise<Hono> {
  const [{ Hono: App }, { bodyLimit }, { secureHeaders }] = await Promise.all([
    import('hono'),
    import('hono/body-limit'),
    import('hono/secure-headers'),
  ]);
  const { daemon } = context;
  const app = new App();
  app.onError((error, c) =>
    'getResponse' in error ? error.getResponse() : problem(c, toBackplanError(error)),
  );
  app.notFound((c) =>
    c.json(
      errorBody(
        'USAGE',
        `there is no ${c.req.method} ${c.req.path}`,
        'GET /api/v1/openapi.json lists what there is.',
      ),
      404,
    ),
  );
  app.use(secureHeaders());
  app.use(async (c, next) => {
    await next();
    c.header('Cache-Control', 'no-store');
  });
  app.get('/healthz', (c) => c.json({ status: 'ok' }));
  app.get('/readyz', (c) => {
    const invalid = daemon.plans().filter(({ problem: found }) => found !== undefined);
    const status = !daemon.accepting
      ? 'stopping'
      : invalid.length > 0
        ? `${invalid.length} plan(s) invalid`
        : 'ok';
    return c.json({ status }, status === 'ok' ? 200 : 503);
  });
  app.use(sameSite(loopback && tokenFile === undefined));
  if (tokenFile !== undefined) app.use(await bearer(tokenFile));
  app.use(
    bodyLimit({
      maxSize: BODY_BYTES,
      onError: (c) => c.json(errorBody('USAGE', `the body is larger than ${BODY_BYTES} bytes`), 413),
    }),
  );
  app.get('/metrics', async (c) =>
    c.text(await metrics.text(), 200, { 'Content-Type': metrics.contentType }),
  );
  const document = openApiDocument();
  app.get('/api/v1/openapi.json', (c) => c.json(document));
  app.get('/api/v1/events', (c) => live.all(c));
  app.get('/api/v1/runs/:run/events', (c) => live.ofRun(c, c.req.param('run')));
  for (const route of routes) {
    app[route.method](route.path.replaceAll(/\{(\w+)\}/g, ':$1'), (c) => answer(c, route, context));
  }
  return app;
}

async function answer(c: Context, route: Route, context: RouteContext): Promise<Response> {
  const query = await queryOf(c, route);
  const body = await bodyOf(c, route);
  const result = await route.handle(
    { params: c.req.param() as Record<string, string>, query, body },
    context,
  );
  return c.json(result as object, route.status ?? 200);
}

async function queryOf(c: Context, { query = {} }: Route): Promise<Record<string, string | number>> {
  const given: Record<string, string | number> = {};
  for (const [name, value] of Object.entries(c.req.query())) {
    const numeric = Object.hasOwn(query, name) && query[name]?.type === 'integer';
    given[name] = numeric && /^\d{1,15}$/.test(value) ? Number(value) : value;
  }
  await assertFits({ type: 'object', additionalProperties: false, properties: query }, given, 'the query');
  return given;
}

async function bodyOf(c: Context, { body: schema }: Route): Promise<unknown> {
  if (schema === undefined) return undefined;
  const text = await c.req.text();
  let body: unknown = {};
  try {
    if (text !== '') body = JSON.parse(text);
  } catch (error) {
    throw new BackplanError('USAGE', 'the body is not JSON', { cause: error });
  }
  await assertFits(schema, body, 'the body');
  return body;
}

async function assertFits(
  schema: Parameters<typeof compileSchema>[0],
  value: unknown,
  what: string,
): Promise<void> {
  const [found] = (await compileSchema(schema))(value);
  if (found === undefined) return;
  const place = found.path.length === 0 ? what : `${what}, ${found.path.join('.')}`;
  throw new BackplanError('USAGE', `${place}: ${found.message}`, {
    hint: found.hint ?? 'GET /api/v1/openapi.json describes it.',
  });
}

/**
 * Without a token, whoever reaches the port may start jobs; so may a page in a browser on this machine, unless
 * requests that come from pages, or under a foreign name (DNS rebinding), are refused.
 */
function sameSite(guardHost: boolean): MiddlewareHandler {
  return async (c, next) => {
    const host = c.req.header('host') ?? '';
    const name = host.replace(/:\d+$/, '');
    if (guardHost && !LOOPBACK.has(name))
      return c.json(errorBody('PERMISSION_DENIED', `requests for "${host}" are not answered here`), 403);
    const origin = c.req.header('origin');
    if (origin !== undefined && origin.replace(/^https?:\/\//, '') !== host)
      return c.json(errorBody('PERMISSION_DENIED', 'requests from other sites are not answered'), 403);
    const type = c.req.header('content-type');
    if (c.req.method === 'POST' && !/^application\/json\b/i.test(type ?? ''))
      return c.json(errorBody('USAGE', 'POST needs `Content-Type: application/json`'), 415);
    return await next();
  };
}

/** Compares hashes in constant time. */
async function bearer(file: string): Promise<MiddlewareHandler> {
  const [{ bearerAuth }, { timingSafeEqual }] = await Promise.all([
    import('hono/bearer-auth'),
    import('hono/utils/buffer'),
  ]);
  const refusal = errorBody(
    'PERMISSION_DENIED',
    'the token is missing or wrong',
    'Send `Authorization: Bearer TOKEN`.',
  );
  return bearerAuth({
    verifyToken: async (token) => await timingSafeEqual(token, await readToken(file)),
    noAuthenticationHeader: { message: refusal },
    invalidAuthenticationHeader: { message: refusal },
    invalidToken: { message: refusal },
  });
}

/** @throws PERMISSION_DENIED when the file cannot be read; USAGE when it is short enough to be guessed */
async function readToken(file: string): Promise<string> {
  const token = await readFile(file, 'utf8').then(
    (text) => text.trim(),
    (error: unknown) => {
      throw new BackplanError(
        'PERMISSION_DENIED',
        `the token file ${file} cannot be read: ${toBackplanError(error).message}`,
      );
    },
  );
  if (token.length < 16)
    throw new BackplanError('USAGE', `the token in ${file} is shorter than 16 characters`, {
      hint: 'Make one: openssl rand -hex 32',
    });
  return token;
}

function errorBody(code: 'USAGE' | 'PERMISSION_DENIED', message: string, hint?: string) {
  return { error: { code, message, ...(hint === undefined ? {} : { hint }) } };
}

function problem(c: Context, error: BackplanError): Response {
  const { detail: _, ...told } = error.toRecord();
  return c.json({ error: told }, statusOf(error));
}

/** @throws PERMISSION_DENIED, USAGE when the address or the certificate cannot be used */
async function listen(app: Hono, { host, port, tls }: HttpOptions): Promise<ServerType> {
  const { serve } = await import('@hono/node-server');
  const limits = {
    requestTimeout: 30_000,
    headersTimeout: 10_000,
    keepAliveTimeout: 5000,
    maxHeaderSize: 16_384,
  };
  const secure =
    tls === undefined
      ? { serverOptions: limits }
      : {
          createServer: createSecureServer,
          serverOptions: {
            ...limits,
            cert: await readFile(tls.certificateFile),
            key: await readFile(tls.keyFile),
          },
        };
  return await new Promise<ServerType>((resolve, reject) => {
    const hostname = host.replace(/^\[|\]$/g, '');
    const server = serve({ fetch: app.fetch, hostname, port, ...secure }, () => resolve(server));
    server.on('error', (error: NodeJS.ErrnoException) => {
      reject(
        new BackplanError('USAGE', `cannot listen on ${host}:${port}: ${error.message}`, {
          cause: error,
          hint:
            error.code === 'EADDRINUSE'
              ? 'Another program uses that port: choose one with --http, or --http off.'
              : 'Choose another address with --http.',
        }),
      );
    });
    if ('maxConnections' in server) server.maxConnections = 200;
  });
}
