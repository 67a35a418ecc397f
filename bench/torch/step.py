"""A training step of D-FINE in PyTorch, as a peer of ours: forward, criterion with matching, backward, clip, AdamW, EMA.

The first line of standard input is JSON: `model`, `criterion` and `train` of a configuration, `weights` (safetensors with
the official names), `images` (a file of float32, [B, 3, S, S]), `size`, `batch`, `targets` and `threads`. Answers with
the number of parameters; then every further line is a step, answered with its losses. Needs torch; takes scipy
for the assignment where it is there.
"""

import copy
import json
import math
import struct
import sys

import torch
from torch import nn

from criterion import Criterion, losses
from model import Model, noisy_queries


def read_weights(path):
    dtypes = {"F32": torch.float32, "I32": torch.int32, "I64": torch.int64}
    with open(path, "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        data = bytearray(file.read())
    header.pop("__metadata__", None)
    view = lambda e: torch.frombuffer(data, dtype=dtypes[e["dtype"]], offset=e["data_offsets"][0], count=math.prod(e["shape"]))
    return {name: view(entry).reshape(entry["shape"]).clone() for name, entry in header.items()}


def main():
    job = json.loads(sys.stdin.readline())
    torch.set_num_threads(job["threads"])
    torch.manual_seed(0)
    config, train = job["model"], job["train"]
    model = Model(config).train()
    state = read_weights(job["weights"])
    missing = [name for name in model.state_dict() if name not in state and "num_batches" not in name]
    if missing:
        raise SystemExit(f"the weights lack {missing[:5]}")
    model.load_state_dict({k: v for k, v in state.items() if k in model.state_dict()}, strict=False)
    average = copy.deepcopy(model.state_dict())
    optimizer = train["optimizer"]
    backbone = [p for n, p in model.named_parameters() if n.startswith("backbone")]
    bare = [p for n, p in model.named_parameters() if not n.startswith("backbone") and ("norm" in n or "bias" in n)]
    known = {id(p) for p in backbone + bare}
    groups = [
        {"params": backbone, "lr": optimizer["backboneLearningRate"]},
        {"params": bare, "weight_decay": 0.0},
        {"params": [p for p in model.parameters() if id(p) not in known]},
    ]
    adam = torch.optim.AdamW(groups, optimizer["learningRate"], optimizer["betas"], optimizer["eps"], optimizer["weightDecay"])
    criterion = Criterion(job["criterion"], config["decoder"], model.decoder.weights)
    targets = [
        {"labels": torch.tensor(t["labels"]), "boxes": torch.tensor(t["boxes"]).view(-1, 4)} for t in job["targets"]
    ]
    shape = (job["batch"], 3, job["size"], job["size"])
    images = torch.from_file(job["images"], size=math.prod(shape)).view(shape).clone()
    print(json.dumps({"parameters": sum(p.numel() for p in model.parameters())}), flush=True)
    steps = 0
    for _ in sys.stdin:
        noise = noisy_queries(targets, len(config["classes"]), config["decoder"]["numQueries"], config["denoising"])
        ordinary, noisy = losses(model(images, noise[0]), targets, noise, criterion)
        adam.zero_grad()
        (ordinary + noisy).backward()
        nn.utils.clip_grad_norm_(model.parameters(), optimizer["clipMaxNorm"])
        adam.step()
        steps += 1
        decay = train["ema"]["decay"] * (1 - math.exp(-steps / train["ema"]["warmups"]))
        with torch.no_grad():
            for name, value in model.state_dict().items():
                if value.dtype.is_floating_point:
                    average[name].mul_(decay).add_(value, alpha=1 - decay)
        print(json.dumps({"ordinary": ordinary.item(), "noisy": noisy.item()}), flush=True)


main()
