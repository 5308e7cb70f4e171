/** A model file that has been found and checked, ready to be loaded. */
export interface ModelSource {
  /** Stable name, such as `hearth-pilot-v0`. */
  readonly id: string;
  readonly displayName: string;
  /** Absolute path of the GGUF file. */
  readonly path: string;
  readonly sizeBytes: number;
  /** What someone should know before expecting an assistant. */
  readonly caution?: string;
  /** Threads to use where calibration would only find the same; undefined: calibrate. */
  readonly threads?: number;
}
