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

/**
 * The `data` of each event in `chunks`, which may be cut anywhere. An event that its end cuts off is dropped, as the
 * standard has it.
 *
 * @throws EventTooLong
 */
export async function* readEvents(
  chunks: AsyncIterable<Uint8Array>,
): AsyncGenerator<string, void, undefined> {
  const decoder = new TextDecoder('utf-8');
  let rest = '';
  let data: string[] = [];
  for await (const chunk of chunks) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop() ?? '';
    for (const line of lines) {
      if (line === '') {
        if (data.length > 0) yield data.join('\n');
        data = [];
      } else if (line.startsWith('data:')) {
        data.push(line.slice(line.startsWith('data: ') ? 6 : 5));
      }
    }
    if (rest.length + data.reduce((sum, part) => sum + part.length, 0) > eventLength)
      throw new EventTooLong();
  }
  // A last event whose blank line is missing, such as `data: [DONE]` and the end, is still whole.
  const last = (rest + decoder.decode()).replace(/\r$/, '');
  if (last.startsWith('data:')) data.push(last.slice(last.startsWith('data: ') ? 6 : 5));
  if (data.length > 0) yield data.join('\n');
}
