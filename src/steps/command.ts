/** `command`: runs a program of the user's, for what backplan does not do itself. */
import { runTool } from '../process.ts';
import { userCommandSchema, userTool } from '../user-command.ts';
import { defineStep } from './step-kind.ts';

/** Characters of stdout that become an output; more belongs in a file. */
const OUTPUT_LIMIT = 65_536;

export const command = defineStep({
  kind: 'command',
  summary: 'Run a program. It fails the step when it ends with anything but exit code 0.',
  with: {
    type: 'object',
    required: ['run'],
    additionalProperties: false,
    properties: {
      run: {
        description: 'A line for /bin/sh -eu, or a list: the program and its arguments, without a shell.',
        examples: [
          'rsync -a ./backups/ backup-host:/srv/backups/',
          ['rsync', '-a', './backups/', 'backup-host:/srv/backups/'],
        ],
        ...userCommandSchema,
      },
      env: {
        type: 'object',
        description: 'Variables added to the environment of backplan itself.',
        examples: [{ RSYNC_RSH: 'ssh' }],
        additionalProperties: { type: 'string' },
      },
      cwd: {
        type: 'string',
        description:
          'Folder to run in; a relative one starts at the folder of the plan. Default: the folder of the plan.',
        examples: ['./scripts'],
      },
    },
  },
  outputs: {
    exitCode: { type: 'number', description: 'Always 0: anything else fails the step.' },
    stdout: { type: 'string', description: 'What it printed, without the last newline, up to 64 kB.' },
  },
  describe: ({ run }) => `run ${typeof run === 'string' ? run : run.join(' ')}`,
  async run({ run, env, cwd = '.' }, context) {
    const { stdout } = await runTool({
      ...userTool(run, cwd, context.baseDirectory),
      ...(env === undefined ? {} : { env }),
      signal: context.signal,
      run: context.run.id,
      onStderr: (line) => context.stderr(line),
    });
    for (const line of stdout.split('\n').slice(0, 200)) if (line !== '') context.log.info(line);
    return { exitCode: 0, stdout: context.masker.mask(stdout.trimEnd().slice(0, OUTPUT_LIMIT)) };
  },
});
