"""A run of some steps in a temporary directory: see `npm run pilot -- check`."""

import json
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))


def run(script, *args, status=0):
    done = subprocess.run([sys.executable, '-u', os.path.join(HERE, script), *args])
    assert done.returncode == status, f'{script} ended with {done.returncode}, not {status}'


def write_corpus(data):
    text = ''.join(f'export function add{n}(a: number, b: number): number {{\n  return a + b * {n};\n}}\n\n' for n in range(40))
    document = dict(package='made-up', version='1', licence='MIT', language='ts', path='src/add.ts', text=text)
    for name, rows in (
        ('train', [document]),
        ('heldout', [document]),
        ('instructions', [dict(question='Write a function.', answer='```ts\nfunction f() {}\n```')]),
    ):
        with open(os.path.join(data, name + '.jsonl'), 'w', encoding='utf-8') as f:
            f.writelines(json.dumps(row) + '\n' for row in rows)


def weights(path):
    import torch

    return torch.load(path)['model']


def main():
    with tempfile.TemporaryDirectory() as work:
        data = os.path.join(work, 'data')
        os.mkdir(data)
        write_corpus(data)
        run('tokenizer.py', data, '600', '1')
        common = ['--data', data, '--steps', '12', '--tokens', '1024', '--micro', '256', '--length', '128', '--long', '256']
        common += ['--dim', '64', '--layers', '2', '--heads', '2', '--kv', '1', '--ffn', '96', '--workers', '2']
        whole, parts = os.path.join(work, 'whole'), os.path.join(work, 'parts')
        run('train.py', *common, '--run', whole)
        run('train.py', *common, '--run', parts, '--stop-after', '5', status=9)
        run('train.py', *common, '--run', parts)
        a, b = weights(os.path.join(whole, 'final.pt')), weights(os.path.join(parts, 'final.pt'))
        assert all((a[k] == b[k]).all() for k in a), 'the run that was stopped ended with other weights'
        out = os.path.join(work, 'pilot.gguf')
        run('export.py', os.path.join(whole, 'final.pt'), data, out, '--confidence=-0.5,-0.25')
        run('import_gguf.py', out, data, os.path.join(work, 'again.pt'))
        again = weights(os.path.join(work, 'again.pt'))
        assert all((a[k] - again[k]).abs().max() < 0.02 for k in a), 'export and import do not agree'


if __name__ == '__main__':
    main()
