"""The losses of D-FINE: varifocal, boxes, fine-grained localisation, distillation."""

import math

import torch
from torch.nn import functional as F

from matcher import corners_of, match, overlaps, united


def flat(pairs, targets):
    """Images, queries, labels and boxes of all pairs."""
    images = torch.cat([torch.full_like(queries, i) for i, (queries, _) in enumerate(pairs)])
    labels = torch.cat([t["labels"][chosen] for t, (_, chosen) in zip(targets, pairs)])
    boxes = torch.cat([t["boxes"][chosen] for t, (_, chosen) in zip(targets, pairs)])
    return images, torch.cat([queries for queries, _ in pairs]), labels, boxes


def edge_targets(points, boxes, weights, scale):
    """Left bin of each edge's distance, and the shares of both bins."""
    low, high = corners_of(boxes)
    unit = points[:, 2:] / abs(scale) + 1e-16
    distance = torch.cat([(points[:, :2] - low) / unit, (high - points[:, :2]) / unit], 1) - 0.5 * scale
    last = len(weights) - 1
    left = torch.searchsorted(weights, distance, right=True) - 1
    inside = left.clamp(0, last - 1)
    to_left, to_right = (distance - weights[inside]).abs(), (weights[inside + 1] - distance).abs()
    right = to_left / (to_left + to_right)
    right = right.masked_fill(left < 0, 0.0).masked_fill(left >= last, 1.0)
    return inside, 1 - right, right


class Criterion:
    def __init__(self, config, decoder, weights):
        self.config, self.scale, self.weights = config, decoder["regScale"], weights
        self.temperature = config["distillation"][0]["temperature"]
        self.ddf = config["distillation"][0]["weight"]

    def classes(self, found, pairs, targets, divisor):
        images, queries, labels, boxes = flat(pairs, targets)
        iou = overlaps(found["boxes"][images, queries].detach(), boxes)[0]
        logits = found["logits"]
        quality = torch.zeros_like(logits)
        quality[images, queries, labels] = iou
        is_target = torch.zeros_like(logits)
        is_target[images, queries, labels] = 1
        p = logits.detach().sigmoid()
        weight = self.config["alpha"] * p ** self.config["gamma"] * (1 - is_target) + quality
        return F.binary_cross_entropy_with_logits(logits, quality, weight, reduction="sum") / divisor

    def boxes(self, found, pairs, targets, divisor):
        images, queries, _, boxes = flat(pairs, targets)
        own = found["boxes"][images, queries]
        return (own - boxes).abs().sum() / divisor, (1 - overlaps(own, boxes)[1]).sum() / divisor

    def edges(self, found, pairs, targets, divisor):
        images, queries, _, boxes = flat(pairs, targets)
        corners = found["corners"][images, queries].view(-1, len(self.weights))
        iou = overlaps(found["boxes"][images, queries].detach(), boxes)[0].repeat_interleave(4)
        with torch.no_grad():
            left, share, other = edge_targets(found["points"][images, queries], boxes, self.weights, self.scale)
        left, share, other = left.flatten(), share.flatten(), other.flatten()
        loss = F.cross_entropy(corners, left, reduction="none") * share
        loss = loss + F.cross_entropy(corners, left + 1, reduction="none") * other
        return (loss * iou).sum() / divisor

    def distil(self, found, teacher, pairs, targets, balance):
        images, queries, _, boxes = flat(pairs, targets)
        bins, t = len(self.weights), self.temperature
        student, wanted = found["corners"].reshape(-1, bins), teacher["corners"].detach().reshape(-1, bins)
        if torch.equal(student, wanted):
            return student.sum() * 0
        weight = teacher["logits"].detach().sigmoid().max(-1).values
        matched = torch.zeros_like(weight, dtype=torch.bool)
        matched[images, queries] = True
        weight[images, queries] = overlaps(found["boxes"][images, queries].detach(), boxes)[0]
        loss = F.kl_div((student / t).log_softmax(1), (wanted / t).softmax(1), reduction="none").sum(-1)
        loss = loss.view(*weight.shape, 4) * weight[..., None] * t * t
        positive = loss[matched].mean() if matched.any() else 0
        return (positive * balance[0] + loss[~matched].mean() * balance[1]) / (balance[0] + balance[1])

    def __call__(self, sets, targets, class_pairs, box_pairs, class_divisor, box_divisor, balance):
        """Weighted losses of sets of one kind; those with distributions come last layer first."""
        weights, losses = self.config["weights"], []
        for i, found in enumerate(sets):
            l1, giou = self.boxes(found, box_pairs, targets, box_divisor)
            losses += [weights["vfl"] * self.classes(found, class_pairs[i], targets, class_divisor)]
            losses += [weights["bbox"] * l1, weights["giou"] * giou]
            if "corners" in found:
                losses.append(weights["fgl"] * self.edges(found, box_pairs, targets, box_divisor))
                if "teacher" in found:
                    losses.append(self.ddf * self.distil(found, found["teacher"], box_pairs, targets, balance))
        return sum(losses)


def part(found, pick):
    return {key: pick(value) for key, value in found.items()}


def losses(outputs, targets, noise, criterion):
    """The loss of ordinary queries, and that of noisy ones."""
    layers, pre, enc = outputs
    _, positives, groups, count = noise
    boxes = sum(len(t["labels"]) for t in targets)

    def sets(pick):
        parts = [part(layer, pick) for layer in layers]
        for layer in parts[:-1]:
            layer["teacher"] = parts[-1]
        return [parts[-1], *parts[:-1], part(pre, pick)]

    ordinary = sets(lambda x: x[:, count:]) + [enc]
    noisy = sets(lambda x: x[:, :count])
    matches = [match(found, targets, criterion.config["matcher"]) for found in ordinary]
    union = united(matches)
    pairs = sum(len(queries) for queries, _ in union)
    per_image = lambda n: math.sqrt(4 * n * 8 / len(targets))
    rows = ordinary[0]["logits"].shape[0] * ordinary[0]["logits"].shape[1]
    balance = (per_image(pairs), per_image(rows - pairs))
    total = criterion(ordinary, targets, matches, union, boxes, max(1, pairs), balance)
    given = [positives] * len(noisy)
    return total, criterion(noisy, targets, given, positives, boxes * groups, boxes * groups, balance)
