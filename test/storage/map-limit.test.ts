import { setTimeout } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { mapLimit } from '../../src/storage/map-limit.ts';

test('keeps the order and never runs more than the limit at once', async () => {
  let running = 0;
  let most = 0;
  const results = await mapLimit([5, 1, 4, 2, 3, 0], 2, async (item, index) => {
    running++;
    most = Math.max(most, running);
    await setTimeout(item);
    running--;
    return `${index}:${item}`;
  });
  expect(results).toEqual(['0:5', '1:1', '2:4', '3:2', '4:3', '5:0']);
  expect(most).toBe(2);
});

test('the first error wins and nothing more is started', async () => {
  const started: number[] = [];
  await expect(
    mapLimit([0, 1, 2, 3, 4, 5], 2, async (item) => {
      started.push(item);
      await setTimeout(1);
      if (item === 1) throw new Error('one failed');
    }),
  ).rejects.toThrow('one failed');
  await setTimeout(5);
  expect(started.length).toBeLessThan(6);
});

test('nothing to do', async () => {
  expect(await mapLimit([], 4, async () => 1)).toEqual([]);
});
