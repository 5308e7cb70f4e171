import { extensions, window, type Uri } from 'vscode';
import { HearthFailure } from '../sidecar/hearth-connection.js';

/** What of the interface of VS Code's Git extension is used. Source: extensions/git/src/api/git.d.ts, version 1. */
export interface GitRepository {
  readonly rootUri: Uri;
  readonly inputBox: { value: string };
  readonly state: { readonly indexChanges: readonly unknown[] };
  /** @param cached True: what is staged, else what is not */
  diff(cached?: boolean): Promise<string>;
  /** The newest first. Rejects where there is no commit. */
  log(options: { readonly maxEntries: number }): Promise<readonly { readonly message: string }[]>;
}

interface GitApi {
  readonly repositories: readonly GitRepository[];
  getRepository(uri: Uri): GitRepository | null;
}

interface GitExtension {
  readonly enabled: boolean;
  getAPI(version: 1): GitApi;
}

/**
 * The repository that is meant: of the view whose button was clicked, of the active editor, or the only one; else the
 * person is asked. Undefined: they chose none.
 *
 * @throws HearthFailure where there is no Git or no repository
 */
export async function meantRepository(rootUri: Uri | undefined): Promise<GitRepository | undefined> {
  const api = await gitApi();
  const { repositories } = api;
  const uri = rootUri ?? window.activeTextEditor?.document.uri;
  const meant = (uri && api.getRepository(uri)) ?? (repositories.length === 1 ? repositories[0] : undefined);
  if (meant !== undefined) return meant;
  if (repositories.length === 0) {
    throw new HearthFailure(
      'No Git repository is open here. Open a folder that has one, or make one with "Git: Initialize Repository".',
    );
  }
  const items = repositories.map((repository) => ({ label: repository.rootUri.path, repository }));
  return (await window.showQuickPick(items, { title: 'Write a commit message for' }))?.repository;
}

async function gitApi(): Promise<GitApi> {
  const extension = extensions.getExtension<GitExtension>('vscode.git');
  if (extension === undefined) {
    throw new HearthFailure('The Git extension of VS Code is not here. Enable it in the Extensions view.');
  }
  const git = await extension.activate();
  if (!git.enabled) {
    throw new HearthFailure(
      'Git is not available: it is not installed, or the setting `git.enabled` is off. Change that, and try again.',
    );
  }
  return git.getAPI(1);
}
