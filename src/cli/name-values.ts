import { BackplanError } from '../errors.ts';

/**
 * `backup=latest` → {backup: 'latest'}.
 * @param option for messages: `--input`
 * @throws USAGE for what is not of that form, or a name that comes twice
 */
export function parseNameValues(
  option: string,
  texts: readonly string[],
  example: string,
): Record<string, string> {
  const values: Record<string, string> = {};
  for (const text of texts) {
    const [, name, value] = /^([^=]+)=(.*)$/s.exec(text) ?? [];
    if (name === undefined || value === undefined) {
      throw new BackplanError('USAGE', `${option} "${text}" is not of the form name=value`, {
        hint: `For example ${option} ${example}.`,
      });
    }
    if (Object.hasOwn(values, name)) {
      throw new BackplanError('USAGE', `${option.replace(/^--/, '')} ${name} is given twice`);
    }
    values[name] = value;
  }
  return values;
}
