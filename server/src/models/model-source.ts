/** A model file that has been found, ready to be checked and loaded. */
export interface ModelSource {
  /** Stable name, such as `hearth-pilot-v1`. */
  readonly id: string;
  readonly displayName: string;
  /** Absolute path of the GGUF file. */
  readonly path: string;
  readonly sizeBytes: number;
  /** What someone should know before expecting an assistant. */
  readonly caution?: string;
  /** Threads to use where calibration would only find the same; undefined: calibrate. */
  readonly threads?: number;
  /** SHA-256 of the file in lower-case hexadecimal, to be verified before each load; undefined: not known. */
  readonly sha256?: string;
  /** Its name in the store; absent where it is not of the store. */
  readonly storeName?: string;
  /** All files of a model that is kept in several, the first one first, which is also `path`. */
  readonly parts?: readonly { readonly path: string; readonly sha256?: string }[];
}
