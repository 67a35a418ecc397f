import { backward, Random, referenceBackend, Scope, type Tensor, tensor } from "@dfine/tensor";
import { kernelCount } from "@dfine/tensor/kernel";
import { describe, expect, test } from "vitest";
import { expectClose, inFloat64 } from "../../test/differences.ts";
import { matchingCost, sigmoid, softmax } from "../../test/lossOracles.ts";
import { resolveConfig } from "../config/resolve.ts";
import type { PredictionSet, TrainingOutputs } from "../model/outputs.ts";
import { criterion } from "./criterion.ts";
import { leastCostPairs } from "./matcher.ts";
import type { MatchedPairs, MatchTargets } from "./matches.ts";

const LAYERS = 3;
const QUERIES = 7;
const CLASSES = 4;
const weighting = { regMax: 8, regScale: 4, up: 0.5 };
const config = resolveConfig({ preset: "n" }).criterion;
const options = { config, weighting };

/** Predictions and targets drawn from a seed; leaves are collected in `leaves`. */
class Scene {
  readonly random: Random;
  readonly leaves: Tensor[] = [];

  constructor(seed: number) {
    this.random = new Random(seed);
  }

  values(shape: readonly number[], low: number, high: number): Tensor {
    const count = shape.reduce((a, b) => a * b, 1);
    return tensor(
      Float64Array.from({ length: count }, () => low + (high - low) * this.random.uniform()),
      shape,
    );
  }

  leaf(shape: readonly number[], low: number, high: number): Tensor {
    const leaf = this.values(shape, low, high);
    leaf.requiresGrad = true;
    this.leaves.push(leaf);
    return leaf;
  }

  sets(batch: number, queries: number): { layers: PredictionSet[]; plain: () => PredictionSet } {
    const refPoints = this.values([batch, queries, 4], 0.2, 0.6);
    const plain = () => ({
      logits: this.leaf([batch, queries, CLASSES], -3, 1),
      boxes: this.leaf([batch, queries, 4], 0.2, 0.6),
    });
    const bare = Array.from({ length: LAYERS }, () => ({
      ...plain(),
      corners: this.leaf([batch, queries, 4 * (weighting.regMax + 1)], -2, 2),
      refPoints,
    }));
    const teacher = { logits: bare.at(-1)!.logits, corners: bare.at(-1)!.corners };
    return { layers: bare.map((set) => ({ ...set, teacher })), plain };
  }

  targets(counts: readonly number[]): MatchTargets[] {
    return counts.map((count) => ({
      labels: Int32Array.from({ length: count }, () => this.random.integer(CLASSES)),
      boxes: Float64Array.from({ length: count * 4 }, () => 0.2 + 0.4 * this.random.uniform()),
    }));
  }

  outputs(targets: readonly MatchTargets[]): TrainingOutputs {
    const { layers, plain } = this.sets(targets.length, QUERIES);
    const { teacher: _, ...last } = layers.at(-1)!;
    const groups = 2;
    const most = Math.max(...targets.map(({ labels }) => labels.length));
    const ordinary = { last, aux: layers.slice(0, -1), pre: plain(), enc: [plain()] };
    if (most === 0) return ordinary;
    const dn = this.sets(targets.length, 2 * most * groups);
    const positives = targets.map(({ labels }): MatchedPairs => {
      const indices = Array.from({ length: labels.length * groups }, (_, t) => t);
      return {
        queries: Int32Array.from(indices, (t) => Math.floor(t / labels.length) * 2 * most + (t % labels.length)),
        targets: Int32Array.from(indices, (t) => t % labels.length),
      };
    });
    return { ...ordinary, dn: { layers: dn.layers, pre: dn.plain(), positives, groups, negatives: true } };
  }

  release(): void {
    for (const leaf of this.leaves) leaf.grad = undefined;
  }
}

const read = async (losses: ReadonlyMap<string, Tensor>): Promise<Map<string, number>> => {
  const values = new Map<string, number>();
  for (const [name, loss] of losses) values.set(name, await loss.item());
  return values;
};

describe("criterion", () => {
  test("gives every official loss, in order, and their sum", () =>
    inFloat64(async () => {
      const scene = new Scene(1);
      const targets = scene.targets([2, 3]);
      const result = await criterion(scene.outputs(targets), targets, options);
      const terms = (suffix: string, names: string) => names.split(" ").map((name) => `loss_${name}${suffix}`);
      expect([...result.losses.keys()]).toEqual([
        ...terms("", "vfl bbox giou fgl"),
        ...terms("_aux_0", "vfl bbox giou fgl ddf"),
        ...terms("_aux_1", "vfl bbox giou fgl ddf"),
        ...terms("_pre", "vfl bbox giou"),
        ...terms("_enc_0", "vfl bbox giou"),
        ...terms("_dn_0", "vfl bbox giou fgl ddf"),
        ...terms("_dn_1", "vfl bbox giou fgl ddf"),
        ...terms("_dn_2", "vfl bbox giou fgl ddf"),
        ...terms("_dn_pre", "vfl bbox giou"),
      ]);
      expect(result.losses.size).toBe(10 * LAYERS + 8);
      const values = await read(result.losses);
      expect(await result.total.item()).toBeCloseTo(
        [...values.values()].reduce((a, b) => a + b, 0),
        9,
      );
      expect([...(await result.values.data())]).toEqual(result.names.map((name) => values.get(name)));
      expect(values.get("loss_ddf_dn_2")).toBe(0);
      for (const [name, value] of values) if (name !== "loss_ddf_dn_2") expect(value, name).toBeGreaterThan(0);
      expect([...result.matches.keys()]).toEqual(["last", "aux_0", "aux_1", "pre", "enc_0"]);
    }));

  test("box losses are sums over the union, divided by its size; those of denoising over the positives", () =>
    inFloat64(async () => {
      const scene = new Scene(2);
      const targets = scene.targets([3, 1]);
      const outputs = scene.outputs(targets);
      const { losses, union } = await criterion(outputs, targets, options);
      const l1 = async (set: PredictionSet, pairs: readonly MatchedPairs[]) => {
        const boxes = await set.boxes.data();
        const queries = set.boxes.shape[1]!;
        return pairs.flatMap(({ queries: rows, targets: columns }, b) =>
          [...rows].flatMap((row, i) =>
            [0, 1, 2, 3].map((k) =>
              Math.abs(boxes[(b * queries + row) * 4 + k]! - targets[b]!.boxes[columns[i]! * 4 + k]!),
            ),
          ),
        );
      };
      const total = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);
      const kept = union!.reduce((n, { queries }) => n + queries.length, 0);
      expect(kept).toBeGreaterThanOrEqual(4);
      for (const [name, set] of [
        ["", outputs.last],
        ["_aux_1", outputs.aux[1]!],
        ["_enc_0", outputs.enc[0]!],
      ] as const)
        expect(await losses.get(`loss_bbox${name}`)!.item()).toBeCloseTo((5 * total(await l1(set, union!))) / kept, 9);
      const dn = outputs.dn!;
      expect(await losses.get("loss_bbox_dn_1")!.item()).toBeCloseTo(
        (5 * total(await l1(dn.layers[1]!, dn.positives))) / (4 * dn.groups),
        9,
      );
    }));

  test("with per-layer matching every set is judged on its own pairs", () =>
    inFloat64(async () => {
      const scene = new Scene(3);
      const targets = scene.targets([2, 2]);
      const outputs = scene.outputs(targets);
      const own = await criterion(outputs, targets, { ...options, config: { ...config, matching: "layer" } });
      const united = await criterion(outputs, targets, options);
      expect(own.union).toBeUndefined();
      const [a, b] = [await read(own.losses), await read(united.losses)];
      expect([...a.keys()]).toEqual([...b.keys()]);
      expect(a.get("loss_vfl_pre")).toBe(b.get("loss_vfl_pre"));
      const pairs = own.matches.get("pre")!;
      const boxes = await outputs.pre!.boxes.data();
      const giou = pairs.reduce((n, { queries }) => n + queries.length, 0);
      expect(giou).toBe(4);
      const l1 = pairs.map(({ queries, targets: columns }, image) =>
        [...queries].map((query, i) =>
          [0, 1, 2, 3].map((k) =>
            Math.abs(boxes[(image * QUERIES + query) * 4 + k]! - targets[image]!.boxes[columns[i]! * 4 + k]!),
          ),
        ),
      );
      expect(a.get("loss_bbox_pre")).toBeCloseTo((5 / 4) * l1.flat(3).reduce((x, y) => x + y, 0), 9);
    }));

  test("a batch without targets: background only, and distillation over all rows alike", () =>
    inFloat64(async () => {
      const scene = new Scene(4);
      const targets = scene.targets([0, 0]);
      const outputs = scene.outputs(targets);
      const { losses, total, matches } = await criterion(outputs, targets, options);
      const values = await read(losses);
      expect(values.size).toBe(20);
      for (const [name, value] of values) if (/bbox|giou|fgl/.test(name)) expect(value, name).toBe(0);
      const logits = await outputs.last.logits.data();
      const background = Array.from(logits, (x) => {
        const p = 1 / (1 + Math.exp(-x));
        return 0.75 * p * p * -Math.log(1 - p);
      });
      expect(values.get("loss_vfl")).toBeCloseTo(
        background.reduce((a, b) => a + b, 0),
        9,
      );
      expect(values.get("loss_ddf_aux_0")).toBeGreaterThan(0);
      expect([...matches.values()].flat().every(({ queries }) => queries.length === 0)).toBe(true);
      backward(total);
      const { weights } = config;
      const { weight: share, temperature } = config.distillation.find((term) => term.kind === "ddf")!;
      const students = [...outputs.aux, outputs.last];
      for (const { logits: x, boxes } of [...students, outputs.pre!, ...outputs.enc]) {
        // The focal weight 0.75 p² counts as a constant: -log(1 - p) has the derivative p.
        const wanted = Array.from(await x.data(), (value) => weights.vfl * 0.75 * sigmoid(value) ** 3);
        expectClose(await x.grad!.data(), wanted, 1e-9);
        expectClose(await boxes.grad!.data(), new Float64Array(boxes.size), 0);
      }
      const bins = weighting.regMax + 1;
      const teacher = await outputs.last.corners!.data();
      const edges = teacher.length / bins;
      for (const { corners } of students) {
        // T² · KL(teacher ‖ student) has the derivative T (student - teacher), each at temperature T; the mean over all edges.
        const student = await corners!.data();
        const wanted = Array.from({ length: edges }, (_, edge) => {
          const at = (values: ArrayLike<number>) =>
            softmax(Array.from({ length: bins }, (_, i) => values[edge * bins + i]! / temperature));
          const query = Math.floor(edge / 4);
          const confidence = sigmoid(Math.max(...logits.slice(query * CLASSES, (query + 1) * CLASSES)));
          const [p, q] = [at(student), at(teacher)];
          return p.map((value, i) => (share * confidence * temperature * (value - q[i]!)) / edges);
        });
        expectClose(await corners!.grad!.data(), wanted.flat(), 1e-9);
      }
      scene.release();
    }));

  test("an image without targets beside one with some", () =>
    inFloat64(async () => {
      const scene = new Scene(5);
      const targets = scene.targets([0, 3]);
      const { total, losses } = await criterion(scene.outputs(targets), targets, options);
      expect(Number.isFinite(await total.item())).toBe(true);
      expect((await read(losses)).get("loss_fgl_dn_0")).toBeGreaterThan(0);
    }));

  test("gradients reach logits, boxes and corners, but no teacher through its students", () =>
    inFloat64(async () => {
      const scene = new Scene(6);
      const targets = scene.targets([2, 1]);
      const outputs = scene.outputs(targets);
      const onlyDistillation = { ...config, weights: { vfl: 0, focal: 0, bbox: 0, giou: 0, fgl: 0 } };
      const { total } = await criterion(outputs, targets, { ...options, config: onlyDistillation });
      backward(total);
      expect(outputs.last.corners!.grad).toBeUndefined();
      expect(outputs.last.logits.grad).toBeUndefined();
      expect(outputs.aux[0]!.boxes.grad).toBeUndefined();
      // Along a direction of its own, the loss changes as the gradient of the first student says.
      const corners = outputs.aux[0]!.corners!;
      const [values, gradient] = [await corners.data(), await corners.grad!.data()];
      const direction = Array.from(values, () => scene.random.normal());
      const along = async (step: number) => {
        const moved = tensor(
          Float64Array.from(values, (value, i) => value + step * direction[i]!),
          corners.shape,
        );
        const aux = [{ ...outputs.aux[0]!, corners: moved }, ...outputs.aux.slice(1)];
        const { total } = await criterion({ ...outputs, aux }, targets, { ...options, config: onlyDistillation });
        return await total.item();
      };
      const slope = direction.reduce((sum, d, i) => sum + d * gradient[i]!, 0);
      expect(Math.abs(slope)).toBeGreaterThan(1e-3);
      expectClose([slope], [((await along(1e-5)) - (await along(-1e-5))) / 2e-5], 1e-7);
      const lastDenoising = await outputs.dn!.layers.at(-1)!.corners!.grad!.data();
      expect(Array.from(lastDenoising).every((g) => g === 0)).toBe(true);
      scene.release();
    }));

  test("a loss that is not a number is told as such and counts as nothing in the total", () =>
    inFloat64(async () => {
      const scene = new Scene(7);
      const targets: MatchTargets[] = [{ labels: Int32Array.of(1), boxes: Float64Array.of(0.5, 0.5, 0, 0) }];
      const outputs = scene.outputs(targets);
      const point = Float64Array.from({ length: QUERIES * 4 }, (_, i) => (i % 4 < 2 ? 0.5 : 0));
      const broken = { ...outputs, enc: [{ logits: outputs.enc[0]!.logits, boxes: tensor(point, [1, QUERIES, 4]) }] };
      const { losses, total } = await criterion(broken, targets, options);
      const values = await read(losses);
      const odd = ["loss_giou_enc_0", "loss_vfl_enc_0"];
      for (const name of odd) expect(values.get(name)).toBeNaN();
      const rest = [...values].filter(([name]) => !odd.includes(name)).reduce((sum, [, value]) => sum + value, 0);
      expect(await total.item()).toBeCloseTo(rest, 9);
    }));

  test("queries without a target may collapse", () =>
    inFloat64(async () => {
      const scene = new Scene(10);
      const targets = scene.targets([1, 1]);
      const outputs = scene.outputs(targets);
      const { union, losses } = await criterion(outputs, targets, options);
      const boxes = Float64Array.from(await outputs.last.boxes.data());
      const matched = new Set(union!.flatMap(({ queries }, b) => [...queries].map((query) => b * QUERIES + query)));
      for (let row = 0; row < 2 * QUERIES; row++) if (!matched.has(row)) boxes.set([0, 0, -1, -1], row * 4);
      const collapsed = { ...outputs, last: { ...outputs.last, boxes: tensor(boxes, [2, QUERIES, 4]) } };
      const after = await read((await criterion(collapsed, targets, options)).losses);
      for (const [name, value] of await read(losses)) expect(after.get(name), name).toBeCloseTo(value, 12);
    }));

  test("changing numbers of boxes build no kernel and leave no storage behind", () =>
    inFloat64(async () => {
      const backend = referenceBackend({ floatBits: 64 });
      const step = async (seed: number, counts: readonly number[]) => {
        using flow = new Scope("step", { backend });
        const scene = new Scene(seed);
        const targets = scene.targets(counts);
        const outputs = flow.run(() => scene.outputs(targets));
        const { total } = await criterion(outputs, targets, { ...options, scope: flow });
        flow.run(() => backward(total));
        scene.release();
      };
      await step(1, [2, 3]);
      await step(1, [0, 0]);
      const kernels = kernelCount();
      for (const counts of [
        [1, 1],
        [0, 1],
        [5, 2],
        [1, 0],
        [7, 7],
        [0, 0],
      ])
        await step(9, counts);
      expect(kernelCount()).toBe(kernels);
      expect(backend.memory().buffers).toBe(0);
    }));

  test("several heads give the same numbers as each alone", () =>
    inFloat64(async () => {
      const scene = new Scene(8);
      const targets = scene.targets([2, 2]);
      const outputs = scene.outputs(targets);
      const { losses } = await criterion(outputs, targets, options);
      const alone = await criterion({ ...outputs, aux: [] }, targets, options);
      // Without the auxiliary layers the last set keeps its own match, hence its classification loss.
      expectClose([await losses.get("loss_vfl")!.item()], [await alone.losses.get("loss_vfl")!.item()], 1e-12);
    }));
});

test("each set is matched at the least cost", async () => {
  for (const [seed, counts] of [
    [1, [2, 0, 3]],
    [2, [4, 4]],
    [3, [1, 0]],
  ] as const) {
    const scene = new Scene(seed);
    const matches = await inFloat64(async () => {
      const targets = scene.targets(counts);
      const outputs = scene.outputs(targets);
      const { matches } = await criterion(outputs, targets, options);
      const sets = { last: outputs.last, aux_0: outputs.aux[0]!, pre: outputs.pre!, enc_0: outputs.enc[0]! };
      const expected = new Map<string, MatchedPairs[]>();
      for (const [name, { logits, boxes }] of Object.entries(sets)) {
        const set = { logits: await logits.data(), boxes: await boxes.data(), queries: logits.shape[1]! };
        const most = Math.max(...targets.map(({ labels }) => labels.length));
        const costs = new Float64Array(targets.length * set.queries * most);
        for (const [b, target] of targets.entries())
          for (let q = 0; q < set.queries; q++)
            for (const t of target.labels.keys())
              costs[(b * set.queries + q) * most + t] = matchingCost(set, target, { ...config.matcher, b, q, t });
        expected.set(name, leastCostPairs(costs, targets));
      }
      return { found: matches, expected };
    });
    for (const [name, pairs] of matches.expected) expect(matches.found.get(name), name).toEqual(pairs);
  }
});

test("a label that is no class is refused by name", async () => {
  const scene = new Scene(4);
  await inFloat64(async () => {
    const targets = scene.targets([2, 1]);
    const outputs = scene.outputs(targets);
    targets[1]!.labels[0] = CLASSES;
    await expect(criterion(outputs, targets, options)).rejects.toThrow(/label 4 is none of 4 classes/);
  });
});
