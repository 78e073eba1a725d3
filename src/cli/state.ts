/** The state of a plan's runs, put in order before anything works with it. */
import type { Plan } from '../plan/model.ts';
import type { Journal } from '../runs/store.ts';
import type { CommandContext } from './command.ts';

export interface OpenState extends AsyncDisposable {
  readonly journal: Journal;
  /** Ids of runs that were found cut off. */
  readonly interrupted: readonly string[];
}

/**
 * Opens the journal and recovers runs that a crash cut: they are recorded as interrupted, and what they left behind
 * is removed. One line tells of it. @throws JOURNAL_FAILED
 */
export async function recoverState(context: CommandContext, plan: Plan): Promise<OpenState> {
  const app = await context.app();
  const journal = await app.openState(context.globals.state);
  let interrupted: readonly string[];
  try {
    const report = await app.recover(plan, journal);
    const { removed, left } = report;
    interrupted = report.interrupted;
    if (interrupted.length > 0 || removed.length > 0) {
      const runs = interrupted.length === 0 ? 'earlier runs' : interrupted.join(', ');
      const what = removed.length === 0 ? 'nothing was left behind' : `removed ${things(removed)}`;
      context.out.note(
        `recovered: ${runs} ${interrupted.length > 0 ? 'had been cut off; ' : 'had left things behind; '}${what}`,
      );
    }
    for (const { run, thing, error } of left) {
      context.out.warn(`run ${run} left a ${thing.kind} behind that cannot be removed: ${error.message}`);
    }
  } catch (error) {
    journal.close();
    throw error;
  }
  return {
    journal,
    interrupted,
    [Symbol.asyncDispose]: async () => journal.close(),
  };
}

function things(removed: readonly { readonly kind: string }[]): string {
  const words: Readonly<Record<string, string>> = {
    folder: 'partial folder',
    sandbox: 'sandbox',
    stagingDatabase: 'staging database',
  };
  const counts = new Map<string, number>();
  for (const { kind } of removed) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  return [...counts]
    .map(([kind, count]) => `${count} ${words[kind] ?? kind}${count === 1 ? '' : 's'}`)
    .join(', ');
}
