import * as z from 'zod';
import { parseJson } from '../config/config-file.js';
import { StartupError } from '../lock/startup-error.js';
import type { ListedService } from '../registry/registry-client.js';

const itemSchema = z.object({
  name: z.string().min(1).max(256),
  host: z.string().min(1).max(253),
  port: z.int().min(1).max(65_535),
  weight: z.int().min(0).max(1000).default(1),
  metadata: z.record(z.string(), z.unknown()).default({}),
});
const listSchema = z.array(itemSchema).max(1024);
const fileSchema = z.union([
  listSchema,
  z
    .object({ static_services: z.object({ services: listSchema }) })
    .transform((file) => file.static_services.services),
  z.object({ services: listSchema }).transform((file) => file.services),
]);

/**
 * Services of a file: an array, or one under `services`, or under `static_services.services` (behaviours.md 3.4).
 *
 * @throws StartupError `config`
 */
export function parseStaticServices(text: string): readonly ListedService[] {
  const result = fileSchema.safeParse(parseJson(text, 'the file of static services'));
  if (!result.success) {
    throw new StartupError(
      'config',
      'the file of static services must hold an array of services, each with name, host and port, or such an array under "services"',
    );
  }
  return result.data.map(({ name, host, port, weight, metadata }) => ({
    name,
    host,
    port,
    weight,
    url: `http://${host.includes(':') ? `[${host}]` : host}:${port}`,
    is_healthy: true,
    metadata: { type: 'openai-api', ...metadata, static: true },
  }));
}
