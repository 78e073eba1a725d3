/** Sequences of a live database, and whether they are ahead of their columns. */
import {
  allSequences,
  type Position,
  sequencePositions,
  sequenceTrouble,
} from '../../checks/sequence-state.ts';
import type { Client } from '../../postgres/client.ts';
import type { ObjectName } from '../../postgres/object-name.ts';

export interface LiveSequence {
  readonly schema: string;
  readonly name: string;
  /** The column that owns it. */
  readonly owner?: { readonly table: ObjectName; readonly column: string };
  /** Why it will fail, for example that it is behind its column. */
  readonly trouble?: string;
  /** This role may read it and the columns that draw from it. */
  readonly readable: boolean;
}

export async function loadSequences(
  client: Client,
  wanted: (schema: string) => boolean,
): Promise<LiveSequence[]> {
  const all = (await allSequences(client)).filter(({ schema }) => wanted(schema));
  let positions: Map<number, Position>;
  try {
    positions = await sequencePositions(client, all);
  } catch {
    // A right that is missing on one of them: the others are asked one by one.
    positions = new Map();
    for (const each of all) {
      for (const [oid, position] of await sequencePositions(client, [each]).catch(() => []))
        positions.set(oid, position);
    }
  }
  return all.map((sequence) => {
    const position = positions.get(sequence.oid);
    const trouble = position === undefined ? undefined : sequenceTrouble(sequence, position)?.message;
    const owner = sequence.columns.find(({ owned }) => owned);
    return {
      schema: sequence.schema,
      name: sequence.name,
      readable: position !== undefined,
      ...(owner === undefined
        ? {}
        : { owner: { table: { schema: owner.schema, name: owner.table }, column: owner.column } }),
      ...(trouble === undefined ? {} : { trouble }),
    };
  });
}
