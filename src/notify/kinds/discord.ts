/** `discord`: a channel's webhook. Source: https://discord.com/developers/docs/resources/webhook#execute-webhook */
import { hostOf, postJson, urlProblems } from '../http.ts';
import { defineNotifier, type Message } from '../notifier.ts';
import { COLORS, cut } from '../words.ts';

const url = {
  type: 'string',
  minLength: 1,
  description: 'The address of the webhook. It is a secret: name an environment variable.',
  examples: ['${DISCORD_WEBHOOK}'],
  'x-secret': true,
} as const;

export const discord = defineNotifier({
  kind: 'discord',
  summary: 'A channel of Discord, or of a chat with Discord-compatible webhooks.',
  settings: {
    description: 'An address, or a map with url.',
    examples: ['${DISCORD_WEBHOOK}'],
    'x-expected': 'an http url or a map with url',
    oneOf: [
      url,
      {
        type: 'object',
        required: ['url'],
        additionalProperties: false,
        properties: {
          url,
          username: {
            type: 'string',
            minLength: 1,
            maxLength: 80,
            description: 'Shown as the sender. Default: what the webhook is called.',
            examples: ['backplan'],
          },
        },
      },
    ],
  },
  validate: (settings) =>
    typeof settings === 'string' ? urlProblems(settings) : urlProblems(settings.url, ['url']),
  where: (settings) => hostOf(typeof settings === 'string' ? settings : settings.url),
  async send(message, settings, { signal }) {
    const { url: address, username } = typeof settings === 'string' ? { url: settings } : settings;
    return await postJson(
      address,
      { ...(username === undefined ? {} : { username }), ...payload(message) },
      signal,
    );
  },
});

const escaped = (text: string) => text.replace(/[\\*_~`|>#[\]]/g, '\\$&');

/** An embed takes 256, 4096, 25 × (256 + 1024) characters, and 6000 in all. */
function payload({ title, level, text, facts, next, at }: Message) {
  const commands =
    next.length === 0 ? '' : `\n\`\`\`\n${cut(next.join('\n').replaceAll('`', "'"), 1000)}\n\`\`\``;
  return {
    embeds: [
      {
        title: cut(escaped(title), 256),
        description: `${cut(escaped(text), 2400)}${commands}`,
        color: Number.parseInt(COLORS[level].slice(1), 16),
        fields: facts.slice(0, 8).map(({ name, value }) => ({
          name: cut(escaped(name), 50),
          value: cut(escaped(value), 200) || '-',
          inline: value.length < 40,
        })),
        timestamp: at,
        footer: { text: 'backplan' },
      },
    ],
    // Names in an error message must not wake anybody.
    allowed_mentions: { parse: [] },
  };
}
