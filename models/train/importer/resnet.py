"""Residual networks as their weights name them: torchvision's names, blocks and
widths as the file has them."""

import torch

from .checkpoint import batch_norm, conv2d


class Block(torch.nn.Module):
    """Two convolutions (ResNet-18) or three (ResNet-101), around which the input
    goes, itself or through a 1x1 convolution."""

    def __init__(self, w, stride):
        super().__init__()
        deep = "conv3.weight" in w
        self.parts = torch.nn.ModuleList()
        for i in (1, 2, 3) if deep else (1, 2):
            here = i == (2 if deep else 1)  # where the stride is
            k = 1 if deep and i != 2 else 3
            self.parts.append(conv2d(w, f"conv{i}", stride if here else 1, k // 2, bias=False, kernel=(k, k)))
            self.parts.append(batch_norm(w, f"bn{i}"))
        self.around = None
        if "downsample.0.weight" in w:
            self.around = torch.nn.Sequential(conv2d(w, "downsample.0", stride, bias=False, kernel=(1, 1)), batch_norm(w, "downsample.1"))

    def forward(self, x):
        around = x if self.around is None else self.around(x)
        for i in range(0, len(self.parts), 2):
            x = self.parts[i + 1](self.parts[i](x))
            if i + 2 < len(self.parts):
                x = torch.relu(x)
        return torch.relu(x + around)


class ResNet(torch.nn.Module):
    """[batch, channels, height, width] to layer4's [batch, features, h, w].

    names are those of conv1, bn1 and layer1 to layer4 in the file.
    """

    def __init__(self, w, first="conv1", strides=(1, 2, 2, 2), names=("bn1", "layer1", "layer2", "layer3", "layer4")):
        super().__init__()
        self.first = conv2d(w, first, 2, 3, bias=False, kernel=(7, 7))
        self.norm = batch_norm(w, names[0])
        self.blocks = torch.nn.ModuleList()
        for name, stride in zip(names[1:], strides):
            i = 0
            while f"{name}.{i}.conv1.weight" in w or i == 0:
                self.blocks.append(Block(w.below(f"{name}.{i}."), stride if i == 0 else 1))
                i += 1
        self.features = self.blocks[-1].parts[-1].num_features

    def forward(self, x):
        x = torch.nn.functional.max_pool2d(torch.relu(self.norm(self.first(x))), 3, 2, 1)
        for block in self.blocks:
            x = block(x)
        return x
