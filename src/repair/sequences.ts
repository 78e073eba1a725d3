/** `sequences`: those that would give values which their columns hold already are set forward, never back. */
import { showName } from '../checks/names.ts';
import { allSequences, type Sequence, sequencePositions, sequenceTrouble } from '../checks/sequence-state.ts';
import { type Client, identifier } from '../postgres/client.ts';
import type { RepairAction, RepairKind } from './repair-kind.ts';

export const sequences: RepairKind = {
  kind: 'sequences',
  summary: 'Sets sequences forward that are behind their columns.',
  async find({ client }) {
    // What no column draws from is behind nothing.
    const all = (await allSequences(client)).filter(({ columns }) => columns.length > 0);
    const hidden = new Set(
      (
        await client.query<{ oid: number }>(
          `SELECT oid FROM pg_catalog.unnest($1::pg_catalog.oid[]) AS oid WHERE NOT pg_catalog.has_sequence_privilege(oid, 'SELECT')`,
          [all.map(({ oid }) => oid)],
        )
      ).map(({ oid }) => oid),
    );
    const names = all.filter(({ oid }) => hidden.has(oid)).map(showName);
    const found = await look(
      client,
      all.filter(({ oid }) => !hidden.has(oid)),
    );
    if (names.length === 0) return found;
    const unseen: RepairAction = {
      kind: 'sequences',
      key: 'unseen',
      what: `${names.length} ${names.length === 1 ? 'sequence' : 'sequences'} could not be looked at (${names.slice(0, 3).join(', ')}${names.length > 3 ? ', …' : ''})`,
      statements: [],
      transaction: true,
      refused: {
        why: 'this role may not read them',
        hint: 'Repair them as their owner, or GRANT SELECT, UPDATE on them.',
      },
    };
    return [...found, unseen];
  },
};

async function look(client: Client, all: readonly Sequence[]): Promise<RepairAction[]> {
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
        again: async () => (await look(client, [sequence]))[0],
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
}
