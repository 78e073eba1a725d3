/** `sequences`: those that would give values which their columns hold already are set forward, never back. */
import { showName } from '../checks/names.ts';
import { allSequences, sequencePositions, sequenceTrouble } from '../checks/sequence-state.ts';
import { identifier } from '../postgres/client.ts';
import type { RepairKind } from './repair-kind.ts';

export const sequences: RepairKind = {
  kind: 'sequences',
  summary: 'Sets sequences forward that are behind their columns.',
  async find({ client }) {
    const all = await allSequences(client);
    const positions = await sequencePositions(client, all);
    return all.flatMap((sequence) => {
      const position = positions.get(sequence.oid);
      const trouble = position === undefined ? undefined : sequenceTrouble(sequence, position);
      if (trouble === undefined) return [];
      return [
        {
          kind: 'sequences',
          key: String(sequence.oid),
          what: trouble.message,
          statements: [trouble.setsForward ?? trouble.hint.replace(/;$/, '')],
          transaction: true,
          // Nobody may insert between the look and the setting.
          locks: sequence.columns
            .filter(({ plain }) => plain)
            .map((column) => `${identifier(column.schema)}.${identifier(column.table)}`),
          ...(trouble.setsForward !== undefined
            ? {}
            : {
                refused: {
                  why: `${showName(sequence)} cannot be set forward`,
                  hint: trouble.hint,
                },
              }),
        },
      ];
    });
  },
};
