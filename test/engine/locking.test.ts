import { describe, expect, it } from 'vitest';
import { BackplanError } from '../../src/errors.ts';
import { openLocks } from '../../src/runs/lock.ts';
import { lockFile } from '../../src/runs/run-id.ts';
import type { StepKind } from '../../src/steps/step-kind.ts';
import { caught, makeWorld, runJob, type World } from './harness.ts';

const OTHER = { run: 'other-run', job: 'nightly', plan: 'other-plan' };

function holdersSeen(world: World, seen: string[][]) {
  return async () => {
    seen.push(
      world.locks
        .holders()
        .map(({ resource }) => resource)
        .sort(),
    );
    return {};
  };
}

/** Writes to what its settings name. */
function writer(run: () => Promise<Record<string, unknown>>): StepKind {
  return {
    kind: 'writer',
    summary: '',
    with: { type: 'object', additionalProperties: true },
    outputs: {},
    writes: (params) => [{ database: (params as { database: string }).database.toString() }],
    run,
  };
}

describe('locks of a run', () => {
  it('are taken before any step, for everything that can be known, and given back', async () => {
    const world = await makeWorld();
    const seen: string[][] = [];
    const look = holdersSeen(world, seen);
    const { record } = await runJob(
      {
        inputs: { target: { default: 'crm' } },
        steps: {
          first: { run: look },
          fixed: { needs: ['first'], writes: [{ repository: 'local', database: 'crm' }], run: look },
          byInput: { needs: ['fixed'], with: { database: '${{ inputs.target }}' }, kind: writer(look) },
          byStep: {
            needs: ['byInput', 'name'],
            with: { database: '${{ steps.name.outputs.it }}' },
            kind: writer(look),
          },
          name: { run: async () => ({ it: 'late' }) },
          off: { if: 'inputs.target == "none"', writes: [{ database: 'never' }] },
        },
        onFailure: { undo: { writes: [{ database: 'undo' }] } },
      },
      { world },
    );
    expect(record.status).toBe('succeeded');
    const early = ['database:crm', 'database:undo', 'local/crm'];
    expect(seen).toEqual([early, early, early, [...early, 'database:late'].sort()]);
    expect(world.locks.holders()).toEqual([]);
    world.locks.close();
    world.journal.close();
  });

  it('that somebody holds stop the run before it exists', async () => {
    const world = await makeWorld();
    const elsewhere = openLocks(lockFile(world.state));
    elsewhere.acquire('database:crm', 'exclusive', OTHER);
    let ran = false;
    const definition = {
      steps: {
        first: {
          run: async () => {
            ran = true;
            return {};
          },
        },
        last: { needs: ['first'], writes: [{ repository: 'a', database: 'crm' }, { database: 'crm' }] },
      },
    };
    const error = await caught(runJob(definition, { world }));
    expect(error).toMatchObject({ code: 'LOCKED', exitCode: 4 });
    expect(error.message).toContain('run other-run (job nightly of plan other-plan)');
    expect(ran).toBe(false);
    expect(world.journal.listRuns()).toEqual([]);
    // What it had taken before it met the lock is free again.
    expect(world.locks.holders().map(({ run }) => run)).toEqual(['other-run']);
    elsewhere.close();
    expect((await runJob(definition, { world })).record.status).toBe('succeeded');
    world.locks.close();
    world.journal.close();
  });

  it('that turn out to be held later fail the step with exit code 4', async () => {
    const world = await makeWorld();
    const elsewhere = openLocks(lockFile(world.state));
    elsewhere.acquire('database:late', 'exclusive', OTHER);
    let ran = false;
    const { record } = await runJob(
      {
        steps: {
          name: { run: async () => ({ it: 'late' }) },
          write: {
            needs: ['name'],
            with: { database: '${{ steps.name.outputs.it }}' },
            kind: writer(async () => {
              ran = true;
              return {};
            }),
          },
        },
      },
      { world },
    );
    expect(ran).toBe(false);
    expect(record).toMatchObject({ status: 'failed', exitCode: 4 });
    expect(record.steps[1]).toMatchObject({ status: 'failed', error: { code: 'LOCKED' } });
    elsewhere.close();
    world.locks.close();
    world.journal.close();
  });

  it('are given back when the run cannot be recorded', async () => {
    const world = await makeWorld();
    world.journal.close();
    const error = await caught(runJob({ steps: { s: { writes: [{ database: 'crm' }] } } }, { world }));
    expect(error.code).toBe('JOURNAL_FAILED');
    expect(world.locks.holders()).toEqual([]);
    world.locks.close();
  });

  it('stay with a step that was left behind until it has really ended', async () => {
    const world = await makeWorld();
    const { promise, resolve } = Promise.withResolvers<Record<string, unknown>>();
    await runJob(
      { steps: { deaf: { timeout: 20, writes: [{ database: 'crm' }], run: () => promise } } },
      { world, graceMs: 20 },
    );
    expect(world.locks.holders().map(({ resource }) => resource)).toEqual(['database:crm']);
    resolve({});
    await expect.poll(() => world.locks.holders()).toEqual([]);
    world.locks.close();
    world.journal.close();
  });

  it('survive a kind that cannot say yet what it writes to', async () => {
    const world = await makeWorld();
    const seen: string[][] = [];
    const { record } = await runJob(
      {
        steps: {
          name: { run: async () => ({ into: { staging: 'crm' } }) },
          stage: {
            needs: ['name'],
            with: { into: '${{ steps.name.outputs.into }}' },
            kind: {
              ...writer(holdersSeen(world, seen)),
              writes: (params) => {
                const { staging } = (params as { into: { staging: string } }).into;
                if (staging === undefined) throw new BackplanError('INTERNAL', 'not known');
                return [{ database: staging }];
              },
            },
          },
        },
      },
      { world },
    );
    expect(record.status).toBe('succeeded');
    expect(seen).toEqual([['database:crm']]);
    world.locks.close();
    world.journal.close();
  });
});
