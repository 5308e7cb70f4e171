import { describe, expect, test } from 'vitest';
import type { AnswerSink } from '../../upstream/upstream.js';
import { UpstreamError } from '../../upstream/upstream-error.js';
import { CompletionFeed } from './completion-feed.js';

const piece = (content: string): string =>
  `data: ${JSON.stringify({ choices: [{ delta: { content } }] })}\n\n`;

/** A feed, the network's side of it, and how often it was cut off there. */
function begin() {
  const feed = new CompletionFeed();
  const cut = { times: 0 };
  let network: AnswerSink | undefined;
  feed.begin((sink) => {
    network = sink;
    return () => {
      cut.times += 1;
    };
  });
  if (network === undefined) throw new Error('it did not ask');
  return { feed, network, cut, say: (text: string): boolean => network?.data(Buffer.from(text)) ?? false };
}

async function texts(feed: CompletionFeed): Promise<readonly string[] | undefined> {
  return (await feed.next())?.map(({ text }) => text);
}

describe('an answer from the network', () => {
  test('pieces of one packet come at once, wherever packets are cut', async () => {
    const { feed, network, say } = begin();
    network.head(200, []);
    const text = piece('a') + piece('b') + piece('c');
    say(text.slice(0, -20));
    expect(await texts(feed)).toEqual(['a', 'b']);
    const third = texts(feed);
    say(text.slice(-20));
    expect(await third).toEqual(['c']);
    say('data: [DONE]\n\n');
    expect(await texts(feed)).toBeUndefined();
  });

  test('a reader that is behind stops the network, and each taking lets it go on', async () => {
    const { feed, say, network } = begin();
    let sent = 0;
    // As the HTTP client does: what it has read already comes within the call that lets it go on.
    const flood = (): void => {
      let took = true;
      for (; took && sent < 1000; sent += 1) took = say(piece('a'));
      if (took) network.end();
      else network.whenReady(flood);
    };
    flood();
    expect(sent).toBe(256);
    const counts: number[] = [];
    for (let taken = await feed.next(); taken !== undefined; taken = await feed.next())
      counts.push(taken.length);
    expect(counts).toEqual([256, 256, 256, 232]);
  });

  test('the connection lives on after the last piece, but not for a service that goes on for ever', () => {
    const first = begin();
    first.say(`${piece('a')}data: [DONE]\n\n`);
    first.feed.leave();
    first.network.end();
    expect(first.cut.times).toBe(0);

    const second = begin();
    second.say(`${piece('a')}data: [DONE]\n\n`);
    second.feed.leave();
    for (let sent = 0; sent < 3; sent += 1) second.say('x'.repeat(30_000));
    expect(second.cut.times).toBe(1);
  });

  test('whoever leaves before the end closes the connection', () => {
    const { feed, say, cut } = begin();
    say(piece('a'));
    feed.leave();
    expect(cut.times).toBe(1);
  });

  test('a cancel is heard at once, though the network says nothing', async () => {
    const { feed, say, cut } = begin();
    say(piece('a'));
    const { cancel } = feed;
    cancel();
    await expect(feed.next()).rejects.toMatchObject({ kind: 'cancelled' });
    expect(cut.times).toBe(1);
  });

  test.each([
    [401, 'key'],
    [429, 'too much to do'],
    [404, 'does not take'],
    [500, 'failed'],
  ])('status %i is told in words of ours, and its body is not read', async (status, words) => {
    const { feed, network, say } = begin();
    network.head(status, []);
    say(piece('canary'));
    network.end();
    await expect(feed.next()).rejects.toThrow(words);
  });

  test('what is no event, and a network that breaks, come after the pieces before', async () => {
    const first = begin();
    first.say(`${piece('a')}data: nonsense\n\n`);
    expect(await texts(first.feed)).toEqual(['a']);
    await expect(first.feed.next()).rejects.toThrow('no completion');
    expect(first.cut.times).toBe(1);

    const second = begin();
    second.say(piece('a'));
    second.network.fail(new UpstreamError('broken'));
    expect(await texts(second.feed)).toEqual(['a']);
    await expect(second.feed.next()).rejects.toMatchObject({ kind: 'broken' });
  });
});
