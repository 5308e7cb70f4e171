import { createRequire } from 'node:module';
import type { Socket } from 'node:net';

/**
 * The three calls of the C library that Node does not offer for a socket, through koffi: who is at the other end,
 * and whether the other end is still there. Loaded at the first use; where that fails, whatever needs it answers
 * that it does not know.
 */
export interface SocketCalls {
  /** getsockopt(2). @returns the option's bytes, or undefined where the kernel refused */
  getSocketOption(descriptor: number, level: number, name: number, size: number): Buffer | undefined;
  /** getpeereid(3), where the platform has it. */
  getPeerIds(descriptor: number): { readonly uid: number; readonly gid: number } | undefined;
  /** poll(2) of one descriptor without waiting. @returns the events that hold, or undefined on failure */
  poll(descriptor: number, events: number): number | undefined;
}

let loaded: { readonly calls: SocketCalls | undefined } | undefined;

/** The calls, or undefined on a platform that lacks them. */
export function socketCalls(): SocketCalls | undefined {
  loaded ??= { calls: load() };
  return loaded.calls;
}

function load(): SocketCalls | undefined {
  const { platform } = process;
  if (platform !== 'linux' && platform !== 'darwin') return undefined;
  try {
    // koffi's declarations are its own and are exact for the release that is pinned.
    const koffi = createRequire(import.meta.url)('koffi') as typeof import('koffi');
    // The program itself: Node is linked with the C library, whatever it is called here.
    const library = koffi.load(null);
    const getsockopt = library.func('int getsockopt(int, int, int, void *, void *)') as (
      ...args: [number, number, number, Buffer, Buffer]
    ) => number;
    const pollDefinition =
      platform === 'linux' ? 'int poll(void *, ulong, int)' : 'int poll(void *, uint, int)';
    const poll = library.func(pollDefinition) as (...args: [Buffer, number, number]) => number;
    const getpeereid =
      platform === 'darwin'
        ? (library.func('int getpeereid(int, void *, void *)') as (
            ...args: [number, Buffer, Buffer]
          ) => number)
        : undefined;
    return {
      getSocketOption: (descriptor, level, name, size) => {
        const option = Buffer.alloc(size);
        const length = Buffer.alloc(4);
        writeUint32(length, size);
        if (getsockopt(descriptor, level, name, option, length) !== 0) return undefined;
        return readUint32(length, 0) === size ? option : undefined;
      },
      getPeerIds: (descriptor) => {
        const uid = Buffer.alloc(4);
        const gid = Buffer.alloc(4);
        if (getpeereid === undefined || getpeereid(descriptor, uid, gid) !== 0) return undefined;
        return { uid: readUint32(uid, 0), gid: readUint32(gid, 0) };
      },
      poll: (descriptor, events) => {
        // struct pollfd { int fd; short events; short revents; }
        const request = new DataView(new ArrayBuffer(8));
        request.setInt32(0, descriptor, littleEndian);
        request.setInt16(4, events, littleEndian);
        if (poll(Buffer.from(request.buffer), 1, 0) < 0) return undefined;
        return request.getInt16(6, littleEndian);
      },
    };
  } catch {
    return undefined;
  }
}

const littleEndian = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

/** Reads a 32-bit number in the machine's byte order. */
export function readUint32(buffer: Buffer, offset: number): number {
  return littleEndian ? buffer.readUInt32LE(offset) : buffer.readUInt32BE(offset);
}

function writeUint32(buffer: Buffer, value: number): void {
  if (littleEndian) buffer.writeUInt32LE(value);
  else buffer.writeUInt32BE(value);
}

/**
 * The descriptor of a socket, or undefined where it has none (any more). Node offers no public way to it; this
 * looks at the handle and believes nothing.
 */
export function descriptorOf(socket: Socket): number | undefined {
  if (socket.destroyed || !('_handle' in socket)) return undefined;
  const handle = socket._handle;
  if (typeof handle !== 'object' || handle === null || !('fd' in handle)) return undefined;
  const { fd } = handle;
  return typeof fd === 'number' && Number.isInteger(fd) && fd >= 0 ? fd : undefined;
}
