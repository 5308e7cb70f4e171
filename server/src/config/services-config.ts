import * as z from 'zod';

/**
 * The service plane inside the daemon: registry, babysitters and router as parts of it, each where it is named. All are
 * off until then: nothing listens that nobody asked for.
 */
const place = z.string().min(1).max(128);
const file = z.string().min(1).max(4096);
const seconds = z.number().positive().max(86_400);

export const servicesConfigSchema = z.strictObject({
  /** `HOST:PORT` to list services at. */
  registry: place.optional(),
  /** A registry elsewhere, in place of `registry`. */
  registry_url: z.url({ protocol: /^https?$/ }).optional(),
  /** `HOST:PORT` to pass requests on at. */
  router: place.optional(),
  /** TOML files of services to run; those that name no registry are listed at this one. */
  babysitters: z.array(file).max(32).default([]),
  /** JSON file of services that are always there. */
  static_services: file.optional(),
  balance: z.enum(['round-robin', 'least-outstanding', 'prefix']).default('round-robin'),
  session_affinity: z.enum(['key', 'client', 'off']).default('key'),
  health_interval_secs: seconds.default(30),
  removal_grace_secs: z.number().min(0).max(86_400).default(60),
  /** Environment variable with the token that clients of registry and router must show. */
  token_env: z
    .string()
    .regex(/^[A-Za-z_][A-Za-z0-9_]*$/)
    .optional(),
});

export type ServicesConfig = z.output<typeof servicesConfigSchema>;
