/** Keeps secrets out of everything that is shown or stored. */

/** The stand-in for a secret. */
export const MASK = '***';

/**
 * Collects the secrets of a run and removes them from text. One masker belongs to one run: logs, errors,
 * journal, manifests and reports all pass their text through it, so that a tool that echoes a password
 * does not leak it.
 */
export class Masker {
  readonly #values = new Set<string>();
  #pattern: RegExp | undefined;

  /** Remembers a secret, and the forms in which it may reappear (percent-encoded, decoded, JSON-escaped). */
  add(secret: string): void {
    for (const value of [
      secret,
      encodeURIComponent(secret),
      safeDecode(secret),
      JSON.stringify(secret).slice(1, -1),
    ]) {
      // A one- or two-letter "secret" would blank out half of every log line; it protects nothing anyway.
      if (value.length >= 3) this.#values.add(value);
    }
    this.#pattern = undefined;
  }

  /** Remembers the password of a URL (and its user name's password parameters); other parts stay readable. */
  addUrl(url: string): void {
    const password = passwordOf(url);
    if (password !== undefined && password !== '') this.add(password);
  }

  mask(text: string): string {
    if (this.#values.size === 0) return maskUrls(text);
    this.#pattern ??= new RegExp(
      // Longest first, so that a secret that contains another one is removed whole.
      [...this.#values]
        .sort((a, b) => b.length - a.length)
        .map((value) => value.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
        .join('|'),
      'g',
    );
    return maskUrls(text.replace(this.#pattern, MASK));
  }

  /** Masks every string inside plain data. */
  maskDeep<T>(value: T): T {
    if (typeof value === 'string') return this.mask(value) as T;
    if (Array.isArray(value)) return value.map((item) => this.maskDeep(item)) as T;
    if (value !== null && typeof value === 'object' && Object.getPrototypeOf(value) === Object.prototype) {
      return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, this.maskDeep(item)])) as T;
    }
    return value;
  }
}

/** Any `scheme://user:password@host` inside a text loses its password, known to us or not. */
export function maskUrls(text: string): string {
  return (
    text
      // A bounded scheme: without the bound a long line of letters costs the square of its length.
      .replace(/([a-z][a-z0-9+.-]{0,31}:\/\/[^\s:/@'"]*):([^\s@/'"]+)@/gi, `$1:${MASK}@`)
      .replace(/([?&](?:password|sslpassword)=)[^&\s'"]+/gi, `$1${MASK}`)
  );
}

function passwordOf(url: string): string | undefined {
  try {
    const parsed = new URL(url);
    return safeDecode(parsed.password) || parsed.searchParams.get('password') || undefined;
  } catch {
    return undefined;
  }
}

function safeDecode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
