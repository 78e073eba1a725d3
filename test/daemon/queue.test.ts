/** Who runs and who waits. */
import { describe, expect, it } from 'vitest';
import { makeQueue, type Queue, type Task } from '../../src/daemon/queue.ts';
import { BackplanError } from '../../src/errors.ts';
import type { Overlap } from '../../src/plan/model.ts';

interface Options {
  readonly maxRunning?: number;
  readonly limits?: Readonly<Record<string, number>>;
}

class World {
  now = 0;
  readonly log: string[] = [];
  readonly queue: Queue;
  readonly #ends = new Map<string, (next?: Task) => void>();

  constructor({ maxRunning = 10, limits = {} }: Options = {}) {
    this.queue = makeQueue({
      maxRunning,
      limitOf: (group) => limits[group] ?? 1,
      now: () => this.now,
      displacedReason: () => new BackplanError('CANCELLED', 'displaced'),
    });
  }

  task(
    runId: string,
    change: { key?: string; groups?: string[]; overlap?: Overlap; notBefore?: number } = {},
  ): Task {
    const { key = runId, groups = [], overlap = 'skip', notBefore } = change;
    return {
      runId,
      key,
      groups,
      overlap,
      notBefore: () => notBefore,
      run: (signal) => {
        this.log.push(`+${runId}`);
        signal.addEventListener('abort', () => this.log.push(`!${runId}`));
        return new Promise((resolve) => {
          this.#ends.set(runId, (next) => {
            this.log.push(`-${runId}`);
            resolve(next);
          });
        });
      },
    };
  }

  async end(runId: string, next?: Task): Promise<void> {
    this.#ends.get(runId)?.(next);
    await Promise.resolve();
    await Promise.resolve();
  }

  ids = (tasks: readonly Task[]) => tasks.map(({ runId }) => runId);
}

describe('overlap', () => {
  it('skip leaves the new one out, while the old one runs or waits', async () => {
    const world = new World({ maxRunning: 1 });
    world.queue.offer(world.task('a1', { key: 'a' }));
    expect(world.queue.offer(world.task('a2', { key: 'a' }))).toEqual({ accepted: false, other: 'a1' });
    world.queue.offer(world.task('b1', { key: 'b' }));
    expect(world.queue.offer(world.task('b2', { key: 'b' }))).toEqual({ accepted: false, other: 'b1' });
    await world.end('a1');
    expect(world.queue.offer(world.task('a3', { key: 'a' })).accepted).toBe(true);
    expect(world.log).toEqual(['+a1', '-a1', '+b1']);
  });

  it('queue lets one wait, the newest', async () => {
    const world = new World();
    const offer = (id: string) => world.queue.offer(world.task(id, { key: 'a', overlap: 'queue' }));
    offer('a1');
    expect(offer('a2')).toMatchObject({ accepted: true, displaced: [] });
    expect(offer('a3')).toMatchObject({ accepted: true, displaced: [{ runId: 'a2' }], cancelled: [] });
    await world.end('a1');
    expect(world.log).toEqual(['+a1', '-a1', '+a3']);
  });

  it('cancelPrevious tells the old one to stop, and waits until it has cleaned up', async () => {
    const world = new World();
    const offer = (id: string) => world.queue.offer(world.task(id, { key: 'a', overlap: 'cancelPrevious' }));
    offer('a1');
    expect(offer('a2')).toMatchObject({ accepted: true, cancelled: [{ runId: 'a1' }] });
    expect(world.log).toEqual(['+a1', '!a1']);
    await world.end('a1');
    expect(world.log).toEqual(['+a1', '!a1', '-a1', '+a2']);
  });
});

describe('limits', () => {
  it('of the daemon: others wait in order', async () => {
    const world = new World({ maxRunning: 2 });
    for (const id of ['a', 'b', 'c', 'd', 'e']) world.queue.offer(world.task(id));
    expect(world.ids(world.queue.waiting())).toEqual(['c', 'd', 'e']);
    await world.end('b');
    await world.end('c');
    await world.end('a');
    expect(world.log).toEqual(['+a', '+b', '-b', '+c', '-c', '+d', '-a', '+e']);
  });

  it('of a group, across jobs: the first of the group is the first to go, others pass', async () => {
    const world = new World({ limits: { big: 2 } });
    world.queue.offer(world.task('a', { groups: ['db'] }));
    world.queue.offer(world.task('b', { groups: ['db'] }));
    world.queue.offer(world.task('c', { groups: ['db', 'big'] }));
    world.queue.offer(world.task('d', { groups: ['big'] }));
    world.queue.offer(world.task('e'));
    expect(world.log).toEqual(['+a', '+d', '+e']);
    await world.end('a');
    await world.end('b');
    expect(world.log).toEqual(['+a', '+d', '+e', '-a', '+b', '-b', '+c']);
  });

  it('one that waits for two groups is not passed for ever by those that need one', async () => {
    const world = new World();
    world.queue.offer(world.task('x', { groups: ['x'] }));
    world.queue.offer(world.task('both', { groups: ['x', 'y'] }));
    world.queue.offer(world.task('y1', { groups: ['y'] }));
    expect(world.log).toEqual(['+x']);
    await world.end('x');
    expect(world.log).toEqual(['+x', '-x', '+both']);
  });
});

it('what may not start yet lets others pass, and starts when it is time', () => {
  const world = new World({ maxRunning: 1 });
  world.queue.offer(world.task('later', { notBefore: 1000 }));
  world.now = 999;
  world.queue.pump();
  expect(world.log).toEqual([]);
  world.now = 1000;
  world.queue.pump();
  expect(world.log).toEqual(['+later']);
});

it('a retry takes no place while it waits, and counts as the job going on', async () => {
  const world = new World({ maxRunning: 1 });
  world.queue.offer(world.task('a1', { key: 'a' }));
  world.queue.offer(world.task('b'));
  await world.end('a1', world.task('a2', { key: 'a', notBefore: 5000 }));
  expect(world.log).toEqual(['+a1', '-a1', '+b']);
  expect(world.queue.offer(world.task('a3', { key: 'a' }))).toEqual({ accepted: false, other: 'a2' });
  await world.end('b');
  world.now = 5000;
  world.queue.pump();
  expect(world.log.at(-1)).toBe('+a2');
});

it('cancel takes out what waits and stops what runs', () => {
  const world = new World({ maxRunning: 1 });
  const reason = new BackplanError('CANCELLED', 'enough');
  world.queue.offer(world.task('a'));
  world.queue.offer(world.task('b'));
  expect(world.queue.cancel('b', reason)).toMatchObject({ found: true, removed: { runId: 'b' } });
  expect(world.queue.cancel('a', reason)).toEqual({ found: true });
  expect(world.queue.cancel('c', reason)).toEqual({ found: false });
  expect(world.log).toEqual(['+a', '!a']);
});

it('closed, it starts nothing any more and says what waited; idle when the last has ended', async () => {
  const world = new World({ maxRunning: 1 });
  world.queue.offer(world.task('a'));
  world.queue.offer(world.task('b'));
  expect(world.ids(world.queue.close())).toEqual(['b']);
  let isIdle = false;
  const idle = world.queue.idle().then(() => {
    isIdle = true;
  });
  expect(isIdle).toBe(false);
  await world.end('a', world.task('again'));
  await idle;
  expect(world.log).toEqual(['+a', '-a']);
});
