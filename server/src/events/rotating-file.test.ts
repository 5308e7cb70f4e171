import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { RotatingFile, type RotatingFileSystem } from './rotating-file.js';

let root: string;
let live: string;
beforeEach(() => {
  root = fs.mkdtempSync(path.join(os.tmpdir(), 'hearth-log-'));
  live = path.join(root, 'logs', 'hearth.ndjson');
});
afterEach(() => fs.rmSync(root, { recursive: true, force: true }));

const read = (generation?: number): string =>
  fs.readFileSync(generation === undefined ? live : `${live}.${generation}`, 'utf8');
const names = (): string[] => fs.readdirSync(path.dirname(live)).toSorted();

describe('row 93: rotation', () => {
  it('three records above the cap in pairs lie in live, .1 and .2', () => {
    const file = new RotatingFile({ path: live, maxBytes: 50 });
    for (const name of ['r1', 'r2', 'r3']) file.write(name.padEnd(29, '.'));
    file.close();
    expect([read(), read(1), read(2)].map((text) => text.slice(0, 2))).toEqual(['r3', 'r2', 'r1']);
    expect(names()).toEqual(['hearth.ndjson', 'hearth.ndjson.1', 'hearth.ndjson.2']);
  });

  it('keeps .1 to .3 and never has a .4', () => {
    const file = new RotatingFile({ path: live, maxBytes: 10 });
    for (let n = 1; n <= 9; n += 1) file.write(`line ${n} .`);
    file.close();
    expect(names()).toEqual(['hearth.ndjson', ...[1, 2, 3].map((n) => `hearth.ndjson.${n}`)]);
    expect([read(), read(1), read(2), read(3)]).toEqual([9, 8, 7, 6].map((n) => `line ${n} .\n`));
  });

  it('fills a file up to the cap, not past it', () => {
    const file = new RotatingFile({ path: live, maxBytes: 10 });
    for (const line of ['1234', '5678', 'x']) file.write(line);
    file.close();
    expect(read(1)).toBe('1234\n5678\n');
    expect(read()).toBe('x\n');
  });

  it('a line above the cap has a file of its own, and no empty file is rotated', () => {
    const file = new RotatingFile({ path: live, maxBytes: 10 });
    file.write('x'.repeat(30));
    expect(names()).toEqual(['hearth.ndjson']);
    file.write('y'.repeat(30));
    file.close();
    expect(read(1)).toBe(`${'x'.repeat(30)}\n`);
    expect(names()).toEqual(['hearth.ndjson', 'hearth.ndjson.1']);
  });

  it('goes on where an earlier daemon has stopped', () => {
    const first = new RotatingFile({ path: live, maxBytes: 10 });
    first.write('1234');
    first.close();
    const second = new RotatingFile({ path: live, maxBytes: 10 });
    second.write('5678');
    second.write('9');
    second.close();
    expect([read(1), read()]).toEqual(['1234\n5678\n', '9\n']);
  });

  it('for all lines: no file is above the cap but by one line, and the newest lines are kept in order', () => {
    fc.assert(
      fc.property(
        fc.array(fc.string({ unit: 'grapheme-ascii', maxLength: 30 }), { maxLength: 40 }),
        (lines) => {
          fs.rmSync(path.dirname(live), { recursive: true, force: true });
          const file = new RotatingFile({ path: live, maxBytes: 40 });
          for (const line of lines) file.write(line);
          file.close();
          if (lines.length === 0) return;
          const texts = names()
            .toReversed()
            .map((name) => fs.readFileSync(path.join(path.dirname(live), name), 'utf8'));
          expect(texts.length).toBeLessThanOrEqual(4);
          for (const text of texts) expect(text.length).toBeLessThanOrEqual(40);
          const all = lines.map((line) => `${line}\n`).join('');
          expect(all.endsWith(texts.join(''))).toBe(true);
        },
      ),
      { numRuns: 50 },
    );
  });
});

describe('the file', () => {
  it('S21: has mode 0600 in a directory of mode 0700, whatever the umask; a file that was open is closed to others', () => {
    const previous = process.umask(0);
    try {
      new RotatingFile({ path: live }).write('x');
      expect(fs.statSync(live).mode & 0o777).toBe(0o600);
      expect(fs.statSync(path.dirname(live)).mode & 0o777).toBe(0o700);
      fs.chmodSync(live, 0o644);
      new RotatingFile({ path: live }).write('y');
    } finally {
      process.umask(previous);
    }
    expect(fs.statSync(live).mode & 0o777).toBe(0o600);
    expect(read()).toBe('x\ny\n');
  });

  it('is made anew where somebody has removed or moved it', () => {
    const file = new RotatingFile({ path: live });
    file.write('1');
    fs.rmSync(path.dirname(live), { recursive: true });
    file.write('2');
    expect(read()).toBe('2\n');
    fs.renameSync(live, `${live}.old`);
    file.write('3');
    file.close();
    expect(read()).toBe('3\n');
  });

  it('can be shared: lines of two writers lie side by side, and one notices that the other has rotated', () => {
    const [a, b] = [1, 2].map(() => new RotatingFile({ path: live, maxBytes: 10 }));
    a?.write('aaa1');
    b?.write('bbb1');
    a?.write('aaa2');
    b?.write('bbb2');
    expect([read(1), read()]).toEqual(['aaa1\nbbb1\n', 'aaa2\nbbb2\n']);
    a?.close();
    b?.close();
  });

  it('is not written through a symbolic link', () => {
    fs.mkdirSync(path.dirname(live));
    fs.writeFileSync(path.join(root, 'target'), 'precious');
    fs.symlinkSync(path.join(root, 'target'), live);
    const file = new RotatingFile({ path: live });
    file.write('x');
    expect(fs.readFileSync(path.join(root, 'target'), 'utf8')).toBe('precious');
    expect({ lost: file.lost, problem: file.problem }).toEqual({ lost: 1, problem: 'ELOOP' });
  });

  it('takes nothing more after close', () => {
    const file = new RotatingFile({ path: live });
    file.write('1');
    file.close();
    file.write('2');
    expect(read()).toBe('1\n');
    expect(file.lost).toBe(0);
  });
});

describe('S21: a disk that fails stops nobody', () => {
  const enospc = (): never => {
    throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' });
  };

  it('a full disk is counted, and logging goes on when there is room again', () => {
    let full = false;
    const disk: RotatingFileSystem = {
      ...fs,
      writeSync: ((fd: number, bytes: Buffer) =>
        full ? enospc() : fs.writeSync(fd, bytes)) as typeof fs.writeSync,
    };
    const file = new RotatingFile({ path: live, fs: disk });
    file.write('1');
    full = true;
    file.write('2');
    file.write('3');
    expect({ lost: file.lost, problem: file.problem }).toEqual({ lost: 2, problem: 'ENOSPC' });
    full = false;
    file.write('4');
    file.close();
    expect({ lost: file.lost, problem: file.problem }).toEqual({ lost: 2, problem: undefined });
    expect(read()).toBe('1\n4\n');
  });

  it('a disk that takes half a line is left without it: every line is whole', () => {
    let room = Infinity;
    const disk: RotatingFileSystem = {
      ...fs,
      writeSync: ((fd: number, bytes: Buffer) =>
        fs.writeSync(fd, bytes.subarray(0, room))) as typeof fs.writeSync,
    };
    const file = new RotatingFile({ path: live, fs: disk });
    file.write('first');
    room = 3;
    file.write('second');
    room = Infinity;
    file.write('third');
    file.close();
    expect(read()).toBe('first\nthird\n');
    expect(file.lost).toBe(1);
  });

  it('a file that cannot be rotated drops lines rather than grow', () => {
    let stuck = true;
    const disk: RotatingFileSystem = {
      ...fs,
      renameSync: (from, to) => (stuck ? enospc() : fs.renameSync(from, to)),
    };
    const file = new RotatingFile({ path: live, maxBytes: 10, fs: disk });
    file.write('12345678');
    file.write('lost');
    expect(read()).toBe('12345678\n');
    stuck = false;
    file.write('next');
    file.close();
    expect([read(1), read()]).toEqual(['12345678\n', 'next\n']);
  });

  it('a directory that cannot be made is counted', () => {
    fs.writeFileSync(path.join(root, 'logs'), 'in the way');
    const file = new RotatingFile({ path: live });
    file.write('x');
    expect(file.lost).toBe(1);
    expect(file.problem).toBe('EEXIST');
  });

  it.runIf(fs.existsSync('/dev/full'))('a real device that is full throws nothing', () => {
    const disk: RotatingFileSystem = {
      ...fs,
      writeSync: ((_fd: number, bytes: Buffer) => {
        const full = fs.openSync('/dev/full', 'w');
        try {
          return fs.writeSync(full, bytes);
        } finally {
          fs.closeSync(full);
        }
      }) as typeof fs.writeSync,
    };
    const file = new RotatingFile({ path: live, fs: disk });
    file.write('x');
    expect({ lost: file.lost, problem: file.problem }).toEqual({ lost: 1, problem: 'ENOSPC' });
  });
});
