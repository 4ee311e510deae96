"""Muon (Jordan et al. 2024): steps of orthogonalized momentum for convolutions.

The step of a kernel, taken as a matrix [outputs, inputs x height x width], is its
momentum with all singular values brought near 1, so that directions that the gradient
seldom shows are learned as fast as those that it always shows. On these networks a step
teaches about as much as two of plain momentum and takes a tenth longer. PyTorch's own
Muon takes matrices only, and iterates on the matrix itself; kernels here are four to
nine times as wide as high, so that iterating on the Gram matrix takes a third of the time.
"""

import torch

# Of the quintic iteration, from the paper: it need not converge to 1 exactly, it has to
# bring every singular value above 1e-3 to between 0.7 and 1.2 in few rounds.
A, B, C, ROUNDS = 3.4445, -4.7750, 2.0315, 5


def orthogonalized(g):
    """U V^T, nearly, of g = U S V^T."""
    tall = g.shape[0] > g.shape[1]
    x = g.t() if tall else g
    x = x / (x.norm() + 1e-7)
    gram, product = x @ x.t(), None
    for _ in range(ROUNDS):
        q = B * gram + C * (gram @ gram)
        q.diagonal().add_(A)
        product = q if product is None else q @ product
        gram = q @ gram @ q
    x = product @ x
    return x.t() if tall else x


class Muon(torch.optim.Optimizer):
    """Kernels of convolutions by Muon at the rate lr, all else by Nesterov's momentum at
    `plain` times that; matrices decay, vectors don't."""

    def __init__(self, model, lr, momentum, decay, plain, plain_decay):
        of = lambda test: [p for p in model.parameters() if test(p.ndim)]
        super().__init__([
            {"params": of(lambda n: n == 4), "decay": decay, "times": 1.0, "orthogonal": True},
            {"params": of(lambda n: n in (2, 3)), "decay": plain_decay, "times": plain, "orthogonal": False},
            {"params": of(lambda n: n < 2), "decay": 0.0, "times": plain, "orthogonal": False},
        ], {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            rate, keep = group["lr"] * group["times"], group["momentum"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if not state:
                    state["momentum"] = torch.zeros_like(p)
                step = p.grad.add(state["momentum"].mul_(keep).add_(p.grad), alpha=keep)
                if group["orthogonal"]:
                    flat = orthogonalized(step.flatten(1))
                    step = flat.mul_(max(1.0, flat.shape[0] / flat.shape[1]) ** 0.5).view_as(p)
                p.mul_(1 - rate * group["decay"]).add_(step, alpha=-rate)
