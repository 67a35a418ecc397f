import {
  backward,
  liveStorages,
  Random,
  referenceBackend,
  scope,
  setBackend,
  type Tensor,
  tensor,
  zeros,
} from "@dfine/tensor";
import { beforeAll, describe, expect, test } from "vitest";
import { initialize } from "./initialize.ts";
import { BatchNorm2d } from "./layers/batchNorm2d.ts";
import { Linear } from "./layers/linear.ts";
import { Mlp } from "./layers/mlp.ts";
import { Module } from "./module.ts";
import { buffer, parameter } from "./parameter.ts";
import { StateDictError } from "./state.ts";

beforeAll(() => setBackend(referenceBackend({ poison: true })));

class Inner extends Module<[x: Tensor], Tensor> {
  readonly shared: Tensor;
  readonly outProj: Linear;

  constructor(shared: Tensor) {
    super();
    this.shared = shared;
    this.outProj = new Linear(2, 2);
  }

  protected forward(x: Tensor): Tensor {
    return this.outProj.call(x.mul(2)).add(this.shared);
  }
}

/** Fields in an order of their own: a child before a buffer before a parameter. */
class Outer extends Module<[x: Tensor], Tensor> {
  readonly layers: (Inner | undefined)[];
  readonly pairs: Linear[][];
  readonly runningTotal: Tensor;
  readonly anchors: Tensor;
  readonly offset: Tensor;
  readonly settings = { width: 2 };

  constructor() {
    super();
    const offset = parameter([2], 3, { trainable: false });
    this.layers = [undefined, new Inner(offset)];
    this.pairs = [[new Linear(2, 3)]];
    this.runningTotal = buffer(zeros([2]));
    this.anchors = buffer(zeros([4]), { derived: true });
    this.offset = offset;
  }

  protected forward(x: Tensor): Tensor {
    return this.layers.reduce((y, layer) => layer?.call(y) ?? y, x);
  }
}

const host = (shape: number[], value = 1) => ({
  shape,
  data: new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(value),
});

describe("Module", () => {
  test("names tensors as PyTorch does: parameters, buffers, children in order", () => {
    using outer = new Outer();
    expect([...outer.stateDict().keys()]).toEqual([
      "offset",
      "running_total",
      "anchors",
      "layers.1.shared",
      "layers.1.out_proj.weight",
      "layers.1.out_proj.bias",
      "pairs.0.0.weight",
      "pairs.0.0.bias",
    ]);
    expect([...outer.namedParameters().keys()]).toEqual([
      "offset",
      "layers.1.out_proj.weight",
      "layers.1.out_proj.bias",
      "pairs.0.0.weight",
      "pairs.0.0.bias",
    ]);
    expect([...outer.namedBuffers().keys()]).toEqual(["running_total", "anchors"]);
    expect(outer.parameterCount()).toBe(2 + 4 + 2 + 6 + 3);
  });

  test("train and eval reach everything below", () => {
    using outer = new Outer();
    outer.eval();
    expect([outer.training, outer.layers[1]!.outProj.training, outer.pairs[0]![0]!.training]).toEqual([
      false,
      false,
      false,
    ]);
    outer.train();
    expect(outer.pairs[0]![0]!.training).toBe(true);
  });

  test("frees intermediate tensors, and with dispose its own", async () => {
    const before = liveStorages();
    const outer = new Outer();
    const x = tensor([1, 2], [1, 2]);
    const owned = liveStorages();
    scope("step", () => {
      const y = outer.call(x);
      expect(y.shape).toEqual([1, 2]);
    });
    expect(liveStorages()).toBe(owned);
    scope("step with gradient", () => backward(outer.call(x).sum()));
    // y = W · 2x + b + shared, of which shared is not trainable: the rows of W get 2x.
    const { outProj, shared } = outer.layers[1]!;
    expect([...(await outProj.weight.grad!.data())]).toEqual([2, 4, 2, 4]);
    expect([...(await outProj.bias!.grad!.data())]).toEqual([1, 1]);
    expect(shared.grad).toBeUndefined();
    x.dispose();
    outer.dispose();
    expect(liveStorages()).toBe(before);
  });

  test("freeze ends training of what is below", () => {
    using outer = new Outer();
    outer.layers[1]!.freeze();
    const trainable = [...outer.namedParameters()].filter(([, { requiresGrad }]) => requiresGrad).map(([name]) => name);
    expect(trainable).toEqual(["pairs.0.0.weight", "pairs.0.0.bias"]);
  });
});

describe("loadStateDict", () => {
  const complete = () =>
    new Map([
      ["offset", host([2], 5)],
      ["running_total", host([2], 6)],
      ["layers.1.out_proj.weight", host([2, 2], 7)],
      ["layers.1.out_proj.bias", host([2], 8)],
      ["pairs.0.0.weight", host([3, 2], 9)],
      ["pairs.0.0.bias", host([3], 10)],
    ]);

  test("copies values; shared tensors are satisfied by one of their names, derived ones by none", async () => {
    using outer = new Outer();
    const report = outer.loadStateDict(complete());
    expect(report).toEqual({ missing: [], unexpected: [], mismatched: [] });
    expect([...(await outer.layers[1]!.shared.data())]).toEqual([5, 5]);
    expect([...(await outer.pairs[0]![0]!.weight.data())]).toEqual([9, 9, 9, 9, 9, 9]);
    outer.loadStateDict(new Map([...complete(), ["anchors", host([4], 2)]]));
    expect([...(await outer.anchors.data())]).toEqual([2, 2, 2, 2]);
    outer.loadStateDict(new Map([...complete(), ["anchors", host([6], 3)]]));
    expect([...(await outer.anchors.data())]).toEqual([2, 2, 2, 2]);
  });

  test("copies from another module of the same kind", async () => {
    using from = new Mlp(2, 3, { layers: 2, hidden: 4 });
    using to = new Mlp(2, 3, { layers: 2, hidden: 4 });
    initialize(from, new Random(1));
    to.loadStateDict(from.stateDict());
    for (const [name, copy] of to.stateDict())
      expect(await copy.data()).toEqual(await from.stateDict().get(name)!.data());
    expect(to.layers[0]!.weight.storage).not.toBe(from.layers[0]!.weight.storage);
  });

  test("lists what is missing, unexpected and mismatched, and loads nothing", async () => {
    using outer = new Outer();
    const state = complete();
    state.delete("running_total");
    state.set("head.weight", host([1]));
    state.set("pairs.0.0.weight", host([80, 2]));
    let error: unknown;
    try {
      outer.loadStateDict(state);
    } catch (caught) {
      error = caught;
    }
    expect(error).toBeInstanceOf(StateDictError);
    const { message, report } = error as StateDictError;
    expect(report.missing).toEqual(["running_total"]);
    expect(report.unexpected).toEqual(["head.weight"]);
    expect(message).toMatch(/pairs\.0\.0\.weight \(\[80, 2\] in the file, \[3, 2\] in the model\)/);
    expect([...(await outer.offset.data())]).toEqual([3, 3]);
    expect(outer.loadStateDict(state, { strict: false })).toEqual(report);
    expect([...(await outer.offset.data())]).toEqual([5, 5]);
  });

  test("ignores PyTorch's batch counters, missing or left over", () => {
    using norm = new BatchNorm2d(2);
    const state = new Map(["weight", "bias", "running_mean", "running_var"].map((name) => [name, host([2])]));
    norm.loadStateDict(state);
    norm.loadStateDict(new Map([...state, ["other.num_batches_tracked", host([])]]));
    expect(() => norm.loadStateDict(new Map([...state, ["other.mean", host([])]]))).toThrow(StateDictError);
  });
});

describe("initialize", () => {
  const valuesOf = async (module: Module, name: string) => [...(await module.stateDict().get(name)!.data())];

  test("depends on seed and name alone", async () => {
    using outer = new Outer();
    using mlp = new Mlp(2, 2, { layers: 3, hidden: 2 });
    using again = new Mlp(2, 2, { layers: 3, hidden: 2 });
    const seed = new Random(3);
    initialize(outer, seed);
    initialize(mlp, seed);
    initialize(again, new Random(3));
    expect(await valuesOf(mlp, "layers.1.weight")).toEqual(await valuesOf(again, "layers.1.weight"));
    expect(await valuesOf(mlp, "layers.1.weight")).not.toEqual(await valuesOf(mlp, "layers.0.weight"));
    initialize(again, new Random(4));
    expect(await valuesOf(mlp, "layers.1.weight")).not.toEqual(await valuesOf(again, "layers.1.weight"));
    initialize(again, new Random(3), { stream: () => "same" });
    expect(await valuesOf(again, "layers.1.weight")).toEqual(await valuesOf(again, "layers.0.weight"));
  });
});
