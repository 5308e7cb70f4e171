import * as z from 'zod';

/** The gateway: HTTP for clients that speak the APIs of OpenAI, Anthropic, Ollama or llama.cpp. Off unless asked for. */

const mebibyte = 1_048_576;

export const defaultHttpAddress = '127.0.0.1:47322';
/** Holds the token where it is set, unless `token_env` names another variable. */
export const defaultTokenVariable = 'HEARTH_HTTP_TOKEN';

const httpFieldsSchema = z.strictObject({
  /** `host:port`; port 0: any free one. */
  address: z.string().min(1).default(defaultHttpAddress),
  /** Environment variable that holds the token; undefined: `HEARTH_HTTP_TOKEN`, or a token made at the start. */
  token_env: z.string().min(1).optional(),
  /** Lets `address` be one that other machines reach. */
  allow_remote: z.boolean().default(false),
  /** Names beside the address that clients may put in `Host`. */
  hosts: z
    .array(z.string().regex(/^[a-z0-9.-]+$/, 'must be a name in lower case, without port'))
    .max(64)
    .default([]),
  /** Origins of web pages that may use it, such as `https://chat.example`. */
  origins: z
    .array(
      z.string().regex(/^[a-z][a-z0-9+.-]*:\/\/[^/\s]+$/, 'must be an origin such as https://chat.example'),
    )
    .max(64)
    .default([]),
  /** Serves `/metrics` here too, for clients of llama.cpp; else the metrics port alone has them (row 111). */
  metrics: z.boolean().default(false),
  /** Largest body in bytes (row 108). */
  body_limit: z
    .int()
    .min(1024)
    .max(256 * mebibyte)
    .default(32 * mebibyte),
});

/** `true`: as it comes; a text: the address; `false`: off. */
export const httpConfigSchema = z
  .union([z.boolean(), z.string().min(1), httpFieldsSchema])
  .transform((value) => {
    if (value === false) return undefined;
    if (value === true) return httpFieldsSchema.parse({});
    return typeof value === 'string' ? httpFieldsSchema.parse({ address: value }) : value;
  });
export type HttpConfig = z.output<typeof httpFieldsSchema>;

/**
 * What `--http` and `--http-allow-remote` come to, over what the file says of the gateway.
 *
 * @param address true: as the file has it, or as it comes
 */
export function withHttpFlags(
  file: unknown,
  address: string | boolean | undefined,
  allowRemote: boolean | undefined,
): unknown {
  if (address === undefined && allowRemote === undefined) return undefined;
  const before = typeof file === 'object' ? file : typeof file === 'string' ? { address: file } : {};
  return {
    ...before,
    ...(typeof address === 'string' ? { address } : {}),
    ...(allowRemote === undefined ? {} : { allow_remote: allowRemote }),
  };
}
