"""The hybrid encoder: attention on the coarsest map, then FPN and PAN."""

import torch
from torch import nn
from torch.nn import functional as F

from backbone import Conv


class EncoderLayer(nn.Module):
    def __init__(self, dim, heads, hidden):
        super().__init__()
        self.self_attn = nn.MultiheadAttention(dim, heads, batch_first=True)
        self.linear1, self.linear2 = nn.Linear(dim, hidden), nn.Linear(hidden, dim)
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)

    def forward(self, x, position):
        query = x + position
        x = self.norm1(x + self.self_attn(query, query, x, need_weights=False)[0])
        return self.norm2(x + self.linear2(F.gelu(self.linear1(x))))


class Transformer(nn.Module):
    def __init__(self, config):
        super().__init__()
        dim = config["hiddenDim"]
        layers = [EncoderLayer(dim, config["heads"], config["feedForwardDim"]) for _ in range(config["layers"])]
        self.layers = nn.ModuleList(layers)
        self.dim, self.temperature = dim, config["positionTemperature"]

    def forward(self, x):
        b, c, h, w = x.shape
        column, row = torch.meshgrid(torch.arange(w).float(), torch.arange(h).float(), indexing="ij")
        rates = 1.0 / self.temperature ** (torch.arange(self.dim // 4).float() / (self.dim // 4))
        x_angle, y_angle = column.flatten()[:, None] * rates, row.flatten()[:, None] * rates
        position = torch.cat([x_angle.sin(), x_angle.cos(), y_angle.sin(), y_angle.cos()], 1)[None]
        tokens = x.flatten(2).transpose(1, 2)
        for layer in self.layers:
            tokens = layer(tokens, position)
        return tokens.transpose(1, 2).reshape(b, c, h, w)


class Rep(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv1, self.conv2 = Conv(channels, channels, 3), Conv(channels, channels, 1)

    def forward(self, x):
        return F.silu(self.conv1(x) + self.conv2(x))


class Csp(nn.Module):
    def __init__(self, inputs, outputs, blocks):
        super().__init__()
        self.conv1, self.conv2 = Conv(inputs, outputs, 1, act=F.silu), Conv(inputs, outputs, 1, act=F.silu)
        self.bottlenecks = nn.Sequential(*[Rep(outputs) for _ in range(blocks)])

    def forward(self, x):
        return self.bottlenecks(self.conv1(x)) + self.conv2(x)


class Elan(nn.Module):
    def __init__(self, dim, narrow, blocks):
        super().__init__()
        branch = lambda i: nn.Sequential(Csp(i, narrow, blocks), Conv(narrow, narrow, 3, act=F.silu))
        self.cv1 = Conv(2 * dim, 2 * dim, 1, act=F.silu)
        self.cv2, self.cv3 = branch(dim), branch(narrow)
        self.cv4 = Conv(2 * dim + 2 * narrow, dim, 1, act=F.silu)

    def forward(self, x):
        first = self.cv1(x)
        second = self.cv2(first.chunk(2, 1)[1])
        return self.cv4(torch.cat([first, second, self.cv3(second)], 1))


class Down(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.cv1, self.cv2 = Conv(dim, dim, 1), Conv(dim, dim, 3, 2, dim)

    def forward(self, x):
        return self.cv2(self.cv1(x))


class Encoder(nn.Module):
    def __init__(self, channels, config):
        super().__init__()
        dim, steps = config["hiddenDim"], range(len(channels) - 1)
        narrow = round(config["expansion"] * dim // 2)
        block = lambda: Elan(dim, narrow, round(3 * config["depthMult"]))
        self.input_proj = nn.ModuleList([Conv(c, dim, 1) for c in channels])
        self.encoder = nn.ModuleList([Transformer(config) for _ in config["transformerLevels"]])
        self.lateral_convs = nn.ModuleList([Conv(dim, dim, 1) for _ in steps])
        self.fpn_blocks = nn.ModuleList([block() for _ in steps])
        self.downsample_convs = nn.ModuleList([nn.Sequential(Down(dim)) for _ in steps])
        self.pan_blocks = nn.ModuleList([block() for _ in steps])
        self.levels = config["transformerLevels"]

    def forward(self, maps):
        maps = [project(x) for project, x in zip(self.input_proj, maps)]
        for level, transformer in zip(self.levels, self.encoder):
            maps[level] = transformer(maps[level])
        inner = [maps[-1]]
        for i, (lateral, block) in enumerate(zip(self.lateral_convs, self.fpn_blocks)):
            inner[0] = lateral(inner[0])
            finer = maps[-2 - i]
            inner.insert(0, block(torch.cat([F.interpolate(inner[0], scale_factor=2.0), finer], 1)))
        outputs = [inner[0]]
        for down, block, coarse in zip(self.downsample_convs, self.pan_blocks, inner[1:]):
            outputs.append(block(torch.cat([down(outputs[-1]), coarse], 1)))
        return outputs
