/** A difference between suite and schema → changes of the plan's text. Pure. */

import type { SuiteEdit } from '../plan/edit.ts';
import type { CheckDefinition } from '../plan/model.ts';
import type { SuiteDifference } from './compare-suite.ts';
import { generators } from './generators/index.ts';
import { renderCheck } from './render-checks.ts';

/**
 * @param definitions the suite as it is
 * @param removeLost also take out what the schema has lost; the last check of a suite stays
 */
export function refreshEdits(
  definitions: readonly CheckDefinition[],
  { missing, lost: all, changed }: SuiteDifference,
  removeLost: boolean,
): SuiteEdit[] {
  // Part of a check is taken out by hand.
  const lost = all.filter(({ partly }) => partly !== true);
  const whole = lost.filter(({ entry }) => entry === undefined);
  const removable =
    missing.length > 0 || whole.length < definitions.length
      ? lost
      : lost.filter((each) => each !== whole.at(-1));
  const removals = removeLost
    ? removable.map(
        ({ index, entry, kind }): SuiteEdit =>
          entry === undefined ? { edit: 'remove', index } : { edit: 'removeItem', index, kind, item: entry },
      )
    : [];
  const removed = new Set(removals.flatMap((each) => (each.edit === 'remove' ? [each.index] : [])));
  const additions = missing.map((suggestion): SuiteEdit => {
    const { kind, params } = suggestion;
    const listed = definitions.some((each, index) => each.kind === kind && !removed.has(index));
    // The list of its kind takes it, unless that list goes.
    if (Array.isArray(params) && listed && suggestion.note === undefined) {
      return { edit: 'addItem', kind, item: params[0] };
    }
    const heading = generators.find((each) => each.kind === kind)?.heading ?? '';
    return { edit: 'add', kind, heading, render: (indent) => renderCheck(suggestion, indent) };
  });
  const changes = changed.map(
    ({ index, kind, key, to }): SuiteEdit => ({ edit: 'setList', index, kind, key, values: to }),
  );
  return [...removals, ...additions, ...changes];
}
