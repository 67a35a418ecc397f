"""Hungarian matching of queries with targets, and the union of the matches of all layers."""

import math

import torch

try:
    from scipy.optimize import linear_sum_assignment
except ImportError:
    linear_sum_assignment = None


def corners_of(boxes):
    centre, side = boxes[..., :2], boxes[..., 2:].clamp(min=0)
    return centre - side / 2, centre + side / 2


def overlaps(a, b):
    """IoU and generalised IoU of boxes that broadcast."""
    (a_low, a_high), (b_low, b_high) = corners_of(a), corners_of(b)
    area = lambda low, high: (high - low).prod(-1)
    shared = (torch.min(a_high, b_high) - torch.max(a_low, b_low)).clamp(min=0).prod(-1)
    union = area(a_low, a_high) + area(b_low, b_high) - shared
    hull = (torch.max(a_high, b_high) - torch.min(a_low, b_low)).clamp(min=0).prod(-1)
    iou = shared / union
    return iou, iou - (hull - union) / hull


def assign(cost):
    """Rows and columns of least total cost of a matrix [queries, targets] with fewer targets."""
    if linear_sum_assignment:
        return linear_sum_assignment(cost.numpy())
    # With n targets each gets one of its n nearest queries. Shortest augmenting paths, one target at a time.
    near = cost.topk(min(cost.shape), 0, largest=False).indices.unique()
    rows, columns = cost[near].T.tolist(), len(near)
    price_row, price_column = [0.0] * len(rows), [0.0] * columns
    row_of, column_of = [-1] * columns, [-1] * len(rows)
    for start in range(len(rows)):
        distance, before, done = [math.inf] * columns, [-1] * columns, [False] * columns
        row, length = start, 0.0
        while row >= 0:
            own, offset = rows[row], length - price_row[row]
            nearest, shortest = -1, math.inf
            for j in range(columns):
                if done[j]:
                    continue
                through = offset + own[j] - price_column[j]
                if through < distance[j]:
                    distance[j], before[j] = through, row
                if distance[j] < shortest:
                    nearest, shortest = j, distance[j]
            done[nearest], length, row = True, shortest, row_of[nearest]
        price_row[start] += length
        for j in range(columns):
            if done[j]:
                price_column[j] -= length - distance[j]
                if row_of[j] >= 0:
                    price_row[row_of[j]] += length - distance[j]
        j = nearest
        while j >= 0:
            owner = before[j]
            row_of[j] = owner
            j, column_of[owner] = column_of[owner], j
    pairs = sorted((near[column].item(), row) for row, column in enumerate(column_of))
    return [query for query, _ in pairs], [target for _, target in pairs]


@torch.no_grad()
def match(found, targets, config):
    alpha, gamma = config["alpha"], config["gamma"]
    labels = torch.cat([t["labels"] for t in targets])
    boxes = torch.cat([t["boxes"] for t in targets])
    p = found["logits"].flatten(0, 1).sigmoid()[:, labels]
    classes = alpha * (1 - p) ** gamma * -(p + 1e-8).log() - (1 - alpha) * p**gamma * -(1 - p + 1e-8).log()
    own = found["boxes"].flatten(0, 1)
    distance = torch.cdist(own, boxes, p=1)
    giou = overlaps(own[:, None], boxes)[1]
    cost = config["bboxWeight"] * distance + config["classWeight"] * classes - config["giouWeight"] * giou
    counts = [len(t["labels"]) for t in targets]
    cost = cost.nan_to_num(1.0).view(len(targets), -1, len(labels)).split(counts, 2)
    pairs = [assign(c[i]) for i, c in enumerate(cost)]
    return [tuple(torch.as_tensor(side, dtype=torch.int64) for side in pair) for pair in pairs]


def united(matches):
    """For each image the pairs of all layers: a query goes to the target that it met most often."""
    result = []
    for image in zip(*matches):
        pairs = torch.cat([torch.stack(pair, 1) for pair in image])
        unique, counts = pairs.unique(return_counts=True, dim=0)
        seen = {}
        for query, target in unique[counts.argsort(descending=True, stable=True)].tolist():
            seen.setdefault(query, target)
        result.append((torch.tensor(list(seen)), torch.tensor(list(seen.values()))))
    return result
