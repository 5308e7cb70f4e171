import { describe, expect, it } from 'vitest';
import {
  asChatDefaults,
  followModel,
  settingsFor,
  undoModel,
  useModel,
  type SettingChange,
} from './chat-defaults.js';

const inline = 'inlineChat.defaultModel';
const utility = 'chat.utilityModel';
const small = 'chat.utilitySmallModel';
const first = settingsFor({ id: 'one', name: 'Model One' }, 'hearth');
const second = settingsFor({ id: 'two', name: 'Model Two' }, 'hearth');

/** Settings of a user as they change. */
function settings(given: Readonly<Record<string, string>> = {}) {
  const values = new Map(Object.entries(given));
  return {
    read: (setting: string) => values.get(setting),
    apply: (changes: readonly SettingChange[]) => {
      for (const [setting, value] of changes)
        if (value === undefined) values.delete(setting);
        else values.set(setting, value);
    },
    all: () => Object.fromEntries(values),
  };
}

describe("Hearth as the model of VS Code's chat", () => {
  it('is named as each setting wants it', () => {
    expect(first).toEqual({
      [inline]: 'Model One (hearth)',
      [utility]: 'hearth/one',
      [small]: 'hearth/one',
    });
  });

  it('is taken back to what was there, also after it was set twice', () => {
    const user = settings({ [utility]: 'other/model' });
    const once = useModel(first, user.read, undefined);
    user.apply(once.changes);
    expect(user.all()).toEqual(first);
    const again = useModel(first, user.read, once.remember);
    expect(again).toEqual({ changes: [], remember: once.remember });
    user.apply(undoModel(user.read, again.remember));
    expect(user.all()).toEqual({ [utility]: 'other/model' });
  });

  it('leaves alone what the person has changed since', () => {
    const user = settings();
    const { changes, remember } = useModel(first, user.read, undefined);
    user.apply(changes);
    user.apply([[inline, 'Mine (other)']]);
    expect(followModel(second, user.read, remember).changes).toEqual([
      [utility, 'hearth/two'],
      [small, 'hearth/two'],
    ]);
    user.apply(undoModel(user.read, remember));
    expect(user.all()).toEqual({ [inline]: 'Mine (other)' });
  });

  it('follows when another model answers, and can still be taken back', () => {
    const user = settings({ [inline]: 'Before (other)' });
    const set = useModel(first, user.read, undefined);
    user.apply(set.changes);
    const followed = followModel(second, user.read, set.remember);
    user.apply(followed.changes);
    expect(user.all()).toEqual(second);
    user.apply(undoModel(user.read, followed.remember));
    expect(user.all()).toEqual({ [inline]: 'Before (other)' });
  });

  it('remembers nothing that it does not understand', () => {
    expect(asChatDefaults({ written: first, before: {} })).toEqual({ written: first, before: {} });
    for (const other of [undefined, 1, { written: first }, { written: { a: 1 }, before: {} }])
      expect(asChatDefaults(other)).toBeUndefined();
  });
});
