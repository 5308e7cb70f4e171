import { HearthError } from '@hearth/protocol';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { CompletionSession } from './session.js';
import { scriptedDaemon, sessionOf, Typist, type ScriptedDaemon } from './testing.js';

let daemon: ScriptedDaemon;
let session: CompletionSession;

beforeEach(() => {
  vi.useFakeTimers();
  daemon = scriptedDaemon();
  session = sessionOf(daemon);
});
afterEach(() => {
  session.dispose();
  vi.useRealTimers();
});

/** Long enough for any pause before a question, and short enough for nothing else. */
const pauseOver = async (): Promise<void> => {
  await vi.advanceTimersByTimeAsync(80);
};

/** Asks and waits: with everything answered by `text`. */
async function shown(typist: Typist, text: string): Promise<readonly string[]> {
  daemon.answer = () => text;
  const answer = typist.ask();
  await pauseOver();
  return (await answer).texts;
}

describe('a trigger', () => {
  it('asks for what stands between both sides of the cursor, before everything else that is asked', async () => {
    const typist = new Typist(session, 'const answer = ▌;\n');
    expect(await shown(typist, '42;')).toEqual(['42']);
    expect(daemon.generations[0]?.request).toMatchObject({
      prompt: 'const answer = ',
      suffix: ';\n',
      class: 'interactive',
      temperature: 0,
    });
    expect(daemon.generations[0]?.caller).toMatchObject({ name: 'ghost text', client: 'peer' });
  });

  it('waits until the hands have paused, and is dropped when they have not', async () => {
    const typist = new Typist(session, 'const a▌\n');
    const abort = new AbortController();
    const first = typist.ask({}, abort.signal);
    await vi.advanceTimersByTimeAsync(40);
    abort.abort();
    expect((await first).outcome).toMatchObject({ kind: 'none', reason: 'typing' });
    await pauseOver();
    expect(daemon.generations).toHaveLength(0);
  });

  it('by name does not wait, and brings alternatives to cycle through', async () => {
    let number = 0;
    daemon.answer = () => `choice${(number += 1)}();`;
    const typist = new Typist(session, 'const f = () => {\n  ▌\n};\n');
    const { texts } = await typist.ask({ invoked: true });
    expect(texts).toEqual(['choice1();', 'choice2();', 'choice3();']);
    expect(daemon.generations.map(({ request }) => request.temperature)).toEqual([0, 0.7, 0.7]);
    expect((await typist.ask({ invoked: true })).texts).toHaveLength(3);
    expect(daemon.generations).toHaveLength(3);
  });

  it('after a suggestion that stands brings only the alternatives that are missing', async () => {
    const typist = new Typist(session, 'return ▌\n');
    await shown(typist, 'one;');
    daemon.answer = ({ seed }) => `other${seed ?? 0};`;
    const { texts } = await typist.ask({ invoked: true });
    expect(texts).toEqual(['one;', 'other1;', 'other2;']);
  });
});

describe('nothing is asked of the engine', () => {
  it('while what is typed goes along what is shown, and for what was deleted back to', async () => {
    const typist = new Typist(session, 'const sum = ▌\n');
    expect(await shown(typist, 'a + b;')).toEqual(['a + b;']);
    daemon.generations.length = 0;
    typist.type('a +');
    expect(await typist.ask()).toMatchObject({ texts: [' b;'], outcome: { kind: 'shown', source: 'shown' } });
    typist.delete(3);
    expect(await typist.ask()).toMatchObject({ texts: ['a + b;'], outcome: { source: 'cache', ms: 0 } });
    expect(daemon.generations).toHaveLength(0);
  });

  it('where the editor has closed the bracket that was typed along', async () => {
    const typist = new Typist(session, 'call▌\n');
    expect(await shown(typist, '(a, b);')).toEqual(['(a, b);']);
    daemon.generations.length = 0;
    typist.type('(', ')');
    expect((await typist.ask()).texts).toEqual(['a, b']);
    expect(daemon.generations).toHaveLength(0);
  });

  it('where Enter is pressed between the brackets for which several lines were suggested', async () => {
    const typist = new Typist(session, 'function add(a, b) {▌}\n');
    const block = '\n  return a + b;\n}\n\nfunction sub(a, b) {}';
    expect(await shown(typist, block)).toEqual(['\n  return a + b;\n']);
    daemon.generations.length = 0;
    typist.type('\n  ', '\n');
    expect((await typist.ask()).texts).toEqual(['return a + b;']);
    typist.type('ret');
    expect((await typist.ask()).texts).toEqual(['urn a + b;']);
    expect(daemon.generations).toHaveLength(0);
  });

  it('again for a place that had no answer worth showing, and the rule is named again', async () => {
    const typist = new Typist(session, '  go();\n  ▌\n');
    daemon.answer = () => 'go();';
    const first = typist.ask();
    await pauseOver();
    const filtered = { kind: 'none', reason: 'filtered', rule: 'repeats_above' };
    expect((await first).outcome).toMatchObject(filtered);
    expect((await typist.ask()).outcome).toMatchObject(filtered);
    expect(daemon.generations).toHaveLength(1);
  });

  it('but it is where what is typed goes another way, or something else has changed', async () => {
    const typist = new Typist(session, 'const sum = ▌\n');
    await shown(typist, 'a + b;');
    typist.type('x');
    expect(await shown(typist, '.y;')).toEqual(['.y;']);
    expect(daemon.generations.at(-1)?.request.prompt).toBe('const sum = x');
  });
});

describe('a running stream', () => {
  it('is kept while what is typed still goes with it, also ahead of it', async () => {
    const typist = new Typist(session, 'const sum = ▌\n');
    const abort = new AbortController();
    const first = typist.ask({}, abort.signal);
    await pauseOver();
    const [stream] = daemon.generations;
    stream?.give('a +');
    await vi.advanceTimersByTimeAsync(1);
    abort.abort();
    typist.type('a + ');
    expect((await first).outcome).toMatchObject({ reason: 'typing' });
    const second = typist.ask();
    stream?.give(' b;');
    stream?.end();
    expect(await second).toMatchObject({ texts: ['b;'], outcome: { source: 'stream' } });
    expect(daemon.generations).toHaveLength(1);
  });

  it('is kept where Enter is pressed between two brackets, and the editor puts the second on a line of its own', async () => {
    const typist = new Typist(session, 'function add(a, b) {▌}\n');
    const first = typist.ask();
    await pauseOver();
    const [stream] = daemon.generations;
    stream?.give('\n  ret');
    typist.type('\r\n  ', '\r\n');
    const second = typist.ask();
    stream?.give('urn a + b;\n');
    stream?.end();
    await first;
    expect(await second).toMatchObject({ texts: ['return a + b;'], outcome: { source: 'stream' } });
  });

  it('that comes to something which does not hold where one is by then is asked anew', async () => {
    const typist = new Typist(session, 'function add(a, b) ▌\n');
    const first = typist.ask();
    await pauseOver();
    daemon.generations[0]?.give('{\n  const { c } = a;\n  return');
    typist.type('{', '}');
    const second = typist.ask();
    // Which of its brackets is the one that the editor has closed cannot be said.
    daemon.generations[0]?.end();
    await first;
    await pauseOver();
    daemon.generations[1]?.give('\n  return a + b;\n');
    daemon.generations[1]?.end();
    expect(await second).toMatchObject({ texts: ['\n  return a + b;\n'], outcome: { source: 'engine' } });
  });

  it('for the selected entry of the suggestion list is kept while that is typed out, and when it is taken', async () => {
    const typist = new Typist(session, 'cart.to▌\n');
    const selected = { from: 5, text: 'total' };
    const asked = [typist.ask({ selected })];
    await pauseOver();
    daemon.generations[0]?.give('(items)');
    typist.type('t');
    asked.push(typist.ask({ selected }));
    typist.type('al');
    asked.push(typist.ask());
    daemon.generations[0]?.give(';');
    daemon.generations[0]?.end();
    await vi.advanceTimersByTimeAsync(1);
    for (const one of asked) expect((await one).texts).toEqual(['(items);']);
    expect(daemon.generations.filter(({ request }) => request.class === 'interactive')).toHaveLength(1);
  });

  it('ends at the first keystroke that does not go with it', async () => {
    const typist = new Typist(session, 'const sum = ▌\n');
    const first = typist.ask();
    await pauseOver();
    daemon.generations[0]?.give('a');
    await vi.advanceTimersByTimeAsync(1);
    typist.type('x');
    expect(daemon.generations[0]?.signal.aborted).toBe(true);
    expect((await first).outcome).toMatchObject({ kind: 'none', reason: 'superseded' });
  });

  it('ends soon after the last one who waited has left', async () => {
    const typist = new Typist(session, 'const sum = ▌\n');
    const abort = new AbortController();
    void typist.ask({}, abort.signal);
    await pauseOver();
    abort.abort();
    await vi.advanceTimersByTimeAsync(100);
    expect(daemon.generations[0]?.signal.aborted).toBe(false);
    await vi.advanceTimersByTimeAsync(300);
    expect(daemon.generations[0]?.signal.aborted).toBe(true);
  });

  it('that takes long is shown as far as its lines are whole, and goes on for what is typed along them', async () => {
    const typist = new Typist(session, 'function run() {\n  ▌\n}\n');
    const first = typist.ask();
    await pauseOver();
    const [stream] = daemon.generations;
    stream?.give('one();\n  two();\n  thr');
    await vi.advanceTimersByTimeAsync(700);
    expect(await first).toMatchObject({
      texts: ['one();\n  two();'],
      outcome: { kind: 'shown', source: 'engine' },
    });
    await vi.advanceTimersByTimeAsync(1000);
    expect(stream?.signal.aborted).toBe(false);
    stream?.give('ee();');
    stream?.end();
    await vi.advanceTimersByTimeAsync(1);
    typist.type('one();\n  two();');
    expect((await typist.ask()).texts).toEqual(['\n  three();']);
    expect(daemon.generations.filter(({ request }) => request.class === 'interactive')).toHaveLength(1);
  });

  it('that takes long is shown to somebody who types on as well, though each key asks anew', async () => {
    const typist = new Typist(session, 'function run() {\n  ▌\n}\n');
    let hold = new AbortController();
    void typist.ask({}, hold.signal);
    await pauseOver();
    daemon.generations[0]?.give('one();\n  two();\n  thr');
    for (const key of 'one(') {
      hold.abort();
      hold = new AbortController();
      typist.type(key);
      void typist.ask({}, hold.signal);
      await vi.advanceTimersByTimeAsync(120);
    }
    hold.abort();
    await vi.advanceTimersByTimeAsync(120);
    typist.type(')');
    const answer = typist.ask();
    await vi.advanceTimersByTimeAsync(1);
    expect(await answer).toMatchObject({ texts: [';\n  two();'], outcome: { source: 'stream' } });
    expect(daemon.generations).toHaveLength(1);
  });

  it('of which no line is whole yet is waited for, and shown as soon as one is', async () => {
    const typist = new Typist(session, 'function run() {\n  ▌\n}\n');
    const first = typist.ask();
    await pauseOver();
    daemon.generations[0]?.give('one(');
    await vi.advanceTimersByTimeAsync(1500);
    daemon.generations[0]?.give(');\n  t');
    await vi.advanceTimersByTimeAsync(1);
    expect((await first).texts).toEqual(['one();']);
  });

  it('gives way to a newer trigger elsewhere in the document, in the daemon as well', async () => {
    const typist = new Typist(session, 'const sum = ▌\nconst other = 1;\n');
    const first = typist.ask();
    await pauseOver();
    typist.cursor = typist.text.length;
    const second = typist.ask();
    await pauseOver();
    expect(daemon.generations[0]?.signal.aborted).toBe(true);
    expect((await first).outcome).toMatchObject({ reason: 'superseded' });
    const keys = daemon.generations.map(({ request }) => request.supersede_key);
    expect(keys[0]).toBe(keys[1]);
    expect(keys[0]).not.toContain('a.ts');
    daemon.generations[1]?.end();
    expect((await second).outcome).toMatchObject({ reason: 'empty_answer' });
  });
});

describe('what stood there earlier', () => {
  it('is remembered for who takes a slip back, and is told from what still stands', async () => {
    const typist = new Typist(session, 'const sum = ▌\n');
    daemon.answer = ({ prompt }) => (prompt?.endsWith('= ') ? 'first + second;' : '');
    const first = typist.ask();
    await pauseOver();
    await first;
    typist.type('fi');
    expect(await typist.ask()).toMatchObject({ texts: ['rst + second;'], outcome: { source: 'shown' } });
    typist.type('x');
    const slip = typist.ask();
    await pauseOver();
    expect((await slip).texts).toEqual([]);
    typist.delete(1);
    expect(await typist.ask()).toMatchObject({ texts: ['rst + second;'], outcome: { source: 'cache' } });
    typist.type('r');
    expect(await typist.ask()).toMatchObject({ texts: ['st + second;'], outcome: { source: 'shown' } });
  });
});

describe('what follows a suggestion', () => {
  it('is prepared in the background once it has been shown for a moment, and is there when it is accepted', async () => {
    const typist = new Typist(session, 'const a = 1;\n▌');
    expect(await shown(typist, 'const b = 2;')).toEqual(['const b = 2;']);
    daemon.answer = () => '\nconst c = 3;';
    await vi.advanceTimersByTimeAsync(200);
    expect(daemon.generations.at(-1)).toMatchObject({
      request: { class: 'background', prompt: 'const a = 1;\nconst b = 2;' },
    });
    daemon.generations.length = 0;
    typist.type('const b = 2;');
    expect(await typist.ask()).toMatchObject({
      texts: ['\nconst c = 3;'],
      outcome: { source: 'ahead', ms: 0 },
    });
    expect(daemon.generations).toHaveLength(0);
  });

  it('is taken over while it still runs', async () => {
    const typist = new Typist(session, 'const a = 1;\n▌');
    await shown(typist, 'const b = 2;');
    daemon.answer = undefined;
    await vi.advanceTimersByTimeAsync(200);
    const stream = daemon.generations.at(-1);
    typist.type('const b = 2;');
    const next = typist.ask();
    stream?.give('\nconst c = 3;');
    stream?.end();
    expect(await next).toMatchObject({ texts: ['\nconst c = 3;'], outcome: { source: 'ahead' } });
  });

  it('is not prepared while others wait for the engine, and is dropped when typing goes another way', async () => {
    const typist = new Typist(session, 'const a = 1;\n▌');
    daemon.admission = { activePermits: 1, permitsInUse: 1, queueDepth: 10, queued: 1 };
    await shown(typist, 'const b = 2;');
    await vi.advanceTimersByTimeAsync(500);
    expect(daemon.generations).toHaveLength(1);
    daemon.admission = { activePermits: 4, permitsInUse: 0, queueDepth: 10, queued: 0 };
    typist.type('l');
    await shown(typist, 'et z = 0;');
    daemon.answer = undefined;
    await vi.advanceTimersByTimeAsync(200);
    expect(daemon.generations.at(-1)?.request.class).toBe('background');
    typist.type('!');
    expect(daemon.generations.at(-1)?.signal.aborted).toBe(true);
  });
});

describe('the reason for showing nothing', () => {
  const reasonAt = async (marked: string): Promise<unknown> => {
    const answer = new Typist(session, marked).ask();
    await pauseOver();
    return (await answer).outcome;
  };

  it.each([
    ['nothing is there to go on', ' \n▌\n', 'nothing_to_go_on'],
    ['the cursor parts a character', 'x = "\ud83d▌\ude00"', 'inside_character'],
    ['the document is no text', 'PK\0\u0003▌\0', 'binary_document'],
    ['the cursor stands inside a word', 'const na▌me = 1', 'inside_word'],
    ['a bracket on a line of its own follows', 'function a() {\n  go();\n▌}\n', 'block_end'],
  ])('says that %s', async (_what, marked, reason) => {
    expect(await reasonAt(marked)).toMatchObject({ kind: 'none', reason });
    expect(daemon.generations).toHaveLength(0);
  });

  it('does not keep anybody from asking by name', async () => {
    daemon.answer = () => 'one';
    const typist = new Typist(session, 'function a() {\n  go();\n▌}\n');
    expect((await typist.ask({ invoked: true })).outcome.kind).toBe('shown');
  });

  it('says that the model is loading, that none is there, or that it would answer with prose', async () => {
    daemon.model = 'loading';
    expect(await reasonAt('a▌')).toMatchObject({ reason: 'loading' });
    daemon.model = 'none';
    expect(await reasonAt('a▌')).toMatchObject({ reason: 'backend_unavailable' });
    daemon.model = { infill: false, chat: true };
    expect(await reasonAt('a▌')).toMatchObject({ reason: 'no_infill' });
    expect(daemon.generations).toHaveLength(0);
  });

  it.each(['queue_full', 'deadline_exceeded', 'engine_crashed'] as const)(
    'is the code of an error: %s',
    async (code) => {
      const answer = new Typist(session, 'a = ▌').ask();
      await pauseOver();
      daemon.generations[0]?.fail(new HearthError(code, 'no'));
      expect((await answer).outcome).toMatchObject({ kind: 'none', reason: code });
    },
  );
});

describe('a model without fill-in-the-middle', () => {
  it('continues plain text, and what the text after the cursor says already is left out', async () => {
    daemon.model = { infill: false };
    const typist = new Typist(session, 'function add(a, b) {\n  ▌\n  return sum;\n}\n');
    expect(await shown(typist, 'const sum = a + b;\n  return sum;\n}')).toEqual(['const sum = a + b;']);
    expect(daemon.generations[0]?.request).not.toHaveProperty('suffix');
  });
});

describe('other files', () => {
  const folder = 'file:///home/me/project/src';

  /** Three documents, of which one has changed, and a typist in the third. */
  function three(): Typist {
    const other = new Typist(session, 'export function one() {}\n▌', `${folder}/one.ts`);
    new Typist(session, 'export function two() {}\n▌', `${folder}/two.ts`);
    other.type('// changed');
    return new Typist(session, 'const a = ▌\n', `${folder}/three.ts`);
  }

  it("go with the request, for the model's own format: the unchanged first, and none by its whole path", async () => {
    await shown(three(), 'one();');
    expect(daemon.generations[0]?.request).toMatchObject({
      prompt: 'const a = ',
      files: [
        { path: 'src/two.ts', content: 'export function two() {}' },
        { path: 'src/one.ts', content: 'export function one() {}\n// changed' },
      ],
    });
  });

  it('go before the document as comments where the engine takes no files, and so the beginning stands still', async () => {
    const typist = three();
    const answer = typist.ask();
    await pauseOver();
    daemon.answer = () => 'one();';
    daemon.generations[0]?.fail(new HearthError('unsupported_parameter', 'files'));
    expect((await answer).texts).toEqual(['one();']);
    const first = daemon.generations[1]?.request.prompt ?? '';
    expect(
      first.startsWith('// File: src/two.ts\n// export function two() {}\n\n// File: src/one.ts\n'),
    ).toBe(true);
    expect(first.endsWith('const a = ')).toBe(true);
    typist.type('x');
    await shown(typist, '.y');
    expect(daemon.generations.at(-1)?.request.prompt?.startsWith(first)).toBe(true);
    expect(daemon.generations.at(-1)?.request).not.toHaveProperty('files');
  });
});

describe('the size of a token', () => {
  it('is learnt from everything that the engine was given, other files included', async () => {
    // The test engine counts three units a token in prompt and suffix, and here the files too.
    const content = 'export const value = 1;\n'.repeat(60);
    new Typist(session, `${content}▌`, 'test:/other.ts');
    const typist = new Typist(session, `${'let a = 1;\n'.repeat(1500)}▌`);
    await shown(typist, 'one();');
    const first = daemon.generations[0]?.request;
    expect(first?.files?.[0]?.content.length).toBeGreaterThan(1000);
    for (let round = 0; round < 20; round += 1) {
      typist.type(`let b${round};\n`);
      await shown(typist, `one${round}();`);
    }
    const last = daemon.generations.findLast(({ request }) => request.class === 'interactive')?.request;
    expect(last?.prompt?.length).toBeGreaterThan((first?.prompt?.length ?? 0) * 0.7);
  });
});

describe('what comes in anyhow', () => {
  it('a document of millions of lines is answered as quickly as a short one', async () => {
    vi.useRealTimers();
    daemon.answer = () => '2;';
    let time = Infinity;
    // What the machine's other work spoils once is measured again.
    for (let attempt = 0; attempt < 5 && time >= 500; attempt += 1) {
      const uri = `test:/${attempt}.ts`;
      const typist = new Typist(session, `${'const a = 1;\n'.repeat(600_000)}const b = ▌\n`, uri);
      const since = performance.now();
      const { texts } = await typist.ask({ invoked: true });
      time = performance.now() - since;
      expect(texts).toEqual(['2;']);
    }
    expect(time).toBeLessThan(500);
  });

  it('an end of the connection ends what runs and what is prepared', async () => {
    const typist = new Typist(session, 'const a = ▌\n');
    const answer = typist.ask();
    await pauseOver();
    session.dispose();
    expect(daemon.generations[0]?.signal.aborted).toBe(true);
    expect((await answer).texts).toEqual([]);
  });
});

describe('what editors do while an answer is awaited', () => {
  it('a document that is closed in the pause is not asked for', async () => {
    const typist = new Typist(session, 'const a = ▌\n');
    const answer = typist.ask();
    session.closed(typist.uri);
    await pauseOver();
    expect((await answer).outcome).toMatchObject({ kind: 'none', reason: 'unknown_document' });
    expect(daemon.generations).toHaveLength(0);
  });

  it('a document that is closed while the engine runs ends what runs, alternatives too', async () => {
    const typist = new Typist(session, 'const a = ▌\n');
    const answer = typist.ask();
    await pauseOver();
    session.closed(typist.uri);
    expect(daemon.generations[0]?.signal.aborted).toBe(true);
    expect((await answer).outcome).toMatchObject({ reason: 'unknown_document' });
    new Typist(session, 'const a = ▌\n');
    daemon.answer = () => 'first;';
    const byName = typist.ask({ invoked: true, offset: 10 });
    daemon.answer = undefined;
    await vi.advanceTimersByTimeAsync(1);
    const others = daemon.generations.slice(-2);
    expect(others.map(({ request }) => request.seed)).toEqual([1, 2]);
    session.closed(typist.uri);
    expect(others.every(({ signal }) => signal.aborted)).toBe(true);
    expect((await byName).texts).toEqual([]);
  });

  it('an edit in the pause, here or elsewhere in the document, leaves the engine alone', async () => {
    const typist = new Typist(session, 'const a = ▌\n\nfunction other() {}\n');
    const answer = typist.ask();
    // A rename, an undo, a second cursor: nobody asks again.
    session.changed(typist.uri, 20, 5, 'renamed');
    await pauseOver();
    expect((await answer).outcome).toMatchObject({ kind: 'none', reason: 'typing' });
    expect(daemon.generations).toHaveLength(0);
  });

  it('an edit of another document leaves the question alone', async () => {
    const typist = new Typist(session, 'const a = ▌\n');
    const other = new Typist(session, '▌', 'test:/b.ts');
    daemon.answer = () => '1;';
    const answer = typist.ask();
    other.type('x');
    await pauseOver();
    expect((await answer).texts).toEqual(['1;']);
  });

  it('keys at several cursors at once end what was made for one', async () => {
    const typist = new Typist(session, 'one(▌\none(\n');
    void typist.ask();
    await pauseOver();
    daemon.generations[0]?.give('a, b');
    await vi.advanceTimersByTimeAsync(1);
    // Changes of one keystroke, the last in the document first.
    session.changed(typist.uri, 9, 0, 'a');
    typist.type('a');
    expect(daemon.generations[0]?.signal.aborted).toBe(true);
  });

  it('a change of the language begins anew', async () => {
    const typist = new Typist(session, 'total▌\n');
    expect(await shown(typist, ' :) (')).not.toEqual([' :) (']);
    session.closed(typist.uri);
    const prose = new Typist(session, 'total▌\n', typist.uri, 'markdown');
    expect(await shown(prose, ' :) (')).toEqual([' :) (']);
  });

  it('a storm of undo and redo leaves one stream at most, and every question is answered', async () => {
    const typist = new Typist(session, 'const a = ▌\n');
    const answers: Promise<unknown>[] = [];
    let abort = new AbortController();
    for (let round = 0; round < 200; round += 1) {
      abort.abort();
      abort = new AbortController();
      if (round % 2 === 0) typist.type('value.');
      else typist.delete(6);
      answers.push(typist.ask({}, abort.signal));
      await vi.advanceTimersByTimeAsync(round % 7 === 0 ? 400 : 5);
    }
    expect(daemon.generations.length).toBeGreaterThan(1);
    expect(daemon.generations.filter(({ signal }) => !signal.aborted).length).toBeLessThanOrEqual(1);
    abort.abort();
    await vi.advanceTimersByTimeAsync(1000);
    expect(await Promise.all(answers)).toHaveLength(200);
    expect(daemon.generations.every(({ signal }) => signal.aborted)).toBe(true);
  });

  it('a stream that is shown in part is told of edits, and nothing is prepared beside it', async () => {
    const typist = new Typist(session, 'function run() {\n  ▌\n}\n');
    const first = typist.ask();
    await pauseOver();
    daemon.generations[0]?.give('one();\n  two();\n  thr');
    await vi.advanceTimersByTimeAsync(700);
    expect((await first).texts).toEqual(['one();\n  two();']);
    await vi.advanceTimersByTimeAsync(1000);
    expect(daemon.generations).toHaveLength(1);
    typist.type('no');
    expect(daemon.generations[0]?.signal.aborted).toBe(true);
  });
});

describe('a document whose lines end with a carriage return and a line feed', () => {
  const begun = 'function run() {\r\n  ▌\r\n}\r\n';

  it('keeps a running stream over the end of a line', async () => {
    const typist = new Typist(session, begun);
    const first = typist.ask();
    await pauseOver();
    const [stream] = daemon.generations;
    expect(stream?.request.prompt).toBe('function run() {\n  ');
    stream?.give('one();\n  tw');
    await vi.advanceTimersByTimeAsync(1);
    typist.type('one();');
    typist.type('\r\n  ');
    typist.type('t');
    expect(stream?.signal.aborted).toBe(false);
    const second = typist.ask();
    stream?.give('o();');
    stream?.end();
    expect((await second).texts).toEqual(['wo();']);
    await first;
  });

  it('finds what was prepared for when several lines are accepted', async () => {
    const typist = new Typist(session, begun);
    expect(await shown(typist, 'one();\n  two();')).toEqual(['one();\n  two();']);
    daemon.answer = undefined;
    await vi.advanceTimersByTimeAsync(200);
    const prepared = daemon.generations.at(-1);
    expect(prepared?.request.class).toBe('background');
    typist.type('one();\r\n  two();');
    const next = typist.ask();
    prepared?.give('\n  three();');
    prepared?.end();
    expect(await next).toMatchObject({ texts: ['\n  three();'], outcome: { source: 'ahead' } });
  });
});

describe('a model that says how sure it must be', () => {
  it('is asked how likely its tokens are, and shows what it is sure of', async () => {
    daemon.model = { confidence: [-1] };
    const typist = new Typist(session, 'const answer = ▌;\n');
    expect(await shown(typist, '42')).toEqual(['42']);
    expect(daemon.generations[0]?.request.logprobs).toBe(0);
  });

  it('keeps silent below that, for this reason, and says the same again without asking', async () => {
    daemon.model = { confidence: [-1] };
    daemon.logprob = -1.5;
    const typist = new Typist(session, 'const answer = ▌;\n');
    daemon.answer = () => '42';
    const asked = typist.ask();
    await pauseOver();
    expect((await asked).outcome).toMatchObject({ kind: 'none', reason: 'not_sure' });
    expect((await typist.ask()).outcome).toMatchObject({ kind: 'none', reason: 'not_sure' });
    expect(daemon.generations).toHaveLength(1);
  });

  it('shows no line early that it is not sure of', async () => {
    daemon.model = { confidence: [-1] };
    daemon.logprob = -1.5;
    const typist = new Typist(session, 'function f() {\n  ▌\n}\n');
    const asked = typist.ask();
    await pauseOver();
    daemon.generations[0]?.give('one();\n  two();\n');
    await vi.advanceTimersByTimeAsync(700);
    daemon.generations[0]?.end();
    expect((await asked).outcome).toMatchObject({ kind: 'none', reason: 'not_sure' });
  });

  it('is not asked where it says nothing', async () => {
    const typist = new Typist(session, 'const answer = ▌;\n');
    daemon.logprob = -50;
    expect(await shown(typist, '42')).toEqual(['42']);
    expect(daemon.generations[0]?.request.logprobs).toBeUndefined();
  });
});
