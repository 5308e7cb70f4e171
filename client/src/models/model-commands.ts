import { type QuickPickItem, window } from 'vscode';
import type { Sidecar } from '../sidecar/sidecar.js';
import { useBestModel } from './best-model.js';
import { fetchModel, switchTo } from './fetch-model.js';
import { catalogueItems, type ModelItem, showBytes, storeItems } from './model-items.js';

/** The commands about models, by name. Errors are told by whoever registers them. */
export function modelCommands(
  sidecar: Sidecar,
): Readonly<Record<string, (source?: unknown) => Promise<void>>> {
  return {
    'hearth.addModel': (source) => (typeof source === 'string' ? add(sidecar, source) : addModel(sidecar)),
    'hearth.useBestModel': () => useBestModel(sidecar),
    'hearth.switchModel': () => switchModel(sidecar),
  };
}

const otherSource: QuickPickItem & { readonly value: undefined } = {
  label: '$(link) Another one…',
  description: 'hf:owner/repository/file.gguf, or an https address',
  alwaysShow: true,
  value: undefined,
};

/** Lets one search the catalogue, fetches what is picked, and offers to switch to it. */
async function addModel(sidecar: Sidecar): Promise<void> {
  const { catalogue, freeBytes } = await sidecar.connection().listModels();
  const items: readonly (QuickPickItem & { readonly value: string | undefined })[] = [
    ...catalogueItems(catalogue, freeBytes),
    otherSource,
  ];
  const picked = await window.showQuickPick(items, {
    title: 'Hearth: Add Model',
    placeHolder:
      'Search by name or use. Models are fetched from Hugging Face; nothing else is sent anywhere.',
    matchOnDescription: true,
    matchOnDetail: true,
  });
  if (picked === undefined) return;
  const source = picked.value ?? (await askSource());
  if (source !== undefined) await add(sidecar, source);
}

async function askSource(): Promise<string | undefined> {
  const source = await window.showInputBox({
    title: 'Hearth: Add Model',
    prompt: 'hf:owner/repository/file.gguf, or the https address of a .gguf file',
    ignoreFocusOut: true,
  });
  return source === undefined || source.trim() === '' ? undefined : source.trim();
}

/** Fetches a model, and offers to switch to it. */
async function add(sidecar: Sidecar, source: string): Promise<void> {
  const pulled = await fetchModel(sidecar, source);
  if (pulled === undefined) return;
  const what = pulled.alreadyThere ? 'is there already' : `is there: ${showBytes(pulled.sizeBytes)}`;
  const choice = await window.showInformationMessage(`${pulled.name} ${what}.`, 'Switch to It');
  if (choice === 'Switch to It') await switchTo(sidecar, pulled.name);
}

/** Lets one pick a model of the store, which then serves whatever names none. */
async function switchModel(sidecar: Sidecar): Promise<void> {
  const { models } = await sidecar.connection().listModels();
  const items: readonly (ModelItem | (QuickPickItem & { readonly value: undefined }))[] = [
    ...storeItems(models),
    { label: '$(cloud-download) Add Model…', alwaysShow: true, value: undefined },
  ];
  const picked = await window.showQuickPick(items, {
    title: 'Hearth: Switch Model',
    placeHolder: 'The model for ghost text, chat and commands, in every window',
    matchOnDescription: true,
  });
  if (picked === undefined) return;
  if (picked.value === undefined) await addModel(sidecar);
  else await switchTo(sidecar, picked.value);
}
