import type { FfiContext } from './ffi-context.js';
import { FfiUnavailable } from './unavailable.js';

/** What turned out to work. */
export interface SelfTest {
  /** Whether a decode can be ended from outside. */
  readonly aborts: boolean;
}

/**
 * Tries on the context itself what rests on more than the public interface. The context must be empty, and is
 * afterwards.
 *
 * @param token Any token of the vocabulary.
 * @throws FfiUnavailable where not even a decode works.
 */
export async function testContext(context: FfiContext, token: number): Promise<SelfTest> {
  const decode = () => context.decode([{ token, sequence: 0, position: 0, output: true }]);
  try {
    if ((await decode()) !== 'done') throw new FfiUnavailable('A first decode did not work.');
    const logits = context.logits(0);
    if (!logits.every(Number.isFinite)) throw new FfiUnavailable('A first decode gave no numbers.');
    context.clear();
    // The flag is read through the first field of one of llama.cpp's own structs; another release may have moved it.
    context.abortsAll = true;
    const aborted = await decode();
    context.abortsAll = false;
    context.clear();
    if ((await decode()) !== 'done') throw new FfiUnavailable('A decode after an abort did not work.');
    return { aborts: aborted === 'aborted' };
  } finally {
    context.abortsAll = false;
    context.clear();
  }
}
