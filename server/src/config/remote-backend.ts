import * as z from 'zod';

/**
 * A backend that is an OpenAI-compatible service elsewhere (row 79). The key is named by the variable that holds it,
 * and never stands in the file (row 83).
 */
export const remoteBackendSchema = z.strictObject({
  kind: z.literal('openai-compat'),
  name: z.string().min(1).optional(),
  base_url: z
    .string()
    .max(2048)
    .refine(
      isPlainBase,
      'must be an http or https URL without user, query or fragment, such as https://api.example.com',
    ),
  model: z.string().min(1).max(256).optional(),
  api_key_env: z
    .string()
    .regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'must be the name of an environment variable, not a key')
    .optional(),
  /** To the head of an answer, and between two pieces of it. */
  timeout_secs: z.number().positive().max(86_400).default(300),
  context_size: z.int().min(64).max(1_048_576).optional(),
  infill: z.boolean().default(false),
  /** Whether the service looks at images. */
  vision: z.boolean().default(false),
  /** The service knows `top_k`, `min_p` and `grammar`, as llama.cpp and vLLM do. */
  extensions: z.boolean().default(false),
});

export type RemoteBackendConfig = z.output<typeof remoteBackendSchema>;

function isPlainBase(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const url = new URL(text);
  const isHttp = url.protocol === 'http:' || url.protocol === 'https:';
  return isHttp && url.username === '' && url.password === '' && url.search === '' && url.hash === '';
}
