"""The decoder: chooses queries among tokens, and refines their boxes layer by layer."""

import math

import torch
from torch import nn
from torch.nn import functional as F


class Mlp(nn.Module):
    def __init__(self, inputs, hidden, outputs, layers):
        super().__init__()
        sizes = [inputs] + [hidden] * (layers - 1) + [outputs]
        self.layers = nn.ModuleList([nn.Linear(a, b) for a, b in zip(sizes, sizes[1:])])

    def forward(self, x):
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        return self.layers[-1](x)


class Deformable(nn.Module):
    def __init__(self, dim, heads, points, offset_scale):
        super().__init__()
        total = heads * sum(points)
        self.sampling_offsets = nn.Linear(dim, 2 * total)
        self.attention_weights = nn.Linear(dim, total)
        self.register_buffer("num_points_scale", torch.tensor([1 / n for n in points for _ in range(n)]))
        self.heads, self.points, self.offset_scale = heads, points, offset_scale

    def forward(self, query, reference, values, sizes):
        b, q, dim = query.shape
        depth = dim // self.heads
        offsets = self.sampling_offsets(query).view(b, q, self.heads, -1, 2)
        weights = self.attention_weights(query).view(b, q, self.heads, -1).softmax(-1)
        around = reference[:, :, None, None]
        shift = offsets * self.num_points_scale[:, None] * around[..., 2:] * self.offset_scale
        places = 2 * (around[..., :2] + shift) - 1
        places = places.permute(0, 2, 1, 3, 4).flatten(0, 1).split(self.points, 2)
        sampled = [
            F.grid_sample(value.reshape(b * self.heads, depth, h, w), place, "bilinear", "zeros", False)
            for value, (h, w), place in zip(values, sizes, places)
        ]
        weights = weights.permute(0, 2, 1, 3).reshape(b * self.heads, 1, q, -1)
        return (torch.cat(sampled, -1) * weights).sum(-1).reshape(b, dim, q).transpose(1, 2)


class Gate(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.gate, self.norm = nn.Linear(2 * dim, 2 * dim), nn.LayerNorm(dim)

    def forward(self, query, context):
        own, other = self.gate(torch.cat([query, context], -1)).sigmoid().chunk(2, -1)
        return self.norm(own * query + other * context)


class DecoderLayer(nn.Module):
    def __init__(self, config):
        super().__init__()
        dim, heads, hidden = config["hiddenDim"], config["heads"], config["feedForwardDim"]
        self.self_attn = nn.MultiheadAttention(dim, heads, batch_first=True)
        self.norm1, self.norm3 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.cross_attn = Deformable(dim, heads, config["points"], config["offsetScale"])
        self.gateway = Gate(dim)
        self.linear1, self.linear2 = nn.Linear(dim, hidden), nn.Linear(hidden, dim)

    def forward(self, x, position, reference, values, sizes, mask):
        query = x + position
        x = self.norm1(x + self.self_attn(query, query, x, attn_mask=mask, need_weights=False)[0])
        x = self.gateway(x, self.cross_attn(x + position, reference, values, sizes))
        return self.norm3((x + self.linear2(F.relu(self.linear1(x)))).clamp(-65504, 65504))


class Lqe(nn.Module):
    def __init__(self):
        super().__init__()
        self.reg_conf = Mlp(20, 64, 1, 2)

    def forward(self, scores, corners):
        b, q, bins = corners.shape
        best = corners.view(b, q, 4, bins // 4).softmax(-1).topk(4, -1).values
        return scores + self.reg_conf(torch.cat([best, best.mean(-1, keepdim=True)], -1).flatten(2))


def inverse_sigmoid(x):
    x = x.clamp(0, 1)
    return (x.clamp(min=1e-5) / (1 - x).clamp(min=1e-5)).log()


def bin_weights(up, scale, bins):
    """W(0) … W(bins), in units of a box's side over `scale`."""
    bound, half = abs(up) * abs(scale), bins // 2
    step = (bound + 1) ** (2 / (bins - 2))
    right = [step**i - 1 for i in range(1, half)] + [2 * bound]
    return torch.tensor([-r for r in reversed(right)] + [0.0] + right)


def move_edges(points, distance, scale):
    """Boxes [.., 4] (centre form) whose edges lie `distance` from the middle of `points`."""
    unit = points[..., 2:] / abs(scale)
    low = points[..., :2] - (0.5 * scale + distance[..., :2]) * unit
    high = points[..., :2] + (0.5 * scale + distance[..., 2:]) * unit
    return torch.cat([(low + high) / 2, high - low], -1)


class Stack(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.layers = nn.ModuleList([DecoderLayer(config) for _ in range(config["layers"])])
        self.lqe_layers = nn.ModuleList([Lqe() for _ in range(config["layers"])])


class Decoder(nn.Module):
    def __init__(self, config, classes):
        super().__init__()
        dim, layers, bins = config["hiddenDim"], config["layers"], config["regMax"]
        self.config, self.classes = config, classes
        self.decoder = Stack(config)
        self.denoising_class_embed = nn.Embedding(classes + 1, dim, padding_idx=classes)
        self.query_pos_head = Mlp(4, 2 * dim, dim, 2)
        self.enc_output = nn.ModuleDict({"proj": nn.Linear(dim, dim), "norm": nn.LayerNorm(dim)})
        self.enc_score_head, self.enc_bbox_head = nn.Linear(dim, classes), Mlp(dim, dim, 4, 3)
        self.dec_score_head = nn.ModuleList([nn.Linear(dim, classes) for _ in range(layers)])
        self.pre_bbox_head = Mlp(dim, dim, 4, 3)
        self.dec_bbox_head = nn.ModuleList([Mlp(dim, dim, 4 * (bins + 1), 3) for _ in range(layers)])
        self.weights = bin_weights(config["up"], config["regScale"], bins)

    def anchors(self, sizes):
        anchors = []
        for level, (h, w) in enumerate(sizes):
            y, x = torch.meshgrid((torch.arange(h) + 0.5) / h, (torch.arange(w) + 0.5) / w, indexing="ij")
            side = torch.full_like(x, 0.05 * 2**level)
            anchors.append(torch.stack([x, y, side, side], -1).flatten(0, 1))
        anchors, margin = torch.cat(anchors)[None], self.config["anchorMargin"]
        valid = ((anchors > margin) & (anchors < 1 - margin)).all(-1, keepdim=True)
        return (anchors / (1 - anchors)).log().masked_fill(~valid, math.inf), valid

    def encode(self, memory):
        return self.enc_output["norm"](self.enc_output["proj"](memory))

    def forward(self, maps, noisy):
        sizes = [x.shape[2:] for x in maps]
        memory = torch.cat([x.flatten(2) for x in maps], 2).transpose(1, 2)
        anchors, valid = self.anchors(sizes)
        memory = valid * memory
        with torch.no_grad():
            best = self.enc_score_head(self.encode(memory)).max(-1).values.topk(self.config["numQueries"], -1).indices
        take = lambda x: x.expand(len(best), -1, -1).gather(1, best[..., None].expand(-1, -1, x.shape[-1]))
        tokens = self.encode(take(memory))
        boxes = self.enc_bbox_head(tokens) + take(anchors)
        enc = {"logits": self.enc_score_head(tokens), "boxes": boxes.sigmoid()}
        x = torch.cat([self.denoising_class_embed(noisy["labels"]), tokens.detach()], 1)
        reference = torch.cat([noisy["boxes"], boxes.detach()], 1).sigmoid()
        b, heads = x.shape[0], self.config["heads"]
        # Of each level [B, heads · depth, H · W]: what is sampled.
        raw = torch.cat([m.flatten(2) for m in maps], 2)
        values = raw.split([h * w for h, w in sizes], 2)
        layers, pre, corners, points, before = [], None, 0, None, 0
        for i, layer in enumerate(self.decoder.layers):
            position = self.query_pos_head(reference).clamp(-10, 10)
            x = layer(x, position, reference, values, sizes, noisy["mask"])
            if points is None:
                pre = (self.pre_bbox_head(x) + inverse_sigmoid(reference)).sigmoid()
                points = pre.detach()
            corners = self.dec_bbox_head[i](x + before) + corners
            distance = corners.view(b, -1, 4, len(self.weights)).softmax(-1) @ self.weights
            boxes = move_edges(points, distance, self.config["regScale"])
            scores = self.dec_score_head[i](x)
            if i == 0:
                pre = {"logits": scores, "boxes": pre}
            logits = self.decoder.lqe_layers[i](scores, corners)
            layers.append({"logits": logits, "boxes": boxes, "corners": corners, "points": points})
            before, reference = x.detach(), boxes.detach()
        return layers, pre, enc
