import type { Socket } from 'node:net';
import { descriptorOf, readUint32, socketCalls } from './libc.js';

/** Who is at the other end, by the kernel's word: as of the moment of the connect. */
export interface PeerCredentials {
  readonly uid: number;
  readonly gid: number;
  /** Undefined where the kernel does not say, such as for a peer in another process namespace. */
  readonly pid: number | undefined;
}

/** The kernel's word for "no user": what a socket has that knows no peer. */
const nobodyKnown = 0xffff_ffff;

/** SOL_SOCKET and SO_PEERCRED of Linux have other numbers on older architectures, where Hearth does not run. */
const linux = {
  level: 1,
  peerCredentials: 17,
  architectures: ['x64', 'arm64', 'arm', 'ia32', 'riscv64', 'loong64'],
};
/** SOL_LOCAL and LOCAL_PEERPID of <sys/un.h>. */
const darwin = { level: 0, peerPid: 2 };

/**
 * Asks the kernel for the peer of a Unix socket: SO_PEERCRED on Linux, getpeereid on macOS (row 42). Undefined
 * where there is no answer: another platform, a TCP socket, a socket that is closed. Never a guess.
 */
export function readPeerCredentials(socket: Socket): PeerCredentials | undefined {
  const calls = socketCalls();
  const descriptor = descriptorOf(socket);
  if (calls === undefined || descriptor === undefined) return undefined;
  if (process.platform === 'darwin') {
    const ids = calls.getPeerIds(descriptor);
    if (ids === undefined) return undefined;
    const option = calls.getSocketOption(descriptor, darwin.level, darwin.peerPid, 4);
    return { ...ids, pid: option === undefined ? undefined : knownPid(readUint32(option, 0)) };
  }
  if (process.platform !== 'linux' || !linux.architectures.includes(process.arch)) return undefined;
  // struct ucred { pid_t pid; uid_t uid; gid_t gid; }
  const option = calls.getSocketOption(descriptor, linux.level, linux.peerCredentials, 12);
  if (option === undefined) return undefined;
  const uid = readUint32(option, 4);
  const gid = readUint32(option, 8);
  if (uid === nobodyKnown || gid === nobodyKnown) return undefined;
  return { uid, gid, pid: knownPid(readUint32(option, 0)) };
}

function knownPid(pid: number): number | undefined {
  return pid === 0 ? undefined : pid;
}
