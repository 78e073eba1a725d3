/** One connection inside the snapshot of a suite: each check behind a savepoint, with a timeout of its own. */
import { BackplanError } from '../errors.ts';
import { type Client, sqlState } from '../postgres/client.ts';
import { formatDuration } from '../units.ts';
import {
  type CheckClient,
  type CheckOptions,
  type CheckResult,
  type Finding,
  isFinding,
  readScans,
  type Scan,
} from './check-kind.ts';
import type { Entry } from './entries.ts';
import { explainFailure, type Failure } from './failure.ts';
import { errored, toResult } from './result.ts';

/** A check and what it wants to know of a table. */
export interface Reader {
  readonly entry: Entry;
  readonly scan: Scan;
}

/** What one connection does in one go: checks of one kind (one, or several that one query answers), or one scan for several checks. */
export type Task = { readonly entries: readonly Entry[] } | { readonly readers: readonly Reader[] };

type Result = readonly [Entry, CheckResult];

/** How many times the timeout of one check a scan for several may take. */
const SCAN_TIMES = 3;

/** What looking at sizes may take. */
const SIZES_MS = 5000;

// Source: https://www.postgresql.org/docs/current/functions-admin.html (database object size, partitions)
const SIZES = `
SELECT name, coalesce(
    (SELECT pg_catalog.sum(pg_catalog.pg_relation_size(relid)) FROM pg_catalog.pg_partition_tree(name::pg_catalog.regclass)),
    pg_catalog.pg_relation_size(name::pg_catalog.regclass)) AS bytes
FROM pg_catalog.unnest($1::pg_catalog.text[]) AS name`;

/** An index that is under suspicion must not answer for itself. */
const DISTRUST =
  'SET LOCAL enable_indexscan = off; SET LOCAL enable_indexonlyscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_seqscan = on; ';

export class Session {
  readonly #client: Client;
  readonly #checks: CheckClient;
  /** `performance.now()` when the suites began. */
  readonly #begun: number;
  /** Whether indexes are trusted by checks whose suite does not say. */
  readonly #trustIndexes: boolean;
  /** When the running check must be done. */
  #deadline = Number.POSITIVE_INFINITY;
  lost = false;

  constructor(client: Client, options: { readonly begun: number; readonly trustIndexes: boolean }) {
    this.#client = client;
    this.#begun = options.begun;
    this.#trustIndexes = options.trustIndexes;
    this.#checks = {
      serverVersion: client.serverVersion,
      query: async (sql, values) => {
        // statement_timeout bounds one statement; this bounds a check of several.
        if (performance.now() > this.#deadline) throw new BackplanError('TIMEOUT', 'timed out');
        return await client.query(sql, values, { single: true });
      },
    };
  }

  /** Yields one result for each check of the task, unless the connection is lost on the way (then `lost` is set). */
  async *run(task: Task): AsyncGenerator<Result> {
    if ('readers' in task) yield* this.#read(task.readers);
    else yield* this.#runAll(task.entries);
  }

  /** What each of these checks wants to read of which table. Those that need not read are done. */
  async prepare(entries: readonly Entry[]): Promise<{ readers: Reader[]; done: Result[] }> {
    const readers: Reader[] = [];
    const done: Result[] = [];
    const prepareOne = async (entry: Entry) => {
      const wanted = await entry.check?.kind.scan?.(this.#checks, entry.check.params, this.#optionsOf(entry));
      if (wanted === undefined || isFinding(wanted)) done.push([entry, toResult(entry, wanted, 0)]);
      else readers.push({ entry, scan: wanted });
    };
    const refuse = (entry: Entry, why: Failure, durationMs: number) =>
      done.push([entry, errored(entry, withoutLost(why), durationMs)]);
    // All behind one savepoint: it is only the catalog that they read.
    const together = await this.#guarded(entries, async () => {
      for (const entry of entries) {
        try {
          await prepareOne(entry);
        } catch (error) {
          // What the server refused has ended the savepoint for all; what the kind itself refused has not.
          if (sqlState(error) !== undefined || !(error instanceof BackplanError)) throw error;
          refuse(entry, explainFailure(error, entry.timeoutMs), 0);
        }
      }
    });
    if (together.error === undefined) return { readers, done };
    const rest = entries.slice(readers.length + done.length);
    for (const entry of rest) {
      if (this.lost) break;
      const { error, durationMs } = await this.#guarded([entry], () => prepareOne(entry));
      if (error !== undefined) refuse(entry, error, durationMs);
    }
    return { readers, done };
  }

  #optionsOf({ options, trustIndexes = this.#trustIndexes }: Entry): CheckOptions {
    return { ...options, trustIndexes };
  }

  /** Bytes of tables (with their partitions) by the text that scans read them from; empty where that cannot be told. */
  async sizes(tables: readonly string[]): Promise<ReadonlyMap<string, number>> {
    const { value } = await this.#guarded([], () =>
      this.#checks.query<{ name: string; bytes: string | null }>(SIZES, [tables]),
    );
    return new Map((value ?? []).map(({ name, bytes }) => [name, Number(bytes ?? 0)]));
  }

  async *#runAll(entries: readonly Entry[]): AsyncGenerator<Result> {
    const together = entries.length > 1 ? await this.#runTogether(entries) : undefined;
    for (const [index, entry] of entries.entries()) {
      if (this.lost) return;
      yield [entry, together?.[index] ?? (await this.#runOne(entry))];
    }
  }

  async #runOne(entry: Entry): Promise<CheckResult> {
    return await this.#conclude(entry, 0, async () =>
      entry.check?.kind.run(this.#checks, entry.check.params, this.#optionsOf(entry)),
    );
  }

  async #conclude(
    entry: Entry,
    alreadyMs: number,
    work: () => Promise<Finding | undefined>,
  ): Promise<CheckResult> {
    const { value, error, durationMs } = await this.#guarded([entry], work);
    if (error === undefined) return toResult(entry, value, alreadyMs + durationMs);
    return errored(entry, withoutLost(error), alreadyMs + durationMs);
  }

  /** One query for all of them; undefined where that failed, and each must be asked for alone. */
  async #runTogether(entries: readonly Entry[]): Promise<readonly CheckResult[] | undefined> {
    const kind = entries[0]?.check?.kind;
    const { value, durationMs } = await this.#guarded(entries, async () =>
      kind?.runAll?.(
        this.#checks,
        entries.map(({ check }) => check?.params),
        entries.map((entry) => this.#optionsOf(entry)),
      ),
    );
    if (value?.length !== entries.length) return undefined;
    const each = Math.round(durationMs / entries.length);
    return entries.map((entry, index) => toResult(entry, value[index], each));
  }

  /** One scan for all of them; where it fails, half of them at a time, until the one is found that cannot be done. */
  async *#read(readers: readonly Reader[]): AsyncGenerator<Result> {
    const entries = readers.map(({ entry }) => entry);
    const { value, error, durationMs } = await this.#guarded(
      entries,
      () =>
        readScans(
          this.#checks,
          readers.map(({ scan }) => scan),
        ),
      Math.min(SCAN_TIMES, readers.length),
    );
    if (value !== undefined) {
      const each = Math.round(durationMs / readers.length);
      for (const [index, { entry, scan }] of readers.entries()) {
        if (this.lost) return;
        const row = value[index] ?? [];
        yield [entry, await this.#conclude(entry, each, async () => scan.conclude(this.#checks, row))];
      }
      return;
    }
    const [only] = entries;
    if (only !== undefined && entries.length === 1) {
      yield [only, errored(only, error === undefined ? 'cannot be run' : withoutLost(error), durationMs)];
      return;
    }
    if (this.lost) return;
    const half = Math.ceil(readers.length / 2);
    yield* this.#read(readers.slice(0, half));
    if (!this.lost) yield* this.#read(readers.slice(half));
  }

  /**
   * Runs `work` for these checks behind a savepoint; `error` says why it failed. Afterwards no setting, cursor or
   * failed statement is left.
   * @param times how many times the timeout of one check it may take
   */
  async #guarded<T>(
    entries: readonly Entry[],
    work: () => Promise<T>,
    times = 1,
  ): Promise<{ value?: T; error?: Failure; durationMs: number }> {
    const started = performance.now();
    const elapsed = () => Math.round(performance.now() - started);
    const own =
      entries.length === 0 ? SIZES_MS : Math.max(...entries.map(({ timeoutMs }) => timeoutMs)) * times;
    const within = Math.min(Number.POSITIVE_INFINITY, ...entries.map(({ withinMs }) => withinMs));
    const left = this.#begun + within - started;
    if (left <= 0) {
      const message = `not run: the time of the suite (${formatDuration(within)}) was up`;
      return {
        error: { message, hint: 'Give the suite a longer timeout, or fewer checks.', lost: false },
        durationMs: 0,
      };
    }
    const timeoutMs = Math.min(own, left);
    const distrust = entries.some((entry) => !this.#optionsOf(entry).trustIndexes) ? DISTRUST : '';
    try {
      await this.#client.query(
        `SAVEPOINT backplan_check; ${distrust}SET LOCAL statement_timeout = ${Math.max(1, Math.round(timeoutMs))}`,
      );
      this.#deadline = started + timeoutMs;
      return { value: await work(), durationMs: elapsed() };
    } catch (error) {
      const failure = explainFailure(error, timeoutMs);
      if (failure.lost) this.lost = true;
      return { error: failure, durationMs: elapsed() };
    } finally {
      if (!this.lost) await this.#rewind();
    }
  }

  /** Back to where the check began, so that nothing of it reaches the next one. */
  async #rewind(): Promise<void> {
    this.#deadline = Number.POSITIVE_INFINITY;
    try {
      await this.#client.query('ROLLBACK TO SAVEPOINT backplan_check; RELEASE SAVEPOINT backplan_check');
    } catch {
      this.lost = true;
    }
  }
}

function withoutLost({ lost: _lost, ...why }: Failure): Omit<Failure, 'lost'> {
  return why;
}
