/** `orphans`: rows that refer to nothing move to the quarantine, so that their foreign key can hold. */

import { showName } from '../checks/names.ts';
import { sampleOrphans } from '../checks/reference-scan.ts';
import { moveRows } from './quarantine.ts';
import { orphanCount, orphanRows, type Reference, references } from './references.ts';
import type { RepairAction, RepairKind, RepairWorld } from './repair-kind.ts';

export const orphans: RepairKind = {
  kind: 'orphans',
  summary: 'Moves rows whose parent is gone to the quarantine.',
  async find(world) {
    const actions: RepairAction[] = [];
    for (const reference of await references(world)) {
      const action = await look(world, reference);
      if (action !== undefined) actions.push(action);
    }
    return actions;
  },
};

async function look(world: RepairWorld, reference: Reference | undefined): Promise<RepairAction | undefined> {
  if (reference === undefined || reference.state === 'sound') return undefined;
  const rows = await orphanCount(world, reference);
  if (rows === 0) return undefined;
  const { child, parent, text } = reference;
  const { samples } = await sampleOrphans(world.client, reference.scan, world.sample);
  const move = await moveRows(world.client, child, orphanRows(reference), `refers to nothing: ${text}`, {
    schema: world.policy.quarantine,
    run: world.run,
  });
  const refused =
    world.policy.orphans === undefined
      ? {
          why: 'nothing says what shall become of them',
          hint: 'Bring their parents back (backplan recover), or let orphans: quarantine move them away.',
        }
      : move.refused;
  return {
    kind: 'orphans',
    key: reference.key,
    what: `${rows} ${rows === 1 ? 'row' : 'rows'} of ${showName(child)} refer${rows === 1 ? 's' : ''} to nothing: ${text}`,
    statements: move.statements,
    transaction: true,
    locks: [child.sql, parent.sql],
    again: async () => await look(world, await reference.again()),
    rows,
    samples,
    ...(refused === undefined ? {} : { refused }),
  };
}
