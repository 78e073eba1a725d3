/** How much of a sequence is left. */
import type { JsonSchema } from '../schema.ts';
import { showName } from './names.ts';
import type { Position, Sequence } from './sequence-state.ts';

export const percentSchema = {
  type: 'string',
  pattern: '^\\d+(\\.\\d+)?%$',
  'x-expected': 'a percentage such as 20%',
  description: 'How much of its values must still be to come; the type of its columns counts too.',
  examples: ['20%'],
} as const satisfies JsonSchema;

/** undefined when enough is left, or the sequence starts anew. @param wanted for example `20%` */
export function headroomTrouble(
  sequence: Sequence,
  position: Position,
  wanted: string | undefined,
): { readonly message: string; readonly hint: string } | undefined {
  if (wanted === undefined || sequence.cycle) return undefined;
  if (position.headroom * 100 >= Number.parseFloat(wanted)) return undefined;
  return {
    message: `sequence ${showName(sequence)} has ${Math.floor(position.headroom * 1000) / 10}% of its values left, expected ${wanted}`,
    hint: 'Make the column and the sequence bigint before it runs out.',
  };
}
