import { PullError } from './pull-error.js';
import { isLoopback } from './pull-source.js';

/** Hosts that models come from; `*.` stands for any name below. More are added by configuration, never by a request. */
export const defaultModelHosts: readonly string[] = [
  'huggingface.co',
  '*.huggingface.co',
  '*.hf.co',
  'github.com',
  '*.githubusercontent.com',
];

/** What a pull may do. */
export interface PullPolicy {
  readonly hosts: readonly string[];
  /** Whether plain http to this machine itself is allowed. For tests and mirrors. */
  readonly allowLoopback: boolean;
  /** Nothing at all is fetched. */
  readonly offline: boolean;
  /** Largest file in bytes. @default 1 TiB */
  readonly mostBytes: number;
  /** How a person allows another host, for the refusal. @default by configuration or `--allow-host` */
  readonly allowWith?: string;
}

export const defaultPullPolicy: PullPolicy = {
  hosts: defaultModelHosts,
  allowLoopback: false,
  offline: false,
  mostBytes: 1024 ** 4,
};

/**
 * Refuses an address that models may not come from. Asked of the first address and of every one that is redirected to.
 *
 * @throws PullError `offline`, `host_not_allowed`
 */
export function requireAllowed(url: URL, policy: PullPolicy, isRedirect = false): void {
  if (policy.offline) {
    throw new PullError('offline', 'Hearth is set to stay offline: unset HEARTH_OFFLINE to fetch anything.');
  }
  if (isLoopback(url) && policy.allowLoopback) return;
  if (url.protocol === 'https:' && policy.hosts.some((host) => covers(host, url.hostname))) return;
  const host = url.protocol === 'https:' ? url.hostname : url.origin;
  const what = isRedirect
    ? `The source sends on to ${host}, from where nothing is fetched.`
    : `Nothing is fetched from ${host}.`;
  throw new PullError(
    'host_not_allowed',
    `${what} Allow its host with ` +
      `${policy.allowWith ?? '`model_hosts` in the configuration or `--allow-host`'}, or choose another source.`,
  );
}

function covers(pattern: string, host: string): boolean {
  if (!pattern.startsWith('*.')) return host === pattern.toLowerCase();
  return host.endsWith(pattern.slice(1).toLowerCase());
}
