/** The settings that most kinds share: the address of an endpoint, alone or in a map with more. */
import type { JsonSchema } from '../schema.ts';
import { hostOf, urlProblems } from './http.ts';
import type { SettingsProblem } from './notifier.ts';

/** `url` as kinds that speak HTTP take it. It is a secret: whoever knows it can send. */
export function addressSchema(description: string, example: string) {
  return { type: 'string', minLength: 1, description, examples: [example], 'x-secret': true } as const;
}

/** Settings that are an address, or a map with `url` and more. @param properties what else the map may hold */
export function addressSettings<const P extends Readonly<Record<string, JsonSchema>>>(
  url: ReturnType<typeof addressSchema>,
  properties: P,
  description = 'An address, or a map with url.',
) {
  return {
    description,
    examples: url.examples,
    'x-expected': 'an http url or a map with url',
    oneOf: [
      url,
      {
        type: 'object',
        required: ['url'],
        additionalProperties: false,
        properties: { url, ...properties },
      },
    ],
  } as const;
}

/** Settings of such a kind, the short form spelled out: the address is all that a map must hold. */
export function spelledOut<T extends { readonly url: string }>(settings: string | T): T {
  return typeof settings === 'string' ? ({ url: settings } as T) : settings;
}

/** For `validate` of such a kind. */
export function addressProblems(settings: string | { readonly url: string }): SettingsProblem[] {
  return urlProblems(spelledOut(settings).url, typeof settings === 'string' ? [] : ['url']);
}

/** For `where` of such a kind. */
export function addressHost(settings: string | { readonly url: string }): string {
  return hostOf(spelledOut(settings).url);
}
