/** `keep`: the step that leaves a staging database for a person to look at, where a failed run would remove it. */

import type { Journal } from '../runs/store.ts';
import { defineStep, type StepKind } from '../steps/step-kind.ts';

export function makeKeep(journal: Journal): StepKind {
  return defineStep({
    kind: 'keep',
    summary: 'Keep a staging database beyond its run.',
    with: {
      type: 'object',
      required: ['staging'],
      additionalProperties: false,
      properties: { staging: { type: 'string', 'x-ref': 'database' } },
    },
    outputs: { name: { type: 'string', description: 'Its name on the server.' } },
    describe: ({ staging }) => `keep ${staging}`,
    async run({ staging }, context) {
      const name = context.database(staging).connection.database;
      for (const { id, thing } of journal.ownedBy(context.run.id)) {
        if (thing.kind === 'stagingDatabase' && thing.name === name) journal.release(id);
      }
      return { name };
    },
  });
}
