/** What of a diff a model is shown, where not all of it fits. */

/** Files that tools write: that they changed says enough. */
const written =
  /(^|\/)([^/]*[.-]lock([.-][a-z]+)?|package-lock\.json|go\.sum|[^/]*\.min\.(js|css)|[^/]*\.map)$/;

/**
 * A unified diff of at most `characters`. Short files stay whole; what is left is shared evenly among the long ones, which are
 * cut at a line and say so. Where there is no room for that either, files are only named, and then only counted.
 */
export function boundedDiff(diff: string, characters: number): string {
  const files = filesOf(diff).map((file) => (written.test(nameOf(file)) ? headOf(file) : file));
  const whole = files.join('');
  if (whole.length <= characters) return whole;
  const shares = fairShares(
    files.map(({ length }) => length),
    characters,
  );
  const cut = files.map((file, index) => cutAtLine(file, shares[index] ?? 0)).join('');
  if (cut.length <= characters && cut !== '') return cut;
  const names = files.map((file) => `${nameOf(file)}\n`);
  const kept: string[] = [];
  let left = characters - 40;
  for (const name of names) {
    if (name.length > left) break;
    kept.push(name);
    left -= name.length;
  }
  const more = names.length - kept.length;
  return `${kept.join('')}${more > 0 ? `(${more} more files)\n` : ''}`;
}

/** The parts of a diff, one a file. */
function filesOf(diff: string): readonly string[] {
  return diff.split(/^(?=diff --git )/m).filter((part) => part.trim() !== '');
}

function nameOf(file: string): string {
  return /^diff --git (?:"?)a\/.* (?:"?)b\/(.*?)"?$/m.exec(file)?.[1] ?? 'a file';
}

/** What stands before the first change. */
function headOf(file: string): string {
  const start = file.search(/^@@ /m);
  return start === -1 ? file : file.slice(0, start);
}

/** For each length how much of it may stay, so that together they are at most `total`. */
function fairShares(lengths: readonly number[], total: number): readonly number[] {
  const shares = lengths.map(() => 0);
  const order = lengths.map((length, index) => ({ length, index })).sort((a, b) => a.length - b.length);
  let left = total;
  order.forEach(({ length, index }, done) => {
    const share = Math.min(length, Math.floor(left / (order.length - done)));
    shares[index] = share;
    left -= share;
  });
  return shares;
}

/** The longest begin of `file` that ends with a line, says that it was cut, and has at most `characters`. */
function cutAtLine(file: string, characters: number): string {
  if (file.length <= characters) return file;
  const note = '[cut]\n';
  const end = file.lastIndexOf('\n', characters - note.length - 1);
  return end === -1 ? '' : `${file.slice(0, end + 1)}${note}`;
}
