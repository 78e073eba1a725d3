/** Values as YAML text on one line, for plans that the program writes. */

/** Plain scalars of YAML that mean themselves, in flow lists as well, and that no reader takes for something else. */
const PLAIN = /^[A-Za-z_][\w.-]*(?: [\w.-]+)*$/;
const RESERVED = /^(true|false|null|yes|no|on|off|y|n)$/i;

/**
 * A value on one line: `{ table: User, columns: [id] }`. Texts mean what they say: what a plan would read as a
 * variable or an expression is escaped.
 */
export function flowText(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(flowText).join(', ')}]`;
  if (typeof value === 'object' && value !== null) {
    const pairs = Object.entries(value).map(([key, each]) => `${scalarText(key)}: ${flowText(each)}`);
    return pairs.length === 0 ? '{}' : `{ ${pairs.join(', ')} }`;
  }
  return typeof value === 'string' ? scalarText(value.replaceAll('${', () => '$${')) : String(value);
}

/** A text as a scalar, quoted where it must be. No template is escaped here. */
export function scalarText(text: string): string {
  if (PLAIN.test(text) && !RESERVED.test(text)) return text;
  // Easier to read than backslashes.
  if (text.includes('"') && !text.includes("'") && /^[\x20-\x7e]+$/.test(text)) return `'${text}'`;
  // JSON is YAML but for characters that YAML wants escaped.
  return JSON.stringify(text).replace(
    /[\u007f-\u009f\u2028\u2029\ufeff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** A comment of one line or several, each behind `# `. */
export function commentText(text: string, indent: string): string {
  return text
    .split('\n')
    .map((line) => `${indent}# ${line}`.trimEnd())
    .join('\n');
}
