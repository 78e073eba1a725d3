import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { BackplanError } from '../../src/errors.ts';
import { caught, fails, makePlan, makeWorld, runJob, statuses, type Work } from './harness.ts';

const gives = (outputs: Record<string, unknown>) => async () => outputs;

const passes: Work = async (params) => params;

describe('the graph of a job', () => {
  it('hands outputs on with their types and ends in a record that the journal has too', async () => {
    const seen: unknown[] = [];
    const world = await makeWorld();
    const { record, events } = await runJob(
      {
        inputs: { who: { default: 'ops' } },
        steps: {
          first: { run: gives({ n: 3, text: 'a', list: [1, 'x'], map: { k: null }, flag: true }) },
          second: {
            needs: ['first'],
            with: {
              n: '${{ steps.first.outputs.n }}',
              sum: '${{ steps.first.outputs.n + 1 }}',
              text: 'for ${{ inputs.who }}: ${{ steps.first.outputs.text }}',
              deep: { list: ['${{ steps.first.outputs.list }}'], map: '${{ steps.first.outputs.map }}' },
              status: '${{ steps.first.status }}',
              plan: '${{ plan.name }} ${{ run.job }}',
            },
            run: async (params) => {
              seen.push(params);
              return { done: true };
            },
          },
        },
      },
      { world },
    );
    expect(seen).toEqual([
      {
        n: 3,
        sum: 4,
        text: 'for ops: a',
        deep: { list: [[1, 'x']], map: { k: null } },
        status: 'succeeded',
        plan: 'test-plan job',
      },
    ]);
    expect(record).toMatchObject({
      status: 'succeeded',
      exitCode: 0,
      plan: 'test-plan',
      job: 'job',
      inputs: { who: 'ops' },
      planFile: resolve(makePlan().file),
      pid: process.pid,
    });
    expect(record.error).toBeUndefined();
    expect(record.logFile).toBe(resolve(world.state, 'logs', 'test-plan', `${record.id}.jsonl`));
    expect(world.journal.getRun(record.id)).toEqual(record);
    expect(events.map(({ type }) => type)).toEqual([
      'run:started',
      'step:started',
      'step:finished',
      'step:started',
      'step:finished',
      'run:finished',
    ]);
    expect(events[0]).toMatchObject({ order: [['first'], ['second']], run: { status: 'running' } });
    world.locks.close();
    world.journal.close();
  });

  it('skips the dependants of a failed step and nothing else', async () => {
    const { record } = await runJob({
      steps: {
        bad: { run: fails('TOOL_FAILED', 'disk on fire') },
        child: { needs: ['bad'] },
        grandchild: { needs: ['child'] },
        other: {},
        mixed: { needs: ['other', 'bad'] },
        afterOther: { needs: ['other'] },
        cleanup: { needs: ['child'], if: 'always()' },
        alarm: { needs: ['grandchild'], if: 'failure()' },
        quiet: { needs: ['other'], if: 'failure()' },
        afterCleanup: { needs: ['cleanup'] },
      },
    });
    expect(statuses(record)).toEqual({
      bad: 'failed',
      child: 'skipped',
      grandchild: 'skipped',
      other: 'succeeded',
      mixed: 'skipped',
      afterOther: 'succeeded',
      cleanup: 'succeeded',
      alarm: 'succeeded',
      quiet: 'skipped',
      afterCleanup: 'skipped',
    });
    expect(record.steps.find(({ name }) => name === 'grandchild')?.skippedBecause).toBe('bad failed');
    expect(record.steps.find(({ name }) => name === 'quiet')?.skippedBecause).toBe(
      'its condition is false: failure()',
    );
    expect(record).toMatchObject({
      status: 'failed',
      exitCode: 1,
      error: { code: 'TOOL_FAILED', message: 'step bad failed: disk on fire' },
    });
  });

  it('lets dependants of a step that was switched off run', async () => {
    const { record } = await runJob(
      {
        inputs: { safety: { type: 'boolean', default: true } },
        steps: {
          safety: { if: 'inputs.safety' },
          stage: { needs: ['safety'] },
          check: { needs: ['stage'], if: 'steps.safety.status == "skipped"' },
        },
      },
      { inputs: { safety: 'no' } },
    );
    expect(statuses(record)).toEqual({ safety: 'skipped', stage: 'succeeded', check: 'succeeded' });
    expect(record).toMatchObject({ status: 'succeeded', exitCode: 0, inputs: { safety: false } });
  });

  it('skips what asks for outputs that were never made, and what needs that', async () => {
    const { record } = await runJob({
      steps: {
        stage: { run: fails() },
        promote: { needs: ['stage'] },
        cleanup: {
          needs: ['promote'],
          if: 'always()',
          with: { staging: '${{ steps.stage.outputs.database }}' },
        },
        off: { if: 'false' },
        uses: { needs: ['off'], with: { x: '${{ steps.off.outputs.x }}' } },
        asks: { needs: ['off'], if: 'steps.off.outputs.count > 3' },
        after: { needs: ['uses'] },
        afterAnyway: { needs: ['uses'], if: 'always()' },
        asksSuccess: { needs: ['uses'], if: 'success()' },
        copes: {
          needs: ['off'],
          with: { x: '${{ has(steps.off.outputs.x) ? steps.off.outputs.x : "none" }}' },
        },
      },
    });
    expect(statuses(record)).toEqual({
      stage: 'failed',
      promote: 'skipped',
      cleanup: 'skipped',
      off: 'skipped',
      uses: 'skipped',
      asks: 'skipped',
      after: 'skipped',
      afterAnyway: 'succeeded',
      asksSuccess: 'skipped',
      copes: 'succeeded',
    });
    const because = Object.fromEntries(record.steps.map((step) => [step.name, step.skippedBecause]));
    expect(because.cleanup).toBe('it asks for outputs of stage, which failed');
    expect(because.uses).toBe('it asks for outputs of off, which was skipped');
    expect(because.after).toBe('uses could not run');
    expect(record.exitCode).toBe(1);
  });

  it('treats an output that a succeeded step does not have as an error', async () => {
    const { record } = await runJob({
      steps: { a: { run: gives({ x: 1 }) }, b: { needs: ['a'], with: { y: '${{ steps.a.outputs.y }}' } } },
    });
    expect(record.steps[1]).toMatchObject({
      status: 'failed',
      attempts: 0,
      error: { code: 'EXPRESSION_FAILED' },
    });
    expect(record.exitCode).toBe(2);
  });

  it('tolerates a failure where the plan says so', async () => {
    const { record } = await runJob({
      steps: {
        safety: { continueOnError: true, run: fails('CONNECTION_FAILED') },
        next: { needs: ['safety'] },
        alarm: { needs: ['safety'], if: 'failure()' },
      },
      onFailure: { call: {} },
    });
    expect(statuses(record)).toEqual({ safety: 'tolerated', next: 'succeeded', alarm: 'skipped' });
    expect(record).toMatchObject({ status: 'succeeded', exitCode: 0 });
    expect(record.steps[0]).toMatchObject({ status: 'failed', error: { code: 'CONNECTION_FAILED' } });
  });

  it('runs onFailure after the rest, and its own failure changes nothing', async () => {
    const order: string[] = [];
    const note = (name: string) => async () => {
      order.push(name);
      return {};
    };
    const { record } = await runJob({
      steps: {
        bad: { run: fails('DUMP_FAILED') },
        slow: {
          run: async () => {
            await new Promise((done) => setTimeout(done, 50));
            order.push('slow');
            return {};
          },
        },
      },
      onFailure: {
        tell: { run: note('tell'), with: { what: '${{ steps.bad.status }}' } },
        broken: { run: fails('PLAN_INVALID') },
        afterBroken: { needs: ['broken'] },
        always: { needs: ['broken'], if: 'always()', run: note('always') },
        onlyFailure: { if: 'failure()' },
        onlySuccess: { if: 'success()' },
      },
    });
    expect(order[0]).toBe('slow');
    expect(order).toContain('tell');
    expect(statuses(record)).toEqual({
      bad: 'failed',
      slow: 'succeeded',
      tell: 'succeeded',
      broken: 'failed',
      afterBroken: 'skipped',
      always: 'succeeded',
      onlyFailure: 'succeeded',
      onlySuccess: 'skipped',
    });
    expect(record).toMatchObject({ status: 'failed', exitCode: 1, error: { code: 'DUMP_FAILED' } });
  });

  it('does not run onFailure when the job succeeded', async () => {
    const { record } = await runJob({ steps: { a: {} }, onFailure: { b: {} } });
    expect(statuses(record)).toEqual({ a: 'succeeded' });
  });

  it.each([
    [['CHECKS_FAILED'], 3, 'CHECKS_FAILED'],
    [['CHECKS_INCONCLUSIVE'], 5, 'CHECKS_INCONCLUSIVE'],
    [['TOOL_MISSING'], 6, 'TOOL_MISSING'],
    [['CHECKS_FAILED', 'DUMP_FAILED'], 1, 'DUMP_FAILED'],
    [['CHECKS_INCONCLUSIVE', 'CHECKS_FAILED'], 3, 'CHECKS_FAILED'],
    [['DUMP_FAILED', 'TOOL_TOO_OLD', 'CHECKS_FAILED'], 6, 'TOOL_TOO_OLD'],
    [['EXPRESSION_FAILED', 'TOOL_MISSING'], 2, 'EXPRESSION_FAILED'],
  ] as const)('%j ends with exit code %i', async (codes, exitCode, code) => {
    const steps = Object.fromEntries(codes.map((each, index) => [`s${index}`, { run: fails(each) }]));
    const { record } = await runJob({ steps });
    expect(record).toMatchObject({ exitCode, status: 'failed', error: { code } });
  });

  it('takes the worst verdict of all checks', async () => {
    const check = (verdict: string, error?: BackplanError) => ({
      run: async (_params: unknown, context: { report(value: unknown): void }) => {
        context.report({ verdict, results: [], summary: '' });
        if (error !== undefined) throw error;
        return { verdict };
      },
    });
    const of = async (...verdicts: string[]) =>
      (await runJob({ steps: Object.fromEntries(verdicts.map((each, i) => [`c${i}`, check(each)])) })).record
        .verdict;
    expect(await of()).toBeUndefined();
    expect(await of('verified', 'verified')).toBe('verified');
    expect(await of('verified', 'verifiedWithWarnings')).toBe('verifiedWithWarnings');
    expect(await of('inconclusive', 'verifiedWithWarnings')).toBe('inconclusive');
    const { record, events } = await runJob({
      steps: {
        a: check('inconclusive'),
        b: check('rejected', new BackplanError('CHECKS_FAILED', '1 of 2 checks failed')),
      },
    });
    expect(record).toMatchObject({ verdict: 'rejected', exitCode: 3 });
    expect(
      events.filter((event) => event.type === 'step:finished').map(({ report }) => report),
    ).toContainEqual({
      verdict: 'rejected',
      results: [],
      summary: '',
    });
  });

  it('never runs more steps at once than the job allows', async () => {
    for (const concurrency of [1, 2, 3]) {
      let [now, most] = [0, 0];
      const steps = Object.fromEntries(
        Array.from({ length: 8 }, (_, index) => [
          `s${index}`,
          {
            run: async () => {
              now += 1;
              most = Math.max(most, now);
              await new Promise((done) => setTimeout(done, 5));
              now -= 1;
              return {};
            },
          },
        ]),
      );
      await runJob({ steps, concurrency });
      expect(most).toBe(concurrency);
    }
  });

  it('turns what a step throws into an error with a code, whatever it is', async () => {
    const throws = (error: unknown) => ({
      run: async () => {
        throw error;
      },
    });
    const { record } = await runJob({
      steps: {
        text: throws('just text'),
        error: throws(new TypeError('x is not a function')),
        full: throws(Object.assign(new Error('no space'), { code: 'ENOSPC' })),
        nothing: throws(undefined),
        sync: {
          kind: {
            kind: 'sync',
            summary: '',
            with: { type: 'object' },
            outputs: {},
            run: () => {
              throw new Error('at once');
            },
          },
        },
        pretends: { run: fails('CANCELLED', 'the server cancelled it') },
      },
    });
    expect(record.steps.map((step) => [step.name, step.status, step.error?.code])).toEqual([
      ['text', 'failed', 'INTERNAL'],
      ['error', 'failed', 'INTERNAL'],
      ['full', 'failed', 'DISK_FULL'],
      ['nothing', 'failed', 'INTERNAL'],
      ['sync', 'failed', 'INTERNAL'],
      ['pretends', 'failed', 'STEP_FAILED'],
    ]);
    expect(record).toMatchObject({ status: 'failed', exitCode: 1 });
  });

  it('keeps outputs plain', async () => {
    const circular: Record<string, unknown> = {};
    circular.self = circular;
    const { record } = await runJob({
      steps: {
        fine: {
          run: gives({
            at: new Date(0),
            none: undefined,
            rows: 5n,
            huge: 2n ** 70n,
            deep: { n: 7n, gone: undefined },
          }),
        },
        circle: { run: gives({ circular }) },
        method: { run: gives({ call: () => 1 }) },
        list: { run: async () => [1] as unknown as Record<string, unknown> },
      },
    });
    expect(record.steps[0]?.outputs).toEqual({
      at: '1970-01-01T00:00:00.000Z',
      rows: 5,
      huge: '1180591620717411303424',
      deep: { n: 7 },
    });
    expect(record.steps.slice(1).map((step) => step.error?.code)).toEqual([
      'INTERNAL',
      'INTERNAL',
      'INTERNAL',
    ]);
  });

  it('checks settings against the schema of the kind once expressions have values', async () => {
    let received: unknown;
    const kind = {
      kind: 'strict',
      summary: '',
      with: {
        type: 'object',
        additionalProperties: false,
        required: ['count'],
        properties: {
          count: { type: 'integer' },
          label: { type: 'string' },
          mode: { type: 'string', enum: ['a', 'b'], default: 'a' },
        },
      },
      outputs: {},
      run: async (params: unknown) => {
        received = params;
        return {};
      },
    } as const;
    const run = async (settings: Record<string, unknown>, inputs: Record<string, unknown> = {}) =>
      (
        await runJob(
          {
            inputs: { label: { optional: true }, count: { default: '1' } },
            steps: { s: { kind, with: settings } },
          },
          { inputs },
        )
      ).record;
    expect(await run({ count: '${{ int(inputs.count) }}', label: '${{ inputs.label }}' })).toMatchObject({
      exitCode: 0,
    });
    expect(received).toEqual({ count: 1, mode: 'a' });
    await run({ count: 2, label: '${{ inputs.label }}' }, { label: 'x' });
    expect(received).toEqual({ count: 2, label: 'x', mode: 'a' });
    const bad = await run({ count: '${{ inputs.label }}' }, { label: 'many' });
    expect(bad.steps[0]).toMatchObject({
      status: 'failed',
      attempts: 0,
      error: { code: 'INPUT_INVALID' },
    });
    expect(bad.steps[0]?.error?.message).toContain('with.count');
    expect(bad.exitCode).toBe(2);
  });

  it('hands outputs on whatever the steps are called', async () => {
    const { record } = await runJob({
      steps: Object.fromEntries([
        ['__proto__', { run: gives({ n: 1 }) }],
        [
          'constructor',
          {
            needs: ['__proto__'],
            with: { n: '${{ steps.__proto__.outputs.n }}' },
            run: passes,
          },
        ],
        [
          'valueOf',
          {
            needs: ['constructor'],
            with: { n: '${{ steps.constructor.outputs.n }}' },
            run: passes,
          },
        ],
      ]),
    });
    expect(record.steps.map(({ name, outputs }) => [name, outputs])).toEqual([
      ['__proto__', { n: 1 }],
      ['constructor', { n: 1 }],
      ['valueOf', { n: 1 }],
    ]);
  });

  it('refuses two steps of one name', async () => {
    const error = await caught(runJob({ steps: { a: {} }, onFailure: { a: {} } }));
    expect(error.code).toBe('PLAN_INVALID');
  });
});

describe('what a step sees', () => {
  it('finds databases of the plan and those that earlier steps made', async () => {
    const seen: unknown[] = [];
    const { record } = await runJob({
      steps: {
        make: {
          run: async (_params, context) => {
            context.database('crm').modified = true;
            context.addDatabase({
              handle: 'staging:crm/x',
              kind: 'staging',
              connection: { ...context.database('crm').connection, database: 'x' },
              database: 'crm',
            });
            return { database: 'staging:crm/x' };
          },
        },
        use: {
          needs: ['make'],
          with: { database: '${{ steps.make.outputs.database }}' },
          run: async (params, context) => {
            seen.push(context.database(String(params.database)).connection.database);
            seen.push(context.database('crm').connection.port, context.database('crm').modified);
            seen.push(context.baseDirectory, context.step, context.run.job);
            context.database('nowhere');
            return {};
          },
        },
      },
    });
    expect(seen).toEqual(['x', 5433, true, import.meta.dirname, 'use', 'job']);
    expect(record.steps[1]?.error).toMatchObject({ code: 'DATABASE_MISSING' });
    expect(record.steps[1]?.error?.hint).toContain('staging:crm/x');
  });

  it('masks secrets wherever they come out', async () => {
    const world = await makeWorld();
    const secret = 's3cret-word';
    const { record, events } = await runJob(
      {
        inputs: { note: { default: `uses ${secret}` } },
        steps: {
          leak: {
            run: async (_params, context) => {
              context.log.info(`password is ${secret}`, {
                url: `postgresql://u:${secret}@h/d`,
                list: [secret],
              });
              context.stderr(`psql: ${secret}`);
              context.progress({ done: 1, unit: 'rows', note: secret });
              context.report({ said: secret });
              return { text: `x${secret}x`, list: [{ secret }] };
            },
          },
          pass: {
            needs: ['leak'],
            with: { text: '${{ steps.leak.outputs.text }}' },
            run: async (params) => ({ length: String(params.text).length }),
          },
          fail: {
            run: async (_params, context) => {
              context.stderr(`FATAL: ${secret}`);
              throw new BackplanError('TOOL_FAILED', `said ${secret}`, {
                hint: secret,
                detail: `a\n${secret}`,
              });
            },
          },
        },
      },
      { world },
    );
    expect(JSON.stringify([record, events, world.journal.getRun(record.id)])).not.toContain(secret);
    expect(record.steps[0]).toMatchObject({ stderr: 'psql: ***', outputs: { text: 'x***x' } });
    // Later steps get the value itself.
    expect(record.steps[1]?.outputs).toEqual({ length: secret.length + 2 });
    world.locks.close();
    world.journal.close();
  });

  it('thins out progress but tells the last', async () => {
    const { events } = await runJob({
      steps: {
        s: {
          run: async (_params, context) => {
            for (let done = 1; done <= 10_000; done += 1) context.progress({ done, unit: 'bytes' });
            return {};
          },
        },
      },
    });
    const progress = events.filter((event) => event.type === 'step:progress');
    expect(progress.length).toBeLessThan(100);
    expect(progress.at(-1)?.progress.done).toBe(10_000);
  });

  it('keeps the end of stderr, bounded', async () => {
    const { record } = await runJob({
      steps: {
        s: {
          run: async (_params, context) => {
            for (let line = 0; line < 5000; line += 1)
              context.stderr(`line ${line} ${'x'.repeat(line % 3000)}`);
            return {};
          },
        },
      },
    });
    const stderr = record.steps[0]?.stderr ?? '';
    expect(stderr.length).toBeLessThan(20_000);
    expect(stderr).toContain('line 4999');
  });

  it('runs deferred clean-up at the end, last in first out, whatever happens in it', async () => {
    const order: string[] = [];
    const { record, events } = await runJob(
      {
        steps: {
          a: {
            run: async (_params, context) => {
              context.defer(async () => void order.push('first'));
              context.defer(async () => {
                order.push('broken');
                throw new Error('cannot stop the server');
              });
              context.defer(() => {
                order.push('hanging');
                return new Promise(() => {});
              });
              context.defer(async () => void order.push('last'));
              return {};
            },
          },
          b: {
            needs: ['a'],
            run: async () => {
              order.push('b');
              return {};
            },
          },
        },
      },
      { cleanupMs: 100 },
    );
    expect(order).toEqual(['b', 'last', 'hanging', 'broken', 'first']);
    expect(record).toMatchObject({ status: 'succeeded', exitCode: 0 });
    const said = events.filter((event) => event.type === 'run:log').map(({ message }) => message);
    expect(said.join('\n')).toContain('cannot stop the server');
    expect(said.join('\n')).toContain('not done after 100ms');
  });

  it('writes ownership down before the thing is made and until it is released', async () => {
    const world = await makeWorld();
    const { record } = await runJob(
      {
        steps: {
          s: {
            run: async (_params, context) => {
              const gone = context.own({ kind: 'folder', path: '/a' });
              expect(world.journal.ownedBy(context.run.id)).toHaveLength(1);
              gone.release();
              gone.release();
              context.own({ kind: 'stagingDatabase', database: 'crm', name: 'crm_staging_q' });
              return {};
            },
          },
        },
      },
      { world },
    );
    expect(world.journal.ownedBy(record.id).map(({ thing }) => thing.kind)).toEqual(['stagingDatabase']);
    world.locks.close();
    world.journal.close();
  });
});

describe('what a run still owns at its end', () => {
  it.each(['succeeded', 'failed'])('is settled before a run that %s is recorded as ended', async (status) => {
    const world = await makeWorld();
    const seen: unknown[] = [];
    const { record, events } = await runJob(
      { steps: { s: status === 'failed' ? { run: fails() } : {} } },
      {
        world,
        settle: async (run, how) => {
          seen.push(how, world.journal.getRun(run).status);
          throw new Error('the server is down');
        },
      },
    );
    expect(seen).toEqual([status, 'running']);
    expect(record.status).toBe(status);
    expect(
      events.some((event) => event.type === 'run:log' && event.message.includes('the server is down')),
    ).toBe(true);
    world.locks.close();
    world.journal.close();
  });
});

describe('listeners and the journal', () => {
  it('lose nothing because one of them throws', async () => {
    let told = 0;
    const { record, events } = await runJob(
      { steps: { a: {}, b: { needs: ['a'], run: fails() } } },
      {
        listeners: [
          () => {
            told += 1;
            throw new Error('reporter broke');
          },
          (async () => {
            throw new Error('async reporter broke');
          }) as () => void,
        ],
      },
    );
    expect(statuses(record)).toEqual({ a: 'succeeded', b: 'failed' });
    const rest = events.filter(({ type }) => type !== 'run:log');
    expect(told).toBe(rest.length);
    const blame = events.filter((event) => event.type === 'run:log').map(({ message }) => message);
    expect(blame).toHaveLength(2);
    expect(blame[0]).toContain('reporter broke');
  });

  it('goes on when the journal breaks on the way, and does not call that success', async () => {
    const world = await makeWorld();
    const { record, events } = await runJob(
      {
        steps: {
          a: {
            run: async () => {
              world.journal.close();
              return { x: 1 };
            },
          },
          b: { needs: ['a'] },
          owns: {
            needs: ['a'],
            run: async (_params, context) => {
              context.own({ kind: 'folder', path: '/never/made' });
              return { made: true };
            },
          },
        },
      },
      { world },
    );
    expect(statuses(record)).toEqual({ a: 'succeeded', b: 'succeeded', owns: 'failed' });
    expect(record).toMatchObject({ status: 'failed', exitCode: 1, error: { code: 'JOURNAL_FAILED' } });
    expect(events.at(-1)?.type).toBe('run:finished');
    world.locks.close();
  });

  it('does nothing at all when the journal cannot be written at the start', async () => {
    const world = await makeWorld();
    world.journal.close();
    let ran = false;
    const run = async () => {
      ran = true;
      return {};
    };
    const error = await caught(runJob({ steps: { a: { run } } }, { world }));
    expect(error.code).toBe('JOURNAL_FAILED');
    expect(ran).toBe(false);
    world.locks.close();
  });
});
