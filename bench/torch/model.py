"""D-FINE in training, and its denoising queries."""

import torch
from torch import nn

from backbone import Backbone
from decoder import Decoder, inverse_sigmoid
from encoder import Encoder


class Model(nn.Module):
    def __init__(self, config):
        super().__init__()
        stages, backbone = config["backbone"]["stages"], config["backbone"]
        self.backbone = Backbone(backbone)
        self.decoder = Decoder(config["decoder"], len(config["classes"]))
        self.encoder = Encoder([stages[i]["out"] for i in backbone["returnStages"]], config["encoder"])

    def forward(self, images, noisy):
        return self.decoder(self.encoder(self.backbone(images)), noisy)


def noisy_queries(targets, classes, queries, config):
    """Each target moved a little and moved further, in groups: queries ahead of the ordinary ones, and their mask."""
    most = max(len(t["labels"]) for t in targets)
    groups = max(1, config["numDenoising"] // most)
    size, count = 2 * most, 2 * most * groups
    labels = torch.full((len(targets), count), classes)
    boxes = torch.zeros(len(targets), count, 4)
    negative = torch.zeros(count)
    positives = []
    for i, target in enumerate(targets):
        n = len(target["labels"])
        place = (torch.arange(2 * groups) * most)[:, None] + torch.arange(n)
        labels[i, place] = target["labels"]
        boxes[i, place] = target["boxes"]
        positives.append((place[::2].flatten(), torch.arange(n).repeat(groups)))
    negative.view(groups, 2, most)[:, 1] = 1
    swapped = torch.rand(labels.shape) < 0.5 * config["labelNoiseRatio"]
    labels = torch.where(swapped & (labels < classes), torch.randint(classes, labels.shape), labels)
    edges = torch.cat([boxes[..., :2] - boxes[..., 2:] / 2, boxes[..., :2] + boxes[..., 2:] / 2], -1)
    sign = torch.randint(2, edges.shape) * 2 - 1
    reach = boxes[..., 2:].repeat(1, 1, 2) * 0.5 * config["boxNoiseScale"]
    edges = (edges + sign * (torch.rand(edges.shape) + negative[:, None]) * reach).clamp(0, 1)
    moved = torch.cat([(edges[..., :2] + edges[..., 2:]) / 2, edges[..., 2:] - edges[..., :2]], -1).abs()
    group = torch.arange(count) // size
    mask = torch.ones(count + queries, count + queries, dtype=torch.bool)
    mask[:, count:] = False
    mask[:count, :count] = group[:, None] != group
    return {"labels": labels, "boxes": inverse_sigmoid(moved), "mask": mask}, positives, groups, count
