/** Takes text as fast as it comes and writes it as fast as it can be written. */
export interface TextPump {
  readonly push: (text: string) => void;
  /** Resolves when everything has been written, to false where `write` refused. */
  readonly finished: () => Promise<boolean>;
}

/**
 * Joins pieces that come while a write is under way, so that a fast model costs the editor few edits.
 *
 * @param write Writes text and says whether more may come. After a refusal, or a failure, nothing more is written.
 * @param onRefused Called once, at the refusal.
 */
export function textPump(write: (text: string) => Promise<boolean>, onRefused: () => void): TextPump {
  let waiting = '';
  let open = true;
  let writing = Promise.resolve();

  const drain = async (): Promise<void> => {
    while (open && waiting !== '') {
      const text = waiting;
      waiting = '';
      open = await write(text).catch(() => false);
      if (!open) onRefused();
    }
  };
  return {
    push: (text) => {
      const idle = waiting === '';
      waiting += text;
      if (idle) writing = writing.then(drain);
    },
    finished: async () => {
      await writing;
      return open;
    },
  };
}
