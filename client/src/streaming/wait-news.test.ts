import { expect, it } from 'vitest';
import { waitNews } from './wait-news.js';

it('tells what a generation waits for and how far that is where it is known, and nothing twice', () => {
  const told: string[] = [];
  const news = waitNews((words) => told.push(words));
  news({ stage: { kind: 'queued', position: 3 } });
  news({ stage: { kind: 'queued', position: 0 } });
  news({ stage: { kind: 'loading', model: 'm' } });
  news({ stage: { kind: 'loading', model: 'm', progress: 0.5 } });
  news({ stage: { kind: 'prefill' } });
  news({ stage: { kind: 'prefill', progress: 0.428 } });
  news({ stage: { kind: 'prefill', progress: 0.431 } });
  // What has been read may be followed by a call, which comes whole.
  news({ stage: { kind: 'prefill', progress: 1 } });
  news({ thinking: 'hm' });
  news({ thinking: ', well' });
  news({ toolCall: { id: '1', name: 'clock', arguments: '{}' } });
  expect(told).toEqual([
    '3 before it in the queue',
    'next in the queue',
    'loading the model',
    'loading the model, 50 %',
    'reading the prompt',
    'reading the prompt, 43 %',
    'writing',
    'thinking',
  ]);
});
