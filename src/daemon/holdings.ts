/**
 * What the repositories of the daemon's plans hold: read in the background and kept, so that neither a scrape nor a
 * page waits for a slow repository.
 */
import { type ErrorRecord, toBackplanError } from '../errors.ts';
import type { Plan } from '../plan/model.ts';
import { type Backup, newestFirst } from '../repository/manifest.ts';
import type { DaemonView } from './view.ts';

export interface RepositoryHoldings {
  readonly plan: string;
  readonly repository: string;
  /** Newest first; of all databases. */
  readonly backups: readonly Backup[];
  /** Folders that look like backups and are none. */
  readonly broken: number;
  /** Bytes; absent where the storage does not tell. */
  readonly freeBytes?: number;
  /** Why it could not be read; what is listed is then what was last seen. */
  readonly problem?: ErrorRecord;
  readonly readAt: Date;
}

export interface Holdings {
  /** What is known now. Never waits. */
  known(): readonly RepositoryHoldings[];
  /** Reads the repositories of one plan, or of all. Calls that come while it reads share the next reading. Never rejects. */
  refresh(plan?: string): Promise<void>;
  close(): void;
}

/** Repositories may also change without the daemon: by hand, by another machine. Milliseconds. */
const EVERY = 300_000;

/** Starts reading at once, and reads again after every run and from time to time. */
export function watchHoldings(daemon: DaemonView): Holdings {
  const known = new Map<string, RepositoryHoldings>();
  let closed = false;
  let last: Promise<void> = Promise.resolve();
  /** Plans of the reading that has not begun yet. */
  let wanted: Set<string> | undefined;

  const plans = () => daemon.plans().flatMap(({ plan }) => (plan === undefined ? [] : [plan]));
  const read = async (names: ReadonlySet<string>) => {
    const current = plans();
    for (const key of known.keys()) {
      const held = known.get(key);
      const there = current.some(
        ({ name, repositories }) => name === held?.plan && Object.hasOwn(repositories, held.repository),
      );
      if (!there) known.delete(key);
    }
    for (const plan of current) {
      if (!names.has('*') && !names.has(plan.name)) continue;
      for (const repository of Object.keys(plan.repositories)) {
        if (closed) return;
        const key = JSON.stringify([plan.name, repository]);
        known.set(key, await readOne(daemon, plan, repository, known.get(key)));
      }
    }
  };
  const refresh = (plan = '*'): Promise<void> => {
    if (wanted === undefined) {
      const names = new Set<string>();
      wanted = names;
      last = last.then(() => {
        wanted = undefined;
        return read(names);
      });
    }
    wanted.add(plan);
    return last;
  };
  const timer = setInterval(() => void refresh(), EVERY);
  timer.unref();
  const remove = daemon.onEvent((event) => {
    if (event.type === 'runFinished') void refresh(event.run.plan);
    if (event.type === 'planLoaded') void refresh(event.plan);
    if (event.type === 'planRemoved') void refresh();
  });
  return {
    known: () => [...known.values()],
    refresh,
    close: () => {
      closed = true;
      clearInterval(timer);
      remove();
    },
  };
}

async function readOne(
  { app }: DaemonView,
  plan: Plan,
  repository: string,
  before: RepositoryHoldings | undefined,
): Promise<RepositoryHoldings> {
  const about = { plan: plan.name, repository, readAt: new Date() };
  try {
    const opened = await app.repository(plan, repository);
    const { backups, broken } = await opened.catalog();
    const freeBytes = await opened.storage.freeSpace().catch(() => undefined);
    return {
      ...about,
      backups: [...backups].sort(newestFirst),
      broken: broken.length,
      ...(freeBytes === undefined ? {} : { freeBytes }),
    };
  } catch (error) {
    const problem = toBackplanError(error).toRecord();
    return { ...about, backups: before?.backups ?? [], broken: before?.broken ?? 0, problem };
  }
}
