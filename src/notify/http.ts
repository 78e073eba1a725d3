/** One HTTP request to an endpoint that may be slow, gone or hostile. Never throws. */
import { maskUrls } from '../secret.ts';
import type { Answer, SettingsProblem } from './notifier.ts';

export interface Request {
  readonly url: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly signal: AbortSignal;
}

/** Bytes of an answer that are read; what comes after is nobody's business. */
const ANSWER_BYTES = 4096;
/** Characters of an answer that are told. */
const TOLD = 200;
/** Nobody waits longer than this because the other side asks for it. */
const LONGEST_WAIT_MS = 10 * 60_000;

/**
 * 2xx is delivered. Redirects are not followed: the message may hold what only the named host should see. 408, 425,
 * 429 and 5xx may pass, and `Retry-After` (RFC 9110, 10.2.3) is heeded; other answers stay as they are.
 */
export async function request({
  url,
  method = 'POST',
  headers = {},
  body,
  signal,
}: Request): Promise<Answer> {
  let response: Response;
  try {
    response = await fetch(url, {
      method,
      headers: { 'user-agent': 'backplan', ...headers },
      ...(body === undefined ? {} : { body }),
      redirect: 'manual',
      signal,
    });
  } catch (error) {
    return unreachable(error, signal);
  }
  const { status, statusText } = response;
  const said = await beginningOf(response);
  const line = oneLine(`${status} ${statusText}${said === '' ? '' : `: ${said}`}`);
  if (response.ok) return { delivered: true, said: line };
  if (status >= 300 && status < 400) {
    const to = hostOf(response.headers.get('location') ?? '', url);
    return {
      delivered: false,
      said: `${status} ${statusText}: redirects to ${to}, which is not followed; put the final address in the plan`,
    };
  }
  const again = status === 408 || status === 425 || status === 429 || status >= 500;
  const afterMs = again ? retryAfter(response.headers.get('retry-after')) : undefined;
  return { delivered: false, said: line, again, ...(afterMs === undefined ? {} : { afterMs }) };
}

/** JSON to an endpoint. */
export function postJson(url: string, body: unknown, signal: AbortSignal): Promise<Answer> {
  return request({
    url,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
    signal,
  });
}

/** The first bytes of the body as text; the rest is refused. A body that never comes is cut by the signal. */
async function beginningOf(response: Response): Promise<string> {
  const reader = response.body?.getReader();
  if (reader === undefined) return '';
  const chunks: Uint8Array[] = [];
  let size = 0;
  try {
    while (size < ANSWER_BYTES) {
      const { done, value } = await reader.read();
      if (done) break;
      chunks.push(value);
      size += value.length;
    }
  } catch {
    // The status is what counts, and that is known.
  }
  // Not awaited: a hostile body must not hold us either.
  reader.cancel().catch(() => {});
  return new TextDecoder().decode(Buffer.concat(chunks).subarray(0, ANSWER_BYTES));
}

function unreachable(error: unknown, signal: AbortSignal): Answer {
  if (signal.aborted) return { delivered: false, said: reasonOf(signal), again: true };
  const cause = (error as { cause?: unknown }).cause ?? error;
  const { code, message } = cause as { code?: string; message?: string };
  // A name with several addresses fails with an error for each and no message of its own.
  const said = message === undefined || message === '' ? (code ?? String(error)) : message;
  return { delivered: false, said: oneLine(said), again: code !== 'ERR_INVALID_URL' };
}

/** Why a try was ended. */
export function reasonOf(signal: AbortSignal): string {
  const { reason } = signal;
  return reason instanceof Error && reason.name !== 'TimeoutError' && reason.name !== 'AbortError'
    ? oneLine(reason.message)
    : 'no answer in time';
}

/** Seconds, or a date. */
function retryAfter(header: string | null): number | undefined {
  if (header === null) return undefined;
  const seconds = Number(header);
  const wait = Number.isNaN(seconds) ? Date.parse(header) - Date.now() : seconds * 1000;
  return Number.isNaN(wait) ? undefined : Math.min(Math.max(0, wait), LONGEST_WAIT_MS);
}

/** Host and port of an address, without what may be secret in it. */
export function hostOf(address: string, base?: string): string {
  return URL.canParse(address, base) ? new URL(address, base).host : 'nowhere';
}

/** What others say, fit for a log and a terminal. */
export function oneLine(text: string): string {
  const line = maskUrls(text)
    .replace(/[\p{Cc}\s]+/gu, ' ')
    .trim();
  return line.length > TOLD ? `${line.slice(0, TOLD - 1)}…` : line;
}

/** Whether a setting is an http address. */
export function urlProblems(url: string | undefined, path: SettingsProblem['path'] = []): SettingsProblem[] {
  if (url === undefined || /^https?:\/\/[^\s/]/i.test(url)) return [];
  return [
    {
      path,
      message: 'is no http url',
      hint: 'Write https://…, or the name of a variable that holds it: ${OPS_WEBHOOK}.',
    },
  ];
}
