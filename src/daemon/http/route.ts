/** What a route of the API is: data that both the server and its OpenAPI document are made from. */
import { type BackplanError, ERRORS, EXIT } from '../../errors.ts';
import type { JsonSchema } from '../../schema.ts';
import type { Holdings } from '../holdings.ts';
import type { DaemonView } from '../view.ts';

export interface RouteContext {
  readonly daemon: DaemonView;
  readonly holdings: Holdings;
}

export interface RouteRequest {
  /** From the path, decoded. */
  readonly params: Readonly<Record<string, string>>;
  /** Of the declared types; undeclared ones are refused before. */
  readonly query: Readonly<Record<string, string | number | undefined>>;
  readonly body: unknown;
}

export interface Route {
  readonly method: 'get' | 'post';
  /** With names in braces, as OpenAPI writes them. */
  readonly path: string;
  readonly summary: string;
  readonly query?: Readonly<Record<string, JsonSchema & { readonly description: string }>>;
  /** Schema of the JSON body; absent: there is none. */
  readonly body?: JsonSchema;
  readonly status?: 200 | 202;
  readonly response: JsonSchema;
  /** Status codes of errors, besides those that any route may give. */
  readonly errors?: readonly (404 | 409 | 503)[];
  handle(request: RouteRequest, context: RouteContext): Promise<unknown> | unknown;
}

export type HttpStatus = 400 | 404 | 409 | 500 | 503;

const STATUSES: Partial<Record<keyof typeof ERRORS, HttpStatus>> = {
  RUN_NOT_FOUND: 404,
  BACKUP_NOT_FOUND: 404,
  LOCKED: 409,
  CANCELLED: 503,
  INTERNAL: 500,
};

/** The status of HTTP that an error means: what was asked wrongly is 400, what is broken here is 500. */
export function statusOf({ code }: BackplanError): HttpStatus {
  return STATUSES[code] ?? (ERRORS[code] === EXIT.invalidPlan ? 400 : 500);
}
