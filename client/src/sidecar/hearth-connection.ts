import type {
  BestModelRequest,
  GenerateRequestMessage,
  ModelsRequest,
  PullModelRequest,
  SwitchModelRequest,
} from '@hearth/protocol';

/** How a generation ended for who asked for it. Being cancelled is not a failure. */
export type GenerateOutcome =
  { readonly kind: 'done'; readonly result: GenerateRequestMessage.Result } | { readonly kind: 'cancelled' };

/** What the editor's features ask of a running sidecar. */
export interface HearthConnection {
  /**
   * Generates text. `onText` gets each piece as it comes; aborting `signal` stops the engine. What is no text goes to
   * `onOther`: calls of tools, thinking, and news of the wait where the request asks for events.
   *
   * @throws HearthFailure with words for the person who asked.
   */
  readonly generate: (
    params: Omit<GenerateRequestMessage.Params, 'progressToken'>,
    onText: (text: string) => void,
    signal: AbortSignal,
    onOther?: (piece: Omit<GenerateRequestMessage.Progress, 'content'>) => void,
  ) => Promise<GenerateOutcome>;
  /** Exact token counts, one a text; at most 256 texts. @param model Default: the one that answers. @throws HearthFailure */
  readonly countTokens: (texts: readonly string[], model?: string) => Promise<readonly number[]>;
  /** Whether there was such a stream. @throws HearthFailure */
  readonly cancelStream: (streamId: string) => Promise<boolean>;
  /** The models that there are, and those that could be fetched. @throws HearthFailure */
  readonly listModels: () => Promise<ModelsRequest.Result>;
  /** The best model for this machine, which is measured first where nobody has; undefined: cancelled. @throws HearthFailure */
  readonly bestModel: (
    onProgress: (progress: BestModelRequest.Progress) => void,
    signal: AbortSignal,
  ) => Promise<BestModelRequest.Result | undefined>;
  /** Fetches a model; undefined: cancelled, and what has come is kept. @throws HearthFailure */
  readonly pullModel: (
    source: string,
    onProgress: (progress: PullModelRequest.Progress) => void,
    signal: AbortSignal,
  ) => Promise<PullModelRequest.Result | undefined>;
  /** Loads a model and has it serve from then on. False: nobody waits for it any more. @throws HearthFailure */
  readonly switchModel: (
    name: string,
    onProgress: (progress: SwitchModelRequest.Progress) => void,
    signal: AbortSignal,
  ) => Promise<boolean>;
}

/** What a person can do about a failure at a click. */
export type FailureHelp = 'restart' | 'choose_model' | 'unlock' | 'unlock_and_retry';

/** A request that could not be served, in words for a person. Holds no content. */
export class HearthFailure extends Error {
  override readonly name = 'HearthFailure';
  /** Hearth's own code where the sidecar gave one. */
  readonly code: string | undefined;
  /** What helps, the best first. @default nothing that a click could do */
  readonly help: readonly FailureHelp[];

  constructor(message: string, code?: string, help: readonly FailureHelp[] = []) {
    super(message);
    this.code = code;
    this.help = help;
  }
}
