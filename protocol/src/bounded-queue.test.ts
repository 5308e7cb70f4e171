import { expect, test } from 'vitest';
import { BoundedQueue } from './bounded-queue.js';

test('given a full queue, the producer waits until the consumer has taken one', async () => {
  const queue = new BoundedQueue<number>(2);
  const order: string[] = [];
  await queue.push(1);
  const second = queue.push(2).then(() => order.push('there is room'));
  await Promise.resolve();
  order.push(`took ${await queue.next()}`);
  await second;
  expect(order).toEqual(['took 1', 'there is room']);
});

test('given a failure, what waits is still given out and then the failure', async () => {
  const queue = new BoundedQueue<number>(4);
  await queue.push(1);
  queue.fail(new Error('gone'));
  expect(await queue.next()).toBe(1);
  await expect(queue.next()).rejects.toThrow('gone');
});

test('given a failure that drops, what waits is not given out and a waiting producer goes on', async () => {
  const queue = new BoundedQueue<number>(1);
  const waiting = queue.push(1);
  queue.fail(new Error('gone'), { drop: true });
  await waiting;
  await expect(queue.next()).rejects.toThrow('gone');
  await queue.push(2);
  expect(queue.size).toBe(0);
});

test.each([0, -1, 1.5, Number.NaN])('a capacity of %d is refused', (capacity) => {
  expect(() => new BoundedQueue(capacity)).toThrow(RangeError);
});
