/**
 * `pagerduty`: Events API v2. A problem triggers an incident, its end resolves it by the same key.
 * Source: https://developer.pagerduty.com/docs/events-api-v2/trigger-events/
 */
import { createHash } from 'node:crypto';
import { hostOf, postJson, urlProblems } from '../http.ts';
import { defineNotifier, type Message, type MessageLevel } from '../notifier.ts';
import { cut, plainText } from '../words.ts';

export const pagerduty = defineNotifier({
  kind: 'pagerduty',
  summary:
    'Incidents of PagerDuty, or of a service with PagerDuty-compatible events (v2): triggered and resolved.',
  always: ['recovered', 'test'],
  settings: {
    type: 'object',
    description: 'The key of the integration.',
    examples: [{ routingKey: '${PAGERDUTY_KEY}' }],
    required: ['routingKey'],
    additionalProperties: false,
    'x-expected': 'a map with routingKey',
    properties: {
      routingKey: {
        type: 'string',
        minLength: 1,
        description: 'Integration key of a service (Events API v2). A secret: name an environment variable.',
        examples: ['${PAGERDUTY_KEY}'],
        'x-secret': true,
      },
      url: {
        type: 'string',
        minLength: 1,
        description: 'Another endpoint: the EU one, or a compatible service.',
        examples: ['https://events.eu.pagerduty.com/v2/enqueue'],
        default: 'https://events.pagerduty.com/v2/enqueue',
      },
      severity: {
        enum: ['critical', 'error', 'warning', 'info'],
        description: 'Severity of failures; warnings stay warnings.',
        examples: ['error'],
        default: 'critical',
      },
    },
  },
  validate: ({ url }) => urlProblems(url, ['url']),
  where: ({ url }) => hostOf(url),
  async send(message, { url, routingKey, severity }, { signal }) {
    const key = dedupKey(message.key);
    const trigger = {
      routing_key: routingKey,
      event_action: 'trigger',
      dedup_key: key,
      payload: payload(message, severity),
      client: 'backplan',
    };
    const resolve = { routing_key: routingKey, event_action: 'resolve', dedup_key: key };
    if (message.event === 'recovered' || message.event === 'success') {
      return await postJson(url, resolve, signal);
    }
    const answer = await postJson(url, trigger, signal);
    // A test leaves no incident behind.
    return message.event === 'test' && answer.delivered ? await postJson(url, resolve, signal) : answer;
  },
});

const SEVERITIES: Readonly<Record<Exclude<MessageLevel, 'error'>, string>> = {
  warning: 'warning',
  success: 'info',
  info: 'info',
};

function payload(message: Message, severity: string) {
  const { title, level, host, at, plan, job, database, event, facts, next } = message;
  return {
    summary: cut(title, 1024),
    source: host,
    severity: level === 'error' ? severity : SEVERITIES[level],
    timestamp: at,
    component: database ?? job ?? plan,
    group: plan,
    class: event,
    custom_details: {
      ...Object.fromEntries(facts.map(({ name, value }) => [name, value])),
      text: plainText(message),
      next,
    },
  };
}

/** At most 255 characters. */
function dedupKey(key: string): string {
  const whole = `backplan/${key}`;
  return whole.length <= 255 ? whole : `backplan/${createHash('sha256').update(key).digest('hex')}`;
}
