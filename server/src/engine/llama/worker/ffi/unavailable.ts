/**
 * The ffi driver cannot be used here; the other one can. `message` is shown in the status: it holds no path.
 */
export class FfiUnavailable extends Error {
  override readonly name = 'FfiUnavailable';
}
