/**
 * `approve`: the step between looking and changing. Shows the statements that an earlier step found, and asks a
 * person. Only the command line knows this kind.
 */
import { defineStep, type StepKind } from '../steps/step-kind.ts';
import type { CommandContext } from './command.ts';
import type { Say } from './execute.ts';
import { confirm } from './prompt.ts';

/** @param question undefined: show only */
export function makeApprove(
  context: CommandContext,
  say: Say,
  question: { readonly question: string; readonly action: string } | undefined,
): StepKind {
  return defineStep({
    kind: 'approve',
    summary: 'Show statements, and ask before they are run.',
    with: {
      type: 'object',
      required: ['sql', 'count'],
      additionalProperties: false,
      properties: {
        sql: { type: 'string', description: 'The statements.' },
        count: { type: ['number', 'string'], description: 'How much there is to do.' },
      },
    },
    outputs: { approved: { type: 'boolean', description: 'The statements may be run.' } },
    describe: () => 'show the statements, and ask before they are run',
    async run({ sql, count }) {
      if (Number(count) === 0) {
        await say(['', 'Nothing to do.']);
        return { approved: false };
      }
      await say(['', sql, '']);
      if (question === undefined) return { approved: false };
      await confirm(context, { facts: [['to do', String(count)]], ...question });
      return { approved: true };
    },
  });
}
