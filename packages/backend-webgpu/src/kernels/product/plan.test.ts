import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { GPU, SOFTWARE } from "../../swiftshader/tuning.ts";
import { type Plan, type ProductSizes, planProduct, tileOf } from "./plan.ts";

const devices = [
  { tuning: SOFTWARE, features: new Set(["subgroups"]) },
  { tuning: SOFTWARE, features: new Set<string>() },
  { tuning: GPU, features: new Set<string>() },
];
const size = (max: number) => fc.integer({ min: 1, max });
const products = fc
  .record({ m: size(3000), n: size(3000), outer: size(300), inner: size(300), batch: size(64) })
  .map((sizes): ProductSizes => ({ ...sizes, k: sizes.outer * sizes.inner }));
const plan = (device: number, sizes: ProductSizes, mayPart = true): Plan =>
  planProduct(devices[device]!, { sizes, mayPart });

describe.each([0, 1, 2])("on device %i", (device) => {
  it("parts cover k once, and only where they may", () => {
    fc.assert(
      fc.property(products, fc.boolean(), (sizes, mayPart) => {
        const { shape, parts, partSize } = plan(device, sizes, mayPart);
        const length = shape.kind === "tiled" ? sizes.k : sizes.outer;
        expect(partSize * parts).toBeGreaterThanOrEqual(length);
        expect(partSize * (parts - 1)).toBeLessThan(length);
        if (!mayPart) expect(parts).toBe(1);
        if (shape.kind === "tiled" && parts > 1) expect(partSize % shape.depth).toBe(0);
      }),
    );
  });

  it("partial results stay small", () => {
    fc.assert(
      fc.property(products, (sizes) => {
        const { parts } = plan(device, sizes);
        if (parts > 1) expect(parts * sizes.m * sizes.n * sizes.batch).toBeLessThanOrEqual(2 ** 23);
      }),
    );
  });

  // Box counts change from step to step, and with them the queries; 200 to 500 of them fall into two octaves.
  it("two kernels serve all numbers of queries", () => {
    for (const rest of [
      { n: 256, outer: 1, inner: 256, k: 256, batch: 1 },
      { n: 4, outer: 1, inner: 256, k: 256, batch: 1 },
    ]) {
      const names = Array.from({ length: 300 }, (_, i) => tileOf(plan(device, { ...rest, m: 200 + i }).shape).join());
      expect(new Set(names).size).toBeLessThanOrEqual(2);
    }
  });
});
