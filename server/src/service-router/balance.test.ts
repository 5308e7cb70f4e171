import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { peekRequest } from './peek-request.js';
import { blockBytes, mostBlocks, prefixBlocks, PrefixIndex } from './prefix-index.js';
import { rendezvous } from './rendezvous.js';
import { WeightedRoundRobin } from './weighted-round-robin.js';

const items = (...weights: number[]) => weights.map((weight, index) => ({ name: `s${index}`, weight }));

describe('row 131: weighted round robin', () => {
  test('over each cycle everybody is chosen exactly as its weight says', () => {
    const weights = fc.array(fc.nat(9), { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(weights, (given) => {
        const all = items(...given);
        const shares = given.every((weight) => weight === 0) ? given.map(() => 1) : given;
        const turns = new WeightedRoundRobin();
        const counts = new Map<string, number>();
        const cycle = shares.reduce((sum, share) => sum + share, 0);
        for (let turn = 0; turn < cycle * 3; turn += 1) {
          const { name = '' } = turns.choose('m', all) ?? {};
          counts.set(name, (counts.get(name) ?? 0) + 1);
        }
        expect(all.map(({ name }) => counts.get(name) ?? 0)).toEqual(shares.map((share) => share * 3));
      }),
    );
  });

  test('the turns of one model are not those of another', () => {
    const turns = new WeightedRoundRobin();
    const seen: string[] = [];
    for (let turn = 0; turn < 10; turn += 1) {
      seen.push(turns.choose('a', items(1, 1))?.name ?? '');
      for (let other = 0; other < turn; other += 1) turns.choose('b', items(1, 1));
    }
    expect(seen).toEqual(['s0', 's1', 's0', 's1', 's0', 's1', 's0', 's1', 's0', 's1']);
  });

  test('nobody is nobody', () => {
    expect(new WeightedRoundRobin().choose('a', items())).toBeUndefined();
  });
});

describe('row 133: rendezvous', () => {
  const keys = Array.from({ length: 2000 }, (_, index) => `key-${index}`);

  test('one more of n moves about 1/(n+1) of the keys, and only to the new one', () => {
    const before = items(1, 1, 1, 1);
    const after = items(1, 1, 1, 1, 1);
    const moved = keys.filter((key) => rendezvous(key, before)?.name !== rendezvous(key, after)?.name);
    expect(moved.length / keys.length).toBeGreaterThan(0.15);
    expect(moved.length / keys.length).toBeLessThan(0.25);
    expect(moved.every((key) => rendezvous(key, after)?.name === 's4')).toBe(true);
  });

  test('the order of the list does not matter, and weights are kept to', () => {
    const all = items(1, 3);
    const counts = { s0: 0, s1: 0 };
    for (const key of keys) {
      const chosen = rendezvous(key, all)?.name;
      expect(rendezvous(key, all.toReversed())?.name).toBe(chosen);
      if (chosen === 's0' || chosen === 's1') counts[chosen] += 1;
    }
    expect(counts.s1 / counts.s0).toBeGreaterThan(2.4);
    expect(counts.s1 / counts.s0).toBeLessThan(3.7);
  });

  test('weights of zero alone still choose', () => {
    expect(rendezvous('k', items(0, 0))).toBeDefined();
    expect(rendezvous('k', items(0, 1))?.name).toBe('s1');
    expect(rendezvous('k', items())).toBeUndefined();
  });
});

describe('prefix affinity', () => {
  const blocksOf = (...turns: string[]): readonly number[] => {
    const messages = turns.map((content, index) => ({
      role: index % 2 === 0 ? 'user' : 'assistant',
      content,
    }));
    const body = Buffer.from(JSON.stringify({ model: 'm', messages }));
    return prefixBlocks(body, peekRequest(body)?.parts ?? [], 'm');
  };
  const long = (letter: string, blocks: number) => letter.repeat(blocks * blockBytes);

  test('a conversation that goes on has the blocks of its beginning, and another has none', () => {
    const first = blocksOf(long('a', 3));
    const next = blocksOf(long('a', 3), 'answer', long('b', 2));
    expect(next.slice(0, 3)).toEqual(first.slice(0, 3));
    expect(next.length).toBeGreaterThan(first.length);
    expect(blocksOf(`x${long('a', 3)}`).some((block) => next.includes(block))).toBe(false);
  });

  test('the whole of it counts, not the first message alone', () => {
    const system = long('s', 4);
    const [left, right] = [blocksOf(system, 'ok', long('a', 4)), blocksOf(system, 'ok', long('b', 4))];
    const shared = left.filter((block) => right.includes(block)).length;
    expect(shared).toBe(4);
    expect(left.length).toBeGreaterThan(7);
  });

  test('where one text ends is part of it', () => {
    expect(blocksOf(long('a', 1), long('a', 2))).not.toEqual(blocksOf(long('a', 2), long('a', 1)));
  });

  test('it is bounded in blocks, and in what is remembered', () => {
    expect(blocksOf('a'.repeat((mostBlocks + 10) * blockBytes))).toHaveLength(mostBlocks);
    const index = new PrefixIndex(100);
    index.remember(
      Array.from({ length: 90 }, (_, block) => block),
      'one',
    );
    index.remember(
      Array.from({ length: 90 }, (_, block) => block + 1000),
      'two',
    );
    expect(index.size).toBe(100);
    expect(index.find([1000], () => true)).toEqual({ service: 'two', blocks: 1 });
    expect(index.find([0], () => true)).toBeUndefined();
  });

  test('the longest match of somebody who is there wins', () => {
    const index = new PrefixIndex();
    index.remember([1, 2], 'one');
    index.remember([1, 2, 3].slice(2), 'two');
    expect(index.find([1, 2, 3], () => true)).toEqual({ service: 'two', blocks: 3 });
    expect(index.find([1, 2, 3], (name) => name !== 'two')).toEqual({ service: 'one', blocks: 2 });
  });
});
