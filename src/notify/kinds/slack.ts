/** `slack`: an incoming webhook as Slack, Mattermost, Rocket.Chat and others have it. */
import { addressHost, addressProblems, addressSchema, addressSettings, spelledOut } from '../address.ts';
import { postJson } from '../http.ts';
import { defineNotifier, type Message } from '../notifier.ts';
import { COLORS, cut } from '../words.ts';

export const slack = defineNotifier({
  kind: 'slack',
  summary:
    'A channel of Slack, Mattermost, Rocket.Chat or another chat with Slack-compatible incoming webhooks.',
  settings: addressSettings(
    addressSchema(
      'The address of the incoming webhook. It is a secret: name an environment variable.',
      '${SLACK_WEBHOOK}',
    ),
    {
      channel: {
        type: 'string',
        minLength: 1,
        description: 'Another channel than that of the webhook, where the chat allows it.',
        examples: ['#backups'],
      },
      mention: {
        type: 'string',
        minLength: 1,
        description: 'Put in front of problems, to wake somebody: @here, @channel or <@USERID>.',
        examples: ['@here'],
      },
    },
  ),
  validate: addressProblems,
  where: addressHost,
  async send(message, settings, { signal }) {
    const { url, channel, mention } = spelledOut(settings);
    return await postJson(
      url,
      { ...payload(message, mention), ...(channel === undefined ? {} : { channel }) },
      signal,
    );
  },
});

/** Source: https://docs.slack.dev/messaging/formatting-message-text (three characters are escaped). */
const escaped = (text: string) =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

function payload(message: Message, mention: string | undefined) {
  const { title, level, text, facts, next, at } = message;
  const wakes = mention !== undefined && (level === 'error' || level === 'warning');
  const called = /^@(here|channel|everyone)$/.test(mention ?? '') ? `<!${mention?.slice(1)}>` : mention;
  return {
    text: `${wakes ? `${called} ` : ''}*${escaped(title)}*`,
    attachments: [
      {
        color: COLORS[level],
        fallback: escaped(title),
        text: cut(
          [escaped(text), ...(next.length === 0 ? [] : [`\`\`\`${escaped(next.join('\n'))}\`\`\``])].join(
            '\n',
          ),
          7000,
        ),
        fields: facts.map(({ name, value }) => ({
          title: name,
          value: cut(escaped(value), 1000),
          short: value.length < 40,
        })),
        footer: 'backplan',
        ts: Math.floor(Date.parse(at) / 1000),
        mrkdwn_in: ['text'],
      },
    ],
  };
}
