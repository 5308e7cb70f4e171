import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ModelInfo } from '@hearth/protocol';
import { ghostRequest, ghostTokens } from './ghost-prompt.js';

const model: ModelInfo = { id: 'm', displayName: 'M', contextSize: 1024, sizeBytes: 1, infill: true };

describe('the request for ghost text', () => {
  it('asks a model with infill for the text between both sides', () => {
    const request = ghostRequest({ before: 'const a = ', after: ';\nfoo();' }, model);
    expect(request).toMatchObject({ prompt: 'const a = ', suffix: ';\nfoo();', temperature: 0 });
  });

  it('asks a model without infill to continue what comes before', () => {
    const request = ghostRequest({ before: 'const a = ', after: '\nfoo();' }, { ...model, infill: false });
    expect(request).not.toHaveProperty('suffix');
  });

  it('stops at the end of the line where text follows the cursor, else at a blank line', () => {
    expect(ghostRequest({ before: 'f(', after: ')\n' }, model)?.stop).toEqual(['\n']);
    expect(ghostRequest({ before: 'f()', after: '  \nx' }, model)?.stop).toContain('\n\n');
  });

  it('asks nothing where there is nothing to go on', () => {
    expect(ghostRequest({ before: ' \n', after: '\n' }, model)).toBeUndefined();
  });

  it('keeps the nearest text of both sides within the context, three quarters before, one after', () => {
    const request = ghostRequest({ before: 'x'.repeat(9000), after: 'y'.repeat(9000) }, model);
    const room = (model.contextSize - ghostTokens) * 3;
    expect(request?.prompt?.length).toBeGreaterThan(room * 0.7);
    expect(request?.suffix?.length).toBeGreaterThan(room * 0.2);
    expect((request?.prompt?.length ?? 0) + (request?.suffix?.length ?? 0)).toBeLessThanOrEqual(room);
  });

  it('begins a cut prefix at a line where one is near', () => {
    const lines = Array.from({ length: 500 }, (_, index) => `line ${index}`).join('\n');
    expect(ghostRequest({ before: lines, after: '' }, model)?.prompt).toMatch(/^line /);
  });

  it('never cuts a character in two', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary', minLength: 400 }),
        fc.integer({ min: 80, max: 200 }),
        (text, contextSize) => {
          const request = ghostRequest({ before: `a${text}`, after: text }, { ...model, contextSize });
          if (request === undefined) return;
          expect(request.prompt).not.toMatch(/\p{Surrogate}/u);
          expect(request.suffix).not.toMatch(/\p{Surrogate}/u);
        },
      ),
    );
  });
});
