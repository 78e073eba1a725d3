/** What a step may hand on: plain JSON, so that it means the same in expressions, the journal and reports. */
import { BackplanError } from '../errors.ts';
import type { Outputs } from '../runs/record.ts';

/** A plain JSON copy. undefined values are left out, dates become ISO text. @throws INTERNAL naming the output */
export function plainOutputs(step: string, outputs: unknown): Outputs {
  if (outputs === undefined || outputs === null) return {};
  if (typeof outputs !== 'object' || Array.isArray(outputs))
    throw notPlain(step, 'the outputs are not an object');
  const copy: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(outputs)) {
    const text = stringify(step, key, value);
    if (text !== undefined) copy[key] = JSON.parse(text);
  }
  return copy;
}

function stringify(step: string, key: string, value: unknown): string | undefined {
  if (typeof value === 'function' || typeof value === 'symbol')
    throw notPlain(step, `${key} is a ${typeof value}`);
  try {
    return JSON.stringify(value, (_key, item: unknown) =>
      typeof item === 'bigint' ? bigintValue(item) : item,
    );
  } catch (error) {
    throw notPlain(step, `${key}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** Counts from the database: exact as numbers while they can be, otherwise as text. */
function bigintValue(value: bigint): number | string {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : String(value);
}

function notPlain(step: string, reason: string): BackplanError {
  return new BackplanError('INTERNAL', `step ${step} returned something that is no plain JSON: ${reason}`, {
    hint: 'This is a bug of the step kind, not of the plan.',
  });
}
