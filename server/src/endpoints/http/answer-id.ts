import { randomUUID } from 'node:crypto';

/** A new id of an answer or of a part of one: `prefix` and 24 hexadecimal digits. Of its bits 90 are random. */
export function answerId(prefix: string): string {
  // Unlike `randomBytes` it keeps random bytes in store, and asks the system for more once in many ids.
  return prefix + randomUUID().replaceAll('-', '').slice(0, 24);
}
