import { expect, test } from 'vitest';
import { isFromWorker } from './messages.js';
import type { FromWorker } from './messages.js';
import { Outbox, separate, type Together } from './outbox.js';

const chunk = (id: number): FromWorker => ({
  kind: 'chunk',
  id,
  piece: { kind: 'token', text: 'a' },
  tokens: 1,
});

function open(): {
  outbox: Outbox<FromWorker>;
  sent: (FromWorker | Together<FromWorker>)[];
  turn: () => void;
} {
  const sent: (FromWorker | Together<FromWorker>)[] = [];
  const soon: (() => void)[] = [];
  const outbox = new Outbox<FromWorker>(
    (message) => sent.push(message),
    (work) => soon.push(work),
  );
  return {
    outbox,
    sent,
    turn: () => {
      for (const work of soon.splice(0)) work();
    },
  };
}

test('what one turn brings about goes as one message, in its order, and comes apart again', () => {
  const { outbox, sent, turn } = open();
  const said: FromWorker[] = [chunk(1), chunk(2), { kind: 'spent' }];
  for (const message of said) outbox.put(message);
  expect(sent).toEqual([]);
  turn();
  expect(sent).toHaveLength(1);
  expect([...separate(sent[0], isFromWorker)]).toEqual(said);
});

test('one alone goes as it is, and each turn has its own message', () => {
  const { outbox, sent, turn } = open();
  outbox.put(chunk(1));
  turn();
  outbox.put(chunk(2));
  turn();
  turn();
  expect(sent).toEqual([chunk(1), chunk(2)]);
});

test('before the end of the process it is told to send at once', () => {
  const { outbox, sent, turn } = open();
  outbox.put(chunk(1));
  outbox.flush();
  turn();
  expect(sent).toEqual([chunk(1)]);
});

test('what is no message of a worker is left out', () => {
  expect(
    [
      'chunk',
      { kind: 'load' },
      undefined,
      { kind: 'together' },
      { kind: 'together', messages: [1, {}] },
    ].flatMap((message) => [...separate(message, isFromWorker)]),
  ).toEqual([]);
});
