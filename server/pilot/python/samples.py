"""Rows of training: which text, cut how. A row is a function of the seed, the step and its number, so that a run that
was stopped goes on exactly where it was without any state of a reader."""

import bisect
import itertools
import json
import os
import random

import sentencepiece

from vocabulary import EOT, IM_END, IM_START, MID, PRE, SEP, SUF

# Shares of rows. TypeScript and JavaScript first: that is what the model is for.
MIX = {'ts': 0.46, 'js': 0.26, 'dts': 0.02, 'py': 0.14, 'json': 0.03, 'md': 0.05, 'chat': 0.04}
# How a row of code is cut: suffix first (the answer follows the prefix), prefix first, or not at all.
FORMS = {'spm': 0.6, 'psm': 0.2, 'plain': 0.2}
# What a token of the middle counts, against 1 for others: it is what the model is asked for.
MIDDLE_WEIGHT = 4.0
# No package is seen as more than this many characters: one generated client must not teach its own names only.
PACKAGE_CAP = 300_000


class Pool:
    """The documents of one language; a draw is by the size of the package (capped), then by the size of the file."""

    def __init__(self, documents):
        by = {}
        for d in documents:
            by.setdefault(d['package'], []).append(d)
        self.groups = [by[name] for name in sorted(by)]
        self.sizes = [list(itertools.accumulate(len(d['text']) for d in group)) for group in self.groups]
        self.weights = list(itertools.accumulate(min(s[-1], PACKAGE_CAP) for s in self.sizes))

    def draw(self, rng):
        """A document and an offset in it, each character alike likely."""
        g = bisect.bisect_right(self.weights, rng.random() * self.weights[-1])
        at = int(rng.random() * self.sizes[g][-1])
        n = bisect.bisect_right(self.sizes[g], at)
        return self.groups[g][n], at - (self.sizes[g][n - 1] if n else 0)


class Samples:
    def __init__(self, data, seed, mix=None, forms=None):
        self.sp = sentencepiece.SentencePieceProcessor(model_file=os.path.join(data, 'tokenizer.model'))
        self.seed, self.mix, self.forms = seed, dict(mix or MIX), dict(forms or FORMS)
        by = {name: [] for name in self.mix}
        with open(os.path.join(data, 'train.jsonl'), encoding='utf-8') as f:
            for line in f:
                d = json.loads(line)
                if d['language'] in by:
                    by[d['language']].append(d)
        with open(os.path.join(data, 'instructions.jsonl'), encoding='utf-8') as f:
            self.chat = [json.loads(line) for line in f]
        self.pools = {name: Pool(documents) for name, documents in by.items() if documents}
        for name in list(self.mix):
            if name not in self.pools and not (name == 'chat' and self.chat):
                del self.mix[name]

    def header(self, rng, d):
        """Where the text is from, as an editor's prompt may say it: after a file separator, or in a comment."""
        r = rng.random()
        path = d['path'] if rng.random() < 0.6 else d['path'].split('/')[-1]
        if r < 0.10:
            return [SEP] + self.sp.encode(path + '\n')
        if r < 0.25 and d['language'] not in ('md', 'json'):
            return self.sp.encode(('# ' if d['language'] == 'py' else '// ') + path + '\n')
        return []

    @staticmethod
    def cut(rng, t):
        """Chooses the middle of a text: mostly the rest of a line, from where people type; also whole lines, spans."""
        n, r = len(t), rng.random()
        starts = [0] + [i + 1 for i, c in enumerate(t) if c == '\n' and i + 1 < n]
        for _ in range(8):
            k = rng.randrange(len(starts))
            a = starts[k]
            e = t.find('\n', a)
            e = n if e < 0 else e
            if t[a:e].strip():
                break
        indent = a + len(t[a:e]) - len(t[a:e].lstrip(' \t'))
        u = rng.random()
        if u < 0.05:
            i = a
        elif u < 0.40:
            i = indent
        else:
            i = rng.randint(indent, e)
            # Half of the cursors are behind a word or sign, not inside a word.
            if rng.random() < 0.5:
                while i < e and t[i - 1 : i].isalnum() and t[i].isalnum():
                    i += 1
        if r < 0.75:
            return i, e
        if r < 0.90:
            last = min(len(starts) - 1, k + rng.choice([1, 1, 2, 2, 3, 4, 6]))
            e2 = t.find('\n', starts[last])
            return i, n if e2 < 0 else e2
        return i, min(n, i + int(rng.expovariate(1 / 60)) + 1)

    def infill(self, rng, pool, room, form):
        """One piece with a hole: ids and weights; None where the draw gave too little."""
        d, at = pool.draw(rng)
        text = d['text']
        want = int(min(room * 2.8, rng.choice([rng.uniform(200, 700), rng.uniform(400, 1800)])))
        start = max(0, min(at, len(text) - want))
        if start > 0:
            start = text.rfind('\n', 0, start) + 1
        w = text[start : start + want]
        if len(w) < 24:
            return None
        i, j = self.cut(rng, w)
        p, m, s = self.sp.encode(w[:i]), self.sp.encode(w[i:j]), self.sp.encode(w[j:])
        head = self.header(rng, d) if rng.random() < 0.4 else []
        m = m[: max(8, room // 2)]
        if rng.random() < 0.08:
            s = []
        left = room - len(m) - len(head) - 4
        if left < 16:
            return None
        if len(p) + len(s) > left:
            s = s[: left // 3]
            p = p[-(left - len(s)) :]
        if form == 'spm':
            ids = [PRE, SUF, *s, MID, *head, *p, *m, EOT]
        else:
            ids = [PRE, *head, *p, SUF, *s, MID, *m, EOT]
        tail = len(m) + 1
        return ids, [1.0] * (len(ids) - tail) + [MIDDLE_WEIGHT] * tail

    def plain(self, rng, pool, room):
        d, at = pool.draw(rng)
        start = d['text'].rfind('\n', 0, at) + 1 if rng.random() < 0.7 else 0
        head = [EOT, *self.header(rng, d)] if start == 0 else [EOT]
        ids = (head + self.sp.encode(d['text'][start : start + room * 5]) + [EOT])[:room]
        return ids, [1.0] * len(ids)

    def dialogue(self, rng):
        d, e = self.chat[rng.randrange(len(self.chat))], self.sp.encode
        ask = [IM_START] + e('user\n' + d['question']) + [IM_END] + e('\n') + [IM_START] + e('assistant\n')
        answer = e(d['answer']) + [IM_END]
        return ask + answer, [0.0] * len(ask) + [1.0] * len(answer)

    def row(self, step, number, length):
        """Row `number` of step `step`: ids and weights, `length` + 1 of each."""
        rng = random.Random(f'{self.seed}/{step}/{number}')
        kind = rng.choices(list(self.mix), list(self.mix.values()))[0]
        form = rng.choices(list(self.forms), list(self.forms.values()))[0]
        ids, weights = [], []
        tries = 0
        while len(ids) <= length:
            room, tries = length + 1 - len(ids), tries + 1
            if kind == 'chat':
                piece = self.dialogue(rng)
            elif form == 'plain' or room < 48 or tries > 64:
                piece = self.plain(rng, self.pools[kind], room)
            else:
                piece = self.infill(rng, self.pools[kind], room, form)
            if piece is not None:
                ids += piece[0]
                weights += piece[1]
        return ids[: length + 1], weights[: length + 1]

    def rows(self, step, first, count, length):
        """`count` rows of a step from number `first`: lists of ids and weights."""
        rows = [self.row(step, n, length) for n in range(first, first + count)]
        return [r[0] for r in rows], [r[1] for r in rows]
