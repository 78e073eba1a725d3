/** Is the run journal sound, and is anything left of runs that ended? */
import { toBackplanError } from '../errors.ts';
import { formatAge } from '../units.ts';
import { type Probe, reporter } from './probe.ts';

export const journal: Probe = {
  area: 'journal',
  async *run(context) {
    const say = reporter('journal', context.stateDirectory);
    try {
      const state = await context.openState();
      try {
        const problems = state.problems();
        yield problems.length === 0
          ? say.ok('can be written and is sound')
          : say.problem(
              `is damaged: ${problems.slice(0, 3).join('; ')}`,
              'Move journal.db away; only the history of runs is lost, backups and proofs are in the repositories.',
            );
        for (const { run, thing } of state.orphans()) {
          yield say.warning(
            `run ${run} left behind: ${JSON.stringify(thing)}`,
            'The next command that runs something tries to remove it; its message says what stands in the way.',
          );
        }
        for (const { run } of state.running()) {
          yield say.ok(
            `run ${run.id} (${run.plan}, job ${run.job}) is running since ${formatAge(new Date(run.startedAt), context.now)}, pid ${run.pid} on ${run.host}`,
          );
        }
      } finally {
        state.close();
      }
    } catch (error) {
      const { message, hint } = toBackplanError(error);
      yield say.problem(message, hint);
    }
  },
};
