/** `discord`: a channel's webhook. Source: https://discord.com/developers/docs/resources/webhook#execute-webhook */
import { addressHost, addressProblems, addressSchema, addressSettings, spelledOut } from '../address.ts';
import { postJson } from '../http.ts';
import { defineNotifier, type Message } from '../notifier.ts';
import { COLORS, cut } from '../words.ts';

export const discord = defineNotifier({
  kind: 'discord',
  summary: 'A channel of Discord, or of a chat with Discord-compatible webhooks.',
  settings: addressSettings(
    addressSchema(
      'The address of the webhook. It is a secret: name an environment variable.',
      '${DISCORD_WEBHOOK}',
    ),
    {
      username: {
        type: 'string',
        minLength: 1,
        maxLength: 80,
        description: 'Shown as the sender. Default: what the webhook is called.',
        examples: ['backplan'],
      },
    },
  ),
  validate: addressProblems,
  where: addressHost,
  async send(message, settings, { signal }) {
    const { url, username } = spelledOut(settings);
    return await postJson(
      url,
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
