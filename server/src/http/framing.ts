import type { IncomingMessage } from 'node:http';
import { HttpError } from './http-error.js';

/**
 * Refuses what Node's parser takes and another reader on the way could take differently (S10): other versions than
 * HTTP/1.x, chunks in HTTP/1.0, and transfer codings other than `chunked` alone (RFC 9112 6.1).
 *
 * @throws HttpError 400, which ends the connection.
 */
export function checkFraming({ httpVersionMajor, httpVersionMinor, headers }: IncomingMessage): void {
  if (httpVersionMajor !== 1) throw refused('Speak HTTP/1.1 here.');
  const coding = headers['transfer-encoding'];
  if (coding === undefined) return;
  if (httpVersionMinor === 0) throw refused('HTTP/1.0 has no Transfer-Encoding.');
  if (coding.toLowerCase() !== 'chunked')
    throw refused('The only Transfer-Encoding that is understood is "chunked".');
}

function refused(message: string): HttpError {
  return new HttpError(400, message, { closes: true });
}
