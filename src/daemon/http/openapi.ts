/** The OpenAPI document of the API, made from the routes themselves. Source: https://spec.openapis.org/oas/v3.1.1.html */
import { errorSchema } from '../../runs/record-schema.ts';
import { productVersion } from '../../runs/version.ts';
import type { Route } from './route.ts';
import { routes } from './routes.ts';

const problem = {
  description: 'What went wrong and what to do next.',
  content: {
    'application/json': {
      schema: {
        type: 'object',
        required: ['error'],
        additionalProperties: false,
        properties: { error: errorSchema },
      },
    },
  },
};
const stream = (description: string) => ({
  description,
  content: { 'text/event-stream': { schema: { type: 'string' } } },
});
const plain = (type: string, description: string) => ({
  description,
  content: { [type]: { schema: { type: 'string' } } },
});
const health = (description: string) => ({
  description,
  content: {
    'application/json': {
      schema: { type: 'object', required: ['status'], properties: { status: { type: 'string' } } },
    },
  },
});

/** What is served besides the JSON of the routes. */
const OTHERS = {
  '/healthz': {
    get: {
      summary: 'Whether the process lives; needs no token',
      security: [],
      responses: { 200: health('It does.') },
    },
  },
  '/readyz': {
    get: {
      summary: 'Whether it takes new runs and all plans are valid; needs no token',
      security: [],
      responses: { 200: health('It does.'), 503: health('It does not, and why.') },
    },
  },
  '/metrics': {
    get: {
      summary: 'Metrics for Prometheus',
      responses: { 200: plain('text/plain', 'Text format of Prometheus.'), 401: problem, 403: problem },
    },
  },
  '/api/v1/openapi.json': {
    get: {
      summary: 'This document',
      responses: {
        200: { description: 'OpenAPI 3.1.', content: { 'application/json': { schema: { type: 'object' } } } },
        401: problem,
        403: problem,
      },
    },
  },
  '/api/v1/events': {
    get: {
      summary: 'Everything that happens, as server-sent events',
      responses: { 200: stream('One event of the daemon each.'), 401: problem, 403: problem, 503: problem },
    },
  },
  '/api/v1/runs/{run}/events': {
    get: {
      summary: 'What happens in a run, as server-sent events, until it is over',
      parameters: [parameter('run')],
      responses: {
        200: stream('First `run` with the record as it is, then one event each.'),
        401: problem,
        403: problem,
        404: problem,
        503: problem,
      },
    },
  },
} as const;

export function openApiDocument(): object {
  const paths: Record<string, Record<string, object>> = {};
  for (const route of routes) {
    paths[route.path] ??= {};
    Object.assign(paths[route.path] ?? {}, { [route.method]: operation(route) });
  }
  return {
    openapi: '3.1.1',
    info: {
      title: 'backplan',
      version: productVersion(),
      description:
        'The daemon that runs backup plans: what it does, did and will do. Answers hold no secrets.',
      license: { name: 'MIT', identifier: 'MIT' },
    },
    security: [{ token: [] }, {}],
    components: {
      securitySchemes: {
        token: {
          type: 'http',
          scheme: 'bearer',
          description: 'Needed where the daemon listens beyond loopback.',
        },
      },
    },
    paths: { ...OTHERS, ...paths },
  };
}

function operation({ path, summary, query = {}, body, status = 200, response, errors = [] }: Route): object {
  return {
    summary,
    parameters: [
      ...[...path.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => parameter(name)),
      ...Object.entries(query).map(([name, { description, ...schema }]) => ({
        name,
        in: 'query',
        description,
        schema,
      })),
    ],
    ...(body === undefined ? {} : { requestBody: { content: { 'application/json': { schema: body } } } }),
    responses: {
      [status]: { description: summary, content: { 'application/json': { schema: response } } },
      ...Object.fromEntries([400, 401, 403, 413, 415, 500, ...errors].map((code) => [code, problem])),
    },
  };
}

function parameter(name: string): object {
  return { name, in: 'path', required: true, schema: { type: 'string' } };
}
