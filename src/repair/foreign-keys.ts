/**
 * `foreignKeys`: missing ones are added NOT VALID, which locks for a moment only, and then validated; those whose
 * triggers are disabled are made anew, because enabling them does not look at the rows that came in meanwhile.
 */
import { showName } from '../checks/names.ts';
import { orphanCount, type Reference, references } from './references.ts';
import type { RepairAction, RepairKind, RepairWorld } from './repair-kind.ts';

export const foreignKeys: RepairKind = {
  kind: 'foreignKeys',
  summary: 'Adds missing foreign keys, NOT VALID first and then validated; remakes disabled ones.',
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
  if (reference?.state !== 'missing' && reference?.state !== 'disabled') return undefined;
  const { child, name, definition, state, text, key } = reference;
  const alter = `ALTER TABLE ${child.sql}`;
  const drop = state === 'disabled' ? `DROP CONSTRAINT ${name}, ` : '';
  // Before 18 a partitioned table takes no foreign key that is NOT VALID.
  const inOne = child.kind === 'p' && world.client.serverVersion < 180_000;
  const statements =
    inOne || state === 'disabled'
      ? [`${alter} ${drop}ADD CONSTRAINT ${name} ${definition}`]
      : [`${alter} ADD CONSTRAINT ${name} ${definition} NOT VALID`, `${alter} VALIDATE CONSTRAINT ${name}`];
  const orphaned = await orphanCount(world, reference);
  return {
    kind: 'foreignKeys',
    key,
    what:
      state === 'missing'
        ? `${showName(child)} has no foreign key ${text}`
        : `the foreign key ${name} on ${showName(child)} is not enforced: its triggers are disabled`,
    statements,
    transaction: statements.length === 1,
    again: async () => await look(world, await reference.again()),
    ...(statements.length === 1 ? {} : { undo: [`${alter} DROP CONSTRAINT IF EXISTS ${name}`] }),
    ...(orphaned === 0 || world.policy.orphans !== undefined
      ? {}
      : {
          refused: {
            why: `${orphaned} ${orphaned === 1 ? 'row refers' : 'rows refer'} to nothing`,
            hint: 'Mend those first: see orphans.',
          },
        }),
  };
}
