"""Tells the apparent sex of a face; trained on other faces than the decoder was."""

import torch
import torch.nn.functional as F
from torch import nn

from face import portraits


class Judge(nn.Sequential):
    """texture [batch, 3, 64, 64] -> logit of a woman's face [batch, 1]"""

    def __init__(self):
        layers, c = [], 3
        for o in (24, 48, 64, 96):
            layers += [nn.Conv2d(c, o, 3, 2, 1), nn.BatchNorm2d(o), nn.ReLU()]
            c = o
        super().__init__(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.3), nn.Linear(c, 1))


def varied(x):
    """Shifted, scaled, mirrored, blurred, lighter and darker, in colour or grey."""
    n = len(x)
    p = torch.randn(n, 4) * torch.tensor([0.12, 0.12, 0.08, 0.08])
    theta = torch.stack([torch.stack([p[:, 0].exp() * p[:, 1].cos(), -p[:, 1].sin(), p[:, 2]], 1),
                         torch.stack([p[:, 1].sin(), p[:, 0].exp() * p[:, 1].cos(), p[:, 3]], 1)], 1)
    x = portraits.sampled(x, theta, portraits.SIDE)
    if torch.rand(()) < 0.5:
        x = x.flip(3)
    if torch.rand(()) < 0.6:  # what is drawn is softer than a photograph
        x = portraits.blurred(x, (3, 5)[torch.randint(2, ()).item()])
    if torch.rand(()) < 0.3:
        x = x.mean(1, keepdim=True).expand(-1, 3, -1, -1)
    return (x * (0.7 + 0.6 * torch.rand(n, 1, 1, 1)) + 0.1 * torch.randn(n, 3, 1, 1)).clamp(0, 1)


def train(faces, women, steps, batch=32):
    net = Judge()
    optimizer = torch.optim.AdamW(net.parameters(), 3e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, steps)
    p = torch.where(women > 0, 1 / women.sum(), 1 / (1 - women).sum())
    for _ in range(steps):
        i = torch.multinomial(p, batch)
        loss = F.binary_cross_entropy_with_logits(net(varied(faces[i]))[:, 0], women[i])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return net.eval()


@torch.no_grad()
def accuracy(net, faces, women):
    """Mean of the shares of men and of women that are told right."""
    right = ((net(faces)[:, 0] > 0) == (women > 0)).float()
    return ((right[women == 0].mean() + right[women == 1].mean()) / 2).item()
