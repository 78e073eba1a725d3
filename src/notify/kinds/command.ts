/** `command`: a program of the user's gets the message, for ways that backplan does not know. */
import { toBackplanError } from '../../errors.ts';
import { runTool } from '../../process.ts';
import { type UserCommand, userCommandSchema, userTool } from '../../user-command.ts';
import { oneLine, reasonOf } from '../http.ts';
import { defineNotifier, type Message } from '../notifier.ts';
import { plainText } from '../words.ts';

const run = {
  description: 'A line for /bin/sh -eu, or a list: the program and its arguments, without a shell.',
  examples: ['logger -t backplan "$BACKPLAN_TITLE"', ['/usr/local/bin/page', 'dba']],
  ...userCommandSchema,
} as const;

export const command = defineNotifier({
  kind: 'command',
  summary:
    'A program. It gets the message as JSON on stdin and as BACKPLAN_EVENT, _LEVEL, _TITLE, _TEXT, _PLAN, _JOB, _DATABASE and _RUN_ID in its environment.',
  settings: {
    description: 'A command line, a list of program and arguments, or a map with run.',
    examples: ['logger -t backplan "$BACKPLAN_TITLE"', ['/usr/local/bin/page', 'dba']],
    'x-expected': 'a command line, a list of program and arguments, or a map with run',
    oneOf: [
      ...userCommandSchema.oneOf,
      {
        type: 'object',
        required: ['run'],
        additionalProperties: false,
        properties: {
          run,
          env: {
            type: 'object',
            description: 'Variables added to the environment of backplan itself.',
            examples: [{ PAGER_TOKEN: '${PAGER_TOKEN}' }],
            default: {},
            additionalProperties: { type: 'string' },
          },
          cwd: {
            type: 'string',
            minLength: 1,
            description:
              'Folder to run in; a relative one starts at the folder of the plan. Default: the folder of the plan.',
            examples: ['./scripts'],
          },
        },
      },
    ],
  },
  where: (settings) => oneLine(programOf(full(settings).run)),
  async send(message, settings, { signal, baseDirectory }) {
    const { run: line, env, cwd = '.' } = full(settings);
    try {
      const { stdout } = await runTool({
        ...userTool(line, cwd, baseDirectory),
        env: { ...env, ...environment(message) },
        signal,
        input: JSON.stringify(message),
        killGraceMs: 1000,
      });
      const said = oneLine(stdout);
      return { delivered: true, said: `exit code 0${said === '' ? '' : `: ${said}`}` };
    } catch (error) {
      if (signal.aborted) return { delivered: false, said: reasonOf(signal), again: true };
      const { code, message: why } = toBackplanError(error);
      return { delivered: false, said: oneLine(why), again: code === 'TOOL_FAILED' };
    }
  },
});

interface Full {
  readonly run: UserCommand;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

function full(settings: unknown): Full {
  return typeof settings === 'string' || Array.isArray(settings)
    ? { run: settings as Full['run'] }
    : (settings as Full);
}

/** The first word of a line is what a person recognises it by. */
function programOf(run: UserCommand): string {
  return (typeof run === 'string' ? run.trim().split(/\s+/)[0] : run[0]) ?? '';
}

function environment(message: Message): Record<string, string> {
  const { event, level, title, plan, job, database, run } = message;
  return {
    BACKPLAN_EVENT: event,
    BACKPLAN_LEVEL: level,
    BACKPLAN_TITLE: title,
    // The kernel takes 128 kB for one variable; stdin has all of it.
    BACKPLAN_TEXT: plainText(message).slice(0, 30_000),
    BACKPLAN_PLAN: plan,
    BACKPLAN_JOB: job ?? '',
    BACKPLAN_DATABASE: database ?? '',
    // BACKPLAN_RUN marks the processes that end with a run.
    BACKPLAN_RUN_ID: run?.id ?? '',
  };
}
