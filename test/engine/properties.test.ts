/** Random graphs with random outcomes against a model that is short enough to be believed. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BackplanError } from '../../src/errors.ts';
import type { RunEvent } from '../../src/runs/record.ts';
import { makeWorld, runJob, statuses, type TestSteps } from './harness.ts';

interface Node {
  readonly needs: readonly number[];
  readonly outcome: 'succeed' | 'fail' | 'failHopelessly' | 'recover';
  readonly tries: number;
  readonly tolerated: boolean;
  readonly condition: string | undefined;
  readonly milliseconds: number;
}

const CONDITIONS = [
  undefined,
  undefined,
  undefined,
  'false',
  'inputs.yes',
  'always()',
  'failure()',
  'success()',
  '!success()',
  'failure() || inputs.yes',
  'always() && !inputs.yes',
];

const graph = fc.integer({ min: 1, max: 9 }).chain((size) =>
  fc.tuple(
    ...Array.from({ length: size }, (_, index) =>
      fc.record<Node>({
        needs: index === 0 ? fc.constant([]) : fc.uniqueArray(fc.nat(index - 1), { maxLength: 3 }),
        outcome: fc.constantFrom('succeed', 'succeed', 'fail', 'failHopelessly', 'recover'),
        tries: fc.integer({ min: 1, max: 3 }),
        tolerated: fc.boolean(),
        condition: fc.constantFrom(...CONDITIONS),
        milliseconds: fc.nat(3),
      }),
    ),
  ),
);

/** What must come out: the rules in a dozen lines. Earlier nodes never need later ones. */
function model(nodes: readonly Node[]): { status: string; attempts: number }[] {
  const result: { status: string; attempts: number }[] = [];
  const ancestors: Set<number>[] = [];
  for (const node of nodes) {
    const mine = new Set(node.needs.flatMap((need) => [need, ...(ancestors[need] ?? [])]));
    ancestors.push(mine);
    const failed = [...mine].some((index) => result[index]?.status === 'failed');
    const wanted: Record<string, boolean> = {
      undefined: !failed,
      false: false,
      'inputs.yes': !failed,
      'always()': true,
      'failure()': failed,
      'success()': !failed,
      '!success()': failed,
      'failure() || inputs.yes': true,
      'always() && !inputs.yes': false,
    };
    const tries = node.outcome === 'succeed' || node.outcome === 'failHopelessly' ? 1 : node.tries;
    const good = node.outcome === 'succeed' || (node.outcome === 'recover' && node.tries > 1);
    const attempts = node.outcome === 'recover' && good ? 2 : tries;
    if (wanted[String(node.condition)] === false) result.push({ status: 'skipped', attempts: 0 });
    else result.push({ status: good ? 'succeeded' : node.tolerated ? 'tolerated' : 'failed', attempts });
  }
  return result;
}

function toSteps(nodes: readonly Node[]): TestSteps {
  return Object.fromEntries(
    nodes.map((node, index) => {
      let attempt = 0;
      const step = {
        needs: node.needs.map((need) => `s${need}`),
        continueOnError: node.tolerated,
        if: node.condition,
        retry: { attempts: node.tries, backoff: 1, maxDelay: 2 },
        run: async () => {
          attempt += 1;
          if (node.milliseconds > 0) await new Promise((done) => setTimeout(done, node.milliseconds));
          if (node.outcome === 'fail') throw new BackplanError('CONNECTION_FAILED', 'no');
          if (node.outcome === 'failHopelessly') throw new BackplanError('CHECKS_FAILED', 'no');
          if (node.outcome === 'recover' && attempt === 1) throw new BackplanError('DUMP_FAILED', 'not yet');
          return { index };
        },
      };
      return [`s${index}`, step];
    }),
  );
}

/** Nothing starts before its needs have ended, nothing ends twice, never more at once than allowed. */
function assertOrder(nodes: readonly Node[], events: readonly RunEvent[], concurrency: number): void {
  const ended = new Set<string>();
  const running = new Set<string>();
  for (const event of events) {
    if (event.type === 'step:started') {
      const needs = nodes[Number(event.step.slice(1))]?.needs ?? [];
      for (const need of needs) expect(ended.has(`s${need}`), `${event.step} before s${need}`).toBe(true);
      running.add(event.step);
      expect(running.size).toBeLessThanOrEqual(concurrency);
    }
    if (event.type === 'step:finished') {
      expect(ended.has(event.step.name), `${event.step.name} ended twice`).toBe(false);
      ended.add(event.step.name);
      running.delete(event.step.name);
    }
  }
  expect(ended.size).toBe(nodes.length);
}

describe('any graph with any outcomes', () => {
  it('ends as the rules say', { timeout: 300_000 }, async () => {
    const world = await makeWorld();
    await fc.assert(
      fc.asyncProperty(graph, fc.integer({ min: 1, max: 4 }), async (nodes, concurrency) => {
        const { record, events } = await runJob(
          {
            steps: toSteps(nodes),
            concurrency,
            inputs: { yes: { type: 'boolean', default: true } },
            onFailure: { tell: {} },
          },
          { world },
        );
        const expected = model(nodes);
        const failed = expected.some(({ status }) => status === 'failed');
        const names = Object.fromEntries(expected.map(({ status }, index) => [`s${index}`, status]));
        expect(statuses(record)).toEqual(failed ? { ...names, tell: 'succeeded' } : names);
        expect(record.steps.slice(0, nodes.length).map(({ attempts }) => attempts)).toEqual(
          expected.map(({ attempts }) => attempts),
        );
        expect(record.status).toBe(failed ? 'failed' : 'succeeded');
        expect(record.exitCode === 0).toBe(!failed);
        assertOrder(
          nodes,
          events.filter(
            (event) => !('step' in event) || JSON.stringify(event.step).includes('tell') === false,
          ),
          concurrency,
        );
        expect(world.journal.getRun(record.id)).toEqual(record);
      }),
      { numRuns: 150 },
    );
    world.locks.close();
    world.journal.close();
  });
});
