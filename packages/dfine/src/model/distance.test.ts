import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { NO_PACK, referenceJson } from "../../../../parity/referencePack.ts";
import { bbox2distance } from "./distance.ts";
import { type WeightingParameters, weightingFunction } from "./weighting.ts";

const standard: WeightingParameters = { regMax: 32, regScale: 4, up: 0.5 };

/** Decoding by docs/specification.md §7: edges (xyxy) from a reference (cxcywh) and four distances. */
function decode([cx, cy, w, h]: number[], [l, t, r, b]: number[], s: number): number[] {
  return [
    cx! - ((s / 2 + l!) * w!) / s,
    cy! - ((s / 2 + t!) * h!) / s,
    cx! + ((s / 2 + r!) * w!) / s,
    cy! + ((s / 2 + b!) * h!) / s,
  ];
}

const toEdges = ([cx, cy, w, h]: number[]) => [cx! - w! / 2, cy! - h! / 2, cx! + w! / 2, cy! + h! / 2];
const toCentre = ([x1, y1, x2, y2]: number[]) => [(x1! + x2!) / 2, (y1! + y2!) / 2, x2! - x1!, y2! - y1!];

/** Distances whose two-bin mixture a target describes. */
function mixture(point: number[], target: number[], parameters: WeightingParameters): number[] {
  const w = weightingFunction(parameters);
  const { bins, weightLeft, weightRight } = bbox2distance(
    Float64Array.from(point),
    Float64Array.from(target),
    parameters,
  );
  return [...bins].map((bin, i) => weightLeft[i]! * w[Math.trunc(bin)]! + weightRight[i]! * w[Math.trunc(bin) + 1]!);
}

const side = fc.double({ min: 0.02, max: 0.5, noNaN: true });
const centre = fc.double({ min: 0, max: 1, noNaN: true });
const parameters = fc.record({
  regMax: fc.constantFrom(4, 16, 32, 64),
  regScale: fc.double({ min: 1, max: 8, noNaN: true }),
  up: fc.double({ min: 0.25, max: 1, noNaN: true }),
});

describe("bbox2distance", () => {
  test("the example of docs/specification.md §7", () => {
    const target = toCentre([0.41, 0.38, 0.62, 0.61]);
    const found = bbox2distance(Float64Array.from([0.5, 0.5, 0.2, 0.2]), Float64Array.from(target), standard);
    expect([...found.bins]).toEqual([13, 20, 20, 18]);
    [0.519804, 0.585203, 0.585203, 0.480196].forEach((right, i) => {
      expect(found.weightRight[i]).toBeCloseTo(right, 6);
      expect(found.weightLeft[i]).toBeCloseTo(1 - right, 6);
    });
  });

  test("the ends of docs/specification.md §7", () => {
    // With s = 4 a reference of side 4 makes a distance the edge's own shift outward; W(31) = 2 and W(32) = 4.
    const at = (delta: number) => {
      const found = bbox2distance(
        Float64Array.from([0, 0, 4, 4]),
        Float64Array.from([0, 0, 4 + 2 * delta, 4]),
        standard,
      );
      return [found.bins[0], found.weightRight[0], found.weightLeft[0]];
    };
    expect(at(3)[0]).toBe(31);
    expect(at(3)[1]).toBeCloseTo(0.5, 12);
    expect(at(3)[2]).toBeCloseTo(0.5, 12);
    expect(at(4)).toEqual([31.9, 1, 0]);
    expect(at(5)).toEqual([31.9, 1, 0]);
    // A distance of -2 is a target of no extent; further inward needs a shifted one.
    const inward = bbox2distance(Float64Array.from([0, 0, 4, 4]), Float64Array.from([3, 2, 0, 0]), standard);
    expect([inward.bins[0], inward.weightRight[0], inward.weightLeft[0]]).toEqual([0, 0, 1]);
    expect([inward.bins[1], inward.weightRight[1], inward.weightLeft[1]]).toEqual([0, 0, 1]);
  });

  test("decoding the two-bin mixture returns the target where W reaches it", () => {
    const shift = fc.double({ min: -1, max: 1, noNaN: true });
    fc.assert(
      fc.property(
        fc.tuple(centre, centre, side, side),
        fc.tuple(shift, shift, shift, shift),
        parameters,
        (point, shifts, given) => {
          const [, , w, h] = point;
          // Each edge moves by up to its reach, 2·up box sides; edges that cross would not be a box.
          const moved = toEdges(point).map((edge, i) => edge + 0.999 * 2 * given.up * shifts[i]! * (i % 2 ? h : w));
          fc.pre(moved[2]! > moved[0]! && moved[3]! > moved[1]!);
          const decoded = decode(point, mixture(point, toCentre(moved), given), given.regScale);
          decoded.forEach((edge, i) => {
            expect(edge).toBeCloseTo(moved[i]!, 9);
          });
        },
      ),
    );
  });

  test("weights are shares of two neighbouring bins, whatever the boxes", () => {
    const wild = fc.double({ min: -50, max: 50, noNaN: true });
    fc.assert(
      fc.property(
        fc.tuple(centre, centre, side, side),
        fc.tuple(wild, wild, wild, wild),
        parameters,
        (point, target, given) => {
          const found = bbox2distance(Float64Array.from(point), Float64Array.from(target), given);
          found.bins.forEach((bin, i) => {
            expect(bin >= 0 && bin <= given.regMax - 0.1).toBe(true);
            expect(Math.trunc(bin)).toBeLessThan(given.regMax);
            expect(found.weightRight[i]! >= 0 && found.weightRight[i]! <= 1).toBe(true);
            expect(found.weightLeft[i]! + found.weightRight[i]!).toBe(1);
          });
        },
      ),
    );
  });

  test("agrees with the reference pack", (context) => {
    const units =
      referenceJson<
        {
          up: number;
          reg_scale: number;
          reg_max: number;
          ref_cxcywh: { data: number[] };
          target_cxcywh: { data: number[] };
          index: number[];
          weight_right: number[];
          weight_left: number[];
        }[]
      >("units/bbox2distance.json");
    if (!units) return context.skip(NO_PACK);
    for (const unit of units) {
      const given = { regMax: unit.reg_max, regScale: unit.reg_scale, up: unit.up };
      const points = Float64Array.from(unit.ref_cxcywh.data);
      const found = bbox2distance(points, Float64Array.from(unit.target_cxcywh.data), given);
      const w = weightingFunction(given);
      found.bins.forEach((bin, i) => {
        expect(bin).toBeCloseTo(unit.index[i]!, 6);
        // The pack's boxes are given to nine digits; a distance amplifies that by regScale / side, a share by 1 / gap.
        const gap = w[Math.trunc(bin) + 1]! - w[Math.trunc(bin)]!;
        const allowed = 1e-7 + (3e-9 * given.regScale) / (points[i - (i % 4) + 2 + (i % 2)]! * gap);
        expect(allowed).toBeLessThan(1e-5);
        expect(Math.abs(found.weightRight[i]! - unit.weight_right[i]!)).toBeLessThanOrEqual(allowed);
        expect(Math.abs(found.weightLeft[i]! - unit.weight_left[i]!)).toBeLessThanOrEqual(allowed);
      });
    }
  });
});
