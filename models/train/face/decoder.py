"""A variational autoencoder of canonical faces; its decoder draws the illustration.

The means of its code are the face feature that voices are led to. A loss on one linear
read-out makes the code hold the apparent sex of a face, which is what voices tell here.
"""

import torch
import torch.nn.functional as F
from torch import nn

from face.portraits import SIDE

CODE = 64
DIVERGENCE, SEX = 0.002, 0.05  # weights against the picture's loss


class Encoder(nn.Module):
    """texture [batch, 3, 64, 64] -> mean and log variance of the code"""

    def __init__(self):
        super().__init__()
        layers, c = [], 3
        for o in (24, 48, 96, 128):
            layers += [nn.Conv2d(c, o, 4, 2, 1), nn.BatchNorm2d(o), nn.LeakyReLU(0.2)]
            c = o
        self.net = nn.Sequential(*layers, nn.Flatten(), nn.Linear(c * (SIDE // 16) ** 2, 2 * CODE))

    def forward(self, texture):
        return self.net(texture).chunk(2, 1)


class Decoder(nn.Module):
    """face_feature [batch, 64] -> texture [batch, 3, 64, 64] in 0 to 1"""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(CODE, 128 * 16)
        layers, c = [], 128
        for o in (128, 80, 40, 24):
            layers += [nn.Upsample(scale_factor=2, mode="nearest"), nn.Conv2d(c, o, 3, 1, 1), nn.BatchNorm2d(o), nn.ReLU()]
            c = o
        self.up = nn.Sequential(*layers, nn.Conv2d(c, 3, 3, 1, 1))

    def forward(self, face_feature):
        return torch.sigmoid(self.up(self.first(face_feature).view(-1, 128, 4, 4)))


def face_weight():
    """[1, 1, SIDE, SIDE]: the face counts more than what is behind it."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, SIDE), torch.linspace(-1, 1, SIDE), indexing="ij")
    return (0.25 + 0.75 * torch.exp(-((x / 0.75) ** 4 + ((y + 0.05) / 0.9) ** 4)))[None, None]


def picture_loss(p, q):
    """Absolute differences of pixels and of their slopes, at four sizes."""
    loss = 0.0
    for _ in range(4):
        loss = loss + (p - q).abs().mean()
        loss = loss + 2 * (p.diff(dim=3) - q.diff(dim=3)).abs().mean() + 2 * (p.diff(dim=2) - q.diff(dim=2)).abs().mean()
        p, q = F.avg_pool2d(p, 2), F.avg_pool2d(q, 2)
    return loss


class Autoencoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder, self.decoder, self.sex = Encoder(), Decoder(), nn.Linear(CODE, 1)
        self.register_buffer("weight", face_weight())

    def loss(self, x, women):
        mean, spread = self.encoder(x)
        code = mean + torch.randn_like(mean) * (spread / 2).exp()
        picture = picture_loss(self.decoder(code) * self.weight, x * self.weight)
        divergence = 0.5 * (mean * mean + spread.exp() - spread - 1).sum(1).mean()
        sex = F.binary_cross_entropy_with_logits(self.sex(mean)[:, 0], women)
        return picture + DIVERGENCE * divergence + SEX * sex


def train(faces, women, steps, log, batch=32):
    net = Autoencoder()
    optimizer = torch.optim.AdamW(net.parameters(), 2e-3, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, steps)
    # As many women as men in the mean, of whom there are five times as many.
    p = torch.where(women > 0, 1 / women.sum(), 1 / (1 - women).sum())
    for step in range(steps):
        i = torch.multinomial(p, batch)
        x = faces[i].flip(3) if step % 2 else faces[i]
        x = (x * (0.85 + 0.3 * torch.rand(batch, 1, 1, 1))).clamp(0, 1)
        loss = net.loss(x, women[i])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if (step + 1) % 100 == 0:
            log(f"decoder step {step + 1}  loss {loss.item():.4f}")
    return net.eval()


@torch.no_grad()
def targets(net, faces, women):
    """[2, CODE]: the mean code of men and of women, both ways round."""
    code = (net.encoder(faces)[0] + net.encoder(faces.flip(3))[0]) / 2
    return torch.stack([code[women == 0].mean(0), code[women == 1].mean(0)])
