/** Programs of the user's, as plans name them. */
import { isAbsolute, join } from 'node:path';
import type { ToolOptions } from './process.ts';
import type { JsonSchema } from './schema.ts';

/** A line for /bin/sh -eu, or a program and its arguments without a shell. */
export type UserCommand = string | readonly string[];

export const userCommandSchema = {
  'x-expected': 'a command line, or a list of program and arguments',
  oneOf: [
    { type: 'string', minLength: 1 },
    { type: 'array', items: { type: 'string' }, minItems: 1 },
  ],
} as const satisfies JsonSchema;

/**
 * How it is started: with the whole environment of this process.
 * @param cwd where; a relative folder starts at `baseDirectory`, the folder of the plan
 */
export function userTool(
  run: UserCommand,
  cwd: string,
  baseDirectory: string,
): Pick<ToolOptions, 'command' | 'args' | 'label' | 'inheritEnv' | 'cwd'> {
  const [program = '/bin/sh', ...args] = typeof run === 'string' ? ['/bin/sh', '-euc', run] : run;
  return {
    command: program,
    args,
    label: typeof run === 'string' ? 'the command' : program,
    inheritEnv: true,
    cwd: isAbsolute(cwd) ? cwd : join(baseDirectory, cwd),
  };
}
