import * as z from 'zod';
import { HearthError } from './errors.js';
import type { GenerateRequestInput } from './request.js';
import type { TypedRequestInput } from './typed-requests.js';

/**
 * Small jobs that an agent with a large model can hand to the local one. The same tools are offered to VS Code's agents
 * (`lm.registerTool`) and to any client of the Model Context Protocol (`hearth mcp`).
 */

/** Most characters of a text. The model's context bounds it further, and then the daemon says so. */
const longestText = 200_000;
/** Most texts of one call for vectors: they go into somebody's context. */
const mostTexts = 16;

const text = z.string().min(1, 'must not be empty').max(longestText);

const complete = z.strictObject({
  prompt: text.describe('What the model is to do, with everything that it needs to know.'),
  system: z.string().max(longestText).optional().describe('What it is told before everything else.'),
  max_tokens: z.int().min(1).max(4096).optional().describe('Most tokens of the answer. Default: 512.'),
  json_schema: z
    .record(z.string(), z.unknown())
    .optional()
    .describe('JSON Schema that the answer follows: the model cannot write anything else.'),
});
const summarize = z.strictObject({
  text: text.describe('What is to be summarized.'),
  focus: z.string().min(1).max(2000).optional().describe('What the summary is for, or about.'),
  max_words: z.int().min(5).max(1000).optional().describe('About how many words at most. Default: 100.'),
});
const classify = z.strictObject({
  text: text.describe('What is to be classified.'),
  labels: z
    .array(z.string().min(1).max(100))
    .min(2, 'must have two labels or more')
    .max(64)
    .refine((labels) => new Set(labels).size === labels.length, 'must not have a label twice')
    .describe('The labels to choose from.'),
  instructions: z.string().min(1).max(2000).optional().describe('How to choose.'),
});
const embed = z.strictObject({
  texts: z.array(text).min(1, 'must not be empty').max(mostTexts).describe('One vector is made of each.'),
});

/** What a tool asks of the daemon, and how its answer is read. */
type AgentJob =
  | {
      readonly kind: 'generate';
      readonly request: GenerateRequestInput;
      readonly read: (content: string) => string;
    }
  | { readonly kind: 'embed'; readonly request: Extract<TypedRequestInput, { type: 'embed' }> };

/** A tool as agents see it. */
export interface AgentTool {
  readonly name: string;
  /** For people. */
  readonly title: string;
  /** For the model that chooses among tools. */
  readonly description: string;
  /** Checks what a call may hold. */
  readonly input: z.ZodObject;
  /** @throws HearthError `invalid_request` that names what is wrong with the input, without its content */
  readonly job: (input: unknown) => AgentJob;
}

/** All tools, in the order in which they are listed. */
export const agentTools: readonly AgentTool[] = [
  tool(
    'hearth_complete',
    'Ask the Local Model',
    'Has the small local model on this machine do one self-contained job: write, rewrite, extract, translate, answer from the text that is given. Nothing leaves the machine and nothing is paid for. With json_schema the answer is JSON of that schema. It knows nothing of this conversation.',
    complete,
    ({ prompt, system, max_tokens = 512, json_schema }) =>
      generate(system, prompt, {
        max_tokens,
        ...(json_schema === undefined
          ? {}
          : { response_format: { type: 'json_schema', schema: json_schema } }),
      }),
  ),
  tool(
    'hearth_summarize',
    'Summarize with the Local Model',
    'Has the small local model on this machine summarize a text, such as a long output, a log or a page, so that it need not be read in full. Nothing leaves the machine.',
    summarize,
    ({ text: given, focus, max_words = 100 }) =>
      generate(
        `You summarize texts. Keep facts, names and figures; add nothing. At most ${max_words} words.${focus === undefined ? '' : ` The summary is for: ${focus}`}`,
        `${given}\n\nSummarize the text above.`,
        { max_tokens: Math.ceil(max_words * 2) },
      ),
  ),
  tool(
    'hearth_classify',
    'Classify with the Local Model',
    'Has the small local model on this machine choose the label that fits a text best. The answer is always one of the labels. Nothing leaves the machine.',
    classify,
    ({ text: given, labels, instructions }) => ({
      ...generate(
        `You classify texts. Choose the one label that fits best: ${labels.join(', ')}.${instructions === undefined ? '' : ` ${instructions}`}`,
        `${given}\n\nWhich label fits the text above?`,
        {
          max_tokens: 128,
          temperature: 0,
          response_format: { type: 'json_schema', schema: { type: 'string', enum: labels } },
        },
      ),
      read: (content) => labelIn(content, labels),
    }),
  ),
  tool(
    'hearth_embed',
    'Embed with the Local Model',
    'Gives vectors of texts from the local embedding model, as JSON, for comparing them by cosine. Needs a model that gives embeddings. Nothing leaves the machine.',
    embed,
    ({ texts }) => ({
      kind: 'embed',
      request: { type: 'embed', input: texts, class: 'background', events: true },
    }),
  ),
];

function tool<S extends z.ZodObject>(
  name: string,
  title: string,
  description: string,
  input: S,
  job: (input: z.output<S>) => AgentJob,
): AgentTool {
  return {
    name,
    title,
    description,
    input,
    job: (given) => {
      const checked = input.safeParse(given);
      if (checked.success) return job(checked.data);
      const mistakes = checked.error.issues.slice(0, 5).map(mistake).join('; ');
      throw new HearthError('invalid_request', `The input of ${name} is not right: ${mistakes}.`);
    },
  };
}

/** What is wrong, without the value that is. */
function mistake({ path, code, message }: z.core.$ZodIssue): string {
  const where = path.length === 0 ? 'it' : path.join('.').slice(0, 100);
  // Names of unknown fields are the caller's own words.
  return code === 'unrecognized_keys' ? `${where} has a field that is not known` : `${where}: ${message}`;
}

function generate(
  system: string | undefined,
  prompt: string,
  options: Pick<GenerateRequestInput, 'max_tokens' | 'temperature' | 'response_format'>,
): Extract<AgentJob, { kind: 'generate' }> {
  const turns = [
    ...(system === undefined ? [] : [{ role: 'system' as const, content: system }]),
    { role: 'user' as const, content: prompt },
  ];
  return {
    kind: 'generate',
    request: { messages: turns, class: 'background', events: true, ...options },
    read: (content) => content,
  };
}

/** @throws HearthError where the model was cut off before it had chosen */
function labelIn(content: string, labels: readonly string[]): string {
  const chosen = labels.find((label) => JSON.stringify(label) === content.trim() || label === content.trim());
  if (chosen !== undefined) return chosen;
  throw new HearthError(
    'internal',
    'The model did not choose one of the labels. Try again with shorter labels, or with another model.',
  );
}
