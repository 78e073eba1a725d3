/** The probes in the order of looking: what can be reached first, what builds on it after. */
import { databases } from './databases.ts';
import { journal } from './journal.ts';
import type { Finding, Probe, ProbeContext } from './probe.ts';
import { repositories } from './repositories.ts';
import { sandbox } from './sandbox.ts';
import { tools } from './tools.ts';

const probes: readonly Probe[] = [databases, tools, sandbox, repositories, journal];

/** Looks at everything; findings come as they are found. */
export async function* examine(context: Omit<ProbeContext, 'facts'>): AsyncGenerator<Finding> {
  const shared: ProbeContext = { ...context, facts: new Map() };
  for (const probe of probes) {
    context.signal.throwIfAborted();
    yield* probe.run(shared);
  }
}
