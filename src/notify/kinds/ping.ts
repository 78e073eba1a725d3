/**
 * `ping`: a dead-man's switch (healthchecks.io and others). It is told of every start and end of a run, and raises
 * the alarm itself when it hears nothing: it notices when backplan, cron or the whole machine is gone.
 */
import { createHash } from 'node:crypto';
import { addressHost, addressProblems, addressSchema, addressSettings, spelledOut } from '../address.ts';
import { request, urlProblems } from '../http.ts';
import { defineNotifier, type MessageEvent } from '../notifier.ts';
import { plainText } from '../words.ts';

export const ping = defineNotifier({
  kind: 'ping',
  summary: 'A dead-man’s switch such as healthchecks.io: told of every start and end, it notices silence.',
  fixedEvents: 'it is told of the start and the end of every run',
  always: ['started', 'success', 'failure', 'cancelled', 'test'],
  everyOne: true,
  settings: addressSettings(
    addressSchema(
      'The ping address of the check. /start and /fail are appended for the start of a run and for one that failed.',
      '${HEALTHCHECK_URL}',
    ),
    {
      start: addressSchema('Address for the start of a run, instead of url/start.', '${PING_START}'),
      fail: addressSchema('Address for a run that failed, instead of url/fail.', '${PING_FAIL}'),
      onlySuccess: {
        type: 'boolean',
        description: 'Pings good runs and nothing else, for services without start and fail.',
        examples: [true],
        default: false,
      },
    },
    'A ping address, or a map with the address for each event.',
  ),
  validate: (settings) =>
    typeof settings === 'string'
      ? addressProblems(settings)
      : (['url', 'start', 'fail'] as const).flatMap((key) => urlProblems(settings[key], [key])),
  where: addressHost,
  async send(message, settings, { signal }) {
    const address = addressFor(message.event, spelledOut(settings));
    if (address === undefined) return { delivered: true, said: 'nothing to tell: only good runs are pinged' };
    return await request({
      url: message.run === null ? address : withRun(address, message.run.id),
      headers: { 'content-type': 'text/plain; charset=utf-8' },
      body: `${message.title}\n\n${plainText(message)}`.slice(0, 20_000),
      signal,
    });
  },
});

interface Addresses {
  readonly url: string;
  readonly start?: string;
  readonly fail?: string;
  readonly onlySuccess?: boolean;
}

function addressFor(event: MessageEvent, { url: base, start, fail, onlySuccess }: Addresses) {
  if (event === 'success' || event === 'test') return base;
  if (onlySuccess === true) return undefined;
  return event === 'started' ? (start ?? below(base, 'start')) : (fail ?? below(base, 'fail'));
}

/** `…/uuid?x=1` → `…/uuid/fail?x=1`. */
function below(address: string, name: string): string {
  const result = new URL(address);
  result.pathname = `${result.pathname.replace(/\/$/, '')}/${name}`;
  return result.href;
}

/** Start and end of one run carry the same `rid`, a UUID made of the run's id, so that durations are right. */
function withRun(address: string, run: string): string {
  const hash = createHash('sha256').update(run).digest('hex');
  const result = new URL(address);
  const variant = ((Number.parseInt(hash.slice(16, 17), 16) & 3) | 8).toString(16);
  result.searchParams.set(
    'rid',
    `${hash.slice(0, 8)}-${hash.slice(8, 12)}-4${hash.slice(13, 16)}-${variant}${hash.slice(17, 20)}-${hash.slice(20, 32)}`,
  );
  return result.href;
}
