import type { Tensor } from "@dfine/tensor";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { differences, expectClose, gradientOf, inFloat64 } from "../../test/differences.ts";
import { add, array, floats, ints, number, sigmoid, softmax } from "../../test/lossOracles.ts";
import { distillationBalance, distillationLoss } from "./distillation.ts";

describe("DDF", () => {
  test("the example of docs/specification.md §11", () =>
    inFloat64(async () => {
      const row = (slope: number) => Array.from({ length: 3 * 132 }, (_, i) => slope * (i % 33));
      const logit = (p: number) => Math.log(p / (1 - p));
      const loss = distillationLoss({
        student: floats(row(0.1), [1, 1, 3, 132]),
        teacher: {
          corners: floats(row(0.2), [1, 1, 3, 132]),
          logits: floats([logit(0.9), -9, logit(0.3), -1, -3, logit(0.1)], [1, 1, 3, 2]),
        },
        ious: floats([0.8, 0.5, 0.5], [1, 1, 3]),
        labels: ints([1, -1, -1], [1, 1, 3]),
        balance: distillationBalance({ matched: 1, queries: 3 }, { matched: 1, queries: 3 }, 1),
        temperature: 5,
      });
      expect(await loss.item()).toBeCloseTo(0.191402, 6);
    }));

  const bins = 5;
  const size = 3 * 4 * bins;
  const shape = [1, 1, 3, 4 * bins];
  const given = fc.record({
    student: array(size, number(-4, 4)),
    teacher: array(size, number(-4, 4)),
    logits: array(6, number(-4, 4)),
    ious: array(3, number(0, 1)),
    labels: array(3, fc.integer({ min: -1, max: 1 })),
    temperature: number(1, 6),
  });
  type Given = Parameters<Parameters<typeof given.map>[0]>[0];
  const inputsOf = ({ teacher, logits, ious, labels, temperature }: Given) => {
    const matched = labels.filter((label) => label >= 0).length;
    return {
      teacher: { corners: floats(teacher, shape), logits: floats(logits, [1, 1, 3, 2]) },
      ious: floats(ious, [1, 1, 3]),
      labels: ints(labels, [1, 1, 3]),
      balance: distillationBalance({ matched, queries: 3 }, { matched, queries: 3 }, 1),
      temperature,
    };
  };

  test("formula and gradient, whatever is matched", () =>
    fc.assert(
      fc.asyncProperty(given, (values) =>
        inFloat64(async () => {
          const { student, teacher, logits, ious, labels, temperature: t } = values;
          const loss = (x: Tensor) => distillationLoss({ ...inputsOf(values), student: x });
          const oracle = (moved: readonly number[]) => {
            const scaled = (list: readonly number[], edge: number) =>
              softmax(list.slice(edge * bins, (edge + 1) * bins).map((x) => x / t));
            const rows = Array.from({ length: 12 }, (_, edge) => {
              const query = Math.floor(edge / 4);
              const weight =
                labels[query]! < 0 ? sigmoid(Math.max(logits[2 * query]!, logits[2 * query + 1]!)) : ious[query]!;
              const [p, q] = [scaled(teacher, edge), scaled(moved, edge)];
              return {
                isMatched: labels[query]! >= 0,
                value: weight * t * t * add(p.map((x, i) => x * Math.log(x / q[i]!))),
              };
            });
            const kind = (isMatched: boolean) => {
              const list = rows.filter((row) => row.isMatched === isMatched).map(({ value }) => value);
              return { mean: list.length ? add(list) / list.length : 0, count: Math.sqrt(list.length * 8) };
            };
            const [yes, no] = [kind(true), kind(false)];
            return (yes.mean * yes.count + no.mean * no.count) / (yes.count + no.count);
          };
          expect(await loss(floats(student, shape)).item()).toBeCloseTo(oracle(student), 9);
          expectClose(await gradientOf(loss, student, shape), differences(oracle, student));
        }),
      ),
      { numRuns: 50 },
    ));

  test("a student equal to its teacher loses nothing and learns nothing", () =>
    fc.assert(
      fc.asyncProperty(given, (values) =>
        inFloat64(async () => {
          const loss = (x: Tensor) =>
            distillationLoss({ ...inputsOf({ ...values, teacher: values.student }), student: x });
          expect(await loss(floats(values.student, shape)).item()).toBe(0);
          const gradient = await gradientOf(loss, values.student, shape);
          expect(Array.from(gradient).every((g) => g === 0)).toBe(true);
        }),
      ),
      { numRuns: 20 },
    ));

  test("counts of the ordinary queries balance denoising ones", () => {
    const ordinary = { matched: 9, queries: 600 };
    const { matched, unmatched } = distillationBalance({ matched: 50, queries: 400 }, ordinary, 2);
    const [yes, no] = [Math.sqrt((36 * 8) / 2), Math.sqrt((2364 * 8) / 2)];
    expect(matched * 200).toBeCloseTo(yes / (yes + no), 12);
    expect(unmatched * 1400).toBeCloseTo(no / (yes + no), 12);
    expect(distillationBalance({ matched: 0, queries: 400 }, ordinary, 2).matched).toBe(0);
    const empty = distillationBalance({ matched: 0, queries: 5 }, { matched: 0, queries: 5 }, 1);
    expect(empty.matched).toBe(0);
    expect(empty.unmatched).toBeCloseTo(1 / 20, 12);
  });
});
