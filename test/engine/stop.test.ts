import { describe, expect, it } from 'vitest';
import { BackplanError } from '../../src/errors.ts';
import { runTool } from '../../src/process.ts';
import { markedProcesses } from '../../src/runs/children.ts';
import { startOf } from '../../src/runs/process-identity.ts';
import { fails, makeWorld, runJob, statuses, type Work, waitsForAbort } from './harness.ts';

/** A shell with a grandchild; both have to go. */
const family =
  (script = 'sleep 1000 & sleep 1000'): Work =>
  async (_params, context) => {
    await runTool({
      command: 'sh',
      args: ['-c', script],
      signal: context.signal,
      run: context.run.id,
      onStderr: context.stderr,
      killGraceMs: 300,
    });
    return {};
  };

/** Aborts as soon as the step has children. */
function cancelWhenBusy(step: string) {
  const controller = new AbortController();
  let id = '';
  let timer: NodeJS.Timeout | undefined;
  return {
    signal: controller.signal,
    listeners: [
      (event: import('../../src/runs/record.ts').RunEvent) => {
        if (event.type === 'run:started') id = event.run.id;
        if (event.type !== 'step:started' || event.step !== step) return;
        timer = setInterval(() => {
          if (markedProcesses(id).length < 2) return;
          clearInterval(timer);
          controller.abort(new BackplanError('CANCELLED', 'cancelled by a test'));
        }, 20);
      },
    ],
  };
}

describe('time limits', () => {
  it('end a try, its children and grandchildren, and may be retried', async () => {
    let tries = 0;
    const { record } = await runJob({
      steps: {
        slow: {
          timeout: 400,
          retry: { attempts: 2, backoff: 1, maxDelay: 1 },
          run: async (params, context) => {
            tries += 1;
            return await family()(params, context);
          },
        },
        after: { needs: ['slow'] },
        alarm: { needs: ['slow'], if: 'failure()' },
      },
    });
    expect(tries).toBe(2);
    expect(markedProcesses(record.id)).toEqual([]);
    expect(statuses(record)).toEqual({ slow: 'failed', after: 'skipped', alarm: 'succeeded' });
    expect(record).toMatchObject({ status: 'failed', exitCode: 1 });
    expect(record.steps[0]).toMatchObject({ attempts: 2, error: { code: 'TIMEOUT' } });
    expect(record.steps[0]?.error?.message).toBe('step slow took longer than its limit of 400ms');
  });

  it('kill what ignores SIGTERM', async () => {
    const { record } = await runJob({
      steps: {
        deaf: {
          timeout: 300,
          run: family('trap "" TERM; (trap "" TERM; sleep 1000) & sleep 1000; sleep 1000'),
        },
      },
    });
    expect(record.steps[0]?.error?.code).toBe('TIMEOUT');
    expect(markedProcesses(record.id)).toEqual([]);
  });

  it('leave a step behind that does not obey, and go on to clean-up', async () => {
    let cleaned = false;
    const { record } = await runJob(
      {
        steps: {
          deaf: {
            timeout: 50,
            run: async (_params, context) => {
              context.defer(async () => {
                cleaned = true;
              });
              return await new Promise(() => {});
            },
          },
          cleanup: { needs: ['deaf'], if: 'always()' },
        },
        onFailure: { tell: {} },
      },
      { graceMs: 100 },
    );
    expect(statuses(record)).toEqual({ deaf: 'failed', cleanup: 'succeeded', tell: 'succeeded' });
    expect(record.steps[0]?.error?.message).toContain('did not stop within 100ms and was left behind');
    expect(cleaned).toBe(true);
  });

  it('drop what a step that was left behind still says, and undo what it still makes', async () => {
    const { promise: late, resolve: goOn } = Promise.withResolvers<void>();
    const { promise: undone, resolve: undo } = Promise.withResolvers<string>();
    const { events } = await runJob(
      {
        steps: {
          deaf: {
            timeout: 20,
            run: async (_params, context) => {
              await late;
              context.log.error('too late');
              context.progress({ done: 1, unit: 'rows' });
              context.stderr('too late');
              context.defer(async () => undo('undone'));
              return {};
            },
          },
        },
      },
      { graceMs: 20 },
    );
    const count = events.length;
    goOn();
    expect(await undone).toBe('undone');
    expect(events.length).toBe(count);
    expect(events.at(-1)?.type).toBe('run:finished');
  });

  it('count a step that finished although its time was up', async () => {
    const { record } = await runJob({
      steps: {
        s: {
          timeout: 20,
          run: async () => {
            await new Promise((done) => setTimeout(done, 60));
            return { promoted: true };
          },
        },
      },
    });
    expect(record.steps[0]).toMatchObject({ status: 'succeeded', outputs: { promoted: true } });
    expect(record.exitCode).toBe(0);
  });

  it('may be longer than timers can count', async () => {
    const { record } = await runJob({
      timeout: 90 * 86_400_000,
      steps: {
        s: {
          timeout: 60 * 86_400_000,
          run: async () => {
            await new Promise((done) => setTimeout(done, 20));
            return {};
          },
        },
      },
    });
    expect(record.status).toBe('succeeded');
  });

  it('of the job end what runs, keep the rest from starting, and let clean-up and onFailure run', async () => {
    const signals: Record<string, boolean> = {};
    const note: Work = async (_params, context) => {
      signals[context.step] = context.signal.aborted;
      return {};
    };
    const { record } = await runJob({
      timeout: 300,
      concurrency: 2,
      steps: {
        slow: { run: family() },
        deaf: { run: waitsForAbort },
        waiting: {},
        after: { needs: ['slow'] },
        cleanup: { needs: ['after'], if: 'always()', run: note },
        alarm: { needs: ['slow'], if: 'failure()', run: note },
        cancelledOnly: { if: 'cancelled()' },
      },
      onFailure: { tell: { run: note } },
    });
    expect(statuses(record)).toEqual({
      slow: 'failed',
      deaf: 'failed',
      waiting: 'skipped',
      after: 'skipped',
      cleanup: 'succeeded',
      alarm: 'succeeded',
      cancelledOnly: 'skipped',
      tell: 'succeeded',
    });
    expect(signals).toEqual({ cleanup: false, alarm: false, tell: false });
    expect(record).toMatchObject({ status: 'failed', exitCode: 1, error: { code: 'TIMEOUT' } });
    expect(record.error?.message).toBe('job job took longer than its limit of 300ms');
    expect(record.steps[2]?.skippedBecause).toBe('the job had used up its time');
    expect(markedProcesses(record.id)).toEqual([]);
  });

  it('of the job bound the clean-up too', async () => {
    const { record } = await runJob(
      {
        timeout: 100,
        steps: {
          slow: { run: waitsForAbort },
          cleanup: { needs: ['slow'], if: 'always()', run: waitsForAbort },
        },
        onFailure: { tell: { run: waitsForAbort } },
      },
      { cleanupMs: 200 },
    );
    expect(statuses(record)).toEqual({ slow: 'failed', cleanup: 'failed', tell: 'failed' });
    expect(record.steps[1]?.error?.message).toContain('its clean-up took longer than 200ms');
  });

  it('of the job do not make a finished job fail', async () => {
    const { record } = await runJob({
      timeout: 50,
      steps: {
        s: {
          run: async () => {
            await new Promise((done) => setTimeout(done, 120));
            return {};
          },
        },
      },
    });
    expect(record).toMatchObject({ status: 'succeeded', exitCode: 0 });
  });
});

describe('cancellation', () => {
  it('ends children, skips the rest, runs clean-up with a fresh signal, and is recorded', async () => {
    const world = await makeWorld();
    const signals: Record<string, boolean> = {};
    const note: Work = async (_params, context) => {
      signals[context.step] = context.signal.aborted;
      return {};
    };
    const { signal, listeners } = cancelWhenBusy('dump');
    const { record } = await runJob(
      {
        steps: {
          dump: { run: family() },
          after: { needs: ['dump'] },
          cleanup: { needs: ['after'], if: 'always()', run: note },
          onCancel: { needs: ['dump'], if: 'cancelled()', run: note },
          alarm: { needs: ['dump'], if: 'failure()', run: note },
        },
        onFailure: { tell: { run: note } },
      },
      { signal, listeners, world },
    );
    expect(statuses(record)).toEqual({
      dump: 'cancelled',
      after: 'skipped',
      cleanup: 'succeeded',
      onCancel: 'succeeded',
      alarm: 'skipped',
    });
    expect(signals).toEqual({ cleanup: false, onCancel: false });
    expect(record).toMatchObject({
      status: 'cancelled',
      exitCode: 130,
      error: { code: 'CANCELLED', message: 'cancelled by a test' },
    });
    expect(record.steps[1]?.skippedBecause).toBe('the run was cancelled');
    expect(world.journal.getRun(record.id)).toEqual(record);
    expect(markedProcesses(record.id)).toEqual([]);
    world.locks.close();
    world.journal.close();
  });

  it('does not end a clean-up that is already running', async () => {
    const controller = new AbortController();
    const { record } = await runJob(
      {
        steps: {
          broken: { run: fails() },
          cleanup: {
            needs: ['broken'],
            if: 'always()',
            run: async (_params, { signal }) => {
              controller.abort();
              await new Promise((done) => setTimeout(done, 30));
              return { aborted: signal.aborted };
            },
          },
        },
      },
      { signal: controller.signal },
    );
    expect(record.steps[1]).toMatchObject({ status: 'succeeded', outputs: { aborted: false } });
  });

  it('bounds the clean-up', async () => {
    const controller = new AbortController();
    const { record } = await runJob(
      {
        steps: {
          dump: {
            run: async (params, context) => {
              controller.abort();
              return await waitsForAbort(params, context);
            },
          },
          cleanup: { needs: ['dump'], if: 'always()', run: waitsForAbort },
        },
      },
      { signal: controller.signal, cleanupMs: 100 },
    );
    expect(statuses(record)).toEqual({ dump: 'cancelled', cleanup: 'failed' });
    expect(record).toMatchObject({ status: 'cancelled', exitCode: 130 });
  });

  it('waits only so long for a step that does not obey', async () => {
    const controller = new AbortController();
    const { record } = await runJob(
      {
        steps: {
          deaf: {
            run: () => {
              controller.abort();
              return new Promise(() => {});
            },
          },
        },
      },
      { signal: controller.signal, graceMs: 50 },
    );
    expect(record.steps[0]?.error?.message).toContain('left behind');
    expect(record).toMatchObject({ status: 'cancelled', exitCode: 130 });
  });

  it('that comes when all is done changes nothing', async () => {
    const controller = new AbortController();
    const { record } = await runJob(
      { steps: { s: {} } },
      {
        signal: controller.signal,
        listeners: [(event) => event.type === 'step:finished' && controller.abort()],
      },
    );
    expect(record).toMatchObject({ status: 'succeeded', exitCode: 0 });
  });

  it('during onFailure leaves the outcome as it was', async () => {
    const controller = new AbortController();
    const { record } = await runJob(
      {
        steps: { s: { run: fails('CHECKS_FAILED') } },
        onFailure: {
          tell: {
            run: async (params, context) => {
              controller.abort();
              return await waitsForAbort(params, context);
            },
          },
        },
      },
      { signal: controller.signal },
    );
    expect(statuses(record)).toEqual({ s: 'failed', tell: 'cancelled' });
    expect(record).toMatchObject({ status: 'failed', exitCode: 3 });
  });

  it('before the start leaves no trace', async () => {
    const world = await makeWorld();
    const signal = AbortSignal.abort(new BackplanError('CANCELLED', 'not today'));
    await expect(runJob({ steps: { s: {} } }, { signal, world })).rejects.toMatchObject({
      code: 'CANCELLED',
    });
    expect(world.journal.listRuns()).toEqual([]);
    world.locks.close();
    world.journal.close();
  });

  it('of one of several steps leaves no listener warnings and no processes', async () => {
    const warnings: string[] = [];
    const onWarning = (warning: Error) => warnings.push(warning.message);
    process.on('warning', onWarning);
    const { signal, listeners } = cancelWhenBusy('s7');
    const steps = Object.fromEntries(
      Array.from({ length: 8 }, (_, index) => [
        `s${index}`,
        {
          run: (async (_params, context) => {
            const tools = Array.from({ length: 12 }, () =>
              runTool({
                command: 'sleep',
                args: ['1000'],
                signal: context.signal,
                run: context.run.id,
                killGraceMs: 500,
              }),
            );
            await Promise.all(tools);
            return {};
          }) satisfies Work,
        },
      ]),
    );
    const { record } = await runJob({ steps, concurrency: 8 }, { signal, listeners });
    await expect.poll(() => markedProcesses(record.id)).toEqual([]);
    process.off('warning', onWarning);
    expect(warnings).toEqual([]);
    expect(new Set(record.steps.map(({ status }) => status))).toEqual(new Set(['cancelled']));
    expect(startOf(process.pid)).toBeDefined();
  });
});
