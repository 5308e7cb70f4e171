"""Trains the tokenizer (sentencepiece, byte-pair encoding) on the training text: tokenizer.py DATA VOCABULARY SEED"""

import json
import os
import random
import sys

import sentencepiece

from vocabulary import CONTROL, USER

# Shares of the lines of a language that the tokenizer learns from.
TAKE = {'ts': 1.0, 'js': 0.5, 'dts': 0.2, 'py': 0.5, 'json': 0.5, 'md': 0.3}


def lines(data, seed):
    rng = random.Random(seed)
    with open(os.path.join(data, 'train.jsonl'), encoding='utf-8') as f:
        for row in f:
            d = json.loads(row)
            if rng.random() > TAKE[d['language']]:
                continue
            for line in d['text'].split('\n'):
                line = line.replace('\t', '')
                if line.strip() and len(line) < 400:
                    yield line.lstrip(' ') if rng.random() < 0.5 else line


def main():
    data, vocabulary, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    prefix = os.path.join(data, 'tokenizer')
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=lines(data, seed), model_prefix=prefix, model_type='bpe', vocab_size=vocabulary,
        byte_fallback=True, normalization_rule_name='identity', remove_extra_whitespaces=False, add_dummy_prefix=False,
        split_digits=True, split_by_unicode_script=True, split_by_whitespace=True, character_coverage=0.9995,
        max_sentencepiece_length=16, control_symbols=CONTROL, user_defined_symbols=USER, unk_id=0, bos_id=-1, eos_id=-1,
        pad_id=-1, input_sentence_size=400_000, shuffle_input_sentence=True, num_threads=2, max_sentence_length=4000,
        minloglevel=1, hard_vocab_limit=False,
    )
    sp = sentencepiece.SentencePieceProcessor(model_file=prefix + '.model')
    text = 'export function foo(a: number[], b_c: string) {\n\t  return a.map((x) => x * 128);\n       // ü 日本\n}\n'
    assert sp.decode(sp.encode(text)) == text, 'the tokenizer loses text'
    print(f'{sp.get_piece_size()} pieces')


if __name__ == '__main__':
    main()
