"""HGNetv2, and the convolution with what follows it that all of D-FINE is made of."""

import torch
from torch import nn
from torch.nn import functional as F


class Affine(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.bias = nn.Parameter(torch.zeros(1))

    def forward(self, x):
        return self.scale * x + self.bias


class Conv(nn.Module):
    """Convolution, batch norm, activation, and where it is learned a scale and a shift."""

    def __init__(self, inputs, outputs, kernel, stride=1, groups=1, act=None, norm="norm", affine=False):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, (kernel - 1) // 2, groups=groups, bias=False)
        self.norm_name = norm
        setattr(self, norm, nn.BatchNorm2d(outputs))
        self.act = act
        self.lab = Affine() if affine else None

    def forward(self, x):
        x = getattr(self, self.norm_name)(self.conv(x))
        if self.act:
            x = self.act(x)
        return self.lab(x) if self.lab else x


class Stem(nn.Module):
    def __init__(self, mid, out, style):
        super().__init__()
        self.stem1 = Conv(3, mid, 3, 2, **style)
        self.stem2a = Conv(mid, mid // 2, 2, **style)
        self.stem2b = Conv(mid // 2, mid, 2, **style)
        self.stem3 = Conv(2 * mid, mid, 3, 2, **style)
        self.stem4 = Conv(mid, out, 1, **style)

    def forward(self, x):
        x = F.pad(self.stem1(x), (0, 1, 0, 1))
        branch = self.stem2b(F.pad(self.stem2a(x), (0, 1, 0, 1)))
        pooled = F.max_pool2d(x, 2, 1, ceil_mode=True)
        return self.stem4(self.stem3(torch.cat([pooled, branch], 1)))


class Light(nn.Module):
    def __init__(self, inputs, outputs, kernel, style):
        super().__init__()
        self.conv1 = Conv(inputs, outputs, 1, norm=style["norm"])
        self.conv2 = Conv(outputs, outputs, kernel, groups=outputs, **style)

    def forward(self, x):
        return self.conv2(self.conv1(x))


class Block(nn.Module):
    def __init__(self, inputs, stage, residual, style):
        super().__init__()
        mid, out, kernel = stage["mid"], stage["out"], stage["kernel"]
        unit = (lambda i: Light(i, mid, kernel, style)) if stage["light"] else (lambda i: Conv(i, mid, kernel, **style))
        self.layers = nn.ModuleList([unit(mid if i else inputs) for i in range(stage["layers"])])
        total = inputs + stage["layers"] * mid
        self.aggregation = nn.Sequential(Conv(total, out // 2, 1, **style), Conv(out // 2, out, 1, **style))
        self.residual = residual

    def forward(self, x):
        outputs = [x]
        for layer in self.layers:
            outputs.append(layer(outputs[-1]))
        y = self.aggregation(torch.cat(outputs, 1))
        return y + x if self.residual else y


class Stage(nn.Module):
    def __init__(self, stage, style):
        super().__init__()
        inputs, out = stage["in"], stage["out"]
        self.downsample = Conv(inputs, inputs, 3, 2, inputs, norm=style["norm"]) if stage["downsample"] else None
        blocks = [Block(out if i else inputs, stage, i > 0, style) for i in range(stage["blocks"])]
        self.blocks = nn.Sequential(*blocks)

    def forward(self, x):
        return self.blocks(self.downsample(x) if self.downsample else x)


class Backbone(nn.Module):
    def __init__(self, config):
        super().__init__()
        style = {"act": F.relu, "norm": "bn", "affine": config["learnableAffine"]}
        self.stem = Stem(config["stem"]["mid"], config["stem"]["out"], style)
        self.stages = nn.ModuleList([Stage(stage, style) for stage in config["stages"]])
        self.wanted = config["returnStages"]

    def forward(self, x):
        x, outputs = self.stem(x), []
        for stage in self.stages:
            x = stage(x)
            outputs.append(x)
        return [outputs[i] for i in self.wanted]
