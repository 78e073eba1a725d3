/** The graph of a job's steps: who waits for whom, in which order, and where it bites its own tail. Pure. */
import { own } from '../schema-walk.ts';
import type { Job, Step } from './model.ts';

/** Step name → names of the steps that it needs. */
export type Needs = ReadonlyMap<string, readonly string[]>;

export function needsOf(
  steps: Readonly<Record<string, Pick<Step, 'needs'>>>,
): Map<string, readonly string[]> {
  return new Map(Object.entries(steps).map(([name, step]) => [name, step.needs]));
}

/**
 * Steps in groups: those of a group wait only for earlier groups, so they may run side by side. Order within a
 * group is that of the plan. Needs that name no step are passed over.
 * @throws RangeError on a cycle; a plan that was loaded has none
 */
export function waves(job: Job): string[][] {
  return wavesOf(needsOf(job.steps));
}

export function wavesOf(needs: Needs): string[][] {
  const waiting = new Map(
    [...needs].map(([name, list]) => [name, new Set(list.filter((need) => needs.has(need)))] as const),
  );
  const result: string[][] = [];
  while (waiting.size > 0) {
    const ready = [...waiting].filter(([, open]) => open.size === 0).map(([name]) => name);
    if (ready.length === 0)
      throw new RangeError(`steps wait for each other: ${[...waiting.keys()].join(', ')}`);
    for (const name of ready) waiting.delete(name);
    for (const open of waiting.values()) for (const name of ready) open.delete(name);
    result.push(ready);
  }
  return result;
}

/** Everything that a step waits for, directly or through others. */
export function ancestors(job: Job, step: string): Set<string> {
  const steps = own(job.steps, step) === undefined ? job.onFailure : job.steps;
  return ancestorsOf(needsOf(steps), step);
}

export function ancestorsOf(needs: Needs, step: string): Set<string> {
  const found = new Set<string>();
  const open = [...(needs.get(step) ?? [])];
  for (let name = open.pop(); name !== undefined; name = open.pop()) {
    if (found.has(name) || !needs.has(name)) continue;
    found.add(name);
    open.push(...(needs.get(name) ?? []));
  }
  return found;
}

/**
 * Cycles, each as a path that ends where it starts: `['a', 'b', 'a']` when a needs b and b needs a. One for every
 * group of steps that wait for each other, the shortest through the group's first step. Self-needs are not listed.
 */
export function cycles(needs: Needs): string[][] {
  const result: string[][] = [];
  const done = new Set<string>();
  for (const name of unordered(needs)) {
    if (done.has(name)) continue;
    const path = shortestCycle(needs, name);
    if (path === undefined) continue;
    result.push(path);
    // The rest of the group would only tell the same story again.
    const group = ancestorsOf(needs, name);
    for (const member of group) if (ancestorsOf(needs, member).has(name)) done.add(member);
  }
  return result;
}

/** Steps in a cycle or behind one: what is left when all that is ready has been taken away, again and again. */
function unordered(needs: Needs): string[] {
  const open = new Map(
    [...needs].map(([name, list]) => [
      name,
      new Set(list.filter((each) => each !== name && needs.has(each))).size,
    ]),
  );
  const dependants = new Map<string, string[]>();
  for (const [name, list] of needs) {
    for (const need of new Set(list)) dependants.set(need, [...(dependants.get(need) ?? []), name]);
  }
  const ready = [...open].filter(([, count]) => count === 0).map(([name]) => name);
  for (let name = ready.pop(); name !== undefined; name = ready.pop()) {
    open.delete(name);
    for (const dependant of dependants.get(name) ?? []) {
      const count = open.get(dependant);
      if (count === undefined || dependant === name) continue;
      open.set(dependant, count - 1);
      if (count === 1) ready.push(dependant);
    }
  }
  return [...open.keys()];
}

function shortestCycle(needs: Needs, start: string): string[] | undefined {
  const cameFrom = new Map<string, string>();
  const queue = [start];
  for (let name = queue.shift(); name !== undefined; name = queue.shift()) {
    for (const need of needs.get(name) ?? []) {
      if (need === name || !needs.has(need)) continue;
      if (need === start) {
        const path = [start];
        for (let step = name; step !== start; step = cameFrom.get(step) ?? start) path.unshift(step);
        return [start, ...path];
      }
      if (!cameFrom.has(need)) {
        cameFrom.set(need, name);
        queue.push(need);
      }
    }
  }
  return undefined;
}
