import { typedRequestSchema } from '@hearth/protocol';
import { expect, test } from 'vitest';
import { Admission } from '../admission/admission.js';
import { MockEngine } from '../engine/mock/mock-engine.js';
import { Router } from '../router/router.js';
import { answerTyped } from './asker.js';
import type { GeneratorParts } from './generator.js';
import { SideDoor } from './side-door.js';
import { StreamRegistry } from './stream-registry.js';

/** Makes tokens of nothing until it is told to. */
class HeldEngine extends MockEngine {
  asked = 0;
  readonly #held: (() => void)[] = [];

  override async tokenize(): Promise<readonly number[]> {
    this.asked += 1;
    await new Promise<void>((resolve) => this.#held.push(resolve));
    return [1];
  }

  release(): void {
    for (const go of this.#held.splice(0)) go();
  }
}

test('tokenize passes generations by, a few at once; too many are refused, and a cancelled one never asks', async () => {
  const now = (): number => performance.now();
  const engine = new HeldEngine({});
  engine.setReady(true);
  const admission = new Admission({ activePermits: 1, queueDepth: 0 });
  const parts: GeneratorParts = {
    admission,
    router: new Router([engine], { now }),
    streams: new StreamRegistry(now, () => undefined),
    sideDoor: new SideDoor({ atOnce: 2, waiting: 2, waitingOfOne: 2 }),
    record: () => undefined,
    now,
  };
  const never = new AbortController().signal;
  // The only permit is in use.
  await admission.acquire({ id: 'g', client: 'other', class: 'chat', model: undefined }, never);
  const ask = (signal: AbortSignal) =>
    answerTyped(
      parts,
      typedRequestSchema.parse({ id: 't', type: 'tokenize', content: 'x' }),
      { name: 'test' },
      signal,
    );
  const cancel = new AbortController();
  const answers = [ask(never), ask(never), ask(never), ask(cancel.signal)];
  await expect(ask(never)).rejects.toMatchObject({ code: 'queue_full' });
  cancel.abort();
  await expect(answers[3]).rejects.toMatchObject({ code: 'cancelled' });
  expect(engine.asked).toBe(2);
  engine.release();
  await Promise.all(answers.slice(0, 2));
  await new Promise(setImmediate);
  engine.release();
  expect(await answers[2]).toMatchObject({ kind: 'tokens', tokens: [1] });
  expect(engine.asked).toBe(3);
});
