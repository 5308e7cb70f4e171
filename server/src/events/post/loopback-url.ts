/** Hosts by which only this machine can be meant. `localhost` stands for 127.0.0.1: no resolver is asked. */
const hosts: Readonly<Record<string, string>> = {
  '127.0.0.1': '127.0.0.1',
  '[::1]': '[::1]',
  localhost: '127.0.0.1',
};

/**
 * Reads a URL to which events may be sent: plain HTTP on this machine, without a password in it (row 104).
 *
 * @returns the URL without a slash at its end; undefined where it is none
 */
export function loopbackUrl(text: string): string | undefined {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    return undefined;
  }
  const host = Object.hasOwn(hosts, url.hostname) ? hosts[url.hostname] : undefined;
  const isPlain = url.username === '' && url.password === '' && url.search === '' && url.hash === '';
  if (url.protocol !== 'http:' || host === undefined || !isPlain) return undefined;
  const port = url.port === '' ? '' : `:${url.port}`;
  return `http://${host}${port}${url.pathname.replace(/\/+$/u, '')}`;
}
