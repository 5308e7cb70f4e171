import { afterAll, beforeAll, expect, test } from 'vitest';
import { openWorkbench, type Workbench } from '../harness/workbench.js';

let workbench: Workbench;

beforeAll(async () => {
  workbench = await openWorkbench({ files: { 'a.ts': 'export const answer = 42;\n' } });
});

afterAll(async () => {
  await workbench.stop();
});

test('given VS Code with Hearth installed, when it opens, then the status bar shows the state', async () => {
  await workbench.statusBarItem(/Hearth/).waitFor();
  await workbench.openFile('a.ts');
  expect(await workbench.visibleText()).toContain('answer = 42');
  await workbench.shot('workbench');
});
