import { isIP } from 'node:net';
import * as z from 'zod';

/**
 * What a service says of itself, and the record that the registry keeps of it. Shapes and names are those of
 * InfiniLM-SVC (behaviours.md 3.2), so that its services and routers work with this registry.
 */

/** Names appear in paths and in headers: letters, digits, and what stands between them. */
export const serviceNameSchema = z
  .string()
  .regex(/^[A-Za-z0-9_][A-Za-z0-9._:@-]{0,127}$/, 'must be 1 to 128 letters, digits and . _ : @ -');

const hostSchema = z.string().min(1).max(253);
const portSchema = z.int().min(1).max(65_535);
const statusSchema = z.string().min(1).max(64);
const urlSchema = z
  .string()
  .max(2048)
  .refine(isServiceUrl, 'must be an http or https URL without user, query or fragment');
const metadataSchema = z.record(z.string().max(128), z.unknown());

export const registrationSchema = z.object({
  name: serviceNameSchema,
  host: hostSchema,
  port: portSchema,
  hostname: hostSchema,
  url: urlSchema,
  status: statusSchema,
  metadata: metadataSchema.default({}),
  /** Share of the work, for routers that balance by weight. */
  weight: z.int().min(0).max(1000).optional(),
});
/** What a service sends to be listed. */
export type Registration = z.output<typeof registrationSchema>;

export const updateSchema = registrationSchema
  .omit({ name: true, metadata: true })
  .partial()
  .extend({ metadata: metadataSchema.optional() });
/** What of a record is to change. */
export type RegistrationUpdate = z.output<typeof updateSchema>;

export const heartbeatSchema = z.object({ status: statusSchema.optional() });

export type HealthStatus = 'unknown' | 'healthy' | 'unhealthy';

/** A record as it is on the wire. */
export interface ServiceRecord extends Registration {
  /** RFC 3339: when it was registered. */
  readonly timestamp: string;
  /** Seconds since 1970. */
  readonly last_heartbeat: number;
  /** What the last probe found. */
  readonly health_status: HealthStatus;
  /** Running, heard of lately, and not found dead. */
  readonly is_healthy: boolean;
}

/** Whether `url` can only mean this machine. A name that somebody could let resolve elsewhere does not count. */
export function isLocalUrl(url: string): boolean {
  const { hostname } = new URL(url);
  if (hostname === 'localhost' || hostname === '[::1]') return true;
  return isIP(hostname) === 4 && hostname.startsWith('127.');
}

function isServiceUrl(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const url = new URL(text);
  const isHttp = url.protocol === 'http:' || url.protocol === 'https:';
  return isHttp && url.username === '' && url.password === '' && url.search === '' && url.hash === '';
}
