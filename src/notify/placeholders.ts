/** `{{title}}` in the settings of a webhook → the part of the message. */
import { isRecord } from '../schema-walk.ts';
import { didYouMean, listNames } from '../suggest.ts';
import type { Message, SettingsProblem } from './notifier.ts';
import { plainText } from './words.ts';

const PLACEHOLDER = /\{\{\s*([A-Za-z][\w.]*)\s*\}\}/g;
const ONLY = /^\{\{\s*([A-Za-z][\w.]*)\s*\}\}$/;

/** What a placeholder may begin with. */
const NAMES: Readonly<Record<string, (message: Message) => unknown>> = {
  event: ({ event }) => event,
  level: ({ level }) => level,
  title: ({ title }) => title,
  text: ({ text }) => text,
  /** Text, facts and commands. */
  all: (message) => plainText(message),
  facts: ({ facts }) => Object.fromEntries(facts.map(({ name, value }) => [name, value])),
  next: ({ next }) => next,
  at: ({ at }) => at,
  host: ({ host }) => host,
  plan: ({ plan }) => plan,
  planFile: ({ planFile }) => planFile,
  job: ({ job }) => job,
  database: ({ database }) => database,
  key: ({ key }) => key,
  held: ({ held }) => held,
  run: ({ run }) => run,
  message: (message) => message,
};

/** Fills a template of any form. */
export function fill(template: unknown, message: Message): unknown {
  if (typeof template === 'string') {
    const only = ONLY.exec(template)?.[1];
    return only === undefined ? fillText(template, message) : (partOf(only, message) ?? null);
  }
  if (Array.isArray(template)) return template.map((item) => fill(item, message));
  if (!isRecord(template)) return template;
  return Object.fromEntries(Object.entries(template).map(([key, item]) => [key, fill(item, message)]));
}

/** @param adapt what a value needs where it is put */
export function fillText(
  template: string,
  message: Message,
  adapt: (text: string) => string = (text) => text,
): string {
  return template.replace(PLACEHOLDER, (_all, name: string) => {
    const value = partOf(name, message);
    if (value === null || value === undefined) return '';
    return adapt(typeof value === 'object' ? JSON.stringify(value) : String(value));
  });
}

function partOf(path: string, message: Message): unknown {
  const [first = '', ...rest] = path.split('.');
  let value = Object.hasOwn(NAMES, first) ? NAMES[first]?.(message) : undefined;
  for (const key of rest) value = isRecord(value) && Object.hasOwn(value, key) ? value[key] : undefined;
  return value;
}

/** Placeholders whose first word nothing stands for. */
export function placeholderProblems(value: unknown, path: SettingsProblem['path'] = []): SettingsProblem[] {
  if (Array.isArray(value)) {
    return value.flatMap((item, index) => placeholderProblems(item, [...path, index]));
  }
  if (isRecord(value)) {
    return Object.entries(value).flatMap(([key, item]) => placeholderProblems(item, [...path, key]));
  }
  if (typeof value !== 'string') return [];
  return [...value.matchAll(PLACEHOLDER)].flatMap(([, name = '']) => {
    const first = name.split('.')[0] ?? '';
    if (Object.hasOwn(NAMES, first)) return [];
    const known = Object.keys(NAMES);
    return [
      {
        path,
        message: `unknown placeholder {{${name}}}${didYouMean(first, known)}`,
        hint: `Placeholders are ${listNames(known.slice(0, 12))}, … and parts of them such as {{run.id}}.`,
      },
    ];
  });
}
