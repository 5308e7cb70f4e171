"""Trains the model. Stop it in any way, at any time; the same command goes on from the last checkpoint.

The learning rate falls to nothing at the end of the run, which is a number of steps (--steps; then a run that was
interrupted ends with the very weights of one that was not) or a time of day in UTC (--until HH:MM; for a machine whose
speed nobody knows beforehand).
"""

import argparse
import datetime
import json
import math
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
# torch.set_num_threads does not reach OpenBLAS.
os.environ['OPENBLAS_NUM_THREADS'] = '1'
import torch

from model import Model, Shape
from muon import Muon
from samples import Samples
from team import Team
from vocabulary import EOT


def arguments():
    a = argparse.ArgumentParser()
    a.add_argument('--data', required=True)
    a.add_argument('--run', required=True, help='directory of the checkpoints')
    a.add_argument('--init', help='a checkpoint to begin with (import_gguf.py makes one)')
    a.add_argument('--steps', type=int)
    a.add_argument('--until')
    a.add_argument('--seed', type=int, default=1)
    a.add_argument('--lr', type=float, default=1.5e-3)
    a.add_argument('--warmup', type=int, default=20)
    a.add_argument('--flat', type=float, default=0.2, help='share of the run before the rate falls')
    a.add_argument('--tokens', type=int, default=8192, help='tokens a step')
    a.add_argument('--micro', type=int, default=1024, help='tokens in memory at once')
    a.add_argument('--length', type=int, default=512)
    a.add_argument('--long', type=int, default=2048, help='length of the rows in the last part')
    a.add_argument('--long-share', type=float, default=0.1)
    a.add_argument('--dim', type=int, default=256)
    a.add_argument('--layers', type=int, default=5)
    a.add_argument('--heads', type=int, default=4)
    a.add_argument('--kv', type=int, default=2)
    a.add_argument('--ffn', type=int, default=576)
    a.add_argument('--optimizer', choices=['muon', 'adamw'], default='muon')
    a.add_argument('--workers', type=int, default=2, help='processes of one thread each, which share the rows of a step')
    a.add_argument('--device', default='cpu', help='cuda: an accelerator, with one worker')
    a.add_argument('--rank', type=int, default=0, help=argparse.SUPPRESS)
    a.add_argument('--meeting', help=argparse.SUPPRESS)
    a.add_argument('--save-seconds', type=float, default=120)
    a.add_argument('--check-seconds', type=float, default=420)
    a.add_argument('--stop-after', type=int, help='end as if killed after this many steps of this process (for tests)')
    args = a.parse_args()
    if (args.steps is None) == (args.until is None):
        a.error('one of --steps and --until says when the run ends')
    if args.tokens % (args.workers * max(args.micro, args.long)) != 0:
        a.error('--tokens is a multiple of --workers times --micro and --long')
    if args.device != 'cpu' and args.workers != 1:
        a.error('an accelerator is for one worker: --workers 1')
    return args


def held_out(data, sp, length, limit=36_000):
    """Rows of held-out text per language, at most `limit` characters, for a quick check during the run."""
    out, used = {}, {}
    with open(os.path.join(data, 'heldout.jsonl'), encoding='utf-8') as f:
        for line in f:
            d = json.loads(line)
            name, text = d['language'], d['text'][:12_000]
            if name in ('ts', 'js', 'py') and used.get(name, 0) < limit:
                used[name] = used.get(name, 0) + len(text)
                out.setdefault(name, []).extend([EOT, *sp.encode(text)])
    rows = {}
    for name, ids in out.items():
        n = (len(ids) - 1) // length
        if n > 0:
            ids = ids[: n * length + 1]
            size = len(sp.decode([i for i in ids if i != EOT]).encode())
            rows[name] = (torch.tensor(ids[:-1]).view(n, length), torch.tensor(ids[1:]).view(n, length), size)
    return rows


@torch.no_grad()
def check(model, rows):
    """Bits per byte of held-out rows."""
    out = {}
    for name, (x, y, size) in rows.items():
        bits = 0.0
        for i in range(0, len(x), 4):
            a, b = (part[i : i + 4].to(model.emb.device) for part in (x, y))
            bits += model.loss(a, b, torch.ones(b.shape, device=b.device)).item() * b.numel() / math.log(2)
        out[name] = round(bits / size, 4)
    return out


def end_of(text):
    """The next time of day HH:MM in UTC, as seconds since the epoch."""
    now = datetime.datetime.now(datetime.timezone.utc)
    hour, minute = (int(part) for part in text.split(':'))
    end = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
    return (end if end > now else end + datetime.timedelta(days=1)).timestamp()


def optimizers(model, args, team):
    """One for the matrices inside of the model, one for the embeddings and the norms."""
    others = dict(params=model.others(), weight_decay=0.0)
    adam = dict(lr=args.lr, betas=(0.9, 0.95), eps=1e-9)
    if args.optimizer == 'adamw':
        return [torch.optim.AdamW([dict(params=model.matrices(), weight_decay=0.1), others], **adam)]
    return [Muon(model.matrices(), model.cuts(), team, lr=args.lr), torch.optim.AdamW([others], **adam)]


def main():
    args = arguments()
    torch.set_num_threads(1)
    # On an accelerator: products of fp32 with the precision of TF32.
    torch.set_float32_matmul_precision('high')
    torch.manual_seed(args.seed)
    os.makedirs(args.run, exist_ok=True)
    team = Team(args.workers, args.rank, args.meeting)
    leads = team.rank == 0
    last = os.path.join(args.run, 'last.pt')
    samples = Samples(args.data, args.seed)
    saved = torch.load(last, map_location='cpu') if os.path.exists(last) else None
    start = saved or (torch.load(args.init, map_location='cpu') if args.init else None)
    shape = (
        Shape(**start['shape'])
        if start
        else Shape(samples.sp.get_piece_size(), args.dim, args.layers, args.heads, args.kv, args.ffn, args.long)
    )
    model = Model(shape)
    if start:
        model.load_state_dict(start['model'])
    model.to(args.device)
    opts = optimizers(model, args, team)
    state = dict(step=0, tokens=0, began=time.time(), ends=end_of(args.until) if args.until else None, busy=0.0, history=[])
    if saved:
        for opt, part in zip(opts, saved['opts']):
            opt.load_state_dict(part)
        state = saved['state']
        # Another time of day than that of the run so far gives it another end; the same one, passed by now, does not.
        if args.until != saved['args']['until']:
            state['ends'] = end_of(args.until) if args.until else None
        if leads:
            print(f'goes on after step {state["step"]}', flush=True)
    rows = held_out(args.data, samples.sp, args.length) if leads else {}
    began_at, since = state['step'], time.time()
    saved_at = checked_at = since
    if not saved and leads:
        state['history'].append(dict(step=0, tokens=0, **check(model, rows)))
        print(json.dumps(state['history'][-1]), flush=True)

    def save(name='last.pt'):
        path = os.path.join(args.run, name)
        torch.save(dict(shape=shape.as_dict(), model=model.state_dict(), opts=[opt.state_dict() for opt in opts], state=state, args=vars(args)), path + '.part')
        with open(path + '.part', 'rb+') as f:
            os.fsync(f.fileno())
        os.replace(path + '.part', path)

    mean = None
    while True:
        done = state['step'] / args.steps if args.steps else (time.time() - state['began']) / (state['ends'] - state['began'])
        done = team.agree(done)
        if done >= 1:
            break
        rate = args.lr * min(1, (state['step'] + 1) / args.warmup) * min(1, max(0.01, (1 - done) / (1 - args.flat)))
        for group in (group for opt in opts for group in opt.param_groups):
            group['lr'] = rate
        length = args.long if done > 1 - args.long_share else args.length
        began = time.time()
        rows_at_once = max(1, args.micro // length)
        parts = args.tokens // (rows_at_once * length)
        total = torch.zeros((), device=args.device)
        for part in range(team.rank, parts, team.size):
            ids, weights = samples.rows(state['step'], part * rows_at_once, rows_at_once, length)
            a, b = torch.tensor(ids, device=args.device), torch.tensor(weights, device=args.device)
            loss = model.loss(a[:, :-1], a[:, 1:], b[:, 1:]) / parts
            loss.backward()
            total += loss.detach()
        team.add([p.grad for p in model.parameters()] + [total])
        total = total.item()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for opt in opts:
            opt.step()
            opt.zero_grad(set_to_none=True)
        now = time.time()
        state['busy'] += now - began
        state['step'] += 1
        state['tokens'] += args.tokens
        mean = total if mean is None else 0.95 * mean + 0.05 * total
        if leads and (state['step'] % 5 == 0 or state['step'] == args.steps):
            print(
                f'step {state["step"]} {done:.1%} loss {total:.3f} mean {mean:.3f} rate {rate:.1e} '
                f'{args.tokens / (now - began):.0f} tokens/s, {state["tokens"] / 1e6:.2f} M',
                flush=True,
            )
        if leads and now - checked_at > args.check_seconds:
            checked_at = now
            state['history'].append(dict(step=state['step'], tokens=state['tokens'], **check(model, rows)))
            print(json.dumps(state['history'][-1]), flush=True)
        if leads and now - saved_at > args.save_seconds:
            saved_at = now
            save()
        if args.stop_after and state['step'] - began_at >= args.stop_after:
            if leads:
                save()
            os._exit(9)
    if not leads:
        return
    state['history'].append(dict(step=state['step'], tokens=state['tokens'], **check(model, rows)))
    print(json.dumps(state['history'][-1]), flush=True)
    save()
    save('final.pt')
    with open(os.path.join(args.run, 'ending.json'), 'w', encoding='utf-8') as f:
        json.dump(state['history'][-1], f)


if __name__ == '__main__':
    main()
