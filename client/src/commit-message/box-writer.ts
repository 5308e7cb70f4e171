/** A box that a person may type into while a text is being written there. */
export interface TextBox {
  /** What it holds now, with `\n` line ends. */
  readonly text: () => string;
  /** Puts `text` in place of all that it holds. False where it has changed since it was looked at. */
  readonly replace: (text: string) => Promise<boolean>;
  /**
   * Whether {@link TextBox.text} is at once what was put there. Where not, an earlier text of ours may still show up, and
   * is no sign of somebody typing.
   */
  readonly exact: boolean;
}

/** Writes one text after another into a box, and gives it up to whoever else writes there. */
export interface BoxWriter {
  /** Shows `text` as soon as it can; texts that came meanwhile are left out. */
  readonly show: (text: string) => void;
  /** Tells that the box may have changed. */
  readonly look: () => void;
  /** Resolves once the last text is there. False where the box is somebody else's. */
  readonly settled: () => Promise<boolean>;
}

/** Tries again where the box was touched in the very moment, and is as it was. */
const attempts = 5;

/**
 * The one rule: the first sign of somebody else's text ends the writing for good, and that text stays as it is.
 *
 * @param onTaken called once, when somebody else has written
 */
export function boxWriter(box: TextBox, onTaken: () => void): BoxWriter {
  const ours = new Set([box.text()]);
  let taken = false;
  let wanted: string | undefined;
  let writing: Promise<void> | undefined;

  const look = (): void => {
    if (taken || ours.has(box.text())) return;
    taken = true;
    onTaken();
  };
  const isTaken = (): boolean => {
    look();
    return taken;
  };
  const put = async (text: string): Promise<void> => {
    // Before it is there: the box tells of it while it is being put.
    ours.add(text);
    for (let attempt = 0; attempt < attempts && !isTaken(); attempt += 1) {
      if (!(await box.replace(text))) continue;
      if (!box.exact) return;
      for (const old of ours) if (old !== text) ours.delete(old);
      return;
    }
  };
  const drain = async (): Promise<void> => {
    try {
      while (wanted !== undefined && !isTaken()) {
        const text = wanted;
        wanted = undefined;
        await put(text);
      }
    } finally {
      // In the same turn as the last look at what is wanted: what comes from now on begins anew.
      writing = undefined;
    }
  };
  return {
    look,
    show: (text) => {
      if (isTaken()) return;
      wanted = text;
      writing ??= drain();
    },
    settled: async () => {
      while (writing !== undefined) await writing;
      return !isTaken();
    },
  };
}
