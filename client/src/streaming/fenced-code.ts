/** Takes an answer as it is written and gives the code in it. */
export interface FencedCode {
  /** @returns code that has become certain, which may be none */
  readonly push: (text: string) => string;
  /** @returns what is left at the end of the answer */
  readonly end: () => string;
}

const opening = /^\s*(`{3,}|~{3,})/;

/**
 * The code of an answer's first fenced block, line by line; where there is no fence until the end, the whole answer.
 */
export function fencedCode(): FencedCode {
  let held = '';
  let mark: string | undefined;
  let over = false;

  const takeLine = (): string | undefined => {
    const end = held.indexOf('\n');
    if (end === -1) return undefined;
    const line = held.slice(0, end + 1);
    held = held.slice(end + 1);
    return line;
  };
  const inside = (fence: string): string => {
    let code = '';
    for (let line = takeLine(); line !== undefined; line = takeLine()) {
      if (line.trim() === fence) {
        over = true;
        held = '';
        return code;
      }
      code += line;
    }
    return code;
  };
  return {
    push: (text) => {
      if (over) return '';
      held += text;
      if (mark !== undefined) return inside(mark);
      // Nothing is given away before there is a fence, since prose before it is no code.
      const lines = held.split('\n').slice(0, -1);
      const index = lines.findIndex((line) => opening.test(line));
      if (index === -1) return '';
      mark = opening.exec(lines[index] ?? '')?.[1] ?? '```';
      held = held
        .split('\n')
        .slice(index + 1)
        .join('\n');
      return inside(mark);
    },
    end: () => {
      if (over || held.trim() === mark) return '';
      const rest = held;
      held = '';
      over = true;
      return rest;
    },
  };
}
