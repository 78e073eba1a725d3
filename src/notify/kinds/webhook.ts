/** `webhook`: an HTTP request with the message as JSON, or in a form of the user's own. */
import { isRecord } from '../../schema-walk.ts';
import { addressHost, addressProblems, addressSchema, addressSettings } from '../address.ts';
import { request } from '../http.ts';
import { defineNotifier } from '../notifier.ts';
import { fill, fillText, placeholderProblems } from '../placeholders.ts';

export const webhook = defineNotifier({
  kind: 'webhook',
  summary:
    'An HTTP request. Without a body of your own it is a POST of the message as JSON (schemas/notification.schema.json).',
  settings: addressSettings(
    addressSchema(
      'Where the request goes; may hold {{placeholders}}. It often holds a token: name an environment variable.',
      '${OPS_WEBHOOK}',
    ),
    {
      method: {
        enum: ['POST', 'PUT', 'PATCH', 'GET'],
        description: 'GET has no body.',
        examples: ['POST'],
        default: 'POST',
      },
      headers: {
        type: 'object',
        description: 'Headers of the request; values may hold {{placeholders}}.',
        examples: [{ Authorization: 'Bearer ${OPS_TOKEN}' }],
        default: {},
        propertyNames: {
          type: 'string',
          pattern: "^[A-Za-z0-9!#$%&'*+.^_`|~-]+$",
          'x-expected': 'the name of a header',
        },
        patternProperties: {
          '^([Aa]uthorization|[Cc]ookie|[Xx]-.*([Kk]ey|[Tt]oken|[Ss]ecret))$': {
            type: 'string',
            'x-secret': true,
          },
        },
        additionalProperties: { type: 'string' },
      },
      body: {
        description:
          'What is sent: JSON of any form, or text. {{title}}, {{text}}, {{run.id}} and other parts of the message are filled in; a text that is nothing but one placeholder becomes that part itself.',
        examples: [{ summary: '{{title}}', details: '{{text}}' }, '{{title}}'],
        'x-expected': 'text, a map or a list',
        oneOf: [
          { type: 'string' },
          { type: 'object', additionalProperties: true },
          { type: 'array', items: {} },
        ],
      },
    },
    'An address, or a map with url, method, headers and body.',
  ),
  validate: (settings) => {
    const { url: address, headers, body } = full(settings);
    return [
      ...addressProblems(settings),
      ...placeholderProblems({ url: address, headers, body }).map((problem) =>
        typeof settings === 'string' ? { ...problem, path: [] } : problem,
      ),
    ];
  },
  where: addressHost,
  async send(message, settings, { signal }) {
    const { url: address, method, headers, body = undefined } = full(settings);
    const filled = body === undefined ? message : fill(body, message);
    const isText = typeof filled === 'string';
    return await request({
      url: fillText(address, message, encodeURIComponent),
      method,
      headers: {
        'content-type': isText ? 'text/plain; charset=utf-8' : 'application/json',
        ...Object.fromEntries(
          Object.entries(headers).map(([name, value]) => [
            name.toLowerCase(),
            // Headers are one line of Latin letters; other characters would be refused.
            fillText(value, message).replace(/[^\x20-\x7e\xa0-\xff]+/g, ' '),
          ]),
        ),
      },
      ...(method === 'GET' ? {} : { body: isText ? filled : JSON.stringify(filled) }),
      signal,
    });
  },
});

interface Full {
  readonly url: string;
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: unknown;
}

function full(settings: unknown): Full {
  return isRecord(settings)
    ? (settings as unknown as Full)
    : { url: String(settings), method: 'POST', headers: {} };
}
