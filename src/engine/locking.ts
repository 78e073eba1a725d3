/** The locks of one run: what its steps write to, taken before the first step where that can be known. */
import { evaluateCondition, hasExpression, mentionedSteps, type Scope } from '../plan/expressions.ts';
import type { Job, Step } from '../plan/model.ts';
import type { LockHandle, LockOwner, Locks } from '../runs/lock.ts';
import type { Resource, StepKind } from '../steps/step-kind.ts';
import { knownBeforehand } from './params.ts';

/** Where the lock of a resource lives, and its name there. */
export type LocksFor = (resource: Resource) => Promise<{ readonly locks: Locks; readonly key: string }>;

export interface RunLocks {
  /** Takes what is not held yet, or nothing. @throws LOCKED */
  take(resources: readonly Resource[]): Promise<void>;
  release(): void;
}

export function makeRunLocks(locksFor: LocksFor, owner: LockOwner): RunLocks {
  const held = new Map<string, LockHandle>();
  const take = async (resources: readonly Resource[]) => {
    const wanted = await Promise.all(resources.map(locksFor));
    // Always in the same order; nobody waits, so order only makes the message the same for everyone.
    wanted.sort((a, b) => a.key.localeCompare(b.key));
    const taken: [string, LockHandle][] = [];
    try {
      for (const { locks, key } of wanted) {
        const id = `${locks.file}\0${key}`;
        if (held.has(id) || taken.some(([name]) => name === id)) continue;
        taken.push([id, locks.acquire(key, 'exclusive', owner)]);
      }
    } catch (error) {
      for (const [, handle] of taken) handle.release();
      throw error;
    }
    for (const [id, handle] of taken) held.set(id, handle);
  };
  return {
    take,
    release: () => {
      for (const handle of held.values()) handle.release();
      held.clear();
    },
  };
}

/** What the steps of a job are known to write to before any has run. */
export function knownResources(job: Job, kinds: ReadonlyMap<string, StepKind>, scope: Scope): Resource[] {
  return [...Object.values(job.steps), ...Object.values(job.onFailure)]
    .filter((step) => !isSwitchedOff(step, scope))
    .flatMap((step) => guessResources(kinds.get(step.uses), knownBeforehand(step.with, scope)))
    .filter((resource) => !hasExpression(resource));
}

/** Settings that still hold expressions may have a shape that the kind does not expect; it is asked again when they are complete. */
function guessResources(kind: StepKind | undefined, params: unknown): readonly Resource[] {
  try {
    return kind?.writes?.(params) ?? [];
  } catch {
    return [];
  }
}

/** Its condition is about inputs only, and false. */
function isSwitchedOff(step: Step, scope: Scope): boolean {
  if (step.if === undefined || mentionedSteps(`\${{ ${step.if} }}`).size > 0) return false;
  try {
    return (
      !evaluateCondition(step.if, { ...scope, state: { failed: true, cancelled: true } }) &&
      !evaluateCondition(step.if, { ...scope, state: { failed: false, cancelled: false } })
    );
  } catch {
    return false;
  }
}
