/** Text of the command line → values. Every function throws INPUT_INVALID with what is accepted. */
import { BackplanError } from '../errors.ts';
import { parseDuration } from '../units.ts';

export function positiveInteger(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) {
    throw new BackplanError('INPUT_INVALID', `"${text}" is not a positive whole number`);
  }
  return Number(text);
}

/** Checked, but kept as text, because steps take durations as text. */
export function durationText(text: string): string {
  parseDuration(text);
  return text;
}

/** `within=30d`, `proven=3` → entries of a keep policy. */
export function keepRules(texts: readonly string[]): Record<string, number | string> {
  return Object.fromEntries(
    texts.map((text): [string, number | string] => {
      const match = /^(\w+)=(.+)$/.exec(text);
      const [, rule = '', value = ''] = match ?? [];
      if (rule === 'within') return [rule, durationText(value)];
      if (COUNTED.includes(rule)) return [rule, positiveInteger(value)];
      throw new BackplanError('INPUT_INVALID', `"${text}" is not a rule of what to keep`, {
        hint: `Write within=30d, or a count of ${COUNTED.join(', ')}, for example daily=7 or proven=3.`,
      });
    }),
  );
}

const COUNTED: readonly string[] = ['last', 'daily', 'weekly', 'monthly', 'yearly', 'proven'];
