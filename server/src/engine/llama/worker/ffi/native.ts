import { Binder, makeStructs } from './binder.js';
import type { Koffi, Struct } from './binder.js';
import type { Libraries } from './find-libraries.js';
import { findRelease, knownReleases } from './releases.js';
import { FfiUnavailable } from './unavailable.js';

/**
 * The functions of llama.cpp that are used, bound. A call here is a call in C: a wrong handle or index ends the
 * process. Only the modules beside this one, which guard against that, may use it.
 */
export type Native = ReturnType<typeof bind> & { readonly types: ReturnType<typeof makeStructs> };

/**
 * Loads the libraries and binds them.
 *
 * @throws FfiUnavailable where the release is not known, or its defaults are not what the release says.
 */
export function loadNative(ffi: Koffi, libraries: Libraries): Native {
  const release = findRelease(libraries.release);
  if (release === undefined) {
    throw new FfiUnavailable(
      `The structs of llama.cpp ${libraries.release} are not known here; known are ${knownReleases.join(', ')}.`,
    );
  }
  const types = makeStructs(ffi, release);
  // Each one finds its imports among those that are loaded already.
  const [base, ggml, llama] = [libraries.ggmlBase, libraries.ggml, libraries.llama].map((file) => {
    try {
      return new Binder(ffi.load(file), types);
    } catch (error) {
      throw new FfiUnavailable('The llama.cpp libraries could not be loaded.', { cause: error });
    }
  });
  if (base === undefined || ggml === undefined || llama === undefined) throw new TypeError('never');
  const native = { ...bind(ffi, base, ggml, llama), types };
  const version = native.version() ?? '';
  if (!libraries.release.startsWith(`v${version.replace(/-.*$/u, '')}`)) {
    throw new FfiUnavailable(
      `The llama.cpp library says that it is ${version}, its package says ${libraries.release}.`,
    );
  }
  const wrong = checkDefaults(native);
  if (wrong.length > 0) {
    throw new FfiUnavailable(`The defaults of llama.cpp are not those of its release: ${wrong.join(', ')}.`);
  }
  return native;
}

function bind(ffi: Koffi, base: Binder, ggml: Binder, llama: Binder) {
  return {
    ffi,
    version: llama.text('llama_version', []),
    setLog: llama.nothing('llama_log_set', ['pointer', 'pointer']),
    /** A function that does nothing and answers true: the log of whoever wants none, without a call into JavaScript. */
    noLog: llama.address('llama_opt_param_filter_all'),
    /** A function that gives the first 32 bits at its argument: an abort callback over a flag in our memory. */
    readFlag: base.address('gguf_get_version'),
    initBackend: llama.nothing('llama_backend_init', []),
    loadBackends: ggml.nothing('ggml_backend_load_all_from_path', ['text']),
    countDevices: ggml.number('ggml_backend_dev_count', 'size_t', []),
    device: ggml.pointer('ggml_backend_dev_get', ['size_t']),
    deviceType: base.number('ggml_backend_dev_type', 'int32', ['pointer']),
    deviceDescription: base.text('ggml_backend_dev_description', ['pointer']),
    deviceMemory: base.nothing('ggml_backend_dev_memory', ['pointer', 'pointer', 'pointer']),
    findBackend: ggml.pointer('ggml_backend_reg_by_name', ['text']),
    procAddress: base.pointer('ggml_backend_reg_get_proc_address', ['pointer', 'text']),
    threadpoolDefaults: base.struct('ggml_threadpool_params_default', 'threadpoolParams', ['int32']),

    modelDefaults: llama.struct('llama_model_default_params', 'modelParams', []),
    contextDefaults: llama.struct('llama_context_default_params', 'contextParams', []),
    chainDefaults: llama.struct('llama_sampler_chain_default_params', 'chainParams', []),

    loadModel: llama.slowPointer('llama_model_load_from_file', ['text', 'modelParams']),
    freeModel: llama.nothing('llama_model_free', ['pointer']),
    vocabulary: llama.pointer('llama_model_get_vocab', ['pointer']),
    embeddingWidth: llama.number('llama_model_n_embd_out', 'int32', ['pointer']),
    rankOutputs: llama.number('llama_model_n_cls_out', 'uint32', ['pointer']),
    hasEncoder: llama.bool('llama_model_has_encoder', ['pointer']),
    hasDecoder: llama.bool('llama_model_has_decoder', ['pointer']),
    isRecurrent: llama.bool('llama_model_is_recurrent', ['pointer']),
    isHybrid: llama.bool('llama_model_is_hybrid', ['pointer']),
    slidingWindow: llama.number('llama_model_n_swa', 'int32', ['pointer']),
    metadata: llama.number('llama_model_meta_val_str', 'int32', ['pointer', 'text', 'pointer', 'size_t']),

    vocabularyType: llama.number('llama_vocab_type', 'int32', ['pointer']),
    countVocabulary: llama.number('llama_vocab_n_tokens', 'int32', ['pointer']),
    isEnd: llama.bool('llama_vocab_is_eog', ['pointer', 'int32']),
    tokenKind: llama.number('llama_vocab_get_attr', 'int32', ['pointer', 'int32']),
    begin: llama.number('llama_vocab_bos', 'int32', ['pointer']),
    end: llama.number('llama_vocab_eos', 'int32', ['pointer']),
    endOfTurn: llama.number('llama_vocab_eot', 'int32', ['pointer']),
    separator: llama.number('llama_vocab_sep', 'int32', ['pointer']),
    addsBegin: llama.bool('llama_vocab_get_add_bos', ['pointer']),
    addsEnd: llama.bool('llama_vocab_get_add_eos', ['pointer']),
    addsSeparator: llama.bool('llama_vocab_get_add_sep', ['pointer']),
    infillPrefix: llama.number('llama_vocab_fim_pre', 'int32', ['pointer']),
    infillSuffix: llama.number('llama_vocab_fim_suf', 'int32', ['pointer']),
    infillMiddle: llama.number('llama_vocab_fim_mid', 'int32', ['pointer']),
    infillRepository: llama.number('llama_vocab_fim_rep', 'int32', ['pointer']),
    infillSeparator: llama.number('llama_vocab_fim_sep', 'int32', ['pointer']),
    tokenize: llama.number('llama_tokenize', 'int32', [
      'pointer',
      'pointer',
      'int32',
      'pointer',
      'int32',
      'bool',
      'bool',
    ]),
    piece: llama.number('llama_token_to_piece', 'int32', [
      'pointer',
      'int32',
      'pointer',
      'int32',
      'int32',
      'bool',
    ]),

    makeContext: llama.slowPointer('llama_init_from_model', ['pointer', 'contextParams']),
    freeContext: llama.nothing('llama_free', ['pointer']),
    contextSize: llama.number('llama_n_ctx', 'uint32', ['pointer']),
    pooling: llama.number('llama_pooling_type', 'int32', ['pointer']),
    setThreads: llama.nothing('llama_set_n_threads', ['pointer', 'int32', 'int32']),
    attachThreadpool: llama.nothing('llama_attach_threadpool', ['pointer', 'pointer', 'pointer']),
    detachThreadpool: llama.nothing('llama_detach_threadpool', ['pointer']),
    setAbort: llama.nothing('llama_set_abort_callback', ['pointer', 'pointer', 'pointer']),
    decode: llama.slowNumber('llama_decode', ['pointer', 'batch']),
    decodeInPlace: llama.number('llama_decode', 'int32', ['pointer', 'batch']),
    logits: llama.pointer('llama_get_logits_ith', ['pointer', 'int32']),
    pooledEmbedding: llama.pointer('llama_get_embeddings_seq', ['pointer', 'int32']),
    tokenEmbedding: llama.pointer('llama_get_embeddings_ith', ['pointer', 'int32']),

    memory: llama.pointer('llama_get_memory', ['pointer']),
    clearMemory: llama.nothing('llama_memory_clear', ['pointer', 'bool']),
    removeRange: llama.bool('llama_memory_seq_rm', ['pointer', 'int32', 'int32', 'int32']),
    copyRange: llama.nothing('llama_memory_seq_cp', ['pointer', 'int32', 'int32', 'int32', 'int32']),
    lastPosition: llama.number('llama_memory_seq_pos_max', 'int32', ['pointer', 'int32']),
    stateSize: llama.number('llama_state_seq_get_size', 'size_t', ['pointer', 'int32']),
    readState: llama.number('llama_state_seq_get_data', 'size_t', ['pointer', 'pointer', 'size_t', 'int32']),
    writeState: llama.number('llama_state_seq_set_data', 'size_t', ['pointer', 'pointer', 'size_t', 'int32']),

    makeChain: llama.pointer('llama_sampler_chain_init', ['chainParams']),
    addToChain: llama.nothing('llama_sampler_chain_add', ['pointer', 'pointer']),
    freeSampler: llama.nothing('llama_sampler_free', ['pointer']),
    sample: llama.number('llama_sampler_sample', 'int32', ['pointer', 'pointer', 'int32']),
    apply: llama.nothing('llama_sampler_apply', ['pointer', 'pointer']),
    applySlowly: llama.slowNothing('llama_sampler_apply', ['pointer', 'pointer']),
    accept: llama.nothing('llama_sampler_accept', ['pointer', 'int32']),
    acceptSlowly: llama.slowNothing('llama_sampler_accept', ['pointer', 'int32']),
    makeGreedy: llama.pointer('llama_sampler_init_greedy', []),
    makeDistribution: llama.pointer('llama_sampler_init_dist', ['uint32']),
    makeTopK: llama.pointer('llama_sampler_init_top_k', ['int32']),
    makeTopP: llama.pointer('llama_sampler_init_top_p', ['float', 'size_t']),
    makeMinP: llama.pointer('llama_sampler_init_min_p', ['float', 'size_t']),
    makeTypical: llama.pointer('llama_sampler_init_typical', ['float', 'size_t']),
    makeTemperature: llama.pointer('llama_sampler_init_temp', ['float']),
    makeXtc: llama.pointer('llama_sampler_init_xtc', ['float', 'float', 'size_t', 'uint32']),
    makeMirostat: llama.pointer('llama_sampler_init_mirostat', [
      'int32',
      'uint32',
      'float',
      'float',
      'int32',
    ]),
    makeMirostat2: llama.pointer('llama_sampler_init_mirostat_v2', ['uint32', 'float', 'float']),
    makePenalties: llama.pointer('llama_sampler_init_penalties', [
      'int32',
      'int32',
      'float',
      'float',
      'float',
    ]),
    makeDry: llama.pointer('llama_sampler_init_dry', [
      'pointer',
      'float',
      'float',
      'int32',
      'int32',
      'pointer',
      'size_t',
    ]),
    makeLogitBias: llama.pointer('llama_sampler_init_logit_bias', ['int32', 'int32', 'pointer']),
    makeGrammar: llama.pointer('llama_sampler_init_grammar', ['pointer', 'text', 'text']),
  };
}

/** Values of the defaults that every release of the table has. Reads only; a wrong layout shows here first. */
export const expectedDefaults: Readonly<Record<'model' | 'context' | 'threadpool', Struct>> = {
  model: {
    devices: null,
    split_mode: 1,
    tensor_split: null,
    progress_callback: null,
    kv_overrides: null,
    vocab_only: false,
    check_tensors: false,
    use_extra_bufts: true,
    no_host: false,
  },
  context: {
    n_ctx: 512,
    n_batch: 2048,
    n_ubatch: 512,
    n_seq_max: 1,
    rope_scaling_type: -1,
    pooling_type: -1,
    attention_type: -1,
    flash_attn_type: -1,
    rope_freq_base: 0,
    rope_freq_scale: 0,
    yarn_orig_ctx: 0,
    cb_eval: null,
    cb_eval_user_data: null,
    type_k: 1,
    type_v: 1,
    abort_callback: null,
    abort_callback_data: null,
    embeddings: false,
    offload_kqv: true,
    no_perf: true,
    kv_unified: false,
    samplers: null,
    n_samplers: 0,
    ctx_other: null,
  },
  threadpool: { n_threads: 3, strict_cpu: false, paused: false },
};

/** The names of the defaults that are not what they should be; none: the layouts fit. */
export function checkDefaults(
  native: Pick<Native, 'modelDefaults' | 'contextDefaults' | 'threadpoolDefaults'>,
): readonly string[] {
  const compare = (found: Struct, expected: Struct): string[] =>
    Object.keys(expected).filter((name) => found[name] !== expected[name]);
  return [
    ...compare(native.modelDefaults(), expectedDefaults.model),
    ...compare(native.contextDefaults(), expectedDefaults.context),
    ...compare(native.threadpoolDefaults(3), expectedDefaults.threadpool),
  ];
}
