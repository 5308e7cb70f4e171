"""The tokenizer's special pieces, in the order of their ids from 1 (0 is the unknown piece)."""

CONTROL = [
    '<|endoftext|>',
    '<|fim_prefix|>',
    '<|fim_suffix|>',
    '<|fim_middle|>',
    '<|file_sep|>',
    '<|repo_name|>',
    '<|im_start|>',
    '<|im_end|>',
]
EOT, PRE, SUF, MID, SEP, REPO, IM_START, IM_END = range(1, 9)

# White space stands alone, so that the pieces at a cursor are those that training saw. sentencepiece writes a space as
# U+2581.
SPACE = '\u2581'
USER = [SPACE * 8, SPACE * 4, SPACE * 2, '\t', '\n']
