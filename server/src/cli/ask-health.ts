import { type Health, HealthRequest } from '@hearth/protocol';
import type { RuntimePaths } from '../lock/runtime-directory.js';
import { NotReadyError } from '../router/ready-gate.js';
import { openRpc, silenceMs, silentText } from './open-rpc.js';

/** The daemon's health. Undefined where none runs. @throws NotReadyError where one does and says nothing. */
export async function askHealth(paths: RuntimePaths): Promise<Health | undefined> {
  const rpc = await openRpc(paths.rpc);
  if (rpc === undefined) return undefined;
  rpc.socket.setTimeout(silenceMs, rpc.close);
  rpc.connection.listen();
  try {
    return await rpc.connection.sendRequest(HealthRequest.type);
  } catch (cause) {
    throw new NotReadyError(silentText, { cause });
  } finally {
    rpc.close();
  }
}
