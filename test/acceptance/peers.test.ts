import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { hearthScope } from '../support/daemon.js';

/** Nobody, on every Linux. */
const nobody = 65_534;

/** Connects as another user and says what came of it: the number of bytes read until the end, or an error's code. */
const visitor = `
  const socket = require('node:net').connect(process.argv[1]);
  let bytes = 0;
  socket.on('connect', () => socket.write('{"id":"x","messages":[{"role":"user","content":"hi"}]}\\n'));
  socket.on('data', (chunk) => (bytes += chunk.length));
  socket.on('error', (error) => console.log(error.code) ?? process.exit());
  socket.on('close', () => console.log(bytes));
`;

describe.runIf(process.platform === 'linux' && process.getuid?.() === 0)(
  'another user of the machine',
  () => {
    const hearth = hearthScope('test');

    async function visit(socket: string): Promise<string> {
      const child = spawn(process.execPath, ['-e', visitor, socket], {
        uid: nobody,
        gid: nobody,
        cwd: '/',
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      let said = '';
      child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
      await once(child, 'close');
      return said.trim();
    }

    test('S3: is kept out by the runtime directory', async () => {
      const daemon = await hearth.serve();
      fs.chmodSync(daemon.home.root, 0o711);
      for (const name of ['hearth.sock', 'admin.sock', 'rpc.sock'])
        expect(await visit(path.join(daemon.home.runtimeDir, name))).toBe('EACCES');
    });

    test('S3: is turned away unheard where somebody has opened directory and sockets', async () => {
      const daemon = await hearth.serve();
      fs.chmodSync(daemon.home.root, 0o711);
      fs.chmodSync(daemon.home.runtimeDir, 0o711);
      for (const [index, name] of ['hearth.sock', 'admin.sock', 'rpc.sock'].entries()) {
        const socket = path.join(daemon.home.runtimeDir, name);
        fs.chmodSync(socket, 0o666);
        expect(await visit(socket)).toMatch(/^(0|ECONNRESET|EPIPE)$/);
        await daemon.log.waitFor({ msg: 'peer_rejected', peer_uid: nobody }, { count: index + 1 });
      }
    });
  },
);
