"""A small decoder of the llama architecture, for training on processors (fp32) and on accelerators (bfloat16)."""

import math
from dataclasses import asdict, dataclass

import torch
import torch.nn as nn
import torch.nn.functional as F


@dataclass(frozen=True)
class Shape:
    """What llama.cpp is told about the model. Query and key heads are `dim // heads` wide; the embeddings are tied."""

    vocab: int = 4096
    dim: int = 256
    layers: int = 5
    heads: int = 4
    kv: int = 2
    ffn: int = 576
    context: int = 2048
    rope: float = 10000.0
    eps: float = 1e-5

    def as_dict(self):
        return asdict(self)


class HeadLoss(torch.autograd.Function):
    """Weighted mean cross-entropy of x @ E.T. The gradients are made chunk by chunk: never all the logits at once."""

    @staticmethod
    def forward(ctx, x, E, target, weight, chunk=1024):
        gx, gE = torch.empty_like(x), torch.zeros_like(E)
        total = x.new_zeros((), dtype=torch.float32)
        norm = weight.sum().clamp(min=1e-6)
        for at in range(0, len(x), chunk):
            part, want, w = x[at : at + chunk], target[at : at + chunk], weight[at : at + chunk]
            p = (part @ E.t()).float()
            lse = p.logsumexp(-1)
            total += ((lse - p.gather(1, want[:, None]).squeeze(1)) * w).sum()
            p.sub_(lse[:, None]).exp_()
            p[torch.arange(len(want), device=p.device), want] -= 1.0
            p.mul_((w / norm)[:, None])
            g = p.to(x.dtype)
            gx[at : at + chunk] = g @ E
            gE += g.t() @ part
        ctx.save_for_backward(gx, gE)
        return total / norm

    @staticmethod
    def backward(ctx, g):
        gx, gE = ctx.saved_tensors
        return gx * g.to(gx.dtype), gE * g.to(gE.dtype), None, None


class RmsNorm(torch.autograd.Function):
    """Root-mean-square norm with few passes over memory, which is what a small model on a processor waits for."""

    @staticmethod
    def forward(ctx, x, w, eps):
        r = torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps)
        xn = x * r
        ctx.save_for_backward(xn, r, w)
        return xn * w

    @staticmethod
    def backward(ctx, g):
        xn, r, w = ctx.saved_tensors
        gw = (g * xn).flatten(0, -2).sum(0)
        gx = g * w
        gx = gx - xn * (gx * xn).mean(-1, keepdim=True)
        return gx.mul_(r), gw, None


class SwiGlu(torch.autograd.Function):
    @staticmethod
    def forward(ctx, ab):
        ctx.save_for_backward(ab)
        a, b = ab.chunk(2, -1)
        return F.silu(a).mul_(b)

    @staticmethod
    def backward(ctx, g):
        (ab,) = ctx.saved_tensors
        a, b = ab.chunk(2, -1)
        s = torch.sigmoid(a)
        sa = s * a
        return torch.cat([g * b * (s + sa - sa * s), g * sa], -1)


class Attention(torch.autograd.Function):
    """Causal attention by blocks of queries, so that the half that no token may see is not computed. B H T D."""

    @staticmethod
    def forward(ctx, q, k, v, block):
        T = q.shape[2]
        out, probabilities = torch.empty_like(q), []
        mask = torch.full((block, block), float('-inf'), device=q.device, dtype=q.dtype).triu_(1)
        scale = q.shape[-1] ** -0.5
        for j in range(0, T, block):
            e = min(T, j + block)
            s = (q[:, :, j:e] * scale) @ k[:, :, :e].transpose(-1, -2)
            s[..., j:] += mask[: e - j, : e - j]
            p = torch.softmax(s, -1)
            out[:, :, j:e] = p @ v[:, :, :e]
            probabilities.append(p)
        ctx.block = block
        ctx.save_for_backward(q, k, v, out, *probabilities)
        return out

    @staticmethod
    def backward(ctx, g):
        q, k, v, out, *probabilities = ctx.saved_tensors
        T, block, scale = q.shape[2], ctx.block, q.shape[-1] ** -0.5
        gq, gk, gv = torch.empty_like(q), torch.zeros_like(k), torch.zeros_like(v)
        delta = (g * out).sum(-1, keepdim=True)
        for n, j in enumerate(range(0, T, block)):
            e, p = min(T, j + block), probabilities[n]
            gj = g[:, :, j:e]
            gv[:, :, :e] += p.transpose(-1, -2) @ gj
            ds = (gj @ v[:, :, :e].transpose(-1, -2)).sub_(delta[:, :, j:e]).mul_(p)
            gq[:, :, j:e] = (ds @ k[:, :, :e]).mul_(scale)
            gk[:, :, :e] += (ds.transpose(-1, -2) @ q[:, :, j:e]).mul_(scale)
        return gq, gk, gv, None


def rotate(x, c, s):
    h = x.shape[-1] // 2
    return x * c + torch.cat([x[..., h:], x[..., :h]], -1) * s


class Model(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.shape = c = shape
        hd = c.dim // c.heads
        kd = c.kv * hd
        out = 0.02 / math.sqrt(2 * c.layers)

        def matrices(rows, columns, std):
            return nn.ParameterList([nn.Parameter(torch.randn(rows, columns) * std) for _ in range(c.layers)])

        def norms():
            return nn.ParameterList([nn.Parameter(torch.ones(c.dim)) for _ in range(c.layers)])

        self.emb = nn.Parameter(torch.randn(c.vocab, c.dim) * 0.02)
        self.an, self.fn = norms(), norms()
        self.qkv, self.o = matrices(c.dim + 2 * kd, c.dim, 0.04), matrices(c.dim, c.dim, out)
        self.gu, self.down = matrices(2 * c.ffn, c.dim, 0.04), matrices(c.dim, c.ffn, out)
        self.on = nn.Parameter(torch.ones(c.dim))
        f = 1.0 / c.rope ** (torch.arange(0, hd, 2).float() / hd)
        a = torch.outer(torch.arange(c.context).float(), f)
        # The rotate-half layout; export.py permutes the rows to llama.cpp's interleaved one.
        self.register_buffer('cs', torch.cat([a.cos(), a.cos()], -1), False)
        self.register_buffer('sn', torch.cat([-a.sin(), a.sin()], -1), False)

    def forward(self, ids, block=256):
        """ids: B T. Returns the hidden states after the last norm, B T dim."""
        c = self.shape
        B, T = ids.shape
        hd = c.dim // c.heads
        kd, rep = c.kv * hd, c.heads // c.kv
        x = F.embedding(ids, self.emb)
        cs, sn = self.cs[:T], self.sn[:T]
        for i in range(c.layers):
            y = F.linear(RmsNorm.apply(x, self.an[i], c.eps), self.qkv[i])
            q, k, v = (t.reshape(B, T, -1, hd).transpose(1, 2) for t in y.split([c.dim, kd, kd], -1))
            k, v = rotate(k, cs, sn).repeat_interleave(rep, 1), v.repeat_interleave(rep, 1)
            a = Attention.apply(rotate(q, cs, sn), k, v, block).transpose(1, 2).reshape(B, T, c.dim)
            x = x + F.linear(a, self.o[i])
            x = x + F.linear(SwiGlu.apply(F.linear(RmsNorm.apply(x, self.fn[i], c.eps), self.gu[i])), self.down[i])
        return RmsNorm.apply(x, self.on, c.eps)

    def loss(self, ids, target, weight):
        h = self.forward(ids)
        return HeadLoss.apply(h.reshape(-1, self.shape.dim), self.emb, target.reshape(-1), weight.reshape(-1))

    def matrices(self):
        """The parameters that weight decay is for."""
        return [p for name in ('qkv', 'o', 'gu', 'down') for p in getattr(self, name)]

    def cuts(self):
        """The rows of the matrices that lie on top of each other: query, key and value; gate and up."""
        c = self.shape
        kd = c.kv * (c.dim // c.heads)
        return {**{p: [c.dim, kd, kd] for p in self.qkv}, **{p: [c.ffn, c.ffn] for p in self.gu}}

    def others(self):
        return [self.emb, self.on, *self.an, *self.fn]
