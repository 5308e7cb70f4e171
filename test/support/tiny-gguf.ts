/** A tiny random-weight model for tests that need *a* model. It is the server's own; see there. */
export { makeHollowParts, makeTinyGguf, writeTinyGguf } from '../../server/src/models/testing/tiny-gguf.js';
export type { TinyGgufOptions } from '../../server/src/models/testing/tiny-gguf.js';
