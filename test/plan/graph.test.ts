import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ancestors, ancestorsOf, cycles, waves, wavesOf } from '../../src/plan/graph.ts';
import { parsePlan } from '../../src/plan/load.ts';
import type { Job, Step } from '../../src/plan/model.ts';
import { vocabulary } from './vocabulary.ts';

function job(needs: Record<string, string[]>, onFailure: Record<string, string[]> = {}): Job {
  const steps = (of: Record<string, string[]>) =>
    Object.fromEntries(
      Object.entries(of).map(([name, list]): [string, Step] => [
        name,
        { name, uses: 'command', with: {}, needs: list, continueOnError: false },
      ]),
    );
  return { name: 'j', notify: [], inputs: {}, steps: steps(needs), onFailure: steps(onFailure) };
}

const map = (needs: Record<string, string[]>) => new Map(Object.entries(needs));

describe('waves', () => {
  it('groups what may run side by side, in the order of the plan', () => {
    expect(waves(job({ d: ['b', 'c'], a: [], c: ['a'], b: ['a'], e: [] }))).toEqual([
      ['a', 'e'],
      ['c', 'b'],
      ['d'],
    ]);
    expect(waves(job({}))).toEqual([]);
  });

  it('knows no order in a cycle', () => {
    expect(() => wavesOf(map({ a: ['b'], b: ['a'] }))).toThrow(RangeError);
  });
});

describe('ancestors', () => {
  it('is everything that a step waits for', () => {
    const one = job({ a: [], b: ['a'], c: ['b', 'a'], d: [] }, { x: [], y: ['x'] });
    expect([...ancestors(one, 'c')].sort()).toEqual(['a', 'b']);
    expect([...ancestors(one, 'd')]).toEqual([]);
    expect([...ancestors(one, 'y')]).toEqual(['x']);
    expect([...ancestors(one, 'constructor')]).toEqual([]);
  });
});

describe('cycles', () => {
  it('tells each as a path, the shortest one', () => {
    expect(cycles(map({ a: ['b'], b: ['c'], c: ['a', 'b'], d: ['a'] }))).toEqual([['a', 'b', 'c', 'a']]);
    expect(cycles(map({ a: ['c', 'b'], b: ['c'], c: ['a'], x: ['y'], y: ['x'] }))).toEqual([
      ['a', 'c', 'a'],
      ['x', 'y', 'x'],
    ]);
    expect(cycles(map({ a: ['a'], b: ['a'] }))).toEqual([]);
    expect(cycles(map({ a: ['nope'], b: ['a'] }))).toEqual([]);
  });

  it('finds one exactly when there is no order, and its path is real', () => {
    const names = ['a', 'b', 'c', 'd', 'e', 'f'];
    const graph = fc.array(fc.subarray(names), { minLength: 6, maxLength: 6 });
    fc.assert(
      fc.property(graph, (lists) => {
        const needs = new Map(
          names.map((name, index) => [name, (lists[index] ?? []).filter((need) => need !== name)]),
        );
        const found = cycles(needs);
        if (found.length === 0) {
          const order = wavesOf(needs).flat();
          expect([...order].sort()).toEqual(names);
          for (const [name, list] of needs) {
            for (const need of list) expect(order.indexOf(need)).toBeLessThan(order.indexOf(name));
          }
        } else {
          expect(() => wavesOf(needs)).toThrow(RangeError);
          for (const path of found) {
            expect(path.at(0)).toBe(path.at(-1));
            for (const [index, name] of path.slice(0, -1).entries())
              expect(needs.get(name)).toContain(path[index + 1]);
          }
        }
      }),
    );
  });
});

describe('any plan that validates can be ordered', () => {
  it('every step after all that it needs and mentions', async () => {
    const names = ['a', 'b', 'c', 'd', 'e'];
    // Mostly plans that hold: needs point to earlier steps of some order, expressions to needs; some go astray.
    const plan = fc
      .tuple(fc.shuffledSubarray(names, { minLength: 5 }), fc.infiniteStream(fc.nat(99)))
      .map(([order, stream]) => {
        const next = () => Number(stream.next().value ?? 0);
        const astray = () => next() < 3;
        return names.map((name) => {
          const earlier = astray() ? names : order.slice(0, order.indexOf(name));
          const needs = earlier.filter(() => next() < 50);
          const pool = astray() ? names : needs;
          return {
            needs,
            uses: pool.length === 0 || next() < 30 ? null : (pool[next() % pool.length] ?? null),
          };
        });
      });
    let valid = 0;
    await fc.assert(
      fc.asyncProperty(plan, async (steps) => {
        const document = {
          version: 1,
          name: 'p',
          databases: { d: { url: 'postgres:///d' } },
          jobs: {
            j: {
              steps: Object.fromEntries(
                steps.map(({ needs, uses }, index) => [
                  names[index],
                  {
                    uses: 'command',
                    needs,
                    with: { run: uses === null ? 'true' : `echo \${{ steps.${uses}.outputs.stdout }}` },
                  },
                ]),
              ),
            },
          },
        };
        const { plan: loaded, diagnostics } = await parsePlan('p', JSON.stringify(document), vocabulary);
        const loadedJob = loaded?.jobs.j;
        if (loadedJob === undefined) {
          expect(diagnostics.some(({ severity }) => severity === 'error')).toBe(true);
          return;
        }
        valid++;
        const order = waves(loadedJob);
        const wave = (name: string) => order.findIndex((members) => members.includes(name));
        expect(order.flat().sort()).toEqual(names);
        for (const [index, { needs, uses }] of steps.entries()) {
          const name = names[index] ?? '';
          for (const need of uses === null ? needs : [...needs, uses])
            expect(wave(need)).toBeLessThan(wave(name));
          expect(
            uses === null ||
              ancestorsOf(new Map(names.map((each, at) => [each, steps[at]?.needs ?? []])), name).has(uses),
          ).toBe(true);
        }
      }),
      { numRuns: 200 },
    );
    expect(valid).toBeGreaterThan(50);
    expect(valid).toBeLessThan(200);
  });
});
