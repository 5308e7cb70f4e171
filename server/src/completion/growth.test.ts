import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createCompletionSession, type CompletionSession } from './session.js';
import { scriptedDaemon, Typist, type ScriptedDaemon } from './testing.js';

/** A day of typing must leave the process as large as it was. Sizes are those after a collection of garbage. */

setFlagsFromString('--expose-gc');
const collect: unknown = runInNewContext('gc');

/** Bytes that are alive. */
async function alive(): Promise<number> {
  for (let round = 0; round < 3; round += 1) {
    if (typeof collect === 'function') Reflect.apply(collect, undefined, []);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return process.memoryUsage().heapUsed;
}

const megabyte = 1_000_000;
let daemon: ScriptedDaemon;
let session: CompletionSession;

beforeEach(() => {
  daemon = scriptedDaemon();
  daemon.answer = () => 'answer;';
  session = createCompletionSession(daemon, 'peer', {
    now: () => performance.now(),
    // Nobody's hands are waited for, and nothing takes long.
    pause: (ms, signal) =>
      ms < 120
        ? Promise.resolve()
        : new Promise((resolve) => signal.addEventListener('abort', () => resolve())),
  });
});
afterEach(() => session.dispose());

describe('a session that is used for long', () => {
  it('keeps nothing of the triggers that were answered', async () => {
    const typist = new Typist(session, 'const value = ▌;\n');
    const typeALot = async (times: number): Promise<void> => {
      for (let time = 0; time < times; time += 1) {
        const text = `name${time % 700} + `;
        typist.type(text);
        await typist.ask();
        typist.delete(text.length);
        daemon.generations.length = 0;
      }
    };
    await typeALot(1000);
    const before = await alive();
    await typeALot(5000);
    expect((await alive()) - before).toBeLessThan(2 * megabyte);
  });

  it('remembers of a long document only what was near the cursor', async () => {
    const typist = new Typist(session, `${'const a = 1;\n'.repeat(600_000)}const b = ▌\n`);
    await typist.ask();
    const before = await alive();
    for (let time = 0; time < 40; time += 1) {
      typist.type(`name${time} + `);
      await typist.ask();
      daemon.generations.length = 0;
    }
    typist.type(' ');
    // The whole document, as it was at each trigger, would be 300 MB.
    expect((await alive()) - before).toBeLessThan(60 * megabyte);
  });

  it(
    'keeps nothing of documents that were closed without a change, and little of those that were changed',
    { timeout: 180_000 },
    async () => {
      const before = await alive();
      for (let time = 0; time < 60; time += 1) {
        const uri = `test:/${time}.ts`;
        const typist = new Typist(session, `${'let a = 1;\n'.repeat(100_000)}let b = ▌\n`, uri);
        typist.type('x');
        await typist.ask();
        session.closed(uri);
        typist.text = '';
        daemon.generations.length = 0;
      }
      expect((await alive()) - before).toBeLessThan(20 * megabyte);
    },
  );
});
