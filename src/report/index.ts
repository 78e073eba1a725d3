/** How reporters are attached to a run. */
import type { Listener } from '../runs/record.ts';
import type { Reporter } from './reporter.ts';

export function listenersOf(reporters: readonly Reporter[]): Listener[] {
  return reporters.map((reporter) => (event) => reporter.on(event));
}

/** Waits until all have flushed; one that fails keeps no other from it. */
export async function closeReporters(reporters: readonly Reporter[]): Promise<void> {
  await Promise.allSettled(reporters.map(async (reporter) => await reporter.close?.()));
}
