/**
 * `objectives`: the step that holds the proof of a database against its rpo and rto. Only the command line knows this
 * kind: within a job of a plan it is the job itself that brings the proof.
 */
import { BackplanError, toBackplanError } from '../errors.ts';
import type { DatabaseDefinition } from '../plan/model.ts';
import { type Backup, newestFirst } from '../repository/manifest.ts';
import { defineStep } from '../steps/step-kind.ts';
import { formatDuration } from '../units.ts';
import { type DatabaseStatus, statusOf } from './database-status.ts';

export const objectives = defineStep({
  kind: 'objectives',
  summary: 'Hold the newest proof of a database against the rpo and rto that the plan declares for it.',
  with: {
    type: 'object',
    required: ['database'],
    additionalProperties: false,
    properties: { database: { type: 'string', 'x-ref': 'planDatabase', description: 'The database.' } },
  },
  outputs: {
    recoveryPointSeconds: { type: 'number', description: 'How old the data would be.' },
    recoveryTimeMs: { type: 'number', description: 'How long the rehearsal took, where it was measured.' },
  },
  describe: ({ database }) => `hold the proof of ${database} against its rpo and rto`,
  async run({ database }, context) {
    const definition = context.plan.databases[database];
    if (definition === undefined) throw new BackplanError('INPUT_INVALID', `the plan has no ${database}`);
    const backups: Backup[] = [];
    const unreadable: string[] = [];
    for (const name of Object.keys(context.plan.repositories)) {
      try {
        backups.push(...(await (await context.repository(name)).backups(database)));
      } catch (error) {
        if (context.signal.aborted) throw error;
        unreadable.push(name);
        context.log.warn(`repository ${name} could not be read: ${toBackplanError(error).message}`);
      }
    }
    backups.sort(newestFirst);
    const status = statusOf(definition, backups, new Date());
    const missed = missedObjectives(definition, status);
    if (missed.length > 0) {
      throw new BackplanError('OBJECTIVES_MISSED', `${database}: ${missed.join('; ')}`, {
        hint:
          unreadable.length > 0
            ? `Not all backups could be seen: repository ${unreadable.join(', ')} could not be read.`
            : 'This says nothing against the database that was checked. Run the job that restores and checks its backups; backplan status PLAN shows where they stand.',
      });
    }
    const { recoveryPointSeconds, recoveryTimeMs } = status;
    const figures = { recoveryPointSeconds, recoveryTimeMs };
    return Object.fromEntries(Object.entries(figures).filter(([, value]) => value !== null));
  },
});

/** What is declared and not met, in words; empty where nothing is declared. */
function missedObjectives({ rpo, rto }: DatabaseDefinition, status: DatabaseStatus): string[] {
  const { proven, recoveryPointSeconds: point, recoveryTimeMs: time } = status;
  const missed: string[] = [];
  const nothing = status.newest === null ? 'there is no backup' : 'no backup is proven';
  if (status.rpo?.met === false) {
    const actual =
      proven === null || point === null
        ? nothing
        : `the newest proven backup (${proven.backup}) is ${formatDuration(point * 1000)} old`;
    missed.push(`the rpo of ${rpo} is not met: ${actual}`);
  }
  if (status.rto?.met === false) {
    const actual =
      time !== null
        ? `the newest rehearsal took ${formatDuration(time)}`
        : proven === null
          ? nothing
          : 'how long its restore takes was not measured';
    missed.push(`the rto of ${rto} is not met: ${actual}`);
  }
  return missed;
}
