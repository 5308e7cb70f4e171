import { describe, expect, test } from 'vitest';
import { operationsPerToken, stepsOf, variations, weightsOf } from './ablations.js';

const [base] = variations;

describe('ablations', () => {
  test('every variation computes as much as the model as it is, within a step', () => {
    const steps = 1000;
    for (const { shape } of variations) {
      const whole = stepsOf(shape, steps) * operationsPerToken(shape);
      const wanted = steps * operationsPerToken(base?.shape ?? shape);
      expect(Math.abs(whole - wanted)).toBeLessThanOrEqual(operationsPerToken(shape));
    }
  });

  test('every variation differs in one thing: the optimizer, the rate, the vocabulary or the shape', () => {
    for (const one of variations.slice(1)) {
      const { vocabulary, ...shape } = one.shape;
      const { vocabulary: usual, ...usualShape } = base?.shape ?? one.shape;
      const differs = [
        one.optimizer !== base?.optimizer,
        one.rate !== base?.rate,
        vocabulary !== usual,
        JSON.stringify(shape) !== JSON.stringify(usualShape),
      ];
      expect(differs.filter(Boolean), one.name).toHaveLength(1);
    }
  });

  test('the weights are those of the shipped shape: 4.2 million with embeddings counted once', () => {
    expect(base === undefined ? 0 : weightsOf(base.shape)).toBe(4_243_456);
  });

  test('heads divide the width, and query heads their keys', () => {
    for (const { shape } of variations) {
      expect(shape.dim % shape.heads).toBe(0);
      expect(shape.heads % shape.kv).toBe(0);
      expect(shape.ffn % 32).toBe(0);
    }
  });
});
