/** Walks a graph of steps: each starts when all it needs has ended, as many at once as allowed. */
import { BackplanError } from '../errors.ts';

export interface Node {
  readonly name: string;
  readonly needs: readonly string[];
}

/**
 * Resolves when every node has ended. How a node ended is the business of `run`, which must not reject; needs that
 * are not among the nodes count as ended.
 * @param run called in the order of `nodes` among those that are ready
 */
export async function walk(
  nodes: readonly Node[],
  concurrency: number,
  run: (name: string) => Promise<void>,
): Promise<void> {
  const waiting = new Map(nodes.map((node) => [node.name, node]));
  const running = new Map<string, Promise<string>>();
  const hasEnded = (name: string) => !waiting.has(name) && !running.has(name);
  while (waiting.size > 0 || running.size > 0) {
    for (const node of waiting.values()) {
      if (running.size >= concurrency) break;
      if (!node.needs.every(hasEnded)) continue;
      waiting.delete(node.name);
      running.set(
        node.name,
        run(node.name).then(() => node.name),
      );
    }
    if (running.size === 0) {
      throw new BackplanError('INTERNAL', `steps wait for each other: ${[...waiting.keys()].join(', ')}`);
    }
    running.delete(await Promise.race(running.values()));
  }
}
