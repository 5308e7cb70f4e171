import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { proofBytes, proveAsClient, proveAsDaemon, secretPathFor } from './mutual-proof.js';

let directory: string;
let server: net.Server;
let accepted: Promise<net.Socket>;

async function dial(): Promise<net.Socket> {
  const socket = net.connect(join(directory, 's'));
  await once(socket, 'connect');
  return socket;
}

const outcome = async (proof: Promise<void>): Promise<string> =>
  proof.then(
    () => 'proved',
    (error: unknown) => (error instanceof Error ? error.name : 'odd'),
  );

/** Everything that arrives until the other end closes. */
async function rest(socket: net.Socket): Promise<string> {
  let text = '';
  for await (const chunk of socket) text += String(chunk);
  return text;
}

describe('mutual proof', () => {
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'hearth-'));
    server = net.createServer({ allowHalfOpen: true, pauseOnConnect: true });
    accepted = once(server, 'connection').then(([socket]) => socket as net.Socket);
    server.listen(join(directory, 's'));
    await once(server, 'listening');
  });

  afterEach(async () => {
    (await accepted).destroy();
    server.close();
    await once(server, 'close');
    await rm(directory, { recursive: true });
  });

  test('both ends that hold the secret go on, and no byte behind the proof is lost', async () => {
    const secret = randomBytes(proofBytes);
    const client = await dial();
    const daemon = await accepted;
    const proofs = Promise.all([
      outcome(proveAsClient(client, secret)),
      outcome(proveAsDaemon(daemon, secret)),
    ]);
    expect(await proofs).toEqual(['proved', 'proved']);
    client.end('first line\nsecond');
    daemon.end('an answer');
    expect(await Promise.all([rest(daemon), rest(client)])).toEqual(['first line\nsecond', 'an answer']);
  });

  test('what a client sends with its proof in one piece is served', async () => {
    const secret = randomBytes(proofBytes);
    const client = await dial();
    const daemon = await accepted;
    const proved = proveAsDaemon(daemon, secret);
    await proveAsClient(client, secret);
    client.end('at once\n');
    await proved;
    expect(await rest(daemon)).toBe('at once\n');
  });

  test('a client of another secret is told nothing and tells nothing', async () => {
    const client = await dial();
    const daemon = await accepted;
    const ends = await Promise.all([
      outcome(proveAsClient(client, randomBytes(proofBytes))),
      outcome(proveAsDaemon(daemon, randomBytes(proofBytes))),
    ]);
    expect(ends).toEqual(['ProofError', 'ProofError']);
    expect([client.destroyed, daemon.destroyed]).toEqual([true, true]);
  });

  test.each([
    ['a request in place of a proof', '{"messages":[{"role":"user","content":"hi"}]}\n'],
    ['an endless line', 'x'.repeat(10_000)],
    ['nothing, and the end', ''],
    ['no object', '42\n'],
    ['a short nonce', '{"type":"prove","nonce":"00"}\n'],
  ])('%s is closed without a word', async (_name, bytes) => {
    const client = await dial();
    const proved = outcome(proveAsDaemon(await accepted, randomBytes(proofBytes)));
    const heard = rest(client).catch(() => '');
    client.end(bytes);
    expect(await proved).toBe('ProofError');
    expect(await heard).toBe('');
  });

  test('a daemon that sends the proof of the client back has proved nothing', async () => {
    const secret = randomBytes(proofBytes);
    const client = await dial();
    const impostor = await accepted;
    const proved = outcome(proveAsClient(client, secret));
    impostor.once('data', (line: Buffer) => {
      const { nonce } = JSON.parse(line.toString()) as { nonce: string };
      impostor.write(`${JSON.stringify({ type: 'proof', nonce, mac: nonce })}\n`);
    });
    impostor.resume();
    expect(await proved).toBe('ProofError');
  });
});

test('the secret lies beside the sockets, and on Windows where the name of the pipe leads', () => {
  expect(secretPathFor('/run/user/1/hearth/admin.sock', 'linux')).toBe('/run/user/1/hearth/hearth.secret');
  const env = { LOCALAPPDATA: 'C:\\Users\\a\\AppData\\Local' };
  const [one, other] = ['\\\\.\\pipe\\hearth-0123456789abcdef', '\\\\.\\pipe\\hearth-rpc-0123456789abcdef'];
  expect(secretPathFor(one, 'win32', env)).toBe(
    'C:\\Users\\a\\AppData\\Local\\hearth\\run\\hearth-0123456789abcdef.secret',
  );
  expect(secretPathFor(other, 'win32', env)).toBe(secretPathFor(one, 'win32', env));
});
