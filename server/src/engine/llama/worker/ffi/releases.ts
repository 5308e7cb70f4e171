/**
 * The releases of llama.cpp whose structs are known exactly. Structs that go by value change every few months, and a
 * wrong layout is memory corruption: a release that is not in the table is not used.
 *
 * Source: include/llama.h and ggml/include/ggml.h of each release, read out of the bundle that node-llama-cpp's
 * package of the same version carries.
 */
export interface Release {
  /** Fields in order, with their C types. */
  readonly structs: Readonly<Record<StructName, StructShape>>;
  /** Sizes in bytes on a machine of 64 bits. */
  readonly sizes: Readonly<Record<StructName, number>>;
}

export type StructName = 'modelParams' | 'contextParams' | 'batch' | 'chainParams' | 'threadpoolParams';
export type StructShape = Readonly<Record<string, FieldType>>;
export type FieldType = 'pointer' | 'int32' | 'uint32' | 'float' | 'bool' | 'size_t' | 'bool[512]';

const v0_4: Release = {
  structs: {
    modelParams: {
      devices: 'pointer',
      tensor_buft_overrides: 'pointer',
      n_gpu_layers: 'int32',
      split_mode: 'int32',
      load_mode: 'int32',
      lazy_mode: 'int32',
      main_gpu: 'int32',
      tensor_split: 'pointer',
      progress_callback: 'pointer',
      progress_callback_user_data: 'pointer',
      kv_overrides: 'pointer',
      vocab_only: 'bool',
      check_tensors: 'bool',
      use_extra_bufts: 'bool',
      no_host: 'bool',
      no_alloc: 'bool',
      load_mtp: 'bool',
    },
    contextParams: {
      n_ctx: 'uint32',
      n_batch: 'uint32',
      n_ubatch: 'uint32',
      n_seq_max: 'uint32',
      n_rs_seq: 'uint32',
      n_outputs_max: 'uint32',
      n_outputs_max_per_seq: 'uint32',
      n_threads: 'int32',
      n_threads_batch: 'int32',
      ctx_type: 'int32',
      rope_scaling_type: 'int32',
      pooling_type: 'int32',
      attention_type: 'int32',
      flash_attn_type: 'int32',
      rope_freq_base: 'float',
      rope_freq_scale: 'float',
      yarn_ext_factor: 'float',
      yarn_attn_factor: 'float',
      yarn_beta_fast: 'float',
      yarn_beta_slow: 'float',
      yarn_orig_ctx: 'uint32',
      defrag_thold: 'float',
      cb_eval: 'pointer',
      cb_eval_user_data: 'pointer',
      type_k: 'int32',
      type_v: 'int32',
      abort_callback: 'pointer',
      abort_callback_data: 'pointer',
      embeddings: 'bool',
      offload_kqv: 'bool',
      no_perf: 'bool',
      op_offload: 'bool',
      swa_full: 'bool',
      kv_unified: 'bool',
      samplers: 'pointer',
      n_samplers: 'size_t',
      ctx_other: 'pointer',
    },
    batch: {
      n_tokens: 'int32',
      token: 'pointer',
      embd: 'pointer',
      pos: 'pointer',
      n_seq_id: 'pointer',
      seq_id: 'pointer',
      logits: 'pointer',
    },
    chainParams: { no_perf: 'bool' },
    threadpoolParams: {
      cpumask: 'bool[512]',
      n_threads: 'int32',
      prio: 'int32',
      poll: 'uint32',
      strict_cpu: 'bool',
      paused: 'bool',
    },
  },
  sizes: { modelParams: 80, contextParams: 160, batch: 56, chainParams: 1, threadpoolParams: 528 },
};

/** By the name that node-llama-cpp's packages give the release they were built from. */
const releases: ReadonlyMap<string, Release> = new Map([
  ['v0.4.0', v0_4],
  // Compared with v0.4.0 field by field: the same.
  ['v0.5.0', v0_4],
]);

/** The layouts of a release, or undefined where it is not known. */
export function findRelease(name: string): Release | undefined {
  return releases.get(name);
}

/** Releases that are known, for the message that one is not. */
export const knownReleases: readonly string[] = [...releases.keys()];
