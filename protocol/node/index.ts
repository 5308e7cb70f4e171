export * from './conformance.js';
export * from './connect.js';
export * from './dial.js';
export * from './mutual-proof.js';
export * from './resending.js';
export * from './socket-transport.js';
export * from './watch-admin.js';
export * from './watch-status.js';
