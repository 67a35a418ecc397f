import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { GPU, SOFTWARE } from "../../swiftshader/tuning.ts";
import { classOf, type Plan, type PlannedProduct, type ProductSizes, planProduct } from "./plan.ts";
import { candidatesOf, type ProductDevice, shapeName, threadsOf, tileOf } from "./shapes.ts";
import { tiledBytes } from "./tiled.ts";

const gpu: ProductDevice = {
  ...{ software: false, features: new Set(["subgroups"]), subgroupSize: 32, operands: "f32" },
  ...{ workgroupBytes: 48 * 1024, workgroupThreads: 1024 },
};
const devices: readonly ProductDevice[] = [
  { ...gpu, software: true },
  { ...gpu, software: true, features: new Set<string>() },
  gpu,
];
const singly = { alongK: true, inFours: false };
const lies = { a: singly, b: { alongK: false, inFours: true } };
const productOf = (sizes: ProductSizes, mayPart = true): PlannedProduct => ({ op: "matmul", sizes, lies, mayPart });
const busyGroups = (device: ProductDevice): number => (device.software ? SOFTWARE : GPU).busyGroups;
const size = (max: number) => fc.integer({ min: 1, max });
const products = fc
  .record({ m: size(3000), n: size(3000), outer: size(300), inner: size(300), batch: size(64) })
  .map((sizes): ProductSizes => ({ ...sizes, k: sizes.outer * sizes.inner }));
const plan = (device: number, sizes: ProductSizes, mayPart = true, choice?: string): Plan =>
  planProduct(devices[device]!, productOf(sizes, mayPart), { busyGroups: busyGroups(devices[device]!), choice });

describe.each([0, 1, 2])("on device %i", (device) => {
  it("parts cover k once, and only where they may", () => {
    fc.assert(
      fc.property(products, fc.boolean(), (sizes, mayPart) => {
        const { shape, parts, partSize } = plan(device, sizes, mayPart);
        const length = shape.kind === "direct" ? sizes.outer : sizes.k;
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
      const names = Array.from({ length: 300 }, (_, i) => shapeName(plan(device, { ...rest, m: 200 + i }).shape));
      expect(new Set(names).size).toBeLessThanOrEqual(2);
    }
  });
});

const matrices = (m: number, n: number, k: number): ProductSizes => ({ m, n, k, outer: 1, inner: k, batch: 1 });

describe("tiles on a GPU", () => {
  it("are mostly full for 16 to 32 channels", () => {
    for (const channels of [16, 24, 32])
      for (const sizes of [matrices(channels, 25600, 144), matrices(25600, channels, 144)]) {
        const { shape } = plan(2, sizes);
        const [rows, columns] = tileOf(shape);
        const covered = Math.ceil(sizes.m / rows) * rows * Math.ceil(sizes.n / columns) * columns;
        expect((sizes.m * sizes.n) / covered).toBeGreaterThanOrEqual(0.75);
      }
  });

  it("are large where there are enough of them", () => {
    expect(tileOf(plan(2, matrices(4096, 4096, 4096)).shape)).toEqual([128, 128]);
  });
});

describe("candidates", () => {
  it("have names of their own, and fit the device", () => {
    const small: ProductDevice = { ...gpu, workgroupBytes: 16384, workgroupThreads: 128 };
    for (const device of [...devices, small]) {
      const all = candidatesOf(device, lies);
      expect(new Set(all.map(shapeName)).size).toBe(all.length);
      for (const shape of all) {
        expect(threadsOf(shape)).toBeLessThanOrEqual(device.workgroupThreads);
        if (shape.kind === "tiled") expect(tiledBytes(shape, lies)).toBeLessThanOrEqual(device.workgroupBytes);
      }
    }
  });

  it("include what the rules choose, and each can be chosen", () => {
    fc.assert(
      fc.property(products, fc.constantFrom(0, 1, 2), (sizes, device) => {
        const names = candidatesOf(devices[device]!, lies).map(shapeName);
        expect(names).toContain(shapeName(plan(device, sizes).shape));
        for (const name of names) expect(shapeName(plan(device, sizes, true, name).shape)).toBe(name);
      }),
      { numRuns: 20 },
    );
  });

  it("that are no more leave the choice to the rules", () => {
    const sizes = matrices(300, 256, 256);
    expect(plan(2, sizes, true, "tiled 7×7")).toEqual(plan(2, sizes));
  });

  it("are chosen for all products of a class", () => {
    const name = (m: number): string => classOf(productOf(matrices(m, 256, 256)));
    expect(name(300)).toBe("matmul 512 256 256 1");
    expect(name(512)).toBe(name(300));
    expect(name(513)).not.toBe(name(300));
  });
});
