/** `daemon`: runs the scheduled jobs of plans until it is told to stop. */
import { EXIT } from '../errors.ts';
import { parseDuration } from '../units.ts';
import { defineCommand, manyArguments, parsedOption } from './command.ts';

export const daemon = defineCommand({
  name: 'daemon',
  summary: 'run the scheduled jobs of plans, until told to stop',
  description:
    'SIGTERM: no new runs; those that run get the grace period and are then cancelled; a second SIGTERM cancels at once.',
  group: 'Runs',
  arguments: { plans: manyArguments('plan files', 'plan') },
  options: {
    grace: parsedOption(
      '--grace <duration>',
      'how long running jobs may go on after SIGTERM (default 30s)',
      parseDuration,
    ),
  },
  examples: [{ line: 'daemon plans/crm.yaml', does: 'the schedules of one plan' }],
  exits: [EXIT.locked],
  async run({ plans, grace = 30_000 }, context) {
    const { startDaemon } = await import('../daemon/daemon.ts');
    const app = await context.app();
    const running = await startDaemon({
      files: plans,
      stateDirectory: app.stateDirectory(context.globals.state),
      graceMs: grace,
    });
    await new Promise<void>((resolve) => {
      let told = false;
      const remove = context.onInterrupt(() => {
        if (told) {
          running.hurry();
          return;
        }
        told = true;
        void running.stop().then(() => {
          remove();
          resolve();
        });
      });
    });
    return EXIT.success;
  },
});
