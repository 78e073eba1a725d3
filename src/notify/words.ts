/** A message as text, and fitted to what a service takes. */
import type { Message, MessageLevel } from './notifier.ts';

/** As plain text for mails, logs and chats: what happened, the facts, what to type. */
export function plainText({ text, facts, next }: Message): string {
  return [
    text,
    '',
    ...facts.map(({ name, value }) => `${name}: ${value}`),
    ...(next.length === 0 ? [] : ['', 'What to type next:', ...next.map((line) => `  ${line}`)]),
  ].join('\n');
}

/** At most `length` characters (UTF-16 units, as services count), never half a character. */
export function cut(text: string, length: number): string {
  if (text.length <= length) return text;
  return `${text.slice(0, length - 1).replace(/[\ud800-\udbff]$/, '')}…`;
}

/** Red, yellow, green, grey. */
export const COLORS: Readonly<Record<MessageLevel, string>> = {
  error: '#c62828',
  warning: '#f9a825',
  success: '#2e7d32',
  info: '#546e7a',
};
