import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { expectClose, numbers } from "../../../tensor/test/sums.ts";
import { runOverride } from "../../test/kernelKit.ts";
import { indexAddOverride, indexSelectOverride } from "./indexRows.ts";

const sizes = fc.record({ rows: fc.integer({ min: 1, max: 30 }), columns: fc.integer({ min: 1, max: 70 }) });

describe("indexSelect", () => {
  it("copies rows, integers and floats alike", () => {
    const cases = sizes.chain((size) =>
      fc.tuple(fc.constant(size), fc.array(fc.nat(size.rows - 1), { minLength: 1, maxLength: 40 }), fc.boolean()),
    );
    fc.assert(
      fc.property(cases, ([{ rows, columns }, index, isInteger]) => {
        const data = isInteger
          ? Array.from({ length: rows * columns }, (_, i) => i * 7919 - 12345)
          : [...numbers(rows * columns)];
        const dtype = isInteger ? "i32" : "f32";
        runOverride<"indexSelect">(
          indexSelectOverride,
          {
            inputs: (runtime) => [
              runtime.view([rows, columns], data, dtype),
              runtime.view([index.length], index, "i32"),
            ],
            outputs: (runtime) => [runtime.view([index.length, columns], undefined, dtype)],
            attrs: {},
          },
          ([got]) => expect(got).toEqual(index.flatMap((row) => data.slice(row * columns, (row + 1) * columns))),
        );
      }),
      { numRuns: 60 },
    );
  });

  it("never reads outside the rows", () => {
    runOverride<"indexSelect">(
      indexSelectOverride,
      {
        inputs: (runtime) => [runtime.view([2, 3], [1, 2, 3, 4, 5, 6]), runtime.view([3], [-1, 2, 2 ** 31 - 1], "i32")],
        outputs: (runtime) => [runtime.view([3, 3])],
        attrs: {},
      },
      ([got]) => expect(got).toEqual([1, 2, 3, 4, 5, 6, 4, 5, 6]),
    );
  });
});

describe("indexAdd", () => {
  it("adds in ascending position and drops indices outside", () => {
    const cases = sizes.chain((size) =>
      fc.tuple(
        fc.constant(size),
        fc.array(fc.integer({ min: -2, max: size.rows + 1 }), { minLength: 1, maxLength: 60 }),
      ),
    );
    fc.assert(
      fc.property(cases, ([{ rows, columns }, index]) => {
        const updates = numbers(index.length * columns);
        const values = new Float32Array(rows * columns);
        index.forEach((row, k) => {
          if (row < 0 || row >= rows) return;
          // Single precision, in order: the result is defined to the bit.
          for (let c = 0; c < columns; c++) values[row * columns + c]! += updates[k * columns + c]!;
        });
        runOverride<"indexAdd">(
          indexAddOverride,
          {
            inputs: (runtime) => [
              runtime.view([index.length], index, "i32"),
              runtime.view([index.length, columns], updates),
            ],
            outputs: (runtime) => [runtime.view([rows, columns])],
            attrs: { rows },
          },
          ([got]) => expect(got).toEqual([...values]),
        );
      }),
      { numRuns: 80 },
    );
  });

  it("lets NaN through to its row only", () => {
    runOverride<"indexAdd">(
      indexAddOverride,
      {
        inputs: (runtime) => [runtime.view([2], [0, 2], "i32"), runtime.view([2, 1], [Number.NaN, 3])],
        outputs: (runtime) => [runtime.view([3, 1])],
        attrs: { rows: 3 },
      },
      ([got]) => expectClose(got!, { values: [Number.NaN, 0, 3], magnitudes: [0, 0, 3] }),
    );
  });
});
