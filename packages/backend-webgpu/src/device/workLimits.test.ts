import { expect, it } from "vitest";
import { kindOf } from "./adapterKind.ts";
import { FIRST_PACE, rememberLoss, WorkLimits } from "./workLimits.ts";

it("limits are what takes a tenth of a second, as assumed and then as measured", () => {
  const limits = new WorkLimits("some card", { products: 5e12, visits: 2e10 });
  expect([limits.products, limits.visits]).toEqual([5e11, 2e9]);
  limits.measured({ products: 1e12, visits: 1e10 });
  expect([limits.products, limits.visits]).toEqual([1e11, 1e9]);
  expect(limits.asVisits(limits.products)).toBe(limits.visits);
});

it("a lost device lowers them for the next one on its adapter, whatever is measured, and for no other", () => {
  const pace = { products: 8e12, visits: 8e10 };
  rememberLoss("lossy");
  const next = new WorkLimits("lossy", pace);
  expect([next.products, next.visits]).toEqual([1e11, 1e9]);
  rememberLoss("lossy");
  next.measured({ products: 64e12, visits: 64e10 });
  expect(next.products).toBe(1e11);
  for (let i = 0; i < 100; i++) rememberLoss("lossy");
  expect(next.visits).toBe(1);
  expect(new WorkLimits("steady", pace).products).toBe(8e11);
});

it("starts high on cards alone", () => {
  const { discrete, integrated, unknown } = FIRST_PACE;
  expect(integrated).toEqual(unknown);
  expect(discrete.products).toBeGreaterThan(100 * unknown.products);
});

it.each([
  ["nvidia, hopper, NVIDIA H100 80GB HBM3, 550.54", "discrete"],
  ["nvidia, ampere, NVIDIA Tegra Orin", "integrated"],
  ["amd, rdna-3, AMD Radeon RX 7900 XTX", "discrete"],
  ["amd, rdna-2, AMD Radeon(TM) Graphics", "integrated"],
  ["amd, rdna-2", "unknown"],
  ["intel, xe-hpg, Intel(R) Arc(TM) A770 Graphics", "discrete"],
  ["intel, gen-12lp, Intel(R) UHD Graphics", "integrated"],
  ["apple, metal-3", "integrated"],
  ["qualcomm, adreno-7xx", "integrated"],
  ["google, swiftshader", "software"],
  ["a new maker", "unknown"],
] as const)("%s is %s", (identity, kind) => {
  expect(kindOf(identity)).toBe(kind);
});
