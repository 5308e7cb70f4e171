"""A checkpoint and a tokenizer from a GGUF of this project's (F32, F16, Q8_0): import_gguf.py FILE DATA CHECKPOINT.pt

A run can so begin with the weights of the version before. The Q8_0 weights are what they are: rounded.
"""

import os
import struct
import sys

import numpy as np
import torch

from model import Shape
from vocabulary import CONTROL, MID, PRE, SPACE

SCALAR = {0: '<B', 1: '<b', 2: '<H', 3: '<h', 4: '<I', 5: '<i', 6: '<f', 7: '<?', 10: '<Q', 11: '<q', 12: '<d'}


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, form):
        (value,) = struct.unpack_from(form, self.data, self.at)
        self.at += struct.calcsize(form)
        return value

    def text(self):
        n = self.take('<Q')
        self.at += n
        return self.data[self.at - n : self.at].decode('utf-8')

    def value(self, kind):
        if kind == 8:
            return self.text()
        if kind == 9:
            inner, n = self.take('<I'), self.take('<Q')
            return [self.value(inner) for _ in range(n)]
        return self.take(SCALAR[kind])


def read(path):
    """Metadata and tensors (numpy, fp32) of a GGUF."""
    with open(path, 'rb') as f:
        data = f.read()
    r = Reader(data)
    assert data[:4] == b'GGUF', 'not a GGUF'
    r.at = 8
    tensors, keys = r.take('<Q'), r.take('<Q')
    meta = {}
    for _ in range(keys):
        key = r.text()
        meta[key] = r.value(r.take('<I'))
    infos = []
    for _ in range(tensors):
        name = r.text()
        dims = [r.take('<Q') for _ in range(r.take('<I'))]
        infos.append((name, dims[::-1], r.take('<I'), r.take('<Q')))
    base = -(-r.at // 32) * 32
    out = {}
    for name, dims, kind, offset in infos:
        n, at = int(np.prod(dims)), base + offset
        if kind == 0:
            x = np.frombuffer(data, '<f4', n, at)
        elif kind == 1:
            x = np.frombuffer(data, '<f2', n, at).astype(np.float32)
        elif kind == 8:
            b = np.frombuffer(data, np.uint8, n // 32 * 34, at).reshape(-1, 34)
            x = b[:, :2].copy().view('<f2').astype(np.float32) * b[:, 2:].copy().view(np.int8)
        else:
            raise SystemExit(f'{name} has type {kind}; this reads F32, F16 and Q8_0')
        out[name] = np.array(x, np.float32).reshape(dims)
    return meta, out


def varint(n):
    out = b''
    while n > 127:
        out, n = out + bytes([n & 127 | 128]), n >> 7
    return out + bytes([n])


def field(number, kind, payload):
    head = varint(number << 3 | kind)
    return head + (varint(len(payload)) + payload if kind == 2 else payload)


def sentencepiece_model(meta):
    """The tokenizer as a sentencepiece model (a protocol buffer: pieces, trainer and normalizer)."""
    out = b''
    tokens, types = list(meta['tokenizer.ggml.tokens']), meta['tokenizer.ggml.token_type']
    for i, name in enumerate(CONTROL):
        tokens[i + 1] = name
    for token, score, kind in zip(tokens, meta['tokenizer.ggml.scores'], types):
        piece = token.replace(' ', SPACE) if kind == 4 else token
        out += field(1, 2, field(1, 2, piece.encode()) + field(2, 5, struct.pack('<f', score)) + field(3, 0, varint(kind)))
    out += field(2, 2, field(3, 0, varint(2)) + field(4, 0, varint(len(tokens))) + field(35, 0, varint(1)))
    return out + field(3, 2, field(1, 2, b'identity') + field(3, 0, varint(0)) + field(4, 0, varint(0)) + field(5, 0, varint(1)))


def main():
    source, data, target = sys.argv[1:4]
    meta, t = read(source)
    a = 'llama.'
    s = Shape(
        vocab=len(meta['tokenizer.ggml.tokens']), dim=meta[a + 'embedding_length'], layers=meta[a + 'block_count'],
        heads=meta[a + 'attention.head_count'], kv=meta[a + 'attention.head_count_kv'],
        ffn=meta[a + 'feed_forward_length'], rope=meta[a + 'rope.freq_base'],
        eps=round(meta[a + 'attention.layer_norm_rms_epsilon'], 9),
    )
    hd = s.dim // s.heads

    def halves(w, heads):
        return w.reshape(heads, hd // 2, 2, s.dim).swapaxes(1, 2).reshape(heads * hd, s.dim)

    sd = {'emb': t['token_embd.weight'], 'on': t['output_norm.weight']}
    for i in range(s.layers):
        b = f'blk.{i}.'
        q, k = halves(t[b + 'attn_q.weight'], s.heads), halves(t[b + 'attn_k.weight'], s.kv)
        sd[f'qkv.{i}'] = np.concatenate([q, k, t[b + 'attn_v.weight']])
        sd[f'gu.{i}'] = np.concatenate([t[b + 'ffn_gate.weight'], t[b + 'ffn_up.weight']])
        sd[f'o.{i}'], sd[f'down.{i}'] = t[b + 'attn_output.weight'], t[b + 'ffn_down.weight']
        sd[f'an.{i}'], sd[f'fn.{i}'] = t[b + 'attn_norm.weight'], t[b + 'ffn_norm.weight']
    if meta.get('hearth.infill_order') == 'suffix-prefix':
        # Version 0 had no middle token; what it learned of the place where the answer begins is in the prefix token.
        sd['emb'][MID] = sd['emb'][PRE]
    with open(os.path.join(data, 'tokenizer.model'), 'wb') as f:
        f.write(sentencepiece_model(meta))
    torch.save({'shape': s.as_dict(), 'model': {k: torch.tensor(v) for k, v in sd.items()}}, target)
    print(s)


if __name__ == '__main__':
    main()
