/**
 * Which header fields a proxy passes on (RFC 9110 7.6.1; row 137). Fields are handled in Node's raw form, name and
 * value by turns, so that repeated fields, their order and their spelling stay as they were.
 */

/** Fields that speak of one connection, or that whoever sends the message writes anew. */
const perConnection = new Set([
  'connection',
  'content-length',
  'expect',
  'host',
  'http2-settings',
  'keep-alive',
  'te',
  'trailer',
  'trailers',
  'transfer-encoding',
  'upgrade',
]);

/**
 * The fields of `raw` that go on to the next hop: without hop-by-hop fields, without `proxy-*`, and without those that
 * a `Connection` field names.
 *
 * @param raw Node's `rawHeaders`: name and value by turns.
 * @param dropped Further names to leave out, in lower case.
 */
export function endToEndHeaders(raw: readonly string[], dropped: ReadonlySet<string> = nothing): string[] {
  const named = namedByConnection(raw);
  const kept: string[] = [];
  for (let index = 0; index + 1 < raw.length; index += 2) {
    const name = raw[index] ?? '';
    const lower = name.toLowerCase();
    if (perConnection.has(lower) || lower.startsWith('proxy-')) continue;
    if (named.has(lower) || dropped.has(lower)) continue;
    kept.push(name, raw[index + 1] ?? '');
  }
  return kept;
}

/** The values of the field `name`, which is in lower case. */
export function headerValues(raw: readonly string[], name: string): readonly string[] {
  const values: string[] = [];
  for (let index = 0; index + 1 < raw.length; index += 2) {
    if (raw[index]?.toLowerCase() === name) values.push(raw[index + 1] ?? '');
  }
  return values;
}

function namedByConnection(raw: readonly string[]): ReadonlySet<string> {
  const values = headerValues(raw, 'connection');
  if (values.length === 0) return nothing;
  return new Set(values.flatMap((value) => value.split(',').map((token) => token.trim().toLowerCase())));
}

const nothing: ReadonlySet<string> = new Set();
