import { ArgumentError, referenceBackend, setBackend, zeros } from "@dfine/tensor";
import { beforeAll, expect, it } from "vitest";
import {
  AdamW,
  BatchNorm2d,
  Conv2d,
  Embedding,
  FrozenBatchNorm2d,
  GroupNorm,
  LayerNorm,
  Linear,
  Mlp,
} from "../index.ts";

beforeAll(() => setBackend(referenceBackend()));

/** What somebody who does not use TypeScript may pass. */
const untyped = <T>(value: unknown): T => value as T;

it.each([
  ["Linear", () => new Linear(2, 3, untyped({ activations: "relu" })), 'did you mean "activation"?'],
  ["Linear", () => new Linear(2, 3, { activation: untyped("swish") }), 'activation is "swish"; it takes one of'],
  ["Conv2d", () => new Conv2d(2, 3, untyped(3)), "options is 3; it takes an object of options: { kernel, "],
  ["Conv2d", () => new Conv2d(2, 3, untyped({ kernelSize: 3 })), 'there is no option "kernelSize"'],
  ["Conv2d", () => new Conv2d(2, 3, { kernel: 0 }), "kernel is 0; it takes a whole number from 1 on"],
  ["Conv2d", () => new Conv2d(2, 3, { kernel: 3, activation: "relu" }), "the activation relu follows the bias"],
  ["Conv2d", () => new Conv2d(3, 4, { kernel: 3, groups: 2 }), "3 and 4 channels do not divide into 2 groups"],
  ["BatchNorm2d", () => new BatchNorm2d(2, untyped({ momentun: 0.1 })), 'did you mean "momentum"?'],
  ["norm", () => new BatchNorm2d(2).call(zeros([1, 2, 2, 2]), untyped({ activate: "relu" })), 'no option "activate"'],
  [
    "FrozenBatchNorm2d",
    () => new FrozenBatchNorm2d(2, untyped(1e-5)),
    "options is 0.00001; it takes an object of options",
  ],
  ["LayerNorm", () => new LayerNorm(2, untyped({ epsilon: 1 })), 'there is no option "epsilon"'],
  ["GroupNorm", () => new GroupNorm(1, 2, untyped({ epsilon: 1 })), 'there is no option "epsilon"'],
  ["Embedding", () => new Embedding(2, 3, { paddingIndex: -1 }), "paddingIndex is -1"],
  ["Mlp", () => new Mlp(2, 3, { layers: 0, hidden: 4 }), "layers is 0"],
  ["AdamW", () => new AdamW([], untyped({ lr: 1 })), 'there is no option "lr"'],
] as const)("%s refuses options that it does not have, and values that do not fit", (name, make, message) => {
  expect(make).toThrow(ArgumentError);
  expect(make).toThrow(new RegExp(`^${name}: `));
  expect(make).toThrow(message);
});
