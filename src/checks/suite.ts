/**
 * Runs checks: a few connections that look at one and the same snapshot, each check behind a savepoint with its own
 * timeout. What cannot be looked at is `errored`, never a pass.
 */
import { BackplanError } from '../errors.ts';
import type { CheckDefinition } from '../plan/model.ts';
import { connect } from '../postgres/client.ts';
import type { Connection } from '../postgres/connection.ts';
import { beginSnapshot } from '../postgres/snapshot.ts';
import type { Progress, Verdict } from '../runs/record.ts';
import type { BackupFacts, CheckKind, CheckResult } from './check-kind.ts';
import { choose, type Entry, toEntries } from './entries.ts';
import { errored } from './result.ts';
import { Session, type Task } from './session.ts';
import { leftOf, planTasks } from './tasks.ts';
import { suspectIndexes } from './trust.ts';
import { type Counts, countResults, judge, summarize } from './verdict.ts';

export interface SuiteOptions {
  readonly connection: Connection;
  readonly definitions: readonly CheckDefinition[];
  readonly kinds: ReadonlyMap<string, CheckKind>;
  readonly signal: AbortSignal;
  /** Told after every check; `result` is the one that just ended. */
  readonly onProgress?: (progress: Progress, result: CheckResult) => void;
  /** Shown in pg_stat_activity. */
  readonly applicationName?: string;
  /** How many connections. Default 2. */
  readonly jobs?: number;
  /** Milliseconds a check may take that sets no timeout of its own. Default 5 minutes. */
  readonly timeoutMs?: number;
  /** Names of checks whose failure is only a warning here. */
  readonly tolerate?: readonly string[];
  /** Names or tags of the checks to run; none: all. */
  readonly only?: readonly string[];
  /** Names or tags of checks to leave out. */
  readonly skip?: readonly string[];
  /** Where relative paths of checks start. Default: the current folder. */
  readonly baseDirectory?: string;
  /** The server is a throw-away one of backplan's own. */
  readonly sandbox?: boolean;
  /** The backup that the database was restored from. */
  readonly backup?: BackupFacts;
  /** Whether indexes are trusted by checks whose suite does not say. Default: unless a collation has changed. */
  readonly trustIndexes?: boolean;
  /** Told once when indexes are not trusted although nobody said so, with the reason. */
  readonly onDistrust?: (reason: string) => void;
}

export interface SuiteReport {
  /** In the order of the definitions. */
  readonly results: readonly CheckResult[];
  readonly verdict: Verdict;
  readonly counts: Counts;
  /** `15/15 checks passed`. */
  readonly summary: string;
  readonly durationMs: number;
  /** How many checks `only` and `skip` left out. */
  readonly leftOut: number;
}

const DEFAULT_TIMEOUT_MS = 300_000;

/**
 * @throws CONNECTION_FAILED when no connection can be made at all; CANCELLED (or the signal's own reason) on abort.
 * Whatever goes wrong later is in the report. INPUT_INVALID when `only` or `skip` name what does not exist.
 */
export async function runSuite(options: SuiteOptions): Promise<SuiteReport> {
  const started = performance.now();
  const all = toEntries(options.definitions, {
    kinds: options.kinds,
    timeoutMs: options.timeoutMs ?? DEFAULT_TIMEOUT_MS,
    tolerate: new Set(options.tolerate),
    ...(options.sandbox === undefined ? {} : { sandbox: options.sandbox }),
    ...(options.baseDirectory === undefined ? {} : { baseDirectory: options.baseDirectory }),
    ...(options.backup === undefined ? {} : { backup: options.backup }),
  });
  const entries = choose(all, options);
  const results = await runEntries(entries, options, started);
  return {
    ...concludeReport(results),
    durationMs: Math.round(performance.now() - started),
    leftOut: all.length - entries.length,
  };
}

/** Counts, verdict and summary of results. */
export function concludeReport(results: readonly CheckResult[]): Omit<SuiteReport, 'durationMs' | 'leftOut'> {
  const counts = countResults(results);
  return { results, verdict: judge(results), counts, summary: summarize(counts) };
}

async function runEntries(
  entries: readonly Entry[],
  options: SuiteOptions,
  begun: number,
): Promise<CheckResult[]> {
  const { signal } = options;
  throwIfAborted(signal);
  const results = new Map<Entry, CheckResult>();
  const finish = (entry: Entry, result: CheckResult) => {
    results.set(entry, result);
    options.onProgress?.(
      { done: results.size, total: entries.length, unit: 'checks', note: entry.name },
      result,
    );
  };
  for (const entry of entries) {
    if (entry.check === undefined) finish(entry, errored(entry, entry.error ?? 'cannot be run', 0));
  }
  const runnable = entries.filter((entry) => entry.check !== undefined);
  if (runnable.length > 0) await runAll(runnable, finish, options, begun);
  throwIfAborted(signal);
  return entries.map(
    (entry) => results.get(entry) ?? errored(entry, 'not run: the connection to the database was lost', 0),
  );
}

async function runAll(
  entries: readonly Entry[],
  finish: (entry: Entry, result: CheckResult) => void,
  options: SuiteOptions,
  begun: number,
): Promise<void> {
  const { connection, signal } = options;
  const connectOptions = { applicationName: options.applicationName ?? 'backplan check', signal };
  const jobs = Math.max(1, Math.min(options.jobs ?? 2, entries.length));
  let queue: Task[] = [];
  const work = async (session: Session) => {
    for (let task = queue.shift(); task !== undefined; task = queue.shift()) {
      const done = new Set<Entry>();
      for await (const [entry, result] of session.run(task)) {
        throwIfAborted(signal);
        finish(entry, result);
        done.add(entry);
      }
      // What is left goes to the other connections, or ends as errored.
      if (session.lost) {
        queue.push(...leftOf(task, done));
        return;
      }
    }
  };
  try {
    // The first connection stays open to the end: with it the snapshot that the others share would go.
    await using first = await connect(connection, connectOptions);
    const snapshot = await beginSnapshot(first, { export: jobs > 1 });
    const suspicion = options.trustIndexes === undefined ? await suspectIndexes(first) : undefined;
    if (suspicion !== undefined) options.onDistrust?.(suspicion);
    const session = { begun, trustIndexes: options.trustIndexes ?? suspicion === undefined };
    const main = new Session(first, session);
    const planned = await planTasks(main, entries);
    throwIfAborted(signal);
    for (const [entry, result] of planned.done) finish(entry, result);
    queue = planned.tasks;
    const others = Array.from({ length: Math.min(jobs, queue.length) - 1 }, async () => {
      if (snapshot === undefined) return;
      const client = await connect(connection, connectOptions).catch(() => undefined);
      // Fewer connections than wished for (a full server, a role's limit) are only slower.
      if (client === undefined) return;
      await using second = client;
      const joined = await beginSnapshot(second, { snapshot }).then(
        () => true,
        () => false,
      );
      if (joined) await work(new Session(second, session));
    });
    const ends = await Promise.allSettled([work(main), ...others]);
    for (const end of ends) if (end.status === 'rejected') throw end.reason;
  } catch (error) {
    throwIfAborted(signal);
    throw error;
  }
}

function throwIfAborted(signal: AbortSignal): void {
  if (!signal.aborted) return;
  throw signal.reason instanceof BackplanError
    ? signal.reason
    : new BackplanError('CANCELLED', 'the checks were cancelled', { cause: signal.reason });
}
