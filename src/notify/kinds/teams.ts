/** `teams`: a Microsoft Teams workflow ("When a Teams webhook request is received") that posts an adaptive card. */
import { addressHost, addressProblems, addressSchema, addressSettings, spelledOut } from '../address.ts';
import { postJson } from '../http.ts';
import { defineNotifier, type Message, type MessageLevel } from '../notifier.ts';
import { cut } from '../words.ts';

export const teams = defineNotifier({
  kind: 'teams',
  summary: 'A channel or chat of Microsoft Teams, through a workflow that posts cards.',
  settings: addressSettings(
    addressSchema(
      'The address of the workflow. It is a secret: name an environment variable.',
      '${TEAMS_WEBHOOK}',
    ),
    {},
  ),
  validate: addressProblems,
  where: addressHost,
  async send(message, settings, { signal }) {
    return await postJson(spelledOut(settings).url, card(message), signal);
  },
});

/** Names of colours in adaptive cards. */
const TONES: Readonly<Record<MessageLevel, string>> = {
  error: 'attention',
  warning: 'warning',
  success: 'good',
  info: 'default',
};

/** A message may have 28 kB. Source: https://adaptivecards.io/explorer/AdaptiveCard.html */
function card({ title, level, text, facts, next }: Message) {
  const block = (words: string, more: object = {}) => ({
    type: 'TextBlock',
    text: words,
    wrap: true,
    ...more,
  });
  return {
    type: 'message',
    attachments: [
      {
        contentType: 'application/vnd.microsoft.card.adaptive',
        contentUrl: null,
        content: {
          $schema: 'http://adaptivecards.io/schemas/adaptive-card.json',
          type: 'AdaptiveCard',
          version: '1.4',
          msteams: { width: 'Full' },
          body: [
            block(cut(title, 300), { weight: 'bolder', size: 'medium', color: TONES[level] }),
            // A line end is only one when a blank line follows.
            block(cut(text, 4000).replaceAll('\n', '\n\n')),
            {
              type: 'FactSet',
              facts: facts.map(({ name, value }) => ({ title: name, value: cut(value, 500) })),
            },
            ...next.map((line) => block(cut(line, 500), { fontType: 'monospace', spacing: 'small' })),
          ],
        },
      },
    ],
  };
}
