"""Muon (Jordan 2024) for the matrices inside of the model: momentum whose singular values are made alike by some steps of a
Newton-Schulz iteration. The size of a step is AdamW's (0.2 of the rate per weight, Liu et al. 2025), so that one rate is
for both."""

import torch

from team import Team


def orthogonal(g, steps=5):
    """Nearly U V' of g = U S V'. Coefficients of Jordan's quintic."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = g.T if g.shape[0] > g.shape[1] else g
    x = x / (x.norm() + 1e-7)
    for _ in range(steps):
        s = x @ x.T
        x = torch.addmm(x, torch.addmm(s, s, s, beta=b, alpha=c), x, beta=a)
    return x.T if g.shape[0] > g.shape[1] else x


class Muon(torch.optim.Optimizer):
    """Parameters may be several matrices on top of each other: `cuts` gives the rows of each. Every member of the team makes
    its part of the matrices; all get all."""

    def __init__(self, params, cuts, team: Team, lr, momentum=0.95, weight_decay=0.1):
        super().__init__(params, dict(lr=lr, momentum=momentum, weight_decay=weight_decay))
        self.cuts, self.team = cuts, team

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            updates = [torch.zeros_like(p) for p in group['params']]
            number = 0
            for p, update in zip(group['params'], updates):
                moment = self.state[p].setdefault('moment', torch.zeros_like(p))
                moment.mul_(group['momentum']).add_(p.grad)
                g = p.grad.add(moment, alpha=group['momentum'])
                rows = self.cuts.get(p, [p.shape[0]])
                for part, out in zip(g.split(rows), update.split(rows)):
                    if number % self.team.size == self.team.rank:
                        out.copy_(orthogonal(part)).mul_(0.2 * max(part.shape) ** 0.5)
                    number += 1
            self.team.add(updates)
            for p, update in zip(group['params'], updates):
                p.mul_(1 - group['lr'] * group['weight_decay']).add_(update, alpha=-group['lr'])
