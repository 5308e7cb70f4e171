import type { Channels } from './channels-port.js';

/** A daemon without channels, for tests of other things: requests come to nothing. */
export const noChannels: Channels = {
  open: () => ({
    take: () => Promise.resolve(),
    isWaiting: false,
    settled: () => Promise.resolve(),
    farewell: () => Promise.resolve(),
    close: () => undefined,
  }),
};
