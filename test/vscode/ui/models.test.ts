import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { connect, connectChannels } from '@hearth/protocol/node';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ModelServer, writeSyntheticModel } from '../../support/model-store.js';
import { makeHollowParts } from '../../support/tiny-gguf.js';
import { openWorkbench, type Workbench } from '../harness/workbench.js';
import { askDaemon, askHealth, readyEntry, runCommand } from './hearth-page.js';

/** A person adds a model and switches to it, in a real VS Code, from a server on this machine. */

let workbench: Workbench;
let server: ModelServer;

beforeAll(async () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'hth-'));
  const file = path.join(folder, 'model.gguf');
  await writeSyntheticModel(file, {
    width: 128,
    layers: 2,
    heads: 4,
    keyValueHeads: 2,
    feedForward: 256,
    vocabulary: 4096,
    contextLength: 512,
  });
  server = await ModelServer.start(readFileSync(file));
  rmSync(folder, { recursive: true, force: true });
  workbench = await openWorkbench({
    files: { 'notes.md': '# Notes\n' },
    env: { HF_ENDPOINT: server.origin },
  });
  await readyEntry(workbench.page).waitFor();
});

afterAll(async () => {
  await workbench.stop();
  await server.close();
});

function catalogue(): readonly { readonly name: string; readonly displayName: string }[] {
  const file = new URL('../../../server/models/catalogue.json', import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as { models: { name: string; displayName: string }[] })
    .models;
}

async function isReady(model: string): Promise<void> {
  const backends = async (): Promise<readonly string[]> => {
    const health = await askHealth(workbench.editor.runtimeDirectory);
    return health.backends.map(({ name, state }) => `${name} ${state.kind}`);
  };
  await expect.poll(backends, { timeout: 60_000 }).toContain(`${model} ready`);
}

describe('Use the Best Model for This Machine', () => {
  it('stands where the caution of the model that came with Hearth does', async () => {
    const { page } = workbench;
    await readyEntry(page).hover();
    const hover = page.locator('.monaco-hover').filter({ hasText: 'tokens of context' });
    await hover.getByText('Use the best model for this machine').waitFor();
    await workbench.shot('best-model-hover');
    await page.keyboard.press('Escape');
    await workbench.openContainer('Hearth');
    const row = page.locator('.pane .monaco-list-row').filter({ hasText: 'Hearth Pilot' }).first();
    await row.hover();
    await row.getByRole('button', { name: 'Use the Best Model for This Machine' }).waitFor();
    await workbench.shot('best-model-view');
  });

  it('measures, says what it would be, fetches it at one click, switches to it, and one can go back', async () => {
    const { page } = workbench;
    await runCommand(page, 'Hearth: Use the Best Model for This Machine');
    const looking = workbench.toast('Looking for the best model for this machine');
    await looking.filter({ hasText: 'measuring' }).waitFor();
    await workbench.shot('best-model-measuring');
    const offer = workbench.toast('The best model for this machine is');
    await offer.waitFor();
    const said = (await offer.innerText()).replaceAll('\u00A0', ' ');
    expect(said).toMatch(/is .*: .* to fetch, about [\d.,]+ tokens a second, licence .+\./u);
    await offer.getByRole('button', { name: 'Choose Another…' }).waitFor();
    await workbench.shot('best-model');
    // Nothing is fetched before somebody says so.
    expect(server.requests).toEqual([]);
    // Which one it is depends on the machine.
    const best = catalogue().find(({ displayName }) => said.includes(`is ${displayName}:`));
    const name = best?.name ?? '';

    await workbench.pressInToast('The best model for this machine is', 'Fetch and Use It');
    await workbench.toast(`Hearth now uses ${name}`).waitFor();
    await isReady(name);
    await readyEntry(page)
      .filter({ hasText: best?.displayName ?? '' })
      .waitFor();
    await workbench.shot('best-model-used');

    await runCommand(page, 'Hearth: Use the Best Model for This Machine');
    await workbench
      .toast(`already uses the best model for this machine: ${best?.displayName ?? ''}`)
      .waitFor();

    await runCommand(page, 'Hearth: Switch Model…');
    const rows = page.locator('.quick-input-list .monaco-list-row');
    await rows.filter({ hasText: 'Hearth Pilot' }).first().click();
    await readyEntry(page).filter({ hasText: 'Hearth Pilot' }).waitFor();

    // What follows fetches this one too, perhaps.
    await askDaemon(workbench.editor.runtimeDirectory, 'hearth/removeModel', { name });
    await runCommand(page, 'Notifications: Clear All Notifications');
    await workbench.toastsMayCome();
  });
});

describe('Add Model…', () => {
  it('finds one in the catalogue, says whether it fits, fetches it, is cancelled, goes on, and switches', async () => {
    const { page } = workbench;
    // Each part begins and then nothing more comes, until the fetch is cancelled.
    let stalls = true;
    server.behaviour = ({ range, response }, { bytes, etag }) => {
      const match = /^bytes=(\d+)-(\d+)$/u.exec(range ?? '');
      if (!stalls || match === null || range === 'bytes=0-0') return false;
      const [start, end] = [Number(match[1]), Number(match[2])];
      response.writeHead(206, {
        etag,
        'content-range': `bytes ${String(start)}-${String(end)}/${String(bytes.length)}`,
      });
      response.write(bytes.subarray(start, start + 300_000));
      return true;
    };

    await runCommand(page, 'Hearth: Add Model…');
    const rows = page.locator('.quick-input-list .monaco-list-row');
    await rows.filter({ hasText: 'Qwen2.5 Coder 0.5B' }).waitFor();
    await page.keyboard.type('coder 0.5');
    const row = rows.filter({ hasText: 'Qwen2.5 Coder 0.5B' }).first();
    expect(await row.innerText()).toMatch(
      /ghost text · 531 MB to fetch · .* of memory · (?:fits|does not fit)/u,
    );
    await workbench.shot('add-model');
    await row.click();

    await workbench.toast(/Fetching.*MB of/su).waitFor();
    await workbench.shot('add-model-fetching');
    await workbench.pressInToast(/Fetching/u, 'Cancel');
    await workbench.toast('Stopped fetching').waitFor();
    await workbench.toastsMayCome();
    stalls = false;
    const before = server.requests.length;
    await workbench.pressInToast('Stopped fetching', 'Go On');
    await workbench.toast('is there').waitFor();
    // What had come was not fetched again.
    expect(server.requests.slice(before).some(({ range }) => /^bytes=300000-/u.test(range ?? ''))).toBe(true);
    await workbench.pressInToast('is there', 'Switch to It');
    await isReady('qwen2.5-coder-0.5b');
    await workbench.shot('add-model-switched');
  });
});

describe('Add Model…, of a model in several files', () => {
  it('shows one progress for all of them', async () => {
    const { page } = workbench;
    const [first, second] = makeHollowParts(2, 3_000_000);
    let stalls = true;
    const { behaviour, bytes, etag } = server;
    server.behaviour = ({ path: asked, range, response }, self) => {
      self.bytes = (asked.includes('00002-of') ? second : first) ?? Buffer.alloc(0);
      self.etag = `"${asked}"`;
      const match = /^bytes=0-(\d+)$/u.exec(range ?? '');
      if (!stalls || !asked.includes('00002-of') || match === null || range === 'bytes=0-0') return false;
      const { length } = self.bytes;
      response.writeHead(206, {
        etag: self.etag,
        'content-range': `bytes 0-${String(length - 1)}/${String(length)}`,
      });
      // It goes on when it was seen how far it is.
      response.write(self.bytes.subarray(0, 2_000_000));
      goOn = () => response.end(self.bytes.subarray(2_000_000));
      return true;
    };
    let goOn: () => void = () => undefined;

    try {
      await runCommand(page, 'Hearth: Add Model…');
      const rows = page.locator('.quick-input-list .monaco-list-row');
      await rows.filter({ hasText: 'to fetch' }).first().waitFor();
      // The list shows only so many rows; what nothing of the catalogue is called leaves this one.
      await page.keyboard.type('hf:');
      await rows.filter({ hasText: 'Another one…' }).click();
      const box = page.locator('.quick-input-widget');
      await box.filter({ hasText: 'or the https address of a .gguf file' }).waitFor();
      await workbench.answer('hf:a/b/hollow-00001-of-00002.gguf');
      // The whole of the first and two thirds of the second, of both.
      const toasts = page.locator('.notifications-toasts .notification-list-item');
      await toasts.filter({ hasText: 'Fetching' }).filter({ hasText: '5 MB of 6 MB' }).waitFor();
      await workbench.shot('add-model-parts');
      stalls = false;
      goOn();
      await toasts.filter({ hasText: 'hollow is there: 6 MB' }).waitFor();
    } finally {
      // What else is fetched in this window is another file.
      Object.assign(server, { behaviour, bytes, etag });
    }
    await runCommand(page, 'Notifications: Clear All Notifications');
  });
});

describe('Switch Model…', () => {
  it('lists what is there, the chosen one marked, and goes back', async () => {
    const { page } = workbench;
    await runCommand(page, 'Hearth: Switch Model…');
    const rows = page.locator('.quick-input-list .monaco-list-row');
    const first = rows.filter({ hasText: 'Qwen2.5 Coder 0.5B' }).first();
    await first.waitFor();
    expect(await first.innerText()).toContain('loaded');
    await workbench.shot('switch-model');
    await rows.filter({ hasText: 'Hearth Pilot' }).first().click();
    await workbench.toast('Hearth now uses hearth-pilot-v1').waitFor();
    await workbench.toast('Loading hearth-pilot-v1').waitFor({ state: 'hidden' });
  });
});

describe('another program', () => {
  beforeEach(async () => {
    await runCommand(workbench.page, 'Notifications: Clear All Notifications');
    await workbench.toastsMayCome();
  });

  const socket = (): string => path.join(workbench.editor.runtimeDirectory, 'hearth.sock');

  it('names a model that is not there: the person is asked, says yes, and it is fetched', async () => {
    const client = await connect({ path: socket() });
    try {
      const request = { prompt: 'x', model: 'qwen2.5-coder-1.5b', events: true } as const;
      await expect(client.complete(request)).rejects.toMatchObject({ code: 'model_not_found' });
      const question = 'asked Hearth for the model qwen2.5-coder-1.5b';
      await workbench.toast(question).waitFor();
      await workbench.shot('confirm-download');
      await workbench.pressInToast(question, 'Fetch');
      // VS Code shows no more than three notifications in 800 ms, so it is asked of the daemon whether it is there.
      const served = (): Promise<string> =>
        client.complete({ ...request, max_tokens: 1 }).then(
          ({ backend }) => backend,
          (error: unknown) => String(error),
        );
      await expect.poll(served, { timeout: 60_000 }).toBe('qwen2.5-coder-1.5b');
    } finally {
      client.close();
    }
  });

  it('asks whether it may do something, and hears what the person says', async () => {
    const end = new AbortController();
    const { send, frames } = await connectChannels(socket(), end.signal);
    try {
      const question = { tool: 'deploy', summary: 'to the test machine' };
      await send({ type: 'ask', kind: 'approve_tool_call', question, timeout_ms: 60_000 });
      const asked = 'asks to run “deploy”: to the test machine';
      await workbench.toast(asked).waitFor();
      await workbench.shot('approve');
      await workbench.pressInToast(asked, 'Deny');
      expect((await frames.next()).value).toMatchObject({ type: 'answer', body: { approved: false } });
    } finally {
      end.abort();
    }
  });
});
