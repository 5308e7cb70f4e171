import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { boxWriter, type TextBox } from './box-writer.js';

/** A box whose edits arrive a turn later, and are refused where somebody has typed since. */
function exactBox(before = '') {
  let held = before;
  let version = 0;
  const listeners: (() => void)[] = [];
  const change = (text: string): void => {
    held = text;
    version += 1;
    for (const listener of listeners) listener();
  };
  const box: TextBox = {
    text: () => held,
    exact: true,
    replace: async (text) => {
      const seen = version;
      await Promise.resolve();
      if (version !== seen) return false;
      change(text);
      return true;
    },
  };
  return { box, change, onChange: (listener: () => void) => listeners.push(listener) };
}

function writing(before = '') {
  const { box, change, onChange } = exactBox(before);
  let taken = 0;
  const writer = boxWriter(box, () => {
    taken += 1;
  });
  onChange(writer.look);
  return { box, writer, type: change, taken: () => taken };
}

describe('a box that a message is written into', () => {
  it('shows the last text in the end', async () => {
    const { box, writer, taken } = writing('a hint');
    for (const text of ['f', 'fix', 'fix: x']) writer.show(text);
    expect(await writer.settled()).toBe(true);
    expect(box.text()).toBe('fix: x');
    expect(taken()).toBe(0);
  });

  it.each(Array.from({ length: 12 }, (_, turns) => turns))(
    'shows what comes %i turns after the text before',
    async (turns) => {
      const { box, writer } = writing();
      writer.show('fix');
      for (let turn = 0; turn < turns; turn += 1) await Promise.resolve();
      writer.show('fix: x');
      await writer.settled();
      expect(box.text()).toBe('fix: x');
    },
  );

  it('is left to whoever deletes what was written, though it was ours a moment before', async () => {
    const { box, writer, type, taken } = writing();
    writer.show('fix');
    await writer.settled();
    writer.show('fix: x');
    await writer.settled();
    type('fix');
    writer.show('fix: x and y');
    expect(await writer.settled()).toBe(false);
    expect(box.text()).toBe('fix');
    expect(taken()).toBe(1);
  });

  it('loses no key of a burst, whenever it comes, and nothing is written into it', async () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant('stream' as const), turns: fc.nat(3) }),
      fc.record({ kind: fc.constant('key' as const), turns: fc.nat(3) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
        const { box, writer, type, taken } = writing();
        let answer = '';
        let typed: string | undefined;
        for (const { kind, turns } of steps) {
          if (kind === 'stream') {
            answer += 'a ';
            writer.show(answer);
          } else {
            typed = `${typed ?? box.text()}K`;
            type(typed);
          }
          for (let turn = 0; turn < turns; turn += 1) await Promise.resolve();
        }
        await writer.settled();
        expect(box.text()).toBe(typed ?? answer);
        expect(taken()).toBe(typed === undefined ? 0 : 1);
      }),
    );
  });

  it('is not given up for an echo of ours that comes late', async () => {
    let held = '';
    const box: TextBox = {
      text: () => held,
      exact: false,
      replace: (text) => {
        held = text;
        return Promise.resolve(true);
      },
    };
    let taken = false;
    const writer = boxWriter(box, () => {
      taken = true;
    });
    writer.show('fix');
    await writer.settled();
    writer.show('fix: x');
    await writer.settled();
    held = 'fix';
    writer.look();
    expect(taken).toBe(false);
    held = 'MINE';
    writer.look();
    expect(taken).toBe(true);
  });
});
