"""Writes a checkpoint as a GGUF with Q8_0 weights: export.py CHECKPOINT.pt DATA OUT.gguf [--confidence LIST] [--order ORDER]

Rotary layout: training uses the rotate-half layout, llama.cpp's "llama" the interleaved one, so the rows of query and key
are permuted. The embeddings are tied: there is no output.weight, llama.cpp then uses token_embd.weight.
"""

import argparse
import hashlib
import os
import struct

import numpy as np
import sentencepiece
import torch

from vocabulary import CONTROL, SPACE, USER

F32, Q8_0, ALIGN = 0, 8, 32
CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
KINDS = {'u32': (4, '<I'), 'i32': (5, '<i'), 'f32': (6, '<f'), 'bool': (7, '<?'), 'str': (8, None), 'u64': (10, '<Q')}


def text(s):
    b = s.encode()
    return struct.pack('<Q', len(b)) + b


def entry(key, kind, value):
    def one(k, v):
        return text(v) if k == 'str' else struct.pack(KINDS[k][1], v)

    if kind.endswith('[]'):
        k = kind[:-2]
        return text(key) + struct.pack('<IIQ', 9, KINDS[k][0], len(value)) + b''.join(one(k, v) for v in value)
    return text(key) + struct.pack('<I', KINDS[kind][0]) + one(kind, value)


def q8_0(x):
    """Blocks of 32: a scale (fp16) and 32 signed bytes, rounded half away from zero as ggml does."""
    b = x.astype(np.float32).reshape(-1, 32)
    d = np.abs(b).max(1) / 127
    v = b * np.divide(1, d, out=np.zeros_like(d), where=d > 0)[:, None]
    q = (np.sign(v) * np.floor(np.abs(v) + 0.5)).astype(np.int8)
    return np.concatenate([d.astype('<f2')[:, None].view(np.uint8), q.view(np.uint8)], 1).tobytes()


def pieces(data):
    sp = sentencepiece.SentencePieceProcessor(model_file=os.path.join(data, 'tokenizer.model'))
    tokens, scores, types = [], [], []
    for i in range(sp.get_piece_size()):
        piece = sp.id_to_piece(i)
        kind = 2 if sp.is_unknown(i) else 3 if sp.is_control(i) else 6 if sp.is_byte(i) else 4 if piece in USER else 1
        # llama.cpp finds user-defined pieces in the raw text.
        tokens.append(piece.replace(SPACE, ' ') if kind == 4 else piece)
        scores.append(sp.get_score(i))
        types.append(kind)
    return tokens, scores, types


def main():
    a = argparse.ArgumentParser()
    a.add_argument('checkpoint')
    a.add_argument('data')
    a.add_argument('out')
    a.add_argument('--confidence', default='', help='least mean log-probabilities by length, with commas')
    a.add_argument('--order', default='suffix-prefix-middle')
    args = a.parse_args()
    saved = torch.load(args.checkpoint, map_location='cpu')
    c, sd = saved['shape'], saved['model']
    H, KV, D = c['heads'], c['kv'], c['dim']
    hd = D // H

    def interleaved(w, heads):
        return w.reshape(heads, 2, hd // 2, D).swapaxes(1, 2).reshape(heads * hd, D)

    def get(name):
        return sd[name].float().numpy()

    tensors = [('token_embd.weight', get('emb'), Q8_0)]
    for i in range(c['layers']):
        q, k, v = np.split(get(f'qkv.{i}'), [D, D + KV * hd])
        gate, up = np.split(get(f'gu.{i}'), 2)
        b = f'blk.{i}.'
        tensors += [
            (b + 'attn_norm.weight', get(f'an.{i}'), F32),
            (b + 'attn_q.weight', interleaved(q, H), Q8_0),
            (b + 'attn_k.weight', interleaved(k, KV), Q8_0),
            (b + 'attn_v.weight', v, Q8_0),
            (b + 'attn_output.weight', get(f'o.{i}'), Q8_0),
            (b + 'ffn_norm.weight', get(f'fn.{i}'), F32),
            (b + 'ffn_gate.weight', gate, Q8_0),
            (b + 'ffn_up.weight', up, Q8_0),
            (b + 'ffn_down.weight', get(f'down.{i}'), Q8_0),
        ]
    tensors.append(('output_norm.weight', get('on'), F32))
    count = sum(x.size for _, x, _ in tensors)
    tokens, scores, types = pieces(args.data)
    ids = {t: tokens.index(t) for t in CONTROL}
    confidence = [float(x) for x in args.confidence.split(',') if x]
    l, t = 'llama.', 'tokenizer.ggml.'
    entries = [
        ('general.architecture', 'str', 'llama'),
        ('general.type', 'str', 'model'),
        ('general.name', 'str', 'Hearth Pilot'),
        ('general.license', 'str', 'MIT'),
        ('general.description', 'str', 'A small model for ghost text, trained from scratch on permissively licensed source code. Not an assistant.'),
        ('general.file_type', 'u32', 7),
        ('general.quantization_version', 'u32', 2),
        ('general.alignment', 'u32', ALIGN),
        ('general.parameter_count', 'u64', count),
        ('hearth.infill_order', 'str', args.order),
        *([('hearth.confidence.mean_logprob', 'f32[]', confidence)] if confidence else []),
        (l + 'context_length', 'u32', c['context']),
        (l + 'embedding_length', 'u32', D),
        (l + 'block_count', 'u32', c['layers']),
        (l + 'feed_forward_length', 'u32', c['ffn']),
        (l + 'attention.head_count', 'u32', H),
        (l + 'attention.head_count_kv', 'u32', KV),
        (l + 'attention.layer_norm_rms_epsilon', 'f32', c['eps']),
        (l + 'rope.dimension_count', 'u32', hd),
        (l + 'rope.freq_base', 'f32', c['rope']),
        (l + 'vocab_size', 'u32', len(tokens)),
        (t + 'model', 'str', 'llama'),
        (t + 'tokens', 'str[]', tokens),
        (t + 'scores', 'f32[]', scores),
        (t + 'token_type', 'i32[]', types),
        (t + 'unknown_token_id', 'u32', 0),
        (t + 'bos_token_id', 'u32', ids['<|endoftext|>']),
        (t + 'eos_token_id', 'u32', ids['<|endoftext|>']),
        (t + 'eot_token_id', 'u32', ids['<|im_end|>']),
        (t + 'padding_token_id', 'u32', ids['<|endoftext|>']),
        (t + 'add_bos_token', 'bool', False),
        (t + 'add_eos_token', 'bool', False),
        (t + 'add_space_prefix', 'bool', False),
        (t + 'remove_extra_whitespaces', 'bool', False),
        (t + 'fim_pre_token_id', 'u32', ids['<|fim_prefix|>']),
        (t + 'fim_suf_token_id', 'u32', ids['<|fim_suffix|>']),
        (t + 'fim_mid_token_id', 'u32', ids['<|fim_middle|>']),
        (t + 'fim_rep_token_id', 'u32', ids['<|repo_name|>']),
        (t + 'fim_sep_token_id', 'u32', ids['<|file_sep|>']),
        ('tokenizer.chat_template', 'str', CHATML),
    ]
    out = b'GGUF' + struct.pack('<IQQ', 3, len(tensors), len(entries)) + b''.join(entry(*e) for e in entries)
    data, offset = [], 0
    for name, x, kind in tensors:
        out += text(name) + struct.pack('<I', x.ndim) + b''.join(struct.pack('<Q', d) for d in reversed(x.shape))
        out += struct.pack('<IQ', kind, offset)
        b = q8_0(np.ascontiguousarray(x)) if kind == Q8_0 else x.astype('<f4').tobytes()
        b += b'\0' * (-len(b) % ALIGN)
        data.append(b)
        offset += len(b)
    out += b'\0' * (-len(out) % ALIGN) + b''.join(data)
    with open(args.out + '.part', 'wb') as f:
        f.write(out)
    os.replace(args.out + '.part', args.out)
    print(f'{args.out}: {count / 1e6:.2f} M parameters, {len(out)} bytes, sha256 {hashlib.sha256(out).hexdigest()}')


if __name__ == '__main__':
    main()
