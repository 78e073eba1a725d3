/** One connection inside the snapshot of a suite: each check behind a savepoint, with a timeout of its own. */
import { BackplanError } from '../errors.ts';
import type { Client } from '../postgres/client.ts';
import type { CheckClient, CheckResult } from './check-kind.ts';
import type { Entry } from './entries.ts';
import { explainFailure } from './failure.ts';
import { errored, toResult } from './result.ts';

export class Session {
  readonly #client: Client;
  readonly #checks: CheckClient;
  /** When the running check must be done. */
  #deadline = Number.POSITIVE_INFINITY;
  lost = false;

  constructor(client: Client) {
    this.#client = client;
    this.#checks = {
      serverVersion: client.serverVersion,
      query: async (sql, values) => {
        // statement_timeout bounds one statement; this bounds a check of several.
        if (performance.now() > this.#deadline) throw new BackplanError('TIMEOUT', 'timed out');
        return await client.query(sql, values, { single: true });
      },
    };
  }

  /** Checks of one kind. Yields one result for each unless the connection is lost on the way (then `lost` is set). */
  async *run(entries: readonly Entry[]): AsyncGenerator<readonly [Entry, CheckResult]> {
    const together = entries.length > 1 ? await this.#runTogether(entries) : undefined;
    for (const [index, entry] of entries.entries()) {
      if (this.lost) return;
      yield [entry, together?.[index] ?? (await this.#runOne(entry))];
    }
  }

  async #runOne(entry: Entry): Promise<CheckResult> {
    const { value, error, durationMs } = await this.#guarded(entry.timeoutMs, async () =>
      entry.check?.kind.run(this.#checks, entry.check.params, { sample: entry.sample }),
    );
    if (error === undefined) return toResult(entry, value, durationMs);
    return errored(entry, error.message, durationMs, error.hint);
  }

  /** One query for all of them; undefined where that failed, and each must be asked for alone. */
  async #runTogether(entries: readonly Entry[]): Promise<readonly CheckResult[] | undefined> {
    const kind = entries[0]?.check?.kind;
    if (kind?.runAll === undefined) return undefined;
    const { value, durationMs } = await this.#guarded(
      Math.max(...entries.map(({ timeoutMs }) => timeoutMs)),
      async () =>
        await kind.runAll?.(
          this.#checks,
          entries.map(({ check }) => check?.params),
          entries.map(({ sample }) => ({ sample })),
        ),
    );
    if (value?.length !== entries.length) return undefined;
    const each = Math.round(durationMs / entries.length);
    return entries.map((entry, index) => toResult(entry, value[index], each));
  }

  /** Runs `work` behind a savepoint; `error` says why it failed. Afterwards no setting, cursor or failed statement is left. */
  async #guarded<T>(
    timeoutMs: number,
    work: () => Promise<T>,
  ): Promise<{ value?: T; error?: { message: string; hint?: string }; durationMs: number }> {
    const started = performance.now();
    const elapsed = () => Math.round(performance.now() - started);
    try {
      await this.#client.query(
        `SAVEPOINT backplan_check; SET LOCAL statement_timeout = ${Math.max(1, Math.round(timeoutMs))}`,
      );
      this.#deadline = started + timeoutMs;
      const value = await work();
      return { value, durationMs: elapsed() };
    } catch (error) {
      const { lost, ...why } = explainFailure(error, timeoutMs);
      if (lost) this.lost = true;
      return { error: why, durationMs: elapsed() };
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
