/** `hold`: the step that keeps a sandbox alive while a person looks at it. Only the command line knows this kind. */
import { isSocket } from '../postgres/connection.ts';
import { shellWord } from '../shell.ts';
import { defineStep, type StepKind } from '../steps/step-kind.ts';
import { formatDuration } from '../units.ts';
import type { CommandContext } from './command.ts';
import type { Say } from './execute.ts';
import { isInteractive, waitForEnter } from './prompt.ts';

export function makeHold(context: CommandContext, say: Say, milliseconds: number | undefined): StepKind {
  return defineStep({
    kind: 'hold',
    summary: 'Wait until a person has looked at a restored copy.',
    with: {
      type: 'object',
      required: ['database'],
      additionalProperties: false,
      properties: { database: { type: 'string', 'x-ref': 'database' } },
    },
    outputs: {},
    describe: ({ database }) => `wait while somebody looks at ${database}`,
    async run({ database }, step) {
      const { connection } = step.database(database);
      const place = isSocket(connection) ? `-h ${shellWord(connection.host)}` : `-h ${connection.host}`;
      const psql = `psql ${place} -p ${connection.port} -U ${shellWord(connection.user)} -d ${shellWord(connection.database)}`;
      await say(['', `look at it with:  ${psql}`, `it is kept for you: ${ending(milliseconds)}`]);
      await waitForEnter(context, milliseconds);
      step.signal.throwIfAborted();
      return {};
    },
  });
}

function ending(milliseconds: number | undefined): string {
  const ways = [
    ...(isInteractive() ? ['Enter or Ctrl-C ends it'] : ['SIGINT ends it']),
    ...(milliseconds === undefined ? [] : [`after ${formatDuration(milliseconds)} it ends by itself`]),
  ];
  return ways.join(', ');
}
