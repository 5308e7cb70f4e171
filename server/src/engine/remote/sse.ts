/**
 * Server-sent events, as far as completion streams use them: the `data` of each event
 * (https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream).
 */

/** Most characters of one event. */
export const eventLength = 4 * 1024 * 1024;

/** An event went over {@link eventLength}. */
export class EventTooLong extends Error {
  override readonly name = 'EventTooLong';
}

const noEvents: readonly string[] = [];

/** Reads events from bytes that may be cut anywhere. It keeps no more than one event of {@link eventLength}. */
export class EventReader {
  readonly #decoder = new TextDecoder('utf-8');
  #rest = '';
  #data: string[] = [];
  #length = 0;

  /** The `data` of each event that `chunk` completes. @throws EventTooLong */
  push(chunk: Uint8Array): readonly string[] {
    const lines = (this.#rest + this.#decoder.decode(chunk, { stream: true })).split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop() ?? '';
    const events: string[] = [];
    for (const line of lines) {
      if (line !== '') {
        this.#take(line);
        continue;
      }
      if (this.#data.length > 0) events.push(this.#data.join('\n'));
      this.#data = [];
      this.#length = 0;
    }
    if (this.#rest.length + this.#length > eventLength) throw new EventTooLong();
    return events;
  }

  /** What the end completes: a last event whose blank line is missing, such as `data: [DONE]` and the end, is still whole. */
  end(): readonly string[] {
    this.#take((this.#rest + this.#decoder.decode()).replace(/\r$/, ''));
    return this.#data.length === 0 ? noEvents : [this.#data.join('\n')];
  }

  #take(line: string): void {
    if (!line.startsWith('data:')) return;
    const data = line.slice(line.startsWith('data: ') ? 6 : 5);
    this.#data.push(data);
    this.#length += data.length;
  }
}
