import type { Tensor } from "@dfine/tensor";
import { expect, test } from "vitest";
import { differences, expectClose, gradientOf, inFloat64 } from "../../test/differences.ts";
import { add, floats, ints, sigmoid, softmax } from "../../test/lossOracles.ts";
import { DISTILLATIONS } from "./distillations.ts";
import type { MatchedPairs } from "./matches.ts";
import type { SetGroup } from "./setGroup.ts";

const [QUERIES, BINS, CLASSES, FEATURES] = [3, 5, 2, 4];
const wave = (length: number, step: number): number[] => Array.from({ length }, (_, i) => 2 * Math.sin(step * (i + 1)));
const teacherOf = {
  corners: wave(QUERIES * 4 * BINS, 0.7),
  logits: wave(QUERIES * CLASSES, 1.3),
  features: wave(QUERIES * FEATURES, 2.1),
};
const widths = { corners: 4 * BINS, logits: CLASSES, features: FEATURES };
/** Query 1 alone has a target. */
const LABELS = [-1, 0, -1];
const matches: MatchedPairs[] = [{ queries: Int32Array.of(1), targets: Int32Array.of(0) }];

const shaped = (key: keyof typeof widths, values: readonly number[]) => floats(values, [1, QUERIES, widths[key]]);

/** The loss of one layer whose tensor `key` is x, and whose others are the teacher's. */
function lossOf(config: Parameters<typeof DISTILLATIONS.plan>[0], key: keyof typeof widths, x: Tensor): Tensor {
  const teacher = {
    corners: shaped("corners", teacherOf.corners),
    logits: shaped("logits", teacherOf.logits),
    features: shaped("features", teacherOf.features),
  };
  const boxes = floats(wave(QUERIES * 4, 0.2), [1, QUERIES, 4]);
  const named = { lossName: (term: string) => term, classes: true };
  const group: SetGroup = {
    sets: [
      { ...named, name: "last", set: { ...teacher, boxes } },
      { ...named, name: "aux_0", set: { ...teacher, boxes, [key]: x, teacher } },
    ],
    ...{ classMatches: [matches], boxMatches: [matches], targets: [], normalizers: { classes: 1, boxes: 1 } },
    refPoints: new Float64Array(),
    ordinary: { matched: 1, queries: QUERIES },
    isPadded: false,
  };
  const stacked = boxes.unsqueeze(0);
  const aim = {
    ...{ boxes: stacked, targets: stacked, labels: ints(LABELS, [1, 1, QUERIES]) },
    ious: floats([0.5, 0.6, 0.7], [1, 1, QUERIES]),
  };
  const [found, ...others] = DISTILLATIONS.plan(config)(group, { classes: aim, boxes: aim });
  expect(others).toEqual([]);
  expect(found!.indices).toEqual([1]);
  return found!.values.sum();
}

const divergence = (p: readonly number[], q: readonly number[]): number =>
  add(p.map((value, i) => value * Math.log(value / q[i]!)));
const at = (values: readonly number[], row: number, width: number, temperature: number): number[] =>
  values.slice(row * width, (row + 1) * width).map((value) => value / temperature);

test.each([
  [
    "localization: T² KL of the edges of matched queries, their mean",
    { kind: "localization", weight: 1, temperature: 3 },
    "corners",
    (x: readonly number[]) =>
      add(
        [4, 5, 6, 7].map(
          (edge) => (9 / 4) * divergence(softmax(at(teacherOf.corners, edge, BINS, 3)), softmax(at(x, edge, BINS, 3))),
        ),
      ),
  ],
  [
    "logits: T² KL of each class by itself, summed over classes, the mean over queries",
    { kind: "logits", weight: 1, temperature: 2 },
    "logits",
    (x: readonly number[]) =>
      add(
        x.map((value, i) => {
          const [p, q] = [sigmoid(teacherOf.logits[i]! / 2), sigmoid(value / 2)];
          return (4 / QUERIES) * divergence([p, 1 - p], [q, 1 - q]);
        }),
      ),
  ],
  [
    "features: the mean squared difference",
    { kind: "features", weight: 1 },
    "features",
    (x: readonly number[]) => add(x.map((value, i) => (value - teacherOf.features[i]!) ** 2)) / x.length,
  ],
] as const)("%s", (_, config, key, oracle) =>
  inFloat64(async () => {
    const values = wave(teacherOf[key].length, 0.9);
    expect(await lossOf(config, key, shaped(key, values)).item()).toBeCloseTo(oracle(values), 10);
    const found = await gradientOf((x) => lossOf(config, key, x), values, [1, QUERIES, widths[key]]);
    expectClose(found, differences(oracle, values), 1e-6);
  }),
);
