import fc from 'fast-check';
import { expect, test } from 'vitest';
import { endToEndHeaders } from './header-rules.js';

test('row 137: fields of one connection go no further, in whatever spelling', () => {
  const raw = [
    ...['Connection', 'close, X-Private', 'Keep-Alive', 'timeout=5', 'TE', 'trailers', 'Trailers', 'x'],
    ...[
      'Transfer-Encoding',
      'chunked',
      'UPGRADE',
      'h2c',
      'Proxy-Authorization',
      'Basic eA==',
      'proxy-foo',
      '1',
    ],
    ...[
      'Host',
      'evil.example',
      'Content-Length',
      '5',
      'x-private',
      'named by Connection',
      'Expect',
      '100-continue',
    ],
    ...['Authorization', 'Bearer a', 'Accept', 'text/event-stream', 'X-Twice', '1', 'x-twice', '2'],
  ];
  expect(endToEndHeaders(raw)).toEqual([
    ...['Authorization', 'Bearer a', 'Accept', 'text/event-stream', 'X-Twice', '1', 'x-twice', '2'],
  ]);
  expect(endToEndHeaders(['Authorization', 'x', 'Accept', 'y'], new Set(['authorization']))).toEqual([
    ...['Accept', 'y'],
  ]);
});

test('row 137: whatever the fields, the rest stays in order and unchanged', () => {
  const name = fc.constantFrom('Connection', 'keep-alive', 'X-A', 'x-b', 'Host', 'Proxy-X', 'Accept');
  fc.assert(
    fc.property(fc.array(fc.tuple(name, fc.constantFrom('x-b', 'close', 'v'))), (pairs) => {
      const named = new Set<string>(pairs.filter(([one]) => one === 'Connection').map(([, value]) => value));
      const expected = pairs.filter(
        ([one]) => ['X-A', 'x-b', 'Accept'].includes(one) && !named.has(one.toLowerCase()),
      );
      expect(endToEndHeaders(pairs.flat())).toEqual(expected.flat());
    }),
  );
});
