import type { PullModelRequest } from '@hearth/protocol';
import { expect, test, vi } from 'vitest';
import { SharedWork, type Work } from './shared-work.js';

type Fetch = Work<PullModelRequest.Progress, PullModelRequest.Result>;

const done: PullModelRequest.Result = { name: 'm', sizeBytes: 2, resumedBytes: 0, alreadyThere: false };

/** A fetch that a test steers. */
function steered() {
  let finish = (): void => undefined;
  let tell = (_doneBytes: number): void => undefined;
  let signalled: AbortSignal | undefined;
  const fetch = vi.fn<Fetch>((onProgress, signal) => {
    signalled = signal;
    tell = (doneBytes) => {
      onProgress({ phase: 'download', doneBytes, totalBytes: 2 });
    };
    return new Promise((resolve, reject) => {
      finish = () => {
        resolve(done);
      };
      signal.addEventListener('abort', () => {
        reject(new Error('stopped'));
      });
    });
  });
  return {
    fetch,
    finish: () => {
      finish();
    },
    tell: (bytes: number) => {
      tell(bytes);
    },
    aborted: () => signalled?.aborted,
  };
}

const forever = (): AbortSignal => new AbortController().signal;

test('two who want the same share one pull, and the second hears how far it is', async () => {
  const pulls = new SharedWork<PullModelRequest.Progress, PullModelRequest.Result>();
  const { fetch, finish, tell } = steered();
  const first = pulls.join('m', fetch, () => undefined, forever());
  tell(1);
  const heard = vi.fn();
  const second = pulls.join('m', fetch, heard, forever());
  expect(heard).toHaveBeenCalledExactlyOnceWith({ phase: 'download', doneBytes: 1, totalBytes: 2 });
  tell(2);
  finish();
  expect(await Promise.all([first, second])).toEqual([done, done]);
  expect(heard).toHaveBeenCalledTimes(2);
  expect(fetch).toHaveBeenCalledOnce();
  expect(pulls.size).toBe(0);
});

test('one who leaves does not end it for the other; the last one does', async () => {
  const pulls = new SharedWork<PullModelRequest.Progress, PullModelRequest.Result>();
  const { fetch, aborted } = steered();
  const leaves = [new AbortController(), new AbortController()];
  const waiting = leaves.map(({ signal }) => pulls.join('m', fetch, () => undefined, signal));
  leaves[0]?.abort();
  await expect(waiting[0]).rejects.toMatchObject({ name: 'AbortError' });
  expect(aborted()).toBe(false);
  leaves[1]?.abort();
  await expect(waiting[1]).rejects.toThrow('stopped');
  expect(aborted()).toBe(true);
  expect(pulls.size).toBe(0);
});

test('what the daemon began goes on alone, is joined, and then belongs to who joined', async () => {
  const pulls = new SharedWork<PullModelRequest.Progress, PullModelRequest.Result>();
  const { fetch, aborted } = steered();
  pulls.start('m', fetch);
  pulls.start('m', fetch);
  expect(fetch).toHaveBeenCalledOnce();
  expect(aborted()).toBe(false);
  const leave = new AbortController();
  const joined = pulls.join('m', fetch, () => undefined, leave.signal);
  leave.abort();
  await expect(joined).rejects.toThrow('stopped');
  expect(aborted()).toBe(true);
});

test('stopping ends all', async () => {
  const pulls = new SharedWork<PullModelRequest.Progress, PullModelRequest.Result>();
  pulls.start('m', steered().fetch);
  const waiting = pulls.join('n', steered().fetch, () => undefined, forever());
  await Promise.all([pulls.stop(), expect(waiting).rejects.toThrow('stopped')]);
  expect(pulls.size).toBe(0);
});

test('a failure reaches all who wait, and the next one begins anew', async () => {
  const pulls = new SharedWork<PullModelRequest.Progress, PullModelRequest.Result>();
  const broken: Fetch = () => Promise.reject(new Error('no such place'));
  await expect(pulls.join('m', broken, () => undefined, forever())).rejects.toThrow('no such place');
  const { fetch, finish } = steered();
  const again = pulls.join('m', fetch, () => undefined, forever());
  finish();
  expect(await again).toEqual(done);
});

test('who comes while a pull that everybody left is ending waits for its end and begins anew', async () => {
  const pulls = new SharedWork<PullModelRequest.Progress, PullModelRequest.Result>();
  let end = (): void => undefined;
  const slow: Fetch = (_, signal) =>
    new Promise((_resolve, reject) => {
      signal.addEventListener('abort', () => {
        end = () => {
          reject(new Error('stopped'));
        };
      });
    });
  const leave = new AbortController();
  const left = pulls.join('m', slow, () => undefined, leave.signal);
  leave.abort();
  const { fetch, finish } = steered();
  const next = pulls.join('m', fetch, () => undefined, forever());
  expect(fetch).not.toHaveBeenCalled();
  end();
  await expect(left).rejects.toThrow('stopped');
  await vi.waitFor(() => {
    expect(fetch).toHaveBeenCalledOnce();
  });
  finish();
  expect(await next).toEqual(done);
});
