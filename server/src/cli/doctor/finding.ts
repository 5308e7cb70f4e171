/** What one look has found. `bad` keeps Hearth from serving; `warn` does not, but somebody should know. */
export interface Finding {
  readonly title: string;
  readonly verdict: 'good' | 'warn' | 'bad';
  /** What was seen. */
  readonly detail: string;
  /** What to do about it; absent where nothing need be done. */
  readonly remedy?: string;
}

export function good(title: string, detail: string): Finding {
  return { title, verdict: 'good', detail };
}

export function warn(title: string, detail: string, remedy: string): Finding {
  return { title, verdict: 'warn', detail, remedy };
}

export function bad(title: string, detail: string, remedy: string): Finding {
  return { title, verdict: 'bad', detail, remedy };
}
