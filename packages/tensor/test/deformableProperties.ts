import { type DeformableSampleAttrs, sizeOf } from "@dfine/tensor";
import fc from "fast-check";
import { describe, it } from "vitest";
import { numbers } from "./sums.ts";

export interface DeformableCase {
  readonly images: number;
  readonly queries: number;
  readonly heads: number;
  readonly depth: number;
  readonly attrs: DeformableSampleAttrs;
}

/** The op's results and those of its gradient, in this order everywhere. */
export const DEFORMABLE_RESULTS = ["y", "dValue", "dLocations", "dWeights"] as const;

export function deformableShapes({ images, queries, heads, depth, attrs: { levels } }: DeformableCase) {
  const length = levels.reduce((sum, { height, width }) => sum + height * width, 0);
  const points = levels.reduce((sum, level) => sum + level.points, 0);
  return {
    value: [images, length, heads, depth],
    locations: [images, queries, heads, points, 2],
    weights: [images, queries, heads, points],
    dy: [images, queries, heads * depth],
  };
}

export type DeformableData = { readonly [K in keyof ReturnType<typeof deformableShapes>]: Float32Array };

/** Many locations lie on edges and outside. */
export function deformableData(test: DeformableCase): DeformableData {
  const shapes = deformableShapes(test);
  return {
    value: numbers(sizeOf(shapes.value), 1),
    locations: numbers(sizeOf(shapes.locations), 2).map((x) => 0.5 + x * 0.9),
    weights: numbers(sizeOf(shapes.weights), 3),
    dy: numbers(sizeOf(shapes.dy), 4),
  };
}

/** Two levels that are wider than high. */
export const OBLONG = [
  { height: 4, width: 7, points: 6 },
  { height: 2, width: 3, points: 6 },
] as const;

/** A case with locations far outside its map. */
export const farAway = (method: DeformableSampleAttrs["method"]) =>
  ({
    test: {
      images: 1,
      queries: 2,
      heads: 1,
      depth: 6,
      attrs: { method, levels: [{ height: 3, width: 4, points: 5 }] },
    },
    locations: [1e30, 0.5, -1e30, 0.5, 0.5, 4e9, 0.5, -7, 0.4375, 0.5625],
  }) as const;

/** Tests of deformable sampling, of which `check` runs one case and rejects when the op or its gradient are wrong. */
export function deformableProperties(
  method: DeformableSampleAttrs["method"],
  check: (test: DeformableCase, change?: (data: DeformableData) => void) => void | Promise<void>,
  { runs }: { readonly runs: number },
): void {
  describe(`deformableSample and its gradient, ${method}`, () => {
    it.each([16, 32, 5, 1])("depth %i on two oblong levels", (depth) =>
      check({ images: 2, queries: 9, heads: 3, depth, attrs: { method, levels: OBLONG } }),
    );

    it("any levels", () => {
      const small = (max: number) => fc.integer({ min: 1, max });
      const level = fc.record({ height: small(6), width: small(6), points: small(4) });
      const cases = fc.record({
        images: small(2),
        queries: small(6),
        heads: small(3),
        depth: small(20),
        attrs: fc.record({ method: fc.constant(method), levels: fc.array(level, { minLength: 1, maxLength: 3 }) }),
      });
      return fc.assert(
        fc.asyncProperty(cases, async (test) => check(test)),
        { numRuns: runs },
      );
    });

    it("all points in one spot", () =>
      check({ images: 1, queries: 70, heads: 2, depth: 4, attrs: { method, levels: OBLONG } }, ({ locations }) =>
        locations.fill(0.5),
      ));

    it("far away locations read nothing outside the maps", () => {
      const { test, locations } = farAway(method);
      return check(test, (data) => data.locations.set(locations));
    });
  });
}
