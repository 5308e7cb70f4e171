import { expect, test } from 'vitest';
import { Metrics } from './metrics.js';

const view = {
  permitsInUse: 0,
  permits: 1,
  queued: 0,
  connections: {},
  subscriptions: 0,
  shed: 0,
  refused: new Map<number, number>(),
  lostEvents: new Map<string, number>(),
};

test('tokens that were guessed ahead, and those of them that were right, are counted', async () => {
  const metrics = new Metrics(() => view);
  for (let request = 0; request < 2; request += 1) {
    metrics.emit({
      kind: 'request_served',
      route: 'generate',
      model: 'm',
      provider: 'llama',
      latency_ms: 5,
      status_code: 200,
      completion_tokens: 20,
      draft_tokens: 16,
      draft_accepted: 9,
    });
  }
  const text = await metrics.text();
  expect(text).toContain('hearth_tokens_total{kind="drafted"} 32');
  expect(text).toContain('hearth_tokens_total{kind="draft_accepted"} 18');
});
