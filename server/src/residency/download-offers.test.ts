import { expect, test, vi } from 'vitest';
import type { CatalogueEntry } from '../models/catalogue/catalogue.js';
import { DownloadOffers } from './download-offers.js';

const entry = { name: 'coder', approximateBytes: 7 } as CatalogueEntry;

function offers(answers: readonly (boolean | Error)[]) {
  let time = 0;
  const left = [...answers];
  const ask = vi.fn<(model: string, bytes: number) => Promise<boolean>>(() => {
    const answer = left.shift() ?? false;
    return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer);
  });
  const pull = vi.fn<(model: string) => void>();
  const made = new DownloadOffers({ ask, pull, now: () => time });
  return {
    ask,
    pull,
    offer: async () => {
      made.offer(entry);
      await new Promise(setImmediate);
    },
    pass: (ms: number) => {
      time += ms;
    },
  };
}

test('a yes fetches it', async () => {
  const { ask, pull, offer } = offers([true]);
  await offer();
  expect(ask).toHaveBeenCalledExactlyOnceWith('coder', 7);
  expect(pull).toHaveBeenCalledExactlyOnceWith('coder');
});

test('a no is respected for ten minutes, however often the model is named', async () => {
  const { ask, pull, offer, pass } = offers([false, false]);
  await offer();
  await offer();
  pass(599_999);
  await offer();
  expect(ask).toHaveBeenCalledOnce();
  pass(1);
  await offer();
  expect(ask).toHaveBeenCalledTimes(2);
  expect(pull).not.toHaveBeenCalled();
});

test('where nobody could be asked, the next request asks again', async () => {
  const { ask, pull, offer } = offers([new Error('nobody'), true]);
  await offer();
  await offer();
  expect(ask).toHaveBeenCalledTimes(2);
  expect(pull).toHaveBeenCalledOnce();
});
