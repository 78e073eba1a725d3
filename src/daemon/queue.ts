/**
 * Who runs now and who waits: one run of a job at a time, groups of jobs, a limit for the whole daemon. Order is
 * kept: of those that may run, the one that came first does.
 */
import type { BackplanError } from '../errors.ts';
import type { Overlap } from '../plan/model.ts';

/** A run that is to be. */
export interface Task {
  readonly runId: string;
  /** `plan/job`. */
  readonly key: string;
  readonly groups: readonly string[];
  readonly overlap: Overlap;
  /** It may not start before this instant; undefined when it may now. Asked again and again. */
  notBefore(now: number): number | undefined;
  /** Runs it to its end; never rejects. What comes back is to be run next, after its turn: a retry. */
  run(signal: AbortSignal): Promise<Task | undefined>;
}

export type Offer =
  /** `displaced`: waiting tasks whose place it took; `cancelled`: running ones that were told to stop. */
  | { readonly accepted: true; readonly displaced: readonly Task[]; readonly cancelled: readonly Task[] }
  /** `other`: the run that is in the way. */
  | { readonly accepted: false; readonly other: string };

export interface Queue {
  offer(task: Task): Offer;
  /** Starts what may start now. To be called when time has passed. */
  pump(): void;
  /** Running tasks and what they wait for being cancelled by. */
  running(): readonly Task[];
  /** In order. */
  waiting(): readonly Task[];
  /** A waiting task is taken out and returned; a running one is told to stop. */
  cancel(runId: string, reason: BackplanError): { readonly found: boolean; readonly removed?: Task };
  /** Takes out everything that waits and starts nothing any more. */
  close(): readonly Task[];
  /** Resolves when nothing runs. */
  idle(): Promise<void>;
}

export interface QueueOptions {
  readonly maxRunning: number;
  /** How many runs of a group at once. */
  limitOf(group: string): number;
  now(): number;
  /** Why a run is cancelled that gives way to a newer one. */
  displacedReason(by: Task): BackplanError;
}

export function makeQueue(options: QueueOptions): Queue {
  const running = new Map<Task, AbortController>();
  let waiting: Task[] = [];
  let closed = false;
  const idlers: (() => void)[] = [];

  const start = (task: Task) => {
    const controller = new AbortController();
    running.set(task, controller);
    void task.run(controller.signal).then((next) => {
      running.delete(task);
      if (next !== undefined && !closed) waiting.push(next);
      pump();
      if (running.size === 0) for (const resolve of idlers.splice(0)) resolve();
    });
  };

  const pump = () => {
    if (closed || waiting.length === 0) return;
    const now = options.now();
    const busy = new Set<string>();
    const used = new Map<string, number>();
    const use = ({ key, groups }: Task) => {
      busy.add(key);
      for (const group of groups) used.set(group, (used.get(group) ?? 0) + 1);
    };
    for (const task of running.keys()) use(task);
    const ready: Task[] = [];
    for (const task of waiting) {
      if (running.size + ready.length >= options.maxRunning) break;
      if ((task.notBefore(now) ?? now) > now) continue;
      const isFull = task.groups.some((group) => (used.get(group) ?? 0) >= options.limitOf(group));
      if (busy.has(task.key) || isFull) {
        // Nobody behind it may take the places that it waits for.
        if (isFull) use(task);
        continue;
      }
      use(task);
      ready.push(task);
    }
    if (ready.length === 0) return;
    const chosen = new Set(ready);
    waiting = waiting.filter((task) => !chosen.has(task));
    for (const task of ready) start(task);
  };

  const offer = (task: Task): Offer => {
    const isSame = (other: Task) => other.key === task.key;
    const inWay = [...running.keys()].filter(isSame);
    const before = waiting.filter(isSame);
    const [first] = [...inWay, ...before];
    if (first !== undefined && task.overlap === 'skip') return { accepted: false, other: first.runId };
    waiting = [...waiting.filter((other) => !isSame(other)), task];
    const cancelled = task.overlap === 'cancelPrevious' ? inWay : [];
    for (const other of cancelled) running.get(other)?.abort(options.displacedReason(task));
    pump();
    return { accepted: true, displaced: before, cancelled };
  };

  return {
    offer,
    pump,
    running: () => [...running.keys()],
    waiting: () => waiting,
    cancel: (runId, reason) => {
      const removed = waiting.find((task) => task.runId === runId);
      if (removed !== undefined) {
        waiting = waiting.filter((task) => task !== removed);
        return { found: true, removed };
      }
      const [, controller] = [...running].find(([task]) => task.runId === runId) ?? [];
      controller?.abort(reason);
      return { found: controller !== undefined };
    },
    close: () => {
      closed = true;
      return waiting.splice(0);
    },
    idle: () =>
      running.size === 0
        ? Promise.resolve()
        : new Promise((resolve) => {
            idlers.push(resolve);
          }),
  };
}
